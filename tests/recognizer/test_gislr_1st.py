"""`features=gislr_1st scaler=gislr_1st landmarks=gislr118` against the formulas in plain Python."""

import math

import numpy as np
import pytest
import torch

from asl.recognizer.preprocessing.presence import presence

LIP = 17  # the face mesh's point on the lower lip, a raw row


def reference(clip, rows, most=384):
    """The first place's features, `[min(n, most), 708]`, of a raw clip [n, 543, 3]."""
    size, points = len(clip), clip[:, rows]
    centre, deviation = [], []
    for axis in range(2):
        lip = [x for x in clip[:, LIP, axis] if not math.isnan(x)]
        centre.append(sum(lip) / len(lip) if lip else 0.5)
        squares = [(x - centre[axis]) ** 2 for x in points[:, :, axis].flat if not math.isnan(x)]
        deviation.append(math.sqrt(sum(squares) / len(squares)))
    places = (points[:, :, :2] - centre) / deviation
    numbers = []
    for frame in range(min(size, most)):
        row = [places[frame]]
        for lag in (1, 2):
            inside = frame + lag < min(size, most)
            row.append(places[frame + lag] - places[frame] if inside else 0 * places[frame])
        numbers.append(np.concatenate([part.ravel() for part in row]))
    return np.nan_to_num(np.array(numbers))


def features(recognizer, clip):
    clips = torch.from_numpy(clip).float()[None, :, list(recognizer.landmarks.indices)]
    lengths = torch.tensor([len(clip)])
    present = presence(clips, lengths)
    values = recognizer.scaler(torch.where(present > 0, clips, 0.0), present)
    size = recognizer.landmarks.size
    steps, mask = recognizer.features(values[:, :, :size], present[:, :, :size], lengths)
    return steps[mask].numpy()


@pytest.fixture
def recognizer(build):
    return build("conv_transformer", "gislr_1st", "gislr118", "gislr_1st", {"model": {"hidden": 8}})


def random_clip(frames):
    random = np.random.default_rng(frames)
    clip = 0.4 + 0.1 * random.normal(size=(frames, 543, 3))
    clip[random.random((frames, 543)) < 0.2] = np.nan
    clip[::3, 468:489] = np.nan
    return clip


@pytest.mark.parametrize("frames", [1, 2, 3, 22, 390])
def test_formulas(frames, recognizer):
    clip = random_clip(frames)

    steps = features(recognizer, clip)

    assert steps.shape == (min(frames, 384), 708)
    np.testing.assert_allclose(steps, reference(clip, list(recognizer.landmarks.own)), atol=1e-4)


def test_a_clip_without_a_lip_is_centred_on_the_picture(recognizer):
    clip = random_clip(22)
    clip[:, LIP] = np.nan

    np.testing.assert_allclose(
        features(recognizer, clip), reference(clip, list(recognizer.landmarks.own)), atol=1e-4
    )


def test_formulas_on_a_genuine_clip(recognizer, shared_data):
    from asl.clips.sources.gislr import read_clip

    folder = shared_data / "gislr_sample" / "train_landmark_files"
    clips = [read_clip(path) for path in sorted(folder.rglob("*.parquet"))]

    assert clips
    for clip in clips:
        expected = reference(clip.astype(float), list(recognizer.landmarks.own))
        np.testing.assert_allclose(features(recognizer, clip), expected, atol=1e-4)
