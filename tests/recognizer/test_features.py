import pytest
import torch

from asl.errors import UserError
from asl.landmarks import LANDMARK_SETS, landmark_set
from asl.recognizer.build import build_recognizer
from asl.recognizer.preprocessing.features import Features


def features(clip, **options):
    """Features [T', F] and mask [T'] of one clip [T, L, 3] with NaN."""
    present = clip.isfinite().float()[None]
    steps, mask = Features(**options)(clip.nan_to_num()[None], present, torch.tensor([len(clip)]))
    return steps[0], mask[0]


def line(frames):
    """One landmark that moves by 1 along x each frame."""
    clip = torch.zeros(frames, 1, 3)
    clip[:, 0, 0] = torch.arange(frames)
    return clip


@pytest.mark.parametrize("frames", [1, 2, 5, 100])
def test_resampling_is_linear_from_the_first_to_the_last_frame(frames):
    steps, mask = features(line(frames), frames=9)

    torch.testing.assert_close(steps[:, 0], torch.linspace(0, frames - 1, 9), rtol=0, atol=1e-5)
    assert mask.all()


def test_missing_frames_stay_missing_and_their_neighbours_keep_their_values():
    clip = line(5) + 1
    clip[2] = torch.nan

    steps, _ = features(clip, frames=9)

    expected = torch.tensor([1, 1.5, 2, 2, 0, 4, 4, 4.5, 5])
    torch.testing.assert_close(steps[:, 0], expected)


def test_last_frames_are_the_last_ones_and_short_clips_end_in_padding():
    steps, mask = features(line(30), frames=4, length="last")
    assert steps[:, 0].tolist() == [26, 27, 28, 29]
    assert mask.all()

    steps, mask = features(line(3), frames=4, length="last")
    assert steps[:, 0].tolist() == [0, 1, 2, 0]
    assert mask.tolist() == [True, True, True, False]


def test_differences_come_before_filling():
    clip = line(6).square() + 5
    clip[2] = torch.nan

    steps, _ = features(
        clip, frames=6, terms=("position", "lag1", "lag2", "second"), coordinates="xy"
    )

    assert steps.shape == (
        6,
        Features(terms=("position", "lag1", "lag2", "second"), coordinates="xy").size(1),
    )
    position, lag1, lag2, second = steps[:, ::2].unbind(-1)
    assert position.tolist() == [5, 6, 0, 14, 21, 30]
    assert lag1.tolist() == [1, 0, 0, 7, 9, 0]
    assert lag2.tolist() == [0, 8, 0, 16, 0, 0]
    assert second.tolist() == [0, 0, 0, 0, 2, 0]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_steps_have_every_term(frames):
    steps, _ = features(line(4), frames=frames, terms=("position", "lag1", "lag2", "second"))

    assert steps.shape == (frames, 12)
    assert steps.isfinite().all()


def test_all_frames_are_taken_unchanged_with_a_mask():
    clips = torch.stack([line(7)[:, 0], line(7)[:, 0]])[:, :, None] + 1  # [2, 7, 1, 3]
    lengths = torch.tensor([7, 4])
    present = (torch.arange(7) < lengths[:, None])[:, :, None, None].expand(clips.shape).float()

    steps, mask = Features(length="all", frames=9, terms=("position", "lag2"))(
        clips, present, lengths
    )

    assert steps[0, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert steps[1, :, 0].tolist() == [1, 2, 3, 4, 0, 0, 0]
    assert steps[1, :, 3].tolist() == [2, 2, 0, 0, 0, 0, 0], "a difference saw the padding"
    assert mask.sum(1).tolist() == [7, 4]


def test_the_first_frames_of_a_long_clip_are_taken():
    steps, mask = features(line(30), frames=4, length="all", terms=("position", "lag1", "second"))

    assert mask.nonzero().flatten().tolist() == [0, 1, 2, 3]
    position, lag1, second = steps[:6, ::3].unbind(-1)
    assert position.tolist() == [0, 1, 2, 3, 0, 0]
    assert lag1.tolist() == [1, 1, 1, 0, 0, 0], "a difference saw what is cut off"
    assert second.tolist() == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_short_clip_has_every_term_of_every_frame(frames):
    steps, mask = features(line(frames), length="all", terms=("position", "lag1", "lag2", "second"))

    assert steps.shape == (frames, 12)
    assert mask.all()
    assert steps[:, 6].tolist() == [2.0] * (frames - 2) + [0.0] * min(frames, 2)


@pytest.mark.parametrize("name", [n for n, each in LANDMARK_SETS.items() if each.distance_pairs])
def test_distances_are_between_hands_and_body(name):
    landmarks = landmark_set(name)
    torch.manual_seed(0)
    clip = torch.rand(1, landmarks.size, 3).expand(4, -1, -1).clone()
    one, other = landmarks.distance_pairs[-1]
    clip[2:, one] = torch.nan

    steps, _ = features(clip, frames=4, terms=["position", "distances"], landmarks=landmarks)

    assert steps.shape[1] == landmarks.size * 3 + len(landmarks.distance_pairs)
    distances = steps[:, landmarks.size * 3 :]
    far = (clip[0, one] - clip[0, other]).norm()
    torch.testing.assert_close(distances[:, -1], torch.tensor([far, far, 0, 0]))
    first, second = landmarks.distance_pairs[0]
    expected = (clip[0, first] - clip[0, second]).norm()
    torch.testing.assert_close(distances[0, 0], expected)


def test_distances_in_xy_ignore_depth():
    landmarks = landmark_set("kinect20")
    clip = torch.rand(3, 20, 3)
    flat = clip * torch.tensor([1.0, 1.0, 0.0])
    options = {"terms": ["distances"], "coordinates": "xy", "frames": 3, "landmarks": landmarks}
    torch.testing.assert_close(features(clip, **options)[0], features(flat, **options)[0])


def test_distances_require_landmarks():
    with pytest.raises(UserError, match=r"features\.terms=distances"):
        Features(terms=["distances"])


def test_bones_lead_from_each_landmarks_parent():
    landmarks = landmark_set("kinect20")
    torch.manual_seed(0)
    clip = torch.rand(4, 20, 3)
    elbow, wrist, hand = 4, 6, 8
    clip[2:, wrist] = torch.nan
    options = {"terms": ["bone", "bone_lag1"], "frames": 4, "landmarks": landmarks}

    steps, _ = features(clip, **options)

    bones, motion = steps.unflatten(1, (2, 20, 3)).unbind(1)
    torch.testing.assert_close(bones[:2, wrist], clip[:2, wrist] - clip[:2, elbow])
    assert bones[2:, [wrist, hand]].eq(0).all(), "a bone without an end"
    torch.testing.assert_close(motion[0, wrist], bones[1, wrist] - bones[0, wrist])
    assert motion[1, wrist].eq(0).all(), "a difference to what is missing"
    # where nothing is missing, bones are the way from the middle to the hand
    way = bones[0, [10, 1, 2, elbow, wrist, hand]].sum(0)
    torch.testing.assert_close(way, clip[0, hand] - clip[0, 10])


@pytest.mark.parametrize("name", [n for n, each in LANDMARK_SETS.items() if each.distance_pairs])
def test_places_are_where_a_landmarks_own_features_are(name):
    landmarks = landmark_set(name)
    terms = ["distances", "position", "lag1"]
    clip = torch.arange(float(landmarks.size))[:, None].expand(3, -1, 3).clone()  # x = y = z
    clip[1] *= 2
    chosen = Features(frames=3, terms=terms, landmarks=landmarks)

    steps, _ = features(clip, frames=3, terms=terms, landmarks=landmarks)

    places = chosen.places(landmarks.size)
    assert len(places) == landmarks.size
    for landmark, own in enumerate(places):
        assert steps[0, list(own)].tolist() == [landmark] * 6, "positions, then differences"
    assert {place for own in places for place in own} == {
        *range(len(landmarks.distance_pairs), steps.shape[1])
    }


def test_trust_falls_for_the_arm_that_is_farther_from_the_sensor():
    spec = {
        "landmarks": {"name": "kinect20"},
        "scaler": {"_target_": "asl.recognizer.preprocessing.skeleton.Skeleton"},
        "features": {
            "_target_": "asl.recognizer.preprocessing.features.Features",
            "terms": ["position", "trust"],
            "frames": 4,
        },
        "model": {"_target_": "asl.recognizer.backbones.cnn.Cnn", "hidden": 8},
        "head": {"_target_": "asl.recognizer.heads.linear.LinearHead"},
    }
    recognizer = build_recognizer(spec, ["a", "b"])
    torch.manual_seed(0)
    clip = torch.rand(1, 4, 20, 3)
    clip[:, :, 2], clip[:, :, 3] = torch.tensor([[-0.2, 0, 2], [0.2, 0, 2]])
    x, y, z = clip.unbind(-1)
    turned = torch.stack([x / 2 - z * 0.75**0.5, y, x * 0.75**0.5 + z / 2], -1)  # by 60 degrees

    (front, _), (profile, _) = (recognizer.steps(each, None) for each in (clip, turned))

    torch.testing.assert_close(front[0, :, -2:], torch.ones(4, 2))
    torch.testing.assert_close(profile[0, :, -2:], torch.tensor([1, 1 - 0.75**0.5]).expand(4, 2))
    torch.testing.assert_close(front[..., :-2], profile[..., :-2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("term", ["bone", "bone_lag1", "trust"])
def test_terms_that_need_landmarks_say_so(term):
    with pytest.raises(UserError, match=r"features\.terms="):
        Features(terms=[term])


def test_trust_needs_measured_depth():
    with pytest.raises(UserError, match=r"trust: landmarks=hands_pose measures no depth.*kinect20"):
        Features(terms=["trust"], landmarks=landmark_set("hands_pose"))
