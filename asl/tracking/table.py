"""A table of runs: its columns, a run's text in each, and the order of the rows."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from asl.errors import UserError, unknown
from asl.tracking.ranking import smaller_is_better

if TYPE_CHECKING:
    from asl.tracking.averages import Average
    from asl.tracking.found import FoundRun

# Marks numbers that new signers would not reach.
MIXED_TEST, MIXED_VAL = "†", "‡"
METRICS = ("test/accuracy", "test/f1", "val/accuracy", "val/f1")
COLUMNS = ("status", "data", "split", "parameters", *METRICS)
BY_KIND_ONLY = ("evaluate", "compare", "multirun", "sweep")  # their numbers are other runs'
FACTS = ("started", "status", "data", "split")  # columns that are neither parameters nor metrics


def of_kind_since(
    runs: "Sequence[FoundRun]", kind: str | None, day: str | None
) -> "list[FoundRun]":
    """The runs of a kind, or of all but `BY_KIND_ONLY`, that began on this day or later.

    Raises:
        UserError: that is no day.
    """
    try:
        since = datetime.fromisoformat(day).timestamp() * 1000 if day else 0
    except ValueError:
        raise UserError(f"--since={day}: write a day as 2026-11-26") from None
    return [run for run in runs if run.started >= since and _is_listed(run.tags.get("kind"), kind)]


def _is_listed(kind: str | None, wanted: str | None) -> bool:
    return kind == wanted if wanted else kind not in BY_KIND_ONLY


def none_fits(runs: "Sequence[FoundRun]") -> str:
    """What there is to ask for, where no run fits what was asked for."""
    sets = ", ".join(sorted({run.data for run in runs}))
    kinds = ", ".join(sorted({run.tags.get("kind", "") for run in runs}))
    return f"none of {len(runs)} runs fits; data sets: {sets}; kinds: {kinds}"


def check_columns(columns: Sequence[str], runs: "Sequence[FoundRun]") -> None:
    """Raises UserError where no run has a parameter or metric of this name."""
    for column in columns:
        if column not in COLUMNS + FACTS and not any(cell(run, column) for run in runs):
            metrics = sorted({name for run in runs for name in run.metrics})
            params = sorted({name for run in runs for name in run.params})
            raise unknown("column", column, [*FACTS, *params, *metrics])


def cell(run: "FoundRun", column: str) -> str:
    """A run's text in a column; empty where it lacks the parameter or metric."""
    if column == "started":
        return f"{datetime.fromtimestamp(run.started / 1000):%Y-%m-%d %H:%M}"
    if column == "split":
        return run.split + ("" if run.test_signer_independent else f" {MIXED_TEST}")
    if column in FACTS:
        return str(getattr(run, column))
    if column not in run.metrics:
        return run.params.get(column, "")
    mixed = column.startswith("val/") and not run.val_signer_independent
    digits = 0 if column == "parameters" else 4
    return f"{run.metrics[column]:,.{digits}f}" + (MIXED_VAL if mixed else "")


def tested_on(average: "Average") -> str:
    """The split's kind and every run's test, so that means over other signers show."""
    tests = [
        test.removeprefix(average.split).strip() + (f" × {runs}" if runs > 1 else "")
        for test, runs in sorted(average.tests.items())
    ]
    mark = "" if average.test_signer_independent else f" {MIXED_TEST}"
    return f"{average.split} {'; '.join(tests)}{mark}"


def mean_cell(average: "Average", metric: str) -> str:
    """A mean with its deviation; empty where the runs lack the metric."""
    if metric not in average.metrics:
        return ""
    mean, deviation = average.metrics[metric]
    mixed = metric.startswith("val/") and not average.val_signer_independent
    spread = "" if deviation is None else f" ± {deviation:.4f}"
    return f"{mean:.4f}{spread}" + (MIXED_VAL if mixed else "")


def like_with_like(runs: "Sequence[FoundRun]") -> "list[FoundRun]":
    """The runs grouped by data set and kind of split; within a group their order is kept.

    The data set of the newest run comes first; in each, signer-independent splits come first, and
    runs without a test last.
    """
    newest = {run.data: run.started for run in sorted(runs, key=lambda run: run.started)}
    return sorted(
        runs,
        key=lambda run: (
            -newest[run.data],
            run.data,
            run.split_kind == "all_signers",
            not run.test_signer_independent,
            run.split_kind,
        ),
    )


def in_order(runs: "Sequence[FoundRun]", column: str) -> "list[FoundRun]":
    """Metrics from the best to the worst, numbers upwards, text from A to Z, newest runs first."""
    return sorted(runs, key=lambda run: _order(run, column))


def _order(run: "FoundRun", column: str) -> tuple[bool, float, str]:
    """What to sort by; empty cells come last."""
    if column == "started":
        return False, -run.started, ""
    if column in run.metrics:
        value = run.metrics[column]
        return math.isnan(value), value if smaller_is_better(column) else -value, ""
    text = cell(run, column)
    try:
        return not text, float(text), ""
    except ValueError:
        return not text, math.inf, text
