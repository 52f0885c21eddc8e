"""Metrics, calibration and intervals against hand-worked cases, libraries and real clips."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error

from asl.clips.datamodule import ClipDataModule
from asl.clips.prepare import prepare
from asl.clips.sources.npz import NpzSource
from asl.clips.splits import signer_holdout, whole
from asl.errors import UserError
from asl.evaluation.breakdown import by_length, by_missing_hands, missing_hands
from asl.evaluation.calibration import (
    MIN_TEMPERATURE,
    expected_calibration_error,
    fit_temperature,
    is_clamped,
    reliability,
)
from asl.evaluation.confusion import confused_pairs, example_clips, worst_clips
from asl.evaluation.evaluate import evaluate, metrics
from asl.evaluation.intervals import over_clips, over_signers
from asl.evaluation.metrics import mean_reciprocal_rank, top_accuracy
from asl.evaluation.predictions import Predictions, predict_batches
from asl.evaluation.report import text_report
from asl.landmarks import landmark_set
from asl.pictures import with_literal_texts
from asl.runs.results import write_results


class LengthAsLogit(torch.nn.Module):
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
    predictions = predict_batches(LengthAsLogit(store.signs), loader, store.signers)
    np.testing.assert_array_equal(predictions.index, split.train)
    np.testing.assert_array_equal(predictions.scores[:, 0], store.frames[split.train])
    np.testing.assert_array_equal(predictions.signs, store.sign[split.train])
    np.testing.assert_array_equal(predictions.signers, store.clip_signers[split.train])


def sampled_scores(clips=2000, signs=12, seed=0, sharpness=1.0):
    """Logits and signs sampled from their softmax; then the logits are scaled."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(clips, signs))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < rng.random((clips, 1))).sum(axis=1)
    return (sharpness * logits).astype(np.float32), labels.clip(max=signs - 1)


def predictions_of(store, scores):
    rows = np.arange(len(store))
    return Predictions(scores, store.sign[rows], store.clip_signers[rows], rows, store.signs)


def test_ranks_of_a_hand_worked_case():
    scores = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0], [1, 1, 1, 1]])
    signs = torch.tensor([0, 1, 3, 0])
    # Ranks 1, 2, 4; and where all four tie, their mean, 2.5.
    assert mean_reciprocal_rank(scores, signs) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 2.5) / 4)
    assert top_accuracy(scores[:3], signs[:3], 2) == pytest.approx(2 / 3)
    assert top_accuracy(scores, signs, 10) == 1


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_calibration_error_is_that_of_torchmetrics(temperature):
    scores, signs = sampled_scores(sharpness=3)
    probabilities = torch.softmax(torch.from_numpy(scores / temperature), dim=1)
    expected = multiclass_calibration_error(probabilities, torch.from_numpy(signs), 12, n_bins=15)
    bins = reliability(scores, signs, temperature)
    assert bins["clips"].sum() == 2000
    assert expected_calibration_error(bins) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_recovers_the_scale_of_the_scores(sharpness):
    scores, signs = sampled_scores(clips=6000, sharpness=sharpness)
    temperature = fit_temperature(scores, signs)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    loss = torch.nn.functional.cross_entropy

    def at(t):
        return float(loss(torch.from_numpy(scores).double() / t, torch.from_numpy(signs)))

    assert at(temperature) < min(at(temperature * 1.02), at(temperature / 1.02))
    assert expected_calibration_error(reliability(scores, signs, temperature)) < 0.03


def test_the_temperature_is_clamped_if_all_clips_are_recognised():
    scores = np.eye(5, dtype=np.float32)
    temperature = fit_temperature(scores, np.arange(5))
    assert temperature == pytest.approx(MIN_TEMPERATURE)
    assert is_clamped(temperature)


def test_an_interval_over_clips_is_close_to_that_of_resampling_clips():
    correct = np.arange(200) < 150
    rng = np.random.default_rng(1)
    means = correct[rng.integers(200, size=(20_000, 200))].mean(axis=1)
    np.testing.assert_allclose(over_clips(correct), np.quantile(means, [0.025, 0.975]), atol=0.006)
    assert over_clips(correct) == over_clips(correct)


@pytest.mark.parametrize("accuracy", [0, 1])
def test_an_interval_over_clips_has_a_width_at_the_extremes(accuracy):
    """Wilson's bound for k = n is n / (n + z²), z = 1.96."""
    low, high = over_clips(np.full(40, bool(accuracy)))
    assert high - low == pytest.approx(1 - 40 / (40 + 1.959964**2))
    assert accuracy in (pytest.approx(low), pytest.approx(high))
    fewer = over_clips(np.full(10, bool(accuracy)))
    assert fewer[1] - fewer[0] > high - low


def test_signers_who_differ_widen_the_interval():
    signers = np.repeat([str(i) for i in range(10)], 100)
    correct = np.concatenate([np.arange(100) < hits for hits in range(50, 100, 5)])
    (low, high), (lower, higher) = over_clips(correct), over_signers(correct, signers)
    assert higher - lower > 2 * (high - low)
    assert over_signers(correct[:100], signers[:100]) is None


def test_missing_hands_of_real_clips(words15_store):
    rows = np.arange(0, 1350, 90)
    shares = missing_hands(words15_store, rows)
    for row, share in zip(rows, shares, strict=True):
        clip = words15_store.read(row)
        hands = np.concatenate([clip[:, 468:489], clip[:, 522:543]], axis=1)
        assert share == np.mean([np.isnan(frame).all() for frame in hands])
    assert shares.max() > 0


def test_a_layout_without_hands_has_no_breakdown_by_missing_hands(isl30_store):
    store = isl30_store
    assert missing_hands(store, np.arange(5)) is None
    evaluation = evaluate(predictions_of(store, np.zeros((len(store), 30), np.float32)), store)
    assert "by_missing_hands" not in evaluation.tables
    lengths = evaluation.tables["by_length"]
    assert lengths["clips"].sum() == len(store)
    assert (lengths["from"].iloc[1:].to_numpy() > lengths["to"].iloc[:-1].to_numpy()).all()


def test_groups_partition_the_clips_and_have_their_accuracy():
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


def test_tables_agree_with_the_metrics(synthetic_store):
    store = synthetic_store
    rng = np.random.default_rng(0)
    scores = (rng.normal(size=(40, 4)) + 2 * np.eye(4)[store.sign]).astype(np.float32)
    predictions = predictions_of(store, scores)
    evaluation = evaluate(predictions, store, val=predictions)
    for name in ("per_signer", "by_length", "by_missing_hands"):
        table = evaluation.tables[name]
        pooled = np.average(table["accuracy"], weights=table["clips"])
        assert pooled == pytest.approx(evaluation.metrics["accuracy"])
        assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()
    assert evaluation.tables["intervals"]["over"].tolist() == ["clips", "signers"]
    assert metrics(evaluation.predictions)["mrr"] == evaluation.metrics["mrr"]


def test_examples_are_clips_of_both_signs_by_the_same_signer(synthetic_store):
    store = synthetic_store
    scores = np.eye(4, dtype=np.float32)[store.sign]
    mistake = np.flatnonzero((store.sign == 1) & (store.clip_signers == store.signers[-1]))[0]
    scores[mistake] = np.eye(4)[3]
    predictions = predictions_of(store, scores)
    (pair,) = confused_pairs(predictions).itertuples()
    first, second = example_clips(predictions, store, pair.sign, pair.other)
    assert first == mistake
    assert store.sign[second] == 3
    assert store.clip_signers[second] == store.signers[-1]


def test_the_worst_clips_are_the_surest_mistakes(synthetic_store, tmp_path):
    store = synthetic_store
    scores = 9 * np.eye(4, dtype=np.float32)[store.sign]
    less, most = np.flatnonzero(store.sign == 1)[:2]
    scores[less], scores[most] = 2 * np.eye(4)[3], 5 * np.eye(4)[2]
    predictions = predictions_of(store, scores)
    (row, sure, other), (second, less_sure, _) = worst_clips(predictions, store, 6)
    assert (row, second) == (most, less)
    assert sure == pytest.approx(np.exp(5) / (np.exp(5) + 3))
    assert less_sure < sure
    assert store.sign[other] == 2
    assert len(worst_clips(predictions, store, 1)) == 1

    write_results(tmp_path, evaluate(predictions, store), store, "a title", "report")
    assert (tmp_path / "worst_clips.png").exists()
    write_results(
        tmp_path, evaluate(predictions_of(store, 9 * np.eye(4)[store.sign]), store), store, "", ""
    )
    assert not (tmp_path / "worst_clips.png").exists()


def test_names_are_drawn_as_they_are(odd_store, odd_names, tmp_path):
    store, rows = odd_store, np.arange(len(odd_store))
    scores = np.random.default_rng(0).normal(size=(len(rows), len(store.signs)))
    signers = store.clip_signers[rows]
    predictions = Predictions(scores, store.sign[rows], signers, rows, store.signs)
    title = " ".join(odd_names)

    write_results(tmp_path, evaluate(predictions, store, predictions), store, title, "report")

    assert {"confusion.png", "per_signer.png"} <= {path.name for path in tmp_path.glob("*.png")}


@pytest.mark.parametrize("predicted", [[0, 0, 1, 1], [0, 3, 1, 1]])
def test_macro_averages_are_scikit_learns_and_the_report_says_over_what(synthetic_store, predicted):
    """Of the signs 2 and 3, which have no clip, one or none is predicted."""
    signs, names = np.array([0, 0, 1, 1]), synthetic_store.signs
    scores = np.eye(len(names), dtype=np.float32)[predicted]
    rows = np.arange(4)
    predictions = Predictions(scores, signs, synthetic_store.clip_signers[rows], rows, names)
    evaluation = evaluate(predictions, synthetic_store)
    wanted = precision_recall_fscore_support(signs, predicted, average="macro", zero_division=0)
    found = [evaluation.metrics[name] for name in ("precision", "recall", "f1")]
    assert found == pytest.approx(wanted[:3])
    split = signer_holdout(synthetic_store.clip_signs, synthetic_store.clip_signers, test=["5"])
    report = text_report(evaluation, "test", split, "nothing")
    averaged = len({*signs, *predicted})
    assert f"macro averages are over {averaged} of 4 signs: 2 with clips here" in report
    assert f"without clips: {names[2]}, {names[3]}" in report


def test_the_report_and_the_table_of_clips_have_the_columns(tmp_path):
    """Views of which one is recognised; takes with too many values for a table."""
    clips = np.random.default_rng(0).random((60, 4, 20, 3), dtype=np.float32)
    signs, views = np.array(["no", "yes"] * 30), np.array(["10 m", "9 m", "9 m"] * 20)
    np.savez(
        tmp_path / "a.npz", X=clips, sign=signs, participant_id=signs, view=views, take=range(60)
    )
    source = NpzSource(tmp_path, layout="kinect20", file="a.npz")
    store = prepare(source, tmp_path / "store", columns="all", workers=1)
    near = store.columns["view"] == "9 m"
    scores = np.eye(2, dtype=np.float32)[np.where(near, store.sign, 1 - store.sign)]
    rows = np.arange(60)
    predictions = Predictions(scores, store.sign, store.clip_signers, rows, store.signs)
    evaluation = evaluate(predictions, store)
    table = evaluation.tables["by_column"]
    assert table[["column", "value", "clips", "accuracy"]].to_numpy().tolist() == [
        ["view", "10 m", 20, 0.0],
        ["view", "9 m", 40, 1.0],
    ]
    assert tuple(table.loc[1, ["low", "high"]]) == over_clips(np.ones(40, bool))
    report = text_report(evaluation, "test", whole(signs, signs), "nothing")
    assert "by view (95 % intervals over clips):\n" in report
    assert "by take" not in report
    write_results(tmp_path / "results", evaluation, store, "title", report)
    clips_table = pd.read_parquet(tmp_path / "results/predictions.parquet")
    assert clips_table["view"].tolist() == views.tolist()
    assert clips_table["take"].tolist() == [str(n) for n in range(60)]
    assert (tmp_path / "results/by_column.csv").exists()


def test_nothing_is_measured_from_scores_that_are_not_finite(synthetic_store):
    scores = np.zeros((len(synthetic_store), 4), np.float32)
    scores[3, 1] = np.nan
    with pytest.raises(UserError, match=f"no finite scores for 1 of {len(synthetic_store)} clips"):
        predictions_of(synthetic_store, scores)


def test_a_title_of_several_lines_is_drawn_as_it_is(tmp_path):
    figure = Figure(figsize=(2, 2))
    figure.suptitle(r"test=[$5 $\frac$ 1,a$_$b 2,$\frac$ 3,$5 4,100%]", wrap=True)
    with_literal_texts(with_literal_texts(figure)).savefig(tmp_path / "title.png")
