"""What app makers measure: candidates, "not sure", and sets of signs."""

import itertools

import numpy as np
import pytest

from asl.evaluation.abstention import conformal_sets, not_sure, risk_coverage
from asl.evaluation.candidates import accuracy_among, candidates
from asl.evaluation.predictions import Predictions
from asl.evaluation.report import abstention_lines

SIGNS = 6


def predictions_of(clips, seed, gain=2.0, signers=4):
    """Scores whose softmax are the true signs' probabilities, if the gain is 1."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.normal(size=(clips, SIGNS))
    signs = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    names = np.array([str(clip % signers) for clip in range(clips)])
    scores = (gain * scores).astype(np.float32)
    return Predictions(scores, signs, names, np.arange(clips), [f"s{i}" for i in range(SIGNS)])


@pytest.mark.parametrize("k", range(1, SIGNS + 1))
def test_accuracy_among_candidates_is_that_over_all_draws(k):
    given = predictions_of(50, seed=0)
    hits = []
    for scores, sign in zip(given.scores, given.signs, strict=True):
        others = [scores[i] for i in range(SIGNS) if i != sign]
        draws = itertools.combinations(others, k - 1)
        hits.append(np.mean([scores[sign] > max(draw, default=-np.inf) for draw in draws]))
    assert accuracy_among(given.scores, given.signs, k) == pytest.approx(np.mean(hits))


def test_fewer_candidates_are_easier_and_all_signs_are_no_candidates():
    given = predictions_of(200, seed=1)
    table = candidates(given.scores, given.signs)
    assert table["candidates"].tolist() == [2, 3, 5]
    assert (table["accuracy"].diff()[1:] < 0).all()
    assert table["accuracy"].iloc[-1] > given.correct.mean()


def test_an_undecided_recognizer_has_no_lucky_candidates():
    assert accuracy_among(np.zeros((9, 5), np.float32), np.arange(9) % 5, 2) == 0


def test_the_surest_answers_have_fewer_errors():
    given = predictions_of(2000, seed=2)
    curve = risk_coverage(given)
    assert curve["coverage"].iloc[-1] == 1
    assert curve["error"].iloc[-1] == pytest.approx(1 - given.correct.mean())
    half = curve["error"][(curve["coverage"] - 0.5).abs().idxmin()]
    assert half < 0.7 * curve["error"].iloc[-1]


def test_clips_of_one_confidence_are_answered_together():
    given = predictions_of(4, seed=0)
    alike = Predictions(
        np.repeat(given.scores[:1], 4, axis=0), given.signs, given.signers, given.index, given.names
    )
    assert risk_coverage(alike)["coverage"].tolist() == [1.0]


def test_a_threshold_of_validation_keeps_its_promise_on_other_clips():
    val, test = predictions_of(20_000, seed=3), predictions_of(20_000, seed=4)
    table = not_sure(test, val, temperature=2.0).set_index("wanted")
    for wanted, row in table.iterrows():
        assert row["accuracy"] == pytest.approx(wanted, abs=0.02)
        assert 0 < row["coverage"] < 1
    assert table["coverage"].is_monotonic_decreasing
    assert len(table) == 3


def test_an_accuracy_that_validation_never_reaches_has_no_threshold():
    wrong = predictions_of(100, seed=5)
    worst = wrong.scores.argmin(axis=1)
    never = Predictions(wrong.scores, worst, wrong.signers, wrong.index, wrong.names)
    assert not_sure(wrong, never, 1.0).empty


def test_conformal_sets_cover_as_often_as_promised():
    val, test = predictions_of(20_000, seed=6), predictions_of(20_000, seed=7)
    table = conformal_sets(test, val, temperature=2.0)
    np.testing.assert_allclose(table["coverage"], table["wanted"], atol=0.02)
    assert (table["lowest_signer"] < table["coverage"]).all()
    assert table["signs"].is_monotonic_increasing
    assert table["single"].is_monotonic_decreasing


def test_too_few_validation_clips_promise_nothing_but_all_signs():
    table = conformal_sets(predictions_of(50, seed=8), predictions_of(9, seed=9), 1.0)
    row = table.set_index("wanted").loc[0.95]  # 10 * 0.05 is less than one clip
    assert (row["signs"], row["coverage"], row["single"]) == (SIGNS, 1, 0)


def test_where_nothing_is_answered_no_accuracy_is_named():
    val, test = predictions_of(200, seed=8), predictions_of(50, seed=9, gain=0.01)
    lines = abstention_lines(not_sure(test, val, temperature=0.2))
    assert lines
    assert all(line.endswith("answers 0.0% of the clips") for line in lines)
