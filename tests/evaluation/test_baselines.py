"""Recognizers without a network."""

import numpy as np
import pytest

from asl.evaluation.baselines import BASELINES, dtw_distances


def walks(clips: int, steps: int = 12, features: int = 3, seed: int = 0) -> np.ndarray:
    steps_taken = np.random.default_rng(seed).normal(size=(clips, steps, features))
    return steps_taken.cumsum(axis=1).astype(np.float32)


def distance(one: np.ndarray, other: np.ndarray, band: int) -> float:
    """The textbook's recursion, cell by cell."""
    steps = len(one)
    sums = np.full((steps + 1, steps + 1), np.inf)
    sums[0, 0] = 0
    for i in range(steps):
        for j in range(steps):
            if abs(i - j) <= band:
                step = np.linalg.norm(one[i] - other[j])
                sums[i + 1, j + 1] = step + min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
    return float(sums[-1, -1])


@pytest.mark.parametrize("band", [0, 2, 12])
def test_the_distance_is_the_textbooks(band):
    ones, others = walks(3, seed=1), walks(4, seed=2)
    wanted = [[distance(one, other, band) for other in others] for one in ones]
    np.testing.assert_allclose(dtw_distances(ones, others, band), wanted, rtol=1e-4)


def test_a_clip_that_is_only_slower_for_a_while_is_near():
    clip = walks(1)
    slower = clip[:, [0, 0, 0, 1, 2, 3, 4, 5, 7, 9, 10, 11]]
    np.testing.assert_allclose(dtw_distances(clip, slower, 0) > 5, True)
    assert dtw_distances(clip, slower, 3) < dtw_distances(clip, slower, 0) / 2


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("signs", [2, 4])
def test_signs_are_recognised_and_one_without_a_training_clip_never_is(name, signs):
    random = np.random.default_rng(0)
    label = np.tile(np.delete(np.arange(signs + 1), 1), 6)  # of sign 1 there is no clip
    centres = walks(signs + 1, seed=3)
    clips = centres[label] + random.normal(scale=0.3, size=(len(label), 12, 3))
    clips = clips.astype(np.float32)
    train = np.arange(len(label)) < 4 * signs
    scores = BASELINES[name](clips[train], label[train], clips[~train], signs + 1)
    assert scores.shape == (2 * signs, signs + 1)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores.argmax(axis=1), label[~train])
