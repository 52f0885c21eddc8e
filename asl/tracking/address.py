"""Where runs are kept: MLflow's SQLite file with artifacts beside it, or a server."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from asl.paths import PROJECT

SQLITE = "sqlite:///"
LOCKED_SECONDS = 100  # that SQLite waits for another process's write


class Address(NamedTuple):
    """The address of an MLflow store.

    Attributes:
        uri: `sqlite:///FILE`, or a server's address.
        experiment: name of the MLflow experiment.
    """

    uri: str
    experiment: str

    @property
    def database(self) -> Path | None:
        """The SQLite file; None of a server."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    @property
    def folder(self) -> Path:
        """The folder of the SQLite file; of a server mlruns/."""
        return self.database.parent if self.database else PROJECT / "mlruns"

    @property
    def work(self) -> Path:
        """Folder for files of runs that are not finished."""
        return self.folder / "work"

    @property
    def client_uri(self) -> str:
        """What MLflow's client opens.

        The address's patience is that of the first look at a file, whether its tables are there:
        MLflow sets another one only for its sessions. Names of locks are made of it, too.
        """
        return f"{self.uri}?timeout={LOCKED_SECONDS}" if self.database else self.uri


def address(tracking: Mapping[str, str] | None = None) -> Address:
    """The address that `uri` and `experiment` name: mlruns/mlflow.db and `asl` where absent."""
    default = {"uri": f"{SQLITE}{PROJECT / 'mlruns' / 'mlflow.db'}", "experiment": "asl"}
    return Address(**default | dict(tracking or {}))


def lock_folder(uri: str, experiment_id: str, work: Path) -> Path:
    """Where the locks of a store's runs are: several stores may share one work folder.

    Args:
        uri: the store's, as MLflow's client has it.
        experiment_id: of the runs.
        work: the store's folder for files of unfinished runs.
    """
    store = Path(uri).name if uri.startswith("sqlite:") else uri  # a moved file stays the same
    digest = hashlib.sha256(f"{store} {experiment_id}".encode()).hexdigest()
    return work / f"locks-{digest[:12]}"
