"""Opens a store of runs."""

import contextlib
import logging
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, event

from asl.addresses import without_passwords
from asl.errors import UserError, first_line
from asl.tracking.address import LOCKED_SECONDS, Address, address, lock_folder
from asl.tracking.lock import end_killed_runs

# A failing database is raised, too; MLflow would print its traceback before. A filter, because
# MLflow sets the levels of its loggers again.
logging.getLogger("mlflow.store.db.utils").addFilter(lambda record: record.levelno < logging.ERROR)

_ANSWER_SECONDS = 10


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _wait_longer(*of_statement: Any) -> tuple[Any, Any]:
    """Give SQLite `LOCKED_SECONDS`: MLflow gives it 20, whatever its address says."""
    _, _, statement, parameters, *_ = of_statement
    if statement.startswith("PRAGMA busy_timeout"):
        statement = f"PRAGMA busy_timeout = {round(1000 * LOCKED_SECONDS)}"
    return statement, parameters


@dataclass(frozen=True)
class Tracker:
    """An open MLflow store.

    Attributes:
        client: MLflow's client to it.
        experiment_id: the experiment that all runs of the workbench belong to.
        work: folder for files of runs that are not finished.
        artifacts: where artifacts lie, if on this machine.
    """

    client: MlflowClient
    experiment_id: str
    work: Path
    artifacts: Path | None

    @property
    def locks(self) -> Path:
        """Where the locks of its runs are."""
        return lock_folder(self.client.tracking_uri, self.experiment_id, self.work)

    def folder(self, run_id: str) -> Path:
        """Where files of a run go that is not finished.

        Raises:
            UserError: the id, which a server sends, is no id and would lead elsewhere.
        """
        if not re.fullmatch(r"[\w-]+", run_id):
            raise UserError(f"run={run_id}: is no id of a run")
        return self.work / run_id


def open_tracker(tracking: Mapping[str, str] | None = None) -> Tracker:
    """Open an MLflow store, making it on first use.

    Args:
        tracking: `uri`, which is `sqlite:///FILE` (artifacts go beside the file) or a server's
            address, and `experiment`, the name of the MLflow experiment. mlruns/mlflow.db and `asl`
            where they are absent. Files of unfinished runs go to mlruns/ where `uri` is a server.

    Raises:
        UserError: the store can't be opened.
    """
    place = address(tracking)
    try:
        if not place.database:
            _check_server(place.uri)
        place.folder.mkdir(parents=True, exist_ok=True)
        # Two processes that use a new SQLite file first at once would both migrate it.
        with FileLock(place.folder / ".tracking.lock"):
            client = MlflowClient(tracking_uri=place.client_uri)
            experiment_id = _experiment(client, place)
    except (MlflowException, OSError) as error:
        sentence = f"tracking.uri={place.uri}: can't be opened ({first_line(error)})"
        raise UserError(without_passwords(sentence)) from None
    end_killed_runs(client, experiment_id, place.work)
    artifacts = place.folder / "artifacts" if place.database else None
    return Tracker(client, experiment_id, place.work, artifacts)


def _check_server(uri: str) -> None:
    """Raises OSError where no server answers; MLflow itself tries for minutes, in silence."""
    if not uri.startswith("http"):
        return
    try:
        requests.head(uri, timeout=_ANSWER_SECONDS)
    except requests.exceptions.SSLError:
        return  # an answer, which MLflow judges
    except (requests.ConnectionError, requests.Timeout):
        raise OSError("no server answers there") from None


def _experiment(client: MlflowClient, place: Address) -> str:
    artifacts = (place.folder / "artifacts").resolve().as_uri() if place.database else None
    found = client.get_experiment_by_name(place.experiment)
    if found is not None:
        if artifacts and found.artifact_location.startswith("file:"):
            _relocate(str(place.database), found.artifact_location, artifacts)
        return str(found.experiment_id)
    # Without its kind MLflow's UI opens on pages for language models.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(place.experiment, artifact_location=artifacts, tags=kind))


# Where MLflow stores addresses of artifacts. They are absolute, and it has no call to change them.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def _relocate(database: str, old: str, new: str) -> None:
    """Let a store that was moved or copied write and find artifacts beside its own database."""
    if old == new:
        return
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
