"""`asl runs` reads MLflow's tables itself; what it reads is what MLflow says."""

import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from filelock import FileLock

from asl.tracking.address import lock_folder
from asl.tracking.database import list_runs
from asl.tracking.find import runs_where
from asl.tracking.lock import LOCK_TAG
from asl.tracking.store import open_tracker


@pytest.fixture
def tracking(tmp_path):
    return {"uri": f"sqlite:///{tmp_path}/mlflow.db", "experiment": "asl"}


@pytest.fixture
def tracker(tracking):
    return open_tracker(tracking)


def add(tracker, name: str, **tags: str) -> str:
    return tracker.client.create_run(tracker.experiment_id, run_name=name, tags=tags).info.run_id


def test_what_is_read_is_what_mlflow_says(tracker, tracking):
    first = add(tracker, "first", data="words15", split="random 20%")
    tracker.client.log_param(first, "model", "cnn")
    for step, value in enumerate([0.1, 0.3, 0.2]):
        tracker.client.log_metric(first, "val/f1", value, step=step)
    tracker.client.log_metric(first, "val/loss", float("nan"))
    tracker.client.log_metric(first, "test/loss", float("inf"))
    tracker.client.set_terminated(first, "FINISHED")
    deleted = add(tracker, "deleted")
    tracker.client.delete_run(deleted)
    other = tracker.client.create_experiment("another")
    tracker.client.create_run(other, run_name="another")
    add(tracker, "second")

    mine, theirs = list_runs(tracking), runs_where(tracker)
    assert [run.name for run in mine] == ["second", "first"]
    plain = [replace(run, metrics={k: str(v) for k, v in run.metrics.items()}) for run in mine]
    assert plain == [
        replace(run, metrics={k: str(v) for k, v in run.metrics.items()}) for run in theirs
    ]
    assert mine[1].metrics["val/f1"] == 0.2


def test_mlflow_is_not_imported(tracker, tracking):
    add(tracker, "first")
    code = "import sys; from asl.cli import run; run(sys.argv[1:]); print('mlflow' in sys.modules)"
    command = [sys.executable, "-c", code, "runs", f"tracking.uri={tracking['uri']}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "first" in printed
    assert printed.splitlines()[-1] == "False"


def test_a_killed_run_is_listed_as_killed(tracker, tracking):
    add(tracker, "killed", **{LOCK_TAG: "abc"})
    folder = lock_folder(tracker.client.tracking_uri, tracker.experiment_id, tracker.work)
    folder.mkdir(parents=True)
    with FileLock(folder / "abc"):
        assert [run.status for run in list_runs(tracking)] == ["RUNNING"]
    (folder / "abc").touch()
    assert [run.status for run in list_runs(tracking)] == ["KILLED"]


def test_tables_of_another_form_are_left_to_mlflow(tracker, tracking, tmp_path, monkeypatch):
    add(tracker, "first")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("ALTER TABLE latest_metrics RENAME COLUMN is_nan TO nan")
    asked = []
    monkeypatch.setattr("asl.tracking.find.runs_where", lambda tracker: asked.append(1) or [])
    monkeypatch.setattr("asl.tracking.store.open_tracker", lambda tracking: None)
    assert list_runs(tracking) == []
    assert asked
