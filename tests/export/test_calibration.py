"""What is fitted to clips at export: the centre of embeddings, and the score of what is no sign."""

import numpy as np
import pytest
import torch

from asl.clips.splits import signer_holdout
from asl.export.calibration import (
    FEWEST,
    Labelled,
    accepted_share,
    fit_answers,
    logistic_regression,
)
from asl.export.no_signs import KINDS, no_signs


@pytest.fixture(scope="module")
def walks():
    """Twenty clips of two signs: a point that goes right, or down."""
    random = np.random.default_rng(0)
    clips = []
    for number in range(2 * FEWEST):
        clip = np.full((20, 20, 3), 0.5, np.float32)
        clip[:, 5:, number % 2] += np.linspace(0, 1, 20, dtype=np.float32)[:, None]
        clip += random.normal(scale=0.02, size=clip.shape).astype(np.float32)
        clips.append(clip)
    return Labelled(clips, np.arange(len(clips)) % 2)


def test_clips_without_a_sign_are_of_every_kind(walks):
    made = no_signs(walks.clips[:4], walks.signs[:4])
    assert made.keys() == set(KINDS)
    first = walks.clips[0]
    assert np.abs(made["rest"][0] - first[0]).max() < 0.1 * np.ptp(first)
    np.testing.assert_array_equal(made["backwards"][0], first[::-1])
    assert len(made["half"][0]) == len(first) // 2
    assert [len(clip) for clip in made["joined"]] == [40] * 4
    for number, clip in enumerate(made["joined"]):
        other = next(n for n, c in enumerate(walks.clips) if np.array_equal(c, clip[20:]))
        assert walks.signs[other] != walks.signs[number]


def test_missing_landmarks_stay_missing_and_a_clip_of_nothing_can_be_changed(walks):
    clip = walks.clips[0].copy()
    clip[:, :3] = np.nan
    made = no_signs([clip, np.full_like(clip, np.nan)], [0, 1])
    assert np.isnan(made["noise"][0][:, :3]).all()
    assert np.isfinite(made["noise"][0][:, 3:]).all()


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_threshold_accepts_the_share_of_validation_clips_that_it_says(
    recognizer_of, walks, share
):
    recognizer = recognizer_of("cnn", 16, 16, landmarks="kinect20", coordinates="xy")
    answers, facts = fit_answers(recognizer, walks, walks, share)
    recognizer.answers = answers
    with torch.no_grad():
        scores = [float(recognizer.describe(torch.from_numpy(c))["unknown"]) for c in walks.clips]
    assert np.mean(np.array(scores) <= facts["threshold"]) == pytest.approx(share)
    assert facts["accepted"] == share
    assert 0 < min(scores) < max(scores) < 1
    assert facts["clips"] == len(walks.clips)


@pytest.mark.parametrize(("signers", "share"), [(3, 0.99), (6, 0.95)])
def test_a_threshold_accepts_more_clips_of_signers_who_were_trained_on(signers, share):
    """Of three signers none can be spared for validation, of six one can."""
    of_clips = np.repeat(np.arange(signers).astype(str), 10)
    split = signer_holdout(np.tile(["a", "b"], 5 * signers), of_clips, test=["0"])
    assert split.val_signer_independent == (signers == 6)
    assert accepted_share(split) == share


def test_without_enough_validation_clips_there_is_no_score(recognizer_of, walks):
    recognizer = recognizer_of("cnn", 16, 16, landmarks="kinect20", coordinates="xy")
    few = Labelled(walks.clips[: FEWEST - 1], walks.signs[: FEWEST - 1])
    answers, facts = fit_answers(recognizer, walks, few)
    assert (answers.rejection, facts) == (None, {})


def test_the_regression_tells_two_kinds_apart_however_many_there_are_of_each():
    random = torch.Generator().manual_seed(0)
    signs = torch.randn(20, 2, generator=random) + torch.tensor([3.0, 0.0])
    others = torch.randn(2000, 2, generator=random)
    weights, bias = logistic_regression(signs, others)
    assert abs(weights[1]) < 0.3 * abs(weights[0])
    assert float(torch.tensor([1.5, 0.0]) @ weights + bias) == pytest.approx(0, abs=0.8)
    assert (others @ weights + bias > 0).float().mean() > 0.85
    assert (signs @ weights + bias < 0).float().mean() > 0.85
