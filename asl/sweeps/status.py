"""`asl sweep status=`: the progress of studies, read from their database alone."""

from collections.abc import Iterator

import optuna
from rich.table import Table

from asl.addresses import without_passwords
from asl.sweeps.progress import Progress, format_best, progress_of, running_table
from asl.sweeps.study import (
    COMMAND,
    TOTAL,
    StudyAddress,
    final_studies,
    find_study,
    open_storage,
    study_names,
)


def study_status(name: str, url: str) -> Iterator[str | Table]:
    """Lines and tables on one study; without a name, on every study of the database."""
    return _one(StudyAddress(url, name)) if name else _all(url)


def _progress(study: optuna.Study) -> Progress:
    return progress_of(study, study.user_attrs.get(TOTAL))


def _one(address: StudyAddress) -> Iterator[str | Table]:
    study = find_study(address)
    progress = _progress(study)
    yield f"sweep {address.name}, study in {address.redacted_url}"
    yield str(progress)
    if progress.best:
        yield format_best(study, progress.best)
    if progress.running:
        yield running_table(progress)
    for final in final_studies(study):
        seeds = _progress(final)
        yield f"{final.study_name}, the best values trained and tested again: {seeds}"
        if seeds.running:
            yield running_table(seeds)
    if COMMAND in study.user_attrs:
        yield f"resume with: {study.user_attrs[COMMAND]}"


def _all(url: str) -> Iterator[str | Table]:
    storage = open_storage(url, create=False)
    names = study_names(storage)
    if not names:
        yield f"no studies in {without_passwords(url)} yet; `asl sweep` makes one"
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("study", "trials", "objective", "best"):
        table.add_column(heading, overflow="fold")
    for name in names:
        study = optuna.load_study(storage=storage, study_name=name)
        progress = _progress(study)
        best = progress.best
        shown = f"{best.values[0]:.4f} (trial {best.number})" if best else ""
        table.add_row(name, str(progress), ", ".join(study.metric_names or []), shown)
    yield table
