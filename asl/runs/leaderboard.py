"""Every network and baseline on every data set, each signer held out: ranked, with what it costs.

All of it is cross-validations in MLflow. A finished one is taken as it is and an interrupted one
goes on, so that the same call does what is missing; one that fails is a row that says why.
"""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import asl
from asl.errors import UserError, failure_reason
from asl.evaluation.leaderboard import Row, accuracies, as_markdown, as_page, as_table, ranked
from asl.files import replacing_in
from asl.runs.baselines import SECONDS, crossval_baseline
from asl.runs.comparison import OUT_OF_FOLD
from asl.runs.crossval import crossval
from asl.runs.data import open_store
from asl.runs.load import load
from asl.runs.plan import RunPlan
from asl.tracking.find import children, download, find_run
from asl.tracking.found import FoundRun
from asl.tracking.record import record_metrics
from asl.tracking.store import Tracker
from asl.workers import cores

FILE = ("float16/megabytes", "float16/milliseconds")
"""Metrics that a cross-validation gets once its file is measured."""

_LONGEST = 300  # characters of a failure


class Entry(NamedTuple):
    """A recognizer on a data set.

    Attributes:
        data: name of the data set.
        name: of the network or baseline.
        plan: makes the plan of its runs; raises UserError where its choices are unsound.
        baseline: whether it is a baseline.
    """

    data: str
    name: str
    plan: Callable[[], RunPlan]
    baseline: bool = False


@dataclass(frozen=True)
class Leaderboard:
    """A leaderboard.

    Attributes:
        rows: ranked.
        directory: of leaderboard.md, leaderboard.html and leaderboard.csv.
        text: the content of leaderboard.md.
    """

    rows: list[Row]
    directory: Path
    text: str = field(repr=False)


def leaderboard(
    entries: Sequence[Entry],
    tracker: Tracker,
    directory: Path,
    *,
    seeds: int,
    folds: Sequence[int] | None,
    workers: int | None,
    settings: Sequence[str],
    command: str,
) -> Leaderboard:
    """Measure what is not measured yet, and write the leaderboard.

    It is written after every row, so that an interrupted one shows what there is.

    Args:
        entries: what is measured, in this order.
        tracker: the MLflow store.
        directory: for the files.
        seeds: runs of each fold of a network.
        folds: only these; all where None.
        workers: runs side by side; as `asl.runs.crossval.crossval` has it where None.
        settings: overrides that all plans have in common, for the text.
        command: that makes it.

    Raises:
        UserError: there is no entry.
    """
    if not entries:
        raise UserError("leaderboard: there is no data set or no recognizer to measure")
    rows: list[Row] = []
    for number, entry in enumerate(entries, start=1):
        print(f"{number} of {len(entries)}: {entry.name} on {entry.data}", file=sys.stderr)
        rows.append(_row(entry, tracker, seeds, folds, workers))
        facts = _facts(seeds, folds, settings)
        if missing := len(entries) - number:
            facts["Not finished"] = f"{missing} of {len(entries)} rows are missing"
        text = _write(ranked(rows), facts, command, directory)
    return Leaderboard(ranked(rows), directory, text)


def _facts(seeds: int, folds: Sequence[int] | None, settings: Sequence[str]) -> dict[str, str]:
    """What holds for all rows, by name."""
    some = "each fold" if folds is None else f"folds {', '.join(map(str, folds))}"
    return {
        "Protocol": f"{some} of the split is the test once, of whose signers nothing was trained "
        f"on or chosen by; {seeds} seeds of each network, one of each baseline",
        "Choices besides the network": ", ".join(["defaults", *settings]),
        "Measured with": f"asl {asl.__version__} on {platform.system()} {platform.machine()}, "
        f"{cores()} cores",
    }


def _write(rows: Sequence[Row], facts: Mapping[str, str], command: str, directory: Path) -> str:
    """Write the leaderboard's files; the text of leaderboard.md."""
    text = as_markdown(rows, facts, command)
    with replacing_in(directory) as scratch:
        (scratch / "leaderboard.md").write_text(text, encoding="utf-8")
        (scratch / "leaderboard.html").write_text(as_page(rows, facts, command), encoding="utf-8")
        as_table(rows).to_csv(scratch / "leaderboard.csv", index=False)
    return text


def _row(
    entry: Entry,
    tracker: Tracker,
    seeds: int,
    folds: Sequence[int] | None,
    workers: int | None,
) -> Row:
    """A recognizer's figures, or why it has none."""
    try:
        plan = entry.plan()
        if entry.baseline:
            done = crossval_baseline(entry.name, plan, tracker, folds=folds)
        else:
            done = crossval(plan, tracker, folds=folds, seeds=seeds, workers=workers, reuse=True)
        row = _measured(entry, find_run(tracker, done.run_id), tracker)
    except Exception as error:  # the others are measured
        return Row(entry.data, entry.name, failure=_sentence(error))
    if entry.baseline:
        return row
    try:
        size, latency = _file(plan, find_run(tracker, done.run_id), tracker)
        return replace(row, megabytes=size, milliseconds=latency)
    except Exception as error:
        return replace(row, failure=f"not exported: {_sentence(error)}")


def _measured(entry: Entry, run: FoundRun, tracker: Tracker) -> Row:
    """The figures of a finished cross-validation."""
    answers = pd.read_parquet(download(tracker, run.run_id, OUT_OF_FOLD))
    runs = _finished(run, tracker) or [run]
    seconds = [each.metrics[SECONDS] for each in runs if SECONDS in each.metrics]
    parameters = [each.metrics["parameters"] for each in runs if "parameters" in each.metrics]
    return Row(
        entry.data,
        entry.name,
        **accuracies(answers),
        f1=run.metrics["test/f1"],
        parameters=int(parameters[0]) if parameters else None,
        minutes=float(np.mean(seconds)) / 60 if seconds else None,
        run=run.name,
    )


def _file(plan: RunPlan, run: FoundRun, tracker: Tracker) -> tuple[float, float]:
    """Megabytes and milliseconds of the .tflite of one of its runs, measured unless recorded."""
    if not set(FILE) <= run.metrics.keys():
        from asl.export.requirements import check_installed

        check_installed()
        from asl.export.cost import cost  # needs those packages

        store = open_store(plan.data)
        middle = int(np.argsort(store.frames, kind="stable")[len(store) // 2])
        recognizer = load(_finished(run, tracker)[0], tracker).recognizer
        figures = cost(recognizer, store.read(middle))
        measured = (figures["size"] / 1e6, figures["latency"])
        record_metrics(tracker, run.run_id, dict(zip(FILE, measured, strict=True)))
        return measured
    megabytes, milliseconds = (run.metrics[name] for name in FILE)
    return megabytes, milliseconds


def _finished(run: FoundRun, tracker: Tracker) -> list[FoundRun]:
    """The finished runs below a cross-validation."""
    return [each for each in children(tracker, run.run_id) if each.status == "FINISHED"]


def _sentence(error: Exception) -> str:
    """Why there are no figures; a fault of the program is printed in full besides."""
    return (failure_reason(error).splitlines() or [""])[0][:_LONGEST]
