"""Figures against cases worked by hand, against libraries, and against real clips."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from asl.clips.datamodule import ClipDataModule
from asl.clips.splits import signer_holdout
from asl.evaluation.breakdown import by_length, by_missing_hands, missing_hands
from asl.evaluation.calibration import (
    COOLEST,
    at_its_bound,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from asl.evaluation.confusion import confused_pairs, example_clips
from asl.evaluation.evaluate import evaluate, metrics
from asl.evaluation.intervals import over_clips, over_signers
from asl.evaluation.metrics import mean_reciprocal_rank, top_accuracy
from asl.evaluation.predictions import Predictions, predict_batches
from asl.landmarks import landmark_set


class LengthTeller(torch.nn.Module):
    """Its first logit is the clip's length."""

    def __init__(self, signs):
        super().__init__()
        self.signs = signs
        self.weight = torch.nn.Parameter(torch.zeros(len(signs)))

    def forward(self, clips, lengths):
        return (
            self.weight
            + torch.nn.functional.one_hot(lengths * 0, len(self.signs)) * (lengths[:, None])
        )


def test_predictions_come_in_the_order_of_the_store(synthetic_store):
    store = synthetic_store
    split = signer_holdout(store.clip_signs, store.clip_signers)
    data = ClipDataModule(store, split, landmark_set("hands"), batch_size=3)
    loader = data.batches(split.train)
    assert not np.array_equal(np.concatenate([batch.index for batch in loader]), split.train)
    found = predict_batches(LengthTeller(store.signs), loader, store.signers)
    np.testing.assert_array_equal(found.index, split.train)
    np.testing.assert_array_equal(found.scores[:, 0], store.frames[split.train])
    np.testing.assert_array_equal(found.signs, store.sign[split.train])
    np.testing.assert_array_equal(found.signers, store.clip_signers[split.train])


def drawn(clips=2000, signs=12, seed=0, sharpness=1.0):
    """Logits and signs drawn from their softmax, the logits then made sharper."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(clips, signs))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < rng.random((clips, 1))).sum(axis=1)
    return (sharpness * logits).astype(np.float32), labels.clip(max=signs - 1)


def of_store(store, scores):
    rows = np.arange(len(store))
    return Predictions(scores, store.sign[rows], store.clip_signers[rows], rows, store.signs)


def test_ranks_by_hand():
    scores = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0], [1, 1, 1, 1]])
    signs = torch.tensor([0, 1, 3, 0])
    # Ranks 1, 2, 4; and where all four tie, their mean, 2.5.
    assert mean_reciprocal_rank(scores, signs) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 2.5) / 4)
    assert top_accuracy(scores[:3], signs[:3], 2) == pytest.approx(2 / 3)
    assert top_accuracy(scores, signs, 10) == 1


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_calibration_error_is_torchmetrics(temperature):
    scores, signs = drawn(sharpness=3)
    probabilities = torch.softmax(torch.from_numpy(scores / temperature), dim=1)
    theirs = multiclass_calibration_error(probabilities, torch.from_numpy(signs), 12, n_bins=15)
    bins = reliability(scores, signs, temperature)
    assert bins["clips"].sum() == 2000
    assert expected_calibration_error(bins) == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_what_sharpened_the_scores(sharpness):
    scores, signs = drawn(clips=6000, sharpness=sharpness)
    temperature = fit_temperature(scores, signs)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    loss = torch.nn.functional.cross_entropy

    def at(t):
        return float(loss(torch.from_numpy(scores).double() / t, torch.from_numpy(signs)))

    assert at(temperature) < min(at(temperature * 1.02), at(temperature / 1.02))
    assert expected_calibration_error(reliability(scores, signs, temperature)) < 0.03


def test_clips_that_are_all_recognised_give_no_temperature():
    scores = np.eye(5, dtype=np.float32)
    temperature = fit_temperature(scores, np.arange(5))
    assert temperature == pytest.approx(COOLEST)
    assert at_its_bound(temperature)


def test_an_interval_over_clips_is_that_of_drawing_clips():
    correct = np.arange(200) < 150
    rng = np.random.default_rng(1)
    means = correct[rng.integers(200, size=(20_000, 200))].mean(axis=1)
    np.testing.assert_allclose(over_clips(correct), np.quantile(means, [0.025, 0.975]), atol=0.006)
    assert over_clips(correct) == over_clips(correct)


def test_signers_who_differ_widen_the_interval():
    signers = np.repeat([str(i) for i in range(10)], 100)
    correct = np.concatenate([np.arange(100) < hits for hits in range(50, 100, 5)])
    (low, high), (lower, higher) = over_clips(correct), over_signers(correct, signers)
    assert higher - lower > 2 * (high - low)
    assert over_signers(correct[:100], signers[:100]) is None


def test_missing_hands_are_counted_in_real_clips(words15_store):
    rows = np.arange(0, 1350, 90)
    found = missing_hands(words15_store, rows)
    for row, share in zip(rows, found, strict=True):
        clip = words15_store.read(row)
        hands = np.concatenate([clip[:, 468:489], clip[:, 522:543]], axis=1)
        assert share == np.mean([np.isnan(frame).all() for frame in hands])
    assert found.max() > 0


def test_a_layout_without_hands_has_no_share_of_missing_ones(isl30_store):
    store = isl30_store
    assert missing_hands(store, np.arange(5)) is None
    evaluation = evaluate(of_store(store, np.zeros((len(store), 30), np.float32)), store)
    assert "by_missing_hands" not in evaluation.tables
    lengths = evaluation.tables["by_length"]
    assert lengths["clips"].sum() == len(store)
    assert (lengths["from"].iloc[1:].to_numpy() > lengths["to"].iloc[:-1].to_numpy()).all()


def test_groups_hold_every_clip_once_and_say_how_it_went():
    frames = np.array([5, 5, 5, 5, 9, 30, 31, 32, 33, 300])
    correct = np.array([1, 1, 0, 0, 1, 1, 1, 1, 1, 0], bool)
    table = by_length(correct, frames)
    assert table["clips"].sum() == 10
    assert table.iloc[0][["from", "to", "clips", "accuracy"]].tolist() == [5, 5, 4, 0.5]
    shares = np.array([0, 0, 0.1, 0.25, 0.3, 0.6, 0.9, 1, 1, 1])
    table = by_missing_hands(correct, shares)
    assert table["clips"].tolist() == [2, 2, 1, 1, 4]
    assert table["to"].tolist() == [0, 0.25, 0.3, 0.6, 1]
    assert np.average(table["accuracy"], weights=table["clips"]) == correct.mean()


def test_tables_agree_with_the_figures(synthetic_store):
    store = synthetic_store
    rng = np.random.default_rng(0)
    scores = (rng.normal(size=(40, 4)) + 2 * np.eye(4)[store.sign]).astype(np.float32)
    evaluation = evaluate(of_store(store, scores), store, temperature=2.0)
    for name in ("per_signer", "by_length", "by_missing_hands"):
        table = evaluation.tables[name]
        pooled = np.average(table["accuracy"], weights=table["clips"])
        assert pooled == pytest.approx(evaluation.metrics["accuracy"])
        assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()
    assert evaluation.tables["intervals"]["drawn"].tolist() == ["clips", "signers"]
    assert metrics(evaluation.predictions, "test/")["test/mrr"] == evaluation.metrics["mrr"]


def test_examples_show_the_two_signs_of_a_pair_by_one_signer(synthetic_store):
    store = synthetic_store
    scores = np.eye(4, dtype=np.float32)[store.sign]
    mistaken = np.flatnonzero((store.sign == 1) & (store.clip_signers == store.signers[-1]))[0]
    scores[mistaken] = np.eye(4)[3]
    predictions = of_store(store, scores)
    (pair,) = confused_pairs(predictions).itertuples()
    first, second = example_clips(predictions, store, pair.sign, pair.other)
    assert first == mistaken
    assert store.sign[second] == 3
    assert store.clip_signers[second] == store.signers[-1]
