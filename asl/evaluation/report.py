"""An evaluation as text."""

import pandas as pd

from asl.clips.split import Split
from asl.evaluation.calibration import is_clamped
from asl.evaluation.evaluate import Evaluation
from asl.evaluation.predictions import Predictions

SHOWN_ROWS = 10  # of a table; the files have them all


def text_report(
    evaluation: Evaluation, part: str, split: Split, seen: str, unknown: str = ""
) -> str:
    """An evaluation as text: metrics, calibration, intervals, and the tables' first rows.

    Args:
        evaluation: of a part of the split.
        part: `train`, `val` or `test`.
        split: of the clips.
        seen: the overlap of the part with the training data, in words.
        unknown: the clips that were left out, in words.
    """
    tables = evaluation.tables
    clips = f"{part} ({split.part_protocol(part)}), {len(evaluation.predictions.signs):,} clips"
    lines = [clips, f"seen in training: {seen}", *([unknown] if unknown else [])]
    lines += _metrics(evaluation)
    lines += _calibration(evaluation, split)
    lines += _with_choices(evaluation)
    methods = {"clips": "over clips, Wilson", "signers": "over signers, cluster bootstrap"}
    for row in tables["intervals"].to_dict("records"):
        interval = f"accuracy {row['accuracy']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
        lines.append(f"{interval}: 95 % interval {methods[row['over']]}")
    signers = tables["per_signer"][["signer", "clips", "accuracy", "low", "high", "f1", "mrr"]]
    lines += _table("by signer, the hardest first (95 % intervals over clips)", signers)
    lines += _table("hardest signs", tables["per_sign"], 5)
    lines += _table("most confused", tables["confused_pairs"], 5)
    lines += _table("by length in frames", tables["by_length"])
    if "by_missing_hands" in tables:
        lines += _table("by share of frames without a hand", tables["by_missing_hands"])
    else:
        lines += ["", "by share of frames without a hand: the layout has no hands"]
    lines += _columns(tables.get("by_column"))
    return "\n".join(lines)


def _columns(table: pd.DataFrame | None) -> list[str]:
    """A table of each column; its rows are few and in their own order, so all are shown."""
    if table is None:
        return []
    return [
        line
        for name, part in table.groupby("column", sort=False)
        for line in _table(f"by {name} (95 % intervals over clips)", part.iloc[:, 1:], len(part))
    ]


def _metrics(evaluation: Evaluation) -> list[str]:
    """Metrics over clips in one line, macro averages in another."""
    macro = ("precision", "recall", "f1")
    own_lines = ("ece", "accuracy_among")
    shown = {k: v for k, v in evaluation.metrics.items() if not k.startswith(own_lines)}
    return [
        "  ".join(f"{k} {v:.4f}" for k, v in shown.items() if k not in macro),
        "macro: " + "  ".join(f"{k} {shown[k]:.4f}" for k in macro),
        _averaged_signs(evaluation.predictions),
    ]


def _averaged_signs(predictions: Predictions) -> str:
    """Which signs the macro averages are over; a sign without a clip counts 0 once predicted."""
    names, present = predictions.names, set(predictions.signs.tolist())
    if len(present) == len(names):
        return f"macro averages are over all {len(names)} signs"
    averaged = present | set(predictions.top.tolist())
    missing = [name for number, name in enumerate(names) if number not in present]
    more = ", …" if len(missing) > SHOWN_ROWS else ""
    return (
        f"macro averages are over {len(averaged)} of {len(names)} signs: {len(present)} with clips "
        f"here, and {len(averaged - present)} without that were predicted, which count 0; "
        f"without clips: {', '.join(missing[:SHOWN_ROWS])}{more}"
    )


def _calibration(evaluation: Evaluation, split: Split) -> list[str]:
    error = f"expected calibration error {evaluation.metrics['ece']:.4f}"
    temperature = evaluation.temperature
    if temperature is None:
        return [f"{error}; no other validation clips to fit a temperature on"]
    calibrated = evaluation.metrics["ece_calibrated"]
    fitted = f"fitted on {len(split.val):,} validation clips: {split.val_protocol}"
    bound = "; clamped, for the loss has no minimum there" if is_clamped(temperature) else ""
    return [f"{error}; {calibrated:.4f} at temperature {temperature:.3f} ({fitted}{bound})"]


def _with_choices(evaluation: Evaluation) -> list[str]:
    """Accuracy among candidates, and where it may answer "not sure" or with a set of signs."""
    tables = evaluation.tables
    among = [f"{r.candidates}: {r.accuracy:.4f}" for r in tables["candidates"].itertuples()]
    lines = [f"accuracy among k signs drawn at random: {', '.join(among)}"] if among else []
    if "not_sure" in tables:
        lines += abstention_lines(tables["not_sure"])
        lines += [
            f"sets for coverage {row.wanted:g}: {row.coverage:.4f} here (lowest signer "
            f"{row.lowest_signer:.4f}), {row.signs:.2f} signs on average, {row.single:.1%} of one"
            for row in tables["conformal_sets"].itertuples()
        ]
    return lines


def abstention_lines(table: pd.DataFrame) -> list[str]:
    """A line for each row of `asl.evaluation.abstention.not_sure`."""
    return [
        f"not sure below confidence {row.confidence:.3f} (accuracy {row.wanted:g} on validation): "
        f"answers {row.coverage:.1%} of the clips"
        + (f", {row.accuracy:.4f} correct" if row.coverage else "")
        for row in table.itertuples()
    ]


def _table(title: str, table: pd.DataFrame, most: int = SHOWN_ROWS) -> list[str]:
    if table.empty:
        return ["", f"{title}: none"]
    text = table.head(most).to_string(index=False, float_format=lambda value: f"{value:.4f}")
    rest = [f"… and {len(table) - most} more"] if most == SHOWN_ROWS and len(table) > most else []
    return ["", f"{title}:", text, *rest]
