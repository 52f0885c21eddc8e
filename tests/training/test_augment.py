import inspect

import pytest
import torch
import yaml

from asl.clips.sources.npz import NpzSource
from asl.config.compose import compose
from asl.errors import UserError
from asl.landmarks import LANDMARK_SETS, landmark_set
from asl.paths import CONF
from asl.recognizer.preprocessing.presence import presence
from asl.recognizer.preprocessing.skeleton import Skeleton
from asl.targets import factory
from asl.training import augment
from asl.training.augment import Augmentation, picture
from asl.training.augment.space import body_centre

OPERATIONS = [
    operation
    for _, operation in inspect.getmembers(augment, inspect.isclass)
    if operation is not Augmentation
]
LANDMARKS = landmark_set("hands_pose")
GLOVE = landmark_set("powerglove")
MEASURED = (augment.Gain, augment.ChannelDropout)  # change a glove's clips alone
# Options with which an operation changes the clips of these tests.
OPTIONS = {augment.TimeWindow: {"most": 8}, augment.ChannelDropout: {"share": 0.9}}


def make(operation, p):
    return operation(p=p, **OPTIONS.get(operation, {}))


def changed_by(operation):
    """Landmarks of clips that the operation changes."""
    return GLOVE if operation in MEASURED else LANDMARKS


@pytest.fixture
def batch():
    """Clips of several lengths with missing landmarks, one of them without any detection."""

    def batch(landmarks=LANDMARKS):
        torch.manual_seed(1)
        lengths = torch.tensor([30, 1, 2, 12, 30, 9])
        points = len(landmarks.indices)
        clips = torch.rand(6, 30, points, len(landmarks.layout.channels))
        clips[torch.rand(6, 30, points) < 0.2] = torch.nan
        clips[4] = torch.nan
        clips[0, 3] = torch.nan
        for clip, length in zip(clips, lengths, strict=True):
            clip[length:] = torch.nan
        return clips, lengths

    return batch


@pytest.mark.parametrize("landmarks", LANDMARK_SETS.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
def test_results_are_valid_clips(operation, landmarks, batch):
    clips, lengths = batch(landmarks)
    before = clips.clone()
    alone = Augmentation({"it": make(operation, 1.0)}, landmarks)
    if operation is augment.View and landmarks is GLOVE:
        with pytest.raises(UserError, match="powerglove shows no shoulders"):
            alone(clips, lengths)
        return

    changed, changed_lengths = alone(clips, lengths)

    assert clips.nan_to_num(nan=9.0).equal(before.nan_to_num(nan=9.0)), "its input was changed"
    assert changed.shape[0] == 6
    assert changed.shape[2:] == clips.shape[2:]
    assert changed_lengths.dtype == torch.int64
    assert changed_lengths.min() >= 1
    assert changed_lengths.max() <= changed.shape[1]
    # a landmark has all of its coordinates or none, and padding is missing
    present = changed.isfinite()
    assert present[..., :3].all(-1).equal(present[..., :3].any(-1))
    assert present.float().equal(presence(changed, changed_lengths))
    assert changed[4].isnan().all(), "a clip without detections has some now"
    kept = present.flatten(1).any(1)
    assert kept[[0, 3, 5]].all(), "a clip has lost all detections"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
def test_p_is_the_share_of_clips_that_change(operation, batch):
    landmarks = changed_by(operation)
    clips, lengths = batch(landmarks)

    same, same_lengths = make(operation, 0.0)(clips, lengths, landmarks)
    torch.testing.assert_close(same[:, :30], clips, equal_nan=True, rtol=0, atol=1e-6)
    assert same_lengths.equal(lengths)

    torch.manual_seed(0)
    many = clips[:1].repeat(400, 1, 1, 1)
    half, _ = make(operation, 0.5)(many, lengths[:1].repeat(400), landmarks)
    close = (half[:, :30] - many).nan_to_num(nan=0.0).abs().amax((1, 2, 3)) < 1e-5
    changed = ~close | (half[:, :30].isnan() != many.isnan()).flatten(1).any(1)
    # Each hand has its own draw, so that at least one of them changes in three clips of four.
    assert 0.35 < changed.float().mean() < 0.85


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
def test_a_seed_fixes_the_result(operation, batch):
    results = []
    for _ in range(2):
        clips, lengths = batch(changed_by(operation))
        torch.manual_seed(5)
        results.append(make(operation, 0.7)(clips, lengths, changed_by(operation)))

    torch.testing.assert_close(results[0], results[1], equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("landmarks", LANDMARK_SETS.values(), ids=lambda each: each.name)
def test_mirroring_twice_changes_nothing(landmarks, batch):
    clips, lengths = batch(landmarks)
    mirror = augment.Mirror(p=1.0)

    once, _ = mirror(clips, lengths, landmarks)
    twice, _ = mirror(once, lengths, landmarks)

    torch.testing.assert_close(twice, clips, equal_nan=True, rtol=0, atol=1e-5)


def test_mirroring_makes_the_left_hand_the_right_one(batch):
    clips, lengths = batch()
    clips[:, :, list(LANDMARKS.left_hand)] = torch.nan
    shoulders = list(LANDMARKS.positions((500, 501)))

    mirrored, _ = augment.Mirror(p=1.0)(clips, lengths, LANDMARKS)

    assert mirrored[:, :, list(LANDMARKS.right_hand)].isnan().all()
    right, left = list(LANDMARKS.right_hand), list(LANDMARKS.left_hand)
    middle = clips[0, :, shoulders, 0].nanmean()
    torch.testing.assert_close(
        mirrored[0, :, left, 0] - middle, middle - clips[0, :, right, 0], equal_nan=True
    )
    torch.testing.assert_close(mirrored[0, :, left, 1], clips[0, :, right, 1], equal_nan=True)


def test_rotation_keeps_distances(batch):
    clips, lengths = batch()

    rotated, _ = augment.Rotate(p=1.0, degrees=40)(clips, lengths, LANDMARKS)

    def distances(x):
        return (x[:, :, 1:, :2] - x[:, :, :-1, :2]).norm(dim=-1)

    torch.testing.assert_close(distances(rotated), distances(clips), equal_nan=True)
    assert not torch.allclose(rotated.nan_to_num(), clips.nan_to_num(), atol=0.01)


@pytest.mark.parametrize("name", ["light", "strong", "gislr_1st"])
def test_what_moves_a_hand_does_not_bend_its_fingers(name):
    nodes = yaml.safe_load((CONF / "augment" / f"{name}.yaml").read_text())
    operations = {key: factory({**node, "p": 1.0}, "augment")() for key, node in nodes.items()}
    spatial = {key: each for key, each in operations.items() if getattr(each, "spatial", False)}
    clips, lengths = torch.rand(8, 12, 1, 8), torch.full((8,), 12)

    changed, _ = Augmentation(spatial, GLOVE)(clips, lengths)

    assert changed[..., 3:].equal(clips[..., 3:])
    assert not changed[..., :3].equal(clips[..., :3])


def test_a_gain_is_one_factor_a_channel_for_the_whole_clip():
    clips = torch.rand(50, 12, 1, 8) + 0.1

    changed, _ = augment.Gain(p=1.0, most=0.2)(clips, torch.full((50,), 12), GLOVE)

    factors = changed / clips
    assert changed[..., :3].equal(clips[..., :3])
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2


def test_dropped_channels_are_missing_throughout_and_coordinates_stay():
    clips = torch.rand(200, 12, 1, 8)

    changed, _ = augment.ChannelDropout(p=1.0, share=0.3)(clips, torch.full((200,), 12), GLOVE)

    lost = changed.isnan()
    assert not lost[..., :3].any()
    assert lost.all(1).equal(lost.any(1))
    assert lost[:, 0, 0, 3:].float().mean().item() == pytest.approx(0.3, abs=0.05)


def test_stretched_time_keeps_first_and_last_frame():
    clips = torch.arange(20.0)[None, :, None, None].expand(64, 20, len(LANDMARKS.indices), 3)
    lengths = torch.full((64,), 20)

    for operation in (augment.TimeStretch(p=1.0), augment.TimeWarp(p=1.0, strength=1 / 6)):
        changed, changed_lengths = operation(clips, lengths, LANDMARKS)
        for clip, length in zip(changed[..., 0, 0], changed_lengths, strict=True):
            assert clip[0] == 0
            assert clip[length - 1].item() == pytest.approx(19, abs=1e-4)
            assert clip[:length].diff().min() > -1e-4, "time ran backwards"


def test_a_window_is_consecutive_frames():
    clips = torch.arange(20.0)[None, :, None, None].expand(64, 20, len(LANDMARKS.indices), 3)
    lengths = torch.full((64,), 20)
    lengths[0] = 5

    window, kept = augment.TimeWindow(p=1.0, most=8)(clips, lengths, LANDMARKS)

    assert kept.tolist() == [5] + [8] * 63
    assert window[0, :5, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert (window[1:, :8, 0, 0].diff(dim=1) == 1).all()
    assert set(window[1:, 0, 0, 0].tolist()) <= set(range(13))
    assert {0.0, 12.0} <= set(window[1:, 0, 0, 0].tolist())


def test_empty_frames_are_removed(batch):
    clips, lengths = batch()

    full, kept = augment.EmptyFrames()(clips, lengths, LANDMARKS)

    assert kept.tolist() == [29, 1, 2, 12, 30, 9]
    expected = torch.cat([clips[0, :3], clips[0, 4:]])
    torch.testing.assert_close(full[0, :29], expected, equal_nan=True, rtol=0, atol=0)


def test_a_time_mask_is_one_span_of_the_given_length():
    clips = torch.rand(200, 40, len(LANDMARKS.indices), 3)
    lengths = torch.full((200,), 40)

    masked, _ = augment.TimeMask(p=1.0, low=0.2, high=0.4)(clips, lengths, LANDMARKS)

    lost = masked.isnan().flatten(2).all(2)
    assert masked.isnan().flatten(2).any(2).equal(lost)
    assert lost.sum(1).min() >= 8
    assert lost.sum(1).max() <= 16
    assert (lost.float().diff(dim=1).abs().sum(1) <= 2).all(), "more than one span"
    assert lost[:, 0].any()
    assert lost[:, -1].any()


def test_a_space_mask_is_one_box_for_all_frames():
    place = torch.rand(100, 1, len(LANDMARKS.indices), 3)
    clips = place.expand(100, 6, -1, 3)

    masked, _ = augment.SpaceMask(p=1.0)(clips, torch.full((100,), 6), LANDMARKS)

    lost = masked.isnan().all(-1)
    assert (lost == lost[:, :1]).all(), "a still point is missing in some frames only"
    for points, gone in zip(place[:, 0, :, :2], lost[:, 0], strict=True):
        if gone.any():
            low, high = points[gone].amin(0), points[gone].amax(0)
            assert ((high - low) <= 0.4).all()
            kept = points[~gone]
            assert not ((kept >= low) & (kept <= high)).all(1).any(), "a hole in the box"
    assert 0.02 < lost.float().mean() < 0.15


def test_the_missing_hand_is_the_less_active_one(batch):
    clips, lengths = batch()
    left, right = list(LANDMARKS.left_hand), list(LANDMARKS.right_hand)
    clips[:, :, left] = clips[:, :1, left]  # holds still

    changed, _ = augment.MissingHand(p=1.0)(clips, lengths, LANDMARKS)

    assert changed[0, :, left].isnan().all()
    torch.testing.assert_close(changed[:, :, right], clips[:, :, right], equal_nan=True)


def test_an_affine_map_keeps_lines_and_the_centre(batch):
    clips, lengths = batch()
    rows = LANDMARKS.positions((500, 501))
    clips[0, :, rows] = torch.rand(2, 3)

    mapped, _ = augment.Affine(p=1.0, shift=0.0)(clips, lengths, LANDMARKS)

    middle = clips[0, 5, rows, :2].mean(0)
    torch.testing.assert_close(mapped[0, 5, rows, :2].mean(0), middle)
    there = clips[0].isfinite().all(-1)
    old, new = clips[0][there][:, :2] - middle, mapped[0][there][:, :2] - middle
    torch.testing.assert_close(old @ torch.linalg.lstsq(old, new).solution, new, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [path.stem for path in (CONF / "augment").glob("*.yaml")])
def test_every_preset_runs(name, batch):
    nodes = yaml.safe_load((CONF / "augment" / f"{name}.yaml").read_text())
    operations = {key: factory(node, "augment")() for key, node in nodes.items()}
    clips, lengths = batch()

    changed, changed_lengths = Augmentation(operations, LANDMARKS)(clips, lengths)

    assert presence(changed, changed_lengths)[0].sum() > 0
    if name == "none":
        assert changed is clips


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["regularization=light"], "light"),
        (["regularization=strong"], "strong"),
        (["regularization=notebook2023"], "none"),
        (["regularization=gislr_1st"], "gislr_1st"),
        (["regularization=light", "augment=none"], "none"),
        (["augment=strong", "regularization=none"], "strong"),
    ],
)
def test_a_regularization_brings_its_augmentation_unless_one_is_named(overrides, name):
    chosen = compose("train", overrides).augment

    assert chosen == yaml.safe_load((CONF / "augment" / f"{name}.yaml").read_text())


def test_the_body_centre_does_not_depend_on_the_rest_of_the_batch(batch):
    clips, lengths = batch()
    alone = body_centre(clips[:1], lengths[:1], LANDMARKS)

    centres = body_centre(clips, lengths, LANDMARKS)

    shoulders = clips[0][:, list(LANDMARKS.positions((500, 501)))]
    torch.testing.assert_close(alone.flatten(), shoulders.nanmean((0, 1)))
    torch.testing.assert_close(centres[:1], alone)
    own = clips[1, :, : LANDMARKS.size]
    own[:, list(LANDMARKS.positions((500, 501)))] = torch.nan
    without = body_centre(clips, lengths, LANDMARKS)[1]
    torch.testing.assert_close(without.flatten(), own.nanmean((0, 1)))


# --- views ---------------------------------------------------------------------------------------

KINECT = landmark_set("kinect20")
FIRST_ARM, SECOND_ARM = ([*arm] for arm in KINECT.layout.arms)


@pytest.fixture(scope="module")
def frontal(shared_data):
    """A real clip, its signer before the sensor, and its length."""
    source = NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")
    clip = torch.tensor(source.read(source.listing().entries[0]).clip)[None]
    return clip, torch.tensor([clip.shape[1]])


def seen_from(clip, degrees, **options):
    """The clip at that angle, by default without any guess of the sensor's."""
    still = {"pull": 0.0, "shake": 0.0, "lost": 0.0} | options
    return augment.View(p=1.0, low=degrees, high=degrees, **still)(*clip, KINECT)[0]


def yaw(clip):
    line = (clip[:, :, 3] - clip[:, :, 2]).mean((0, 1))
    return torch.rad2deg(torch.atan2(line[2], line[0])).item()


@pytest.mark.parametrize("degrees", [-70.0, 0.0, 50.0])
def test_a_view_turns_the_signer_to_the_angle_and_keeps_the_body(frontal, degrees):
    clip, lengths = frontal
    turned = seen_from((seen_from(frontal, 25.0), lengths), degrees)

    assert yaw(turned) == pytest.approx(degrees, abs=0.1)
    torch.testing.assert_close(turned[..., 1], clip[..., 1])
    for a, b in KINECT.bones:
        lengths_before = (clip[:, :, a] - clip[:, :, b]).norm(dim=-1)
        lengths_after = (turned[:, :, a] - turned[:, :, b]).norm(dim=-1)
        torch.testing.assert_close(lengths_after, lengths_before, rtol=0, atol=1e-4)
    ones = torch.ones_like(clip)
    torch.testing.assert_close(
        Skeleton(KINECT)(turned, ones), Skeleton(KINECT)(clip, ones), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(("degrees", "arm"), [(65.0, SECOND_ARM), (-65.0, FIRST_ARM), (20.0, [])])
def test_only_the_hidden_arm_goes_astray(frontal, degrees, arm):
    seen, guessed = seen_from(frontal, degrees), seen_from(frontal, degrees, pull=0.9, shake=0.1)
    moved = (seen - guessed).abs().amax((0, 1, 3)) > 1e-6
    assert moved.nonzero().flatten().tolist() == sorted(arm)


def test_hidden_joints_are_drawn_to_their_shoulder_the_more_the_farther_the_turn(frontal):
    distances = []
    for degrees in (30.0, 50.0, 80.0):
        torch.manual_seed(0)
        clip = seen_from(frontal, degrees, pull=0.9)
        distances.append((clip[:, :, SECOND_ARM] - clip[:, :, 3:4]).norm(dim=-1))
    assert (distances[0] >= distances[1]).all()
    assert (distances[1] >= distances[2]).all()
    assert distances[2].mean() < 0.8 * distances[0].mean()


def test_what_the_sensor_guessed_already_stays(frontal):
    oblique = seen_from(frontal, 60.0), frontal[1]
    torch.testing.assert_close(
        seen_from(oblique, 60.0, pull=0.9, shake=0.1), oblique[0], rtol=0, atol=1e-4
    )
    assert (seen_from(oblique, 75.0, pull=0.9) - seen_from(oblique, 75.0)).abs().max() > 0.01


def test_hidden_joints_may_be_lost(frontal):
    clip = seen_from(frontal, 90.0, lost=0.5)
    lost = clip.isnan().all(-1)[0]
    assert 0.4 < lost[:, SECOND_ARM].float().mean() < 0.6
    lost[:, SECOND_ARM] = False
    assert not lost.any()


# --- the first place's, in the picture -----------------------------------------------------------


def test_a_resized_clip_is_read_linearly_cubically_or_at_the_nearest_frame():
    """Four frames played as six: a moment is (i + .5) · 4/6 - .5."""
    clips = torch.tensor([0.0, 3.0, 6.0, 21.0])[None, :, None, None].expand(3, -1, 1, 3)
    moments = ((torch.arange(6) + 0.5) * 4 / 6 - 0.5).expand(3, -1)
    ways = torch.tensor([picture.LINEAR, picture.CUBIC, picture.NEAREST])

    linear, cubic, nearest = picture.read_between(clips, torch.full((3,), 4), moments, ways)

    torch.testing.assert_close(linear[:, 0, 0], torch.tensor([0, 1.5, 3.5, 5.5, 13.5, 21]))
    assert nearest[:, 0, 0].tolist() == [0, 3, 3, 6, 21, 21]
    # Half-way the weights are -1/16, 9/16, 9/16, -1/16; a frame beyond the end does not count.
    assert cubic[1, 0, 0].item() == pytest.approx((9 * 0 + 9 * 3 - 6) / 17)
    assert cubic[4, 0, 0].item() == pytest.approx((-3 + 9 * 6 + 9 * 21) / 17)


def test_a_missing_landmark_spreads_to_all_that_is_read_from_it():
    clips = torch.rand(3, 8, 2, 3)
    clips[:, 4, 0] = torch.nan
    moments = torch.tensor([1.5, 2.5, 3.25, 3.75, 4.0, 5.5, 6.5]).expand(3, -1)
    ways = torch.tensor([picture.LINEAR, picture.CUBIC, picture.NEAREST])

    missing = picture.read_between(clips, torch.full((3,), 8), moments, ways).isnan().all(-1)

    assert not missing[:, :, 1].any()
    linear, cubic, nearest = missing[:, :, 0].int().tolist()
    assert linear == [0, 0, 1, 1, 1, 0, 0]
    assert cubic == [0, 1, 1, 1, 1, 1, 0]
    assert nearest == [0, 0, 0, 1, 1, 0, 0]


@pytest.mark.slow
def test_resized_clips_are_those_of_tensorflow():
    tensorflow = pytest.importorskip("tensorflow")
    torch.manual_seed(0)
    ways = {"bilinear": picture.LINEAR, "bicubic": picture.CUBIC, "nearest": picture.NEAREST}
    for length, size in [(22, 31), (22, 11), (5, 7), (1, 3), (3, 1), (40, 40)]:
        clip = torch.rand(length, 7, 3)
        clip[torch.rand(length, 7) < 0.1] = torch.nan
        moments = ((torch.arange(size) + 0.5) * (length / size) - 0.5)[None]
        for name, way in ways.items():
            read = picture.read_between(
                clip[None], torch.tensor([length]), moments, torch.tensor([way])
            )
            theirs = [
                # One by one: its cubic resizing reads neighbouring landmarks with a weight of 0.
                tensorflow.image.resize(clip[:, point : point + 1].numpy(), (size, 1), name)
                for point in range(7)
            ]
            expected = torch.from_numpy(tensorflow.concat(theirs, 1).numpy())
            torch.testing.assert_close(read[0], expected, equal_nan=True, rtol=0, atol=2e-3)


def test_all_three_ways_are_drawn():
    clips = torch.rand(300, 9, 1, 3)
    torch.manual_seed(0)
    resized, lengths = augment.TimeResize(p=1.0, low=2.0, high=2.0)(
        clips, torch.full((300,), 9), LANDMARKS
    )
    assert (lengths == 18).all()
    # Twice as many frames: the nearest one twice over, or a quarter of the way to the next.
    nearest = (resized[:, 2:4, 0, 0] == clips[:, 1:2, 0, 0]).all(1)
    linear = (resized[:, 3, 0, 0] - clips[:, 1:3, 0, 0].mv(torch.tensor([0.75, 0.25]))).abs() < 1e-6
    for share in (nearest, linear, ~nearest & ~linear):
        assert share.float().mean().item() == pytest.approx(1 / 3, abs=0.08)


def test_a_mask_in_the_picture_is_a_square_anywhere_in_it():
    grid = torch.cartesian_prod(torch.linspace(0, 1.4, 71), torch.linspace(0, 1.4, 71))
    clips = torch.cat([grid, torch.zeros(len(grid), 1)], dim=1).expand(200, 2, -1, -1)
    torch.manual_seed(0)

    masked, _ = augment.PictureMask(p=1.0)(clips, torch.full((200,), 2), LANDMARKS)

    lost = masked.isnan().all(-1)
    assert lost[:, 0].equal(lost[:, 1])
    corners = torch.stack([grid[gone].amin(0) for gone in lost[:, 0]])
    sides = torch.stack([grid[gone].amax(0) - grid[gone].amin(0) for gone in lost[:, 0]])
    assert (sides[:, 0] - sides[:, 1]).abs().max() < 0.021, "no square"
    assert 0.17 < sides.min() < 0.22
    assert 0.37 < sides.max() < 0.42
    assert corners.min() < 0.05
    assert 0.95 < corners.max() < 1.03


def test_an_affine_map_of_the_picture_is_about_its_corner_and_its_centre():
    clips = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]]).expand(50, 2, -1, -1)
    lengths = torch.full((50,), 2)
    still = {"p": 1.0, "scale": 0.0, "shear": 0.0, "degrees": 0.0, "shift": 0.0}

    def mapped(**options):
        return augment.PictureAffine(**still | options)(clips, lengths, LANDMARKS)[0][:, 0]

    corner, x, y, centre = mapped(scale=0.2).unbind(1)
    assert not corner.any(), "size starts from the corner"
    assert 1.1 < x[:, 0].max() <= 1.2
    torch.testing.assert_close(x[:, 0], y[:, 1])
    corner, x, y, centre = mapped(degrees=30.0).unbind(1)
    torch.testing.assert_close(centre, clips[:, 0, 3])
    torch.testing.assert_close((corner - centre).norm(dim=1), torch.full((50,), 0.5**0.5))
    corner, x, y, centre = mapped(shear=0.15).unbind(1)
    assert not corner.any()
    assert ((x[:, 1] != 0) ^ (y[:, 0] != 0)).all(), "along one axis"
    moved = mapped(shift=0.1) - clips[:, 0]
    torch.testing.assert_close(moved[:, :1].expand_as(moved), moved, atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[..., 0], moved[..., 1], atol=1e-6, rtol=0)
    assert not moved[..., 2].any()
    assert 0.08 < moved.max() <= 0.1
