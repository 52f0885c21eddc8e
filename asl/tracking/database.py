"""The table of runs, read from MLflow's SQLite file itself: importing MLflow takes seconds.

The tables are those of MLflow 3 (mlflow/store/tracking/dbmodels/models.py). Where they are not as
expected, or where something must be written, MLflow does the work.
"""

import contextlib
import math
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from asl.tracking.address import LOCKED_SECONDS, Address, address, lock_folder
from asl.tracking.found import FoundRun


def list_runs(tracking: Mapping[str, str] | None = None) -> list[FoundRun]:
    """Every run of a store, the newest first.

    Args:
        tracking: `uri` and `experiment`, see `asl.tracking.store.open_tracker`.

    Raises:
        UserError: the store can't be opened.
    """
    place = address(tracking)
    runs = _read(place) if place.database and place.database.is_file() else None
    if runs is None:
        from asl.tracking.find import runs_where
        from asl.tracking.store import open_tracker

        runs = runs_where(open_tracker(tracking))
    return runs


def _read(place: Address) -> list[FoundRun] | None:
    """The runs; None where only MLflow can list them."""
    assert place.database is not None
    uri = f"{place.database.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, LOCKED_SECONDS, uri=True)) as database:
            ids = database.execute(
                "SELECT experiment_id FROM experiments WHERE name = ? "
                "AND lifecycle_stage = 'active'",
                [place.experiment],
            ).fetchall()
            if len(ids) != 1:
                return None
            ((experiment,),) = ids
            if _some_killed(lock_folder(place.client_uri, str(experiment), place.work)):
                return None  # MLflow marks it as such
            return _runs(database, experiment)
    except sqlite3.Error:
        return None


def _some_killed(locks: Path) -> bool:
    """Whether a run's lock is free though it was not removed, see `asl.tracking.lock`."""
    for file in locks.glob("*"):
        with contextlib.suppress(Timeout, OSError), FileLock(file, blocking=False):
            return True
    return False


def _runs(database: sqlite3.Connection, experiment: int) -> list[FoundRun]:
    params, tags = (_values(database, table, experiment) for table in ("params", "tags"))
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    for run, key, value, is_nan in _rows(
        database, "latest_metrics", "key, value, is_nan", experiment
    ):
        metrics[run][key] = math.nan if is_nan else value
    rows = database.execute(
        "SELECT run_uuid, name, status, start_time FROM runs WHERE experiment_id = ? "
        "AND lifecycle_stage = 'active' ORDER BY start_time DESC, run_uuid",
        [experiment],
    )
    return [
        FoundRun(
            run_id=run,
            name=name or "",
            status=status,
            data=tags[run].get("data", ""),
            split=tags[run].get("split", ""),
            params=params[run],
            metrics=metrics[run],
            tags=tags[run],
            started=started,
        )
        for run, name, status, started in rows
    ]


def _values(database: sqlite3.Connection, table: str, experiment: int) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in _rows(database, table, "key, value", experiment):
        values[run][key] = value
    return values


def _rows(
    database: sqlite3.Connection, table: str, columns: str, experiment: int
) -> Sequence[tuple]:
    return database.execute(
        f"SELECT run_uuid, {columns} FROM {table} WHERE run_uuid IN "
        "(SELECT run_uuid FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active')",
        [experiment],
    ).fetchall()
