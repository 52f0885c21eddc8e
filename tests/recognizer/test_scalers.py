import pytest
import torch

from asl.errors import UserError
from asl.landmarks import landmark_set
from asl.recognizer.preprocessing.presence import presence
from asl.recognizer.preprocessing.scalers import (
    BodySize,
    ClipDeviation,
    ClipMinMax,
    HandShape,
    StatisticsScaler,
    auto,
)

LANDMARKS = landmark_set("hands_pose")
POINTS = len(LANDMARKS.indices)
HANDS = {"left": list(LANDMARKS.left_hand), "right": list(LANDMARKS.right_hand)}


def scaler_input(clips, lengths=None):
    present = presence(clips, lengths)
    return torch.where(present > 0, clips, 0.0), present


def scaled(scaler, clips):
    values, present = scaler_input(clips)
    return torch.where(present > 0, scaler(values, present), torch.nan)


def signer(frames=12):
    torch.manual_seed(3)
    clips = torch.rand(2, frames, POINTS, 3)
    clips[:, ::3, :21] = torch.nan
    return clips


def test_statistics_are_those_of_present_coordinates():
    clips, lengths = signer(), torch.tensor([12, 5])
    clips[1, 5:] = torch.nan
    shown = torch.cat([clips[0], clips[1, :5]])[:, 30, 0]

    for statistic, centre, size in [
        ("standard", shown.mean(), shown.std(correction=0)),
        ("minmax", shown.min(), shown.max() - shown.min()),
        ("robust", shown.median(), shown.quantile(0.75) - shown.quantile(0.25)),
    ]:
        scaler = StatisticsScaler(LANDMARKS, statistic)
        scaler.fit([scaler_input(clips[:1], lengths[:1]), scaler_input(clips[1:], lengths[1:])])
        torch.testing.assert_close(scaler.centre[30, 0], centre, msg=statistic)
        torch.testing.assert_close(scaler.size[30, 0], size, msg=statistic)


@pytest.mark.parametrize("statistic", ["minmax", "standard", "robust"])
def test_absent_and_constant_landmarks_are_only_shifted(statistic):
    clips = signer()
    clips[:, :, 10] = torch.nan
    clips[:, :, 11] = 0.4
    scaler = StatisticsScaler(LANDMARKS, statistic)

    scaler.fit([scaler_input(clips)])

    assert scaler.centre.isfinite().all()
    assert scaler(torch.rand(1, 4, POINTS, 3), torch.ones(1, 4, POINTS, 3)).abs().max() < 100
    assert scaler.size[10].eq(1).all()
    assert scaler.size[11].eq(1).all()


@pytest.mark.parametrize(
    "scaler", [BodySize(LANDMARKS), HandShape(LANDMARKS), ClipDeviation(LANDMARKS)]
)
def test_position_and_size_of_a_signer_do_not_matter(scaler):
    near = signer()
    far = near * 0.4 + torch.tensor([0.3, 0.1, -0.2])

    torch.testing.assert_close(
        scaled(scaler, far), scaled(scaler, near), equal_nan=True, rtol=0, atol=1e-4
    )


def test_body_is_measured_in_shoulder_widths_from_between_the_shoulders():
    clips = signer()
    left, right = LANDMARKS.positions((500, 501))

    values = scaled(BodySize(LANDMARKS), clips)

    middle = (values[:, :, left] + values[:, :, right]) / 2
    torch.testing.assert_close(middle.mean(1), torch.zeros(2, 3), rtol=0, atol=1e-5)
    width = (values[:, :, left, :2] - values[:, :, right, :2]).norm(dim=-1)
    torch.testing.assert_close(width.mean(1), torch.ones(2))


def test_a_body_without_shoulders_falls_back_on_the_clip():
    clips = signer()
    clips[:, :, list(LANDMARKS.positions((500, 501)))] = torch.nan

    body = scaled(BodySize(LANDMARKS), clips)

    clip = scaled(ClipDeviation(LANDMARKS, axes="shared"), clips)
    torch.testing.assert_close(body, clip, equal_nan=True)


@pytest.mark.parametrize("hand", HANDS.values(), ids=HANDS)
def test_moving_a_hand_changes_only_its_wrist(hand):
    clips = signer()
    moved = clips.clone()
    moved[:, :, hand] += torch.tensor([0.2, -0.1, 0.05])

    before, after = scaled(HandShape(LANDMARKS), clips), scaled(HandShape(LANDMARKS), moved)

    others = [row for row in range(POINTS) if row != hand[0]]
    torch.testing.assert_close(
        after[:, :, others], before[:, :, others], equal_nan=True, rtol=0, atol=1e-4
    )
    shift = scaled(BodySize(LANDMARKS), moved) - scaled(BodySize(LANDMARKS), clips)
    torch.testing.assert_close(
        (after - before)[:, :, hand[0]], shift[:, :, hand[0]], equal_nan=True, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("hand", HANDS.values(), ids=HANDS)
def test_a_larger_hand_has_the_same_shape(hand):
    clips = signer()
    larger = clips.clone()
    wrist = clips[:, :, hand[:1]]
    larger[:, :, hand] = wrist + 1.7 * (clips[:, :, hand] - wrist)

    torch.testing.assert_close(
        scaled(HandShape(LANDMARKS), larger),
        scaled(HandShape(LANDMARKS), clips),
        equal_nan=True,
        rtol=0,
        atol=1e-4,
    )


def test_hands_are_in_palm_lengths_and_the_rest_in_body_units():
    clips = signer()
    values = scaled(HandShape(LANDMARKS), clips)

    palms = values[:, :, HANDS["right"][9], :2].norm(dim=-1)
    torch.testing.assert_close(palms.nanmean(1), torch.ones(2))
    fingers = {row for hand in HANDS.values() for row in hand[1:]}
    rest = [row for row in range(POINTS) if row not in fingers]
    body = scaled(BodySize(LANDMARKS), clips)
    torch.testing.assert_close(values[:, :, rest], body[:, :, rest], equal_nan=True)


def test_a_hand_without_its_wrist_is_0():
    clips = signer()
    clips[:, 1, HANDS["right"][0]] = torch.nan

    values = scaled(HandShape(LANDMARKS), clips)[:, 1, HANDS["right"][1:]]

    assert values.eq(0).all()


def test_hand_shape_requires_hands():
    with pytest.raises(UserError, match=r"scaler=hands: kinect20 .*mediapipe_holistic$"):
        HandShape(landmark_set("kinect20_upper"))


def test_clip_deviation_gives_mean_0_and_deviation_1():
    own = scaled(ClipDeviation(LANDMARKS), signer())[:, :, : LANDMARKS.size]

    torch.testing.assert_close(own.nanmean((1, 2)), torch.zeros(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(own.square().nanmean((1, 2)), torch.ones(2, 3))


def test_clip_minmax_gives_0_to_1():
    own = scaled(ClipMinMax(LANDMARKS), signer())[:, :, : LANDMARKS.size]

    assert own.nan_to_num(nan=0.5).amin() == 0
    assert own.nan_to_num(nan=0.5).amax() == 1


@pytest.mark.parametrize(
    "scaler",
    [BodySize(LANDMARKS), HandShape(LANDMARKS), ClipDeviation(LANDMARKS), ClipMinMax(LANDMARKS)],
)
def test_a_single_point_is_not_blown_up(scaler):
    clips = torch.full((1, 3, POINTS, 3), torch.nan)
    clips[0, 1, 5] = 0.7

    assert scaled(scaler, clips).nan_to_num().abs().max() < 1


def test_auto_is_hands_where_there_are_hands():
    assert isinstance(auto(landmark_set("hands_pose")), HandShape)
    assert isinstance(auto(landmark_set("kinect20")), ClipDeviation)
