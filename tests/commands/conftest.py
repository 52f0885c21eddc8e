"""A workbench of its own for these tests: small generated clips, runs in a temporary folder."""

import json
from pathlib import Path

import pytest

from asl.cli import run


class Workbench:
    """Runs commands as a person types them, against a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracking = f"tracking.uri=sqlite:///{folder}/mlruns/mlflow.db"
        self.data = [
            "data=synthetic",
            f"data.root={folder}/raw",
            f"data.store={folder}/store",
            "data.source.signs=4",
            "data.source.signers=4",
            "data.source.clips_per_sign=3",
        ]

    def __call__(self, command: str, *arguments: str) -> int:
        settings = [self.tracking]
        if command in ("train", "crossval") and not any(a.startswith("resume=") for a in arguments):
            if not any(a.startswith("data=") for a in arguments):
                settings += self.data
            if not any("trainer" in a for a in arguments):
                settings.append("trainer=smoke")
        if command == "evaluate" and not any(a.startswith("evaluate.dir=") for a in arguments):
            settings.append(f"evaluate.dir={self.folder}/evaluation")
        return run([command, *arguments, *settings])

    def runs(self, capsys, *arguments: str) -> list[dict]:
        capsys.readouterr()
        assert self("runs", "--json", *arguments) == 0
        return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="session")
def workbench(tmp_path_factory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("workbench"))


@pytest.fixture(scope="session")
def trained(workbench) -> str:
    """The name of a run that was trained for two epochs."""
    assert workbench("train", "model=gru", "model.hidden=8", "seed=3") == 0
    from asl.tracking.find import find_runs
    from asl.tracking.store import open_tracker

    uri = workbench.tracking.partition("=")[2]
    runs = find_runs(open_tracker({"uri": uri, "experiment": "asl"}))
    return next(r.name for r in runs if r.params.get("seed") == "3")


@pytest.fixture(scope="session")
def exported(workbench, trained, tmp_path_factory) -> Path:
    """The folder of that run's exported files."""
    folder = tmp_path_factory.mktemp("exported")
    assert workbench("export", f"run={trained}", f"export.dir={folder}") == 0
    return folder
