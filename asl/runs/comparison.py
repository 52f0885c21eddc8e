"""Recognizers side by side on the same clips: how much they differ, and what may be claimed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from asl.clips.columns import broken_down
from asl.clips.split import Split
from asl.errors import UserError
from asl.evaluation.comparison_page import Pair, comparison_page
from asl.evaluation.crossval import COLUMNS, table_predictions
from asl.evaluation.evaluate import metrics
from asl.evaluation.intervals import over_signers, wilson
from asl.evaluation.paired import (
    MIN_SIGNERS,
    accuracy_by_clip,
    by_group,
    claim,
    compare_pair,
    only_one,
)
from asl.evaluation.plots import curves as draw_curves
from asl.evaluation.predictions import per_clip
from asl.files import replacing_in
from asl.paths import PROJECT
from asl.runs.evaluate import evaluate_file
from asl.runs.plan import DataPlan
from asl.tracking.crossval import PREDICTIONS
from asl.tracking.descriptions import record_description
from asl.tracking.find import download, find_run, metric_history
from asl.tracking.found import FoundRun
from asl.tracking.logger import CURVE
from asl.tracking.record import record_table, record_text
from asl.tracking.run import tracked_run
from asl.tracking.store import Tracker
from asl.tracking.tags import provenance_tags

OUT_OF_FOLD = "out_of_fold.parquet"
CURVES = {"Validation F1": (f"{CURVE}val/f1", "val/f1"), "Training loss": ("train/loss",)}
FEWEST = 2  # recognizers in a comparison
TRAINED_ON = "these were trained on"


@dataclass(frozen=True)
class Candidate:
    """A recognizer and its answers.

    Attributes:
        name: of the run or the file.
        answers: a row a clip and seed, see `asl.evaluation.predictions.per_clip`.
        protocol: which clips these are.
        fingerprint: of the packed clips.
        not_new: why the signers of these clips are not new to it; empty where they are.
        run: None for a file.
    """

    name: str
    answers: pd.DataFrame = field(repr=False)
    protocol: str
    fingerprint: str
    not_new: str
    run: FoundRun | None = None


@dataclass(frozen=True)
class ComparedRuns:
    """A comparison, recorded as a run of kind `compare`.

    Attributes:
        run_id: of that run.
        claims: what may be said of every recognizer against the first, a sentence each.
        metrics: a row a recognizer, on the clips that all answered.
        page: the HTML file.
        protocol: which clips these are.
    """

    run_id: str
    claims: list[str]
    metrics: pd.DataFrame
    page: Path
    protocol: str


def compare(
    names: Sequence[str],
    tracker: Tracker,
    *,
    data: DataPlan | None = None,
    split: Callable[..., Split] | None = None,
    directory: Path | None = None,
) -> ComparedRuns:
    """Compare recognizers with the first of them, on the test clips that all answered.

    Args:
        names: ids or names of runs, ensembles or cross-validations; paths of .tflite files.
        tracker: the MLflow store.
        data: the clips that .tflite files are measured on.
        split: makes the split of these clips.
        directory: for the page; data/comparisons/NAME where None.

    Raises:
        UserError: fewer than two are named, one was not tested, or they share no test clip.
    """
    if len(names) < FEWEST:
        raise UserError("compare needs two recognizers or more: asl compare RUN RUN")
    candidates = [_candidate(name, tracker, data, split) for name in names]
    _check_same_clips(candidates)
    answers = _common_answers(candidates)
    base, *others = candidates
    pairs = [
        _pair(other, base, answers[number], answers[0]) for number, other in enumerate(others, 1)
    ]
    table = pd.DataFrame(
        [_metrics(each.name, a) for each, a in zip(candidates, answers, strict=True)]
    )
    clips = answers[0]["clip"].nunique()
    protocol = f"{clips:,} clips: " + "; ".join(dict.fromkeys(c.protocol for c in candidates))
    page = comparison_page(
        title=" and ".join(each.name for each in candidates),
        protocol=protocol,
        base=base.name,
        metrics=table,
        choices=_differing_choices(candidates),
        pairs=pairs,
        figures=_figures(candidates, tracker),
        command=f"asl compare {' '.join(each.name for each in candidates)}",
    )
    tags = {"kind": "compare", "data": base.run.data if base.run else "", **provenance_tags()}
    tags |= {"split": base.protocol, "data.fingerprint": base.fingerprint}
    claims = [pair.claim for pair in pairs]
    with tracked_run(tracker, f"compare{len(candidates)}", tags) as run:
        record_text(run, page, "compare.html")
        record_table(run, table, "metrics.csv")
        record_text(run, "\n".join(claims) + "\n", "claims.txt")
        record_description(run, "\n\n".join(claims))
        directory = directory or PROJECT / "data" / "comparisons" / run.name
        with replacing_in(directory) as folder:
            (folder / "compare.html").write_text(page, encoding="utf-8")
    return ComparedRuns(run.id, claims, table, directory / "compare.html", protocol)


# --- whose answers ------------------------------------------------------------------------------


def _candidate(
    name: str, tracker: Tracker, data: DataPlan | None, split: Callable[..., Split] | None
) -> Candidate:
    if name.endswith(".tflite"):
        return _file(Path(name), data, split)
    run = find_run(tracker, name, key="runs")
    path = OUT_OF_FOLD if run.tags.get("kind") == "crossval" else PREDICTIONS
    try:
        answers = pd.read_parquet(download(tracker, run.run_id, path))
    except UserError:
        raise UserError(f"runs: {run.name} was tested on no clips, so nothing compares") from None
    not_new = ""
    if not run.test_signer_independent:
        not_new = f"these chose the epoch of {run.name}" if run.validated_on_test else TRAINED_ON
    return Candidate(run.name, answers, run.split, run.tags["data.fingerprint"], not_new, run)


def _file(model: Path, data: DataPlan | None, split: Callable[..., Split] | None) -> Candidate:
    if data is None or split is None:
        raise UserError(f"{model}: say with data= and split= which clips it is compared on")
    measured = evaluate_file(model, "test", data, split)
    answers = per_clip(measured.evaluation.predictions, measured.store)
    parts, fingerprint = measured.split, measured.store.fingerprint
    not_new = "" if measured.signer_independent else TRAINED_ON
    return Candidate(measured.name, answers, parts.protocol, fingerprint, not_new)


def _check_same_clips(candidates: Sequence[Candidate]) -> None:
    first, *others = candidates
    for other in others:
        if other.fingerprint != first.fingerprint:
            raise UserError(
                f"runs: {other.name} and {first.name} were measured on other data sets, or other "
                "packings of one, so nothing compares"
            )


def _common_answers(candidates: Sequence[Candidate]) -> list[pd.DataFrame]:
    """The answers to the clips that all were tested on."""
    clips = set.intersection(*(set(each.answers["clip"]) for each in candidates))
    if not clips:
        protocols = "; ".join(f"{each.name}: {each.protocol}" for each in candidates)
        raise UserError(f"runs: there is no clip that all were tested on ({protocols})")
    common = [each.answers[each.answers["clip"].isin(clips)] for each in candidates]
    for each, answers in zip(candidates, common, strict=True):
        answers.attrs = each.answers.attrs
    return common


# --- what differs -------------------------------------------------------------------------------


def _pair(new: Candidate, base: Candidate, answers: pd.DataFrame, of_base: pd.DataFrame) -> Pair:
    ours, theirs = accuracy_by_clip(answers), accuracy_by_clip(of_base)
    return Pair(
        name=new.name,
        claim=claim(new.name, base.name, compare_pair(ours, theirs), new.not_new or base.not_new),
        signers=by_group(ours, theirs, "signer"),
        signs=by_group(ours, theirs, "sign"),
        columns=_by_columns(answers, ours, theirs),
        only_one=only_one(ours, theirs),
    )


def _by_columns(
    answers: pd.DataFrame, ours: pd.DataFrame, theirs: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Accuracies and difference by each column of the clips that has few values."""
    clips = answers.drop_duplicates("clip").set_index("clip")
    columns = {str(name): clips[name] for name in clips if name not in COLUMNS}
    return {
        name: by_group(ours.assign(value=columns[name]), theirs, "value")
        for name in broken_down(columns)
    }


def _metrics(name: str, answers: pd.DataFrame) -> dict[str, object]:
    """Metrics with intervals, of the answers of all seeds together."""
    by_clip = accuracy_by_clip(answers)
    accuracy = by_clip["accuracy"]
    low, high = wilson(accuracy.sum(), len(accuracy))
    row: dict[str, object] = {
        "recognizer": name,
        "accuracy": float(accuracy.mean()),
        "95 % over clips": f"{low:.4f} to {high:.4f}",
    }
    signers = by_clip["signer"].to_numpy(str)
    if len(set(signers)) >= MIN_SIGNERS and (
        interval := over_signers(accuracy.to_numpy(), signers)
    ):
        row["95 % over signers"] = f"{interval[0]:.4f} to {interval[1]:.4f}"
    measured = metrics(table_predictions(answers, answers.attrs["signs"]))
    shown = ("f1", "precision", "recall", "accuracy_top5", "loss", "ece")
    return row | {key: measured[key] for key in shown if key in measured}


def _differing_choices(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """A row a parameter that not all share, a column a recognizer."""
    params = {each.name: each.run.params if each.run else {} for each in candidates}
    keys = dict.fromkeys(key for values in params.values() for key in values)
    rows = [
        {"choice": key, **{name: values.get(key, "") for name, values in params.items()}}
        for key in keys
        if len({values.get(key) for values in params.values()}) > 1
    ]
    return pd.DataFrame(rows)


def _figures(candidates: Sequence[Candidate], tracker: Tracker) -> dict[str, Figure]:
    """The recognizers' curves over each other; none where no run has any."""
    figures = {}
    for title, metric_names in CURVES.items():
        lines = {
            each.name: line
            for each in candidates
            if each.run and (line := _curve(tracker, each.run.run_id, metric_names))
        }
        if lines:
            figures[title] = draw_curves(lines, title)
    return figures


def _curve(
    tracker: Tracker, run_id: str, metric_names: Sequence[str]
) -> tuple[list[int], list[float]] | None:
    """The first of these metrics that a run has several values of."""
    for name in metric_names:
        steps, values = metric_history(tracker, run_id, name)
        if len(steps) > 1:
            return steps, values
    return None
