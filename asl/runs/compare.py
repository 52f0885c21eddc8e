"""Cross-validations beside each other: what each choice gains over the first, paired."""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from asl.evaluation.crossval import TESTS, comparison
from asl.tracking.comparison import markdown, record_comparison
from asl.tracking.find import download, find_run
from asl.tracking.found import FoundRun
from asl.tracking.multirun import JobResult
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker


@dataclass(frozen=True)
class Comparison:
    """Tables of cross-validations on the same clips, and all of them as Markdown."""

    tables: Mapping[str, pd.DataFrame]
    text: str


def compare_crossvals(
    tracker: Tracker, jobs: Sequence[JobResult], command: str, run: TrackedRun | None = None
) -> Comparison:
    """Compare the cross-validations that the jobs of a multirun finished.

    Args:
        tracker: the store.
        jobs: results; failed ones are left out.
        command: that made them, for the text.
        run: the multirun's, on which the comparison is recorded.
    """
    tables = _tables(tracker, [job for job in jobs if job.run_id])
    result = Comparison(tables, _text(tables, command))
    if run and tables:
        record_comparison(run, tables, result.text)
    return result


def job_title(overrides: Sequence[str]) -> str:
    """Overrides as a name; a study's own name says all."""
    return " ".join(o.lstrip("+").removeprefix("experiment=") for o in overrides)


def _tables(tracker: Tracker, jobs: Sequence[JobResult]) -> dict[str, pd.DataFrame]:
    """A comparison by title, for each group of cross-validations on the same clips."""
    by_clips: dict[tuple[str, str], list[tuple[JobResult, FoundRun]]] = defaultdict(list)
    for job in jobs:
        run = find_run(tracker, str(job.run_id))
        by_clips[run.data, run.tags["data.fingerprint"]].append((job, run))
    names = [data for data, _ in by_clips]
    tables = {}
    for (data, fingerprint), members in by_clips.items():
        protocols = dict.fromkeys(
            f"{run.split}; validation: {run.tags['val_protocol']}" for _, run in members
        )
        packing = f" ({fingerprint[:8]})" if names.count(data) > 1 else ""
        tables[f"{data}{packing}, {' | '.join(protocols)}"] = _table(tracker, members)
    return tables


def _table(tracker: Tracker, members: Sequence[tuple[JobResult, FoundRun]]) -> pd.DataFrame:
    files = [download(tracker, run.run_id, "folds.csv") for _, run in members]
    table = comparison([_read_folds(file) for file in files])
    shared = set.intersection(*(set(job.overrides) for job, _ in members))
    titles = [job_title([o for o in job.overrides if o not in shared]) for job, _ in members]
    studies = [run.params.get("experiment") or run.params["model"] for _, run in members]
    table.insert(0, "job", [title or study for title, study in zip(titles, studies, strict=True)])
    table["overrides"] = [shlex.join(job.overrides) for job, _ in members]
    table["run_id"] = [run.run_id for _, run in members]
    return table


def _read_folds(file: Path) -> pd.DataFrame:
    """A `fold_table`; pandas alone would take signers called NA or null for missing values."""
    texts = pd.read_csv(file, dtype=str, keep_default_na=False)
    columns = map(str, texts.columns)
    numbers = {name: pd.to_numeric(texts[name]) for name in columns if name not in TESTS}
    return texts.assign(**numbers)


def _text(tables: Mapping[str, pd.DataFrame], command: str) -> str:
    parts = [f"{title}:\n\n{markdown(table)}" for title, table in tables.items()]
    meaning = (
        "Accuracy is the mean over folds and seeds, ± the standard deviation over seeds of the "
        "mean over folds. A difference is the mean over pairs of runs with the same test and seed, "
        "± its standard error."
    )
    return "\n\n".join([*parts, meaning, f"    {command}"]) + "\n"
