"""`scaler=skeleton` on real Kinect clips, if there are any."""

import math

import pytest
import torch

from asl.clips.sources.npz import NpzSource
from asl.errors import UserError
from asl.landmarks import landmark_set
from asl.recognizer.preprocessing.skeleton import Skeleton

LANDMARKS = landmark_set("kinect20")
SHOULDERS, ELBOW, WRIST = [2, 3], 5, 7


@pytest.fixture(scope="module")
def clip(shared_data):
    """Of a real signer, `[1, T, 20, 3]`."""
    source = NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")
    return torch.tensor(source.read(source.listing().entries[0]).clip)[None]


def scaled(clip):
    return Skeleton(LANDMARKS)(clip, torch.ones_like(clip))


def rotated(clip, degrees):
    angle = math.radians(degrees)
    x, y, z = clip.unbind(-1)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.stack([x * cos - z * sin, y, x * sin + z * cos], -1)


def test_position_and_orientation_of_the_signer_do_not_matter(clip):
    moved = rotated(clip, 60) + torch.tensor([1.0, -0.5, 2.0])
    torch.testing.assert_close(scaled(moved), scaled(clip), rtol=0, atol=1e-4)


def test_the_signer_faces_the_sensor(clip):
    one, other = scaled(clip)[:, :, SHOULDERS].mean((0, 1))
    assert other[0] - one[0] > 0.5
    assert abs(other[2] - one[2]) < 0.02


def test_arm_lengths_do_not_matter(clip):
    longer = clip.clone()
    extension = 0.4 * (clip[:, :, WRIST] - clip[:, :, ELBOW])
    longer[:, :, WRIST] += extension
    longer[:, :, 9] += extension  # the hand goes with the wrist
    torch.testing.assert_close(scaled(longer), scaled(clip), rtol=0, atol=1e-4)


def test_forearms_have_the_standard_length(clip):
    values = scaled(clip)
    length = (values[:, :, WRIST] - values[:, :, ELBOW]).norm(dim=-1).mean()
    assert length.item() == pytest.approx(0.24 / 0.34, rel=1e-3)


def test_relative_movement_is_kept(clip):
    bent = (clip[:, :, WRIST] - clip[:, :, ELBOW]).norm(dim=-1)
    after = scaled(clip)
    again = (after[:, :, WRIST] - after[:, :, ELBOW]).norm(dim=-1)
    torch.testing.assert_close(again / again.mean(), bent / bent.mean(), rtol=0, atol=1e-4)


def test_a_missing_elbow_affects_only_the_joints_beyond_it(clip):
    present = torch.ones_like(clip)
    present[:, :, ELBOW] = 0
    values = Skeleton(LANDMARKS)(clip, present)
    limb = [ELBOW, WRIST, 9]
    others = [i for i in range(20) if i not in limb]
    torch.testing.assert_close(values[:, :, others], scaled(clip)[:, :, others])
    assert values.isfinite().all()


def test_layouts_without_measured_bones_are_refused():
    with pytest.raises(UserError, match=r"scaler=skeleton: mediapipe_holistic .* kinect20"):
        Skeleton(landmark_set("hands_pose"))
