"""Evaluation of predictions: metrics and tables."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from asl.clips.store import ClipStore
from asl.evaluation.abstention import conformal_sets, not_sure, risk_coverage
from asl.evaluation.breakdown import by_column, by_length, by_missing_hands, missing_hands
from asl.evaluation.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from asl.evaluation.candidates import candidates
from asl.evaluation.confusion import confused_pairs, confusion, per_sign
from asl.evaluation.intervals import over_clips, over_signers
from asl.evaluation.metrics import mean_reciprocal_rank, sign_metrics, top_accuracy
from asl.evaluation.predictions import Predictions, predict_batches

__all__ = ["Evaluation", "Predictions", "evaluate", "metrics", "per_signer", "predict_batches"]


@dataclass(frozen=True)
class Evaluation:
    """Metrics and tables of one set of clips.

    Attributes:
        predictions: what is evaluated.
        temperature: of the calibrated confidences; None where there were no clips to fit it on.
        metrics: by name.
        tables: by name: per_signer, per_sign, confused_pairs, confusion, intervals, candidates,
            by_length, by_missing_hands (if the layout has hands), by_column (if the clips have
            columns of few values), reliability, risk_coverage and, where there are other clips to
            choose a temperature and thresholds on, reliability_calibrated, not_sure and
            conformal_sets.
    """

    predictions: Predictions
    temperature: float | None
    metrics: dict[str, float]
    tables: dict[str, pd.DataFrame]


def evaluate(
    predictions: Predictions, store: ClipStore, val: Predictions | None = None
) -> Evaluation:
    """Compute metrics and tables.

    Args:
        predictions: of clips of the store.
        store: the clips, for their lengths, hands and columns.
        val: of other clips, on which a temperature and thresholds of confidence are chosen.
    """
    temperature = fit_temperature(val.scores, val.signs) if val else None
    scores, signs, rows = predictions.scores, predictions.signs, predictions.index
    correct = predictions.correct
    measured = metrics(predictions)
    tables = {
        "per_signer": per_signer(predictions),
        "per_sign": per_sign(predictions),
        "confused_pairs": confused_pairs(predictions),
        "confusion": confusion(predictions),
        "intervals": intervals(predictions),
        "candidates": candidates(scores, signs),
        "by_length": by_length(correct, store.frames[rows]),
        "reliability": reliability(scores, signs),
        "risk_coverage": risk_coverage(predictions, temperature or 1.0),
    }
    among = tables["candidates"].set_index("candidates")["accuracy"]
    measured |= {f"accuracy_among{k}": value for k, value in among.to_dict().items()}
    missing = missing_hands(store, rows)
    if missing is not None:
        tables["by_missing_hands"] = by_missing_hands(correct, missing)
    columns = by_column(correct, {name: texts[rows] for name, texts in store.columns.items()})
    if len(columns):
        tables["by_column"] = columns
    if val is not None and temperature is not None:
        tables["reliability_calibrated"] = reliability(scores, signs, temperature)
        calibrated = expected_calibration_error(tables["reliability_calibrated"])
        measured["ece_calibrated"] = calibrated
        tables["not_sure"] = not_sure(predictions, val, temperature)
        tables["conformal_sets"] = conformal_sets(predictions, val, temperature)
    return Evaluation(predictions, temperature, measured, tables)


def metrics(predictions: Predictions) -> dict[str, float]:
    """The metrics of predictions by name.

    Cross-entropy (natural logarithm, mean over clips), those of `sign_metrics`, top-10 accuracy,
    mean reciprocal rank, and the expected calibration error.
    """
    scores, signs = torch.from_numpy(predictions.scores), torch.from_numpy(predictions.signs)
    every_epoch = sign_metrics(len(predictions.names))(scores, signs)
    return {
        "loss": float(cross_entropy(scores, signs)),
        **{name: float(value) for name, value in every_epoch.items()},
        "accuracy_top10": top_accuracy(scores, signs, 10),
        "mrr": mean_reciprocal_rank(scores, signs),
        "ece": expected_calibration_error(reliability(predictions.scores, predictions.signs)),
    }


def per_signer(predictions: Predictions) -> pd.DataFrame:
    """Clips and metrics of each signer, by ascending accuracy.

    `low` and `high` are the accuracy's interval by `over_clips`.
    """
    rows = []
    for signer in sorted(set(predictions.signers)):
        part = predictions.of(predictions.signers == signer)
        values = metrics(part)
        low, high = over_clips(part.correct)
        accuracy = {"accuracy": values.pop("accuracy"), "low": low, "high": high}
        rows.append({"signer": signer, "clips": len(part.signs), **accuracy, **values})
    return pd.DataFrame(rows).sort_values("accuracy", kind="stable").reset_index(drop=True)


def intervals(predictions: Predictions) -> pd.DataFrame:
    """The accuracy's 95 % intervals: one row over clips and one over signers."""
    correct, signers = predictions.correct, predictions.signers
    by_unit = {"clips": over_clips(correct), "signers": over_signers(correct, signers)}
    rows = [
        {"over": unit, "accuracy": correct.mean(), "low": interval[0], "high": interval[1]}
        for unit, interval in by_unit.items()
        if interval is not None
    ]
    return pd.DataFrame(rows)
