"""A run has one process at a time, and its true end whatever happens to it or to the disk."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import pytest
from mlflow.exceptions import MlflowException

from asl.errors import UserError
from asl.tracking import store as opening
from asl.tracking.address import LOCKED_SECONDS
from asl.tracking.find import find_run
from asl.tracking.run import tracked_run
from asl.tracking.store import open_tracker


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlruns')}/mlflow.db"


@pytest.fixture
def tracker(uri):
    return open_tracker({"uri": uri, "experiment": "asl"})


def status(tracker, run_id: str) -> str:
    return find_run(tracker, run_id).status


def locks(tracker) -> list:
    return list(tracker.work.glob("locks-*/*"))


def test_a_run_that_is_in_use_is_refused_in_one_sentence(tracker):
    with tracked_run(tracker, "first", {}) as run:
        with (
            pytest.raises(UserError, match="another process is at work on this run"),
            tracked_run(tracker, "second", {}, resume=run.id),
        ):
            raise AssertionError("two at work on one run")
        assert status(tracker, run.id) == "RUNNING"
    assert status(tracker, run.id) == "FINISHED"
    assert not locks(tracker)


def test_a_run_that_was_finished_meanwhile_is_not_opened_again(tracker):
    with tracked_run(tracker, "run", {}) as run:
        pass
    with (
        pytest.raises(UserError, match="is finished"),
        tracked_run(tracker, "run", {}, resume=run.id),
    ):
        raise AssertionError("opened")
    assert status(tracker, run.id) == "FINISHED"


KILLED = """
import os, sys
from asl.tracking.run import tracked_run
from asl.tracking.store import open_tracker
with tracked_run(open_tracker({"uri": sys.argv[1], "experiment": "asl"}), "killed", {}) as run:
    print(run.id, flush=True)
    os._exit(9)
"""


def test_the_next_command_ends_the_run_of_a_killed_process_and_no_other(uri, tracker, capsys):
    with tracked_run(tracker, "alive", {}) as alive:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, uri], stdout=subprocess.PIPE, text=True, check=False
        )
        killed = done.stdout.strip()
        assert status(tracker, killed) == "RUNNING"
        open_tracker({"uri": uri, "experiment": "asl"})
        assert status(tracker, killed) == "KILLED"
        assert "had been killed" in capsys.readouterr().err
        assert status(tracker, alive.id) == "RUNNING"
    with tracked_run(tracker, "again", {}, resume=killed):
        assert status(tracker, killed) == "RUNNING"
    assert status(tracker, killed) == "FINISHED"
    assert not locks(tracker)


def test_a_run_ends_where_its_traceback_cannot_be_recorded(tracker, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tracker.client), "log_text", full)
    with pytest.raises(ZeroDivisionError), tracked_run(tracker, "full", {}) as run:
        raise ZeroDivisionError
    assert status(tracker, run.id) == "FAILED"


def test_a_run_whose_end_cannot_be_recorded_is_ended_by_a_later_command(uri, tracker, monkeypatch):
    def full(*_):
        raise MlflowException("(sqlite3.OperationalError) database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(tracker.client), "set_terminated", full)
        with pytest.raises(ZeroDivisionError), tracked_run(tracker, "full", {}) as run:
            raise ZeroDivisionError
        open_tracker({"uri": uri, "experiment": "asl"})
    assert status(tracker, run.id) == "RUNNING"
    open_tracker({"uri": uri, "experiment": "asl"})
    assert status(tracker, run.id) == "KILLED"


@pytest.mark.parametrize("patience", [0.3, LOCKED_SECONDS])
def test_a_write_waits_while_another_program_holds_the_database(
    patience, uri, tracker, monkeypatch
):
    """As long as this program says: SQLite's own patience is 5 seconds, MLflow's 20."""
    assert LOCKED_SECONDS > 25
    other = sqlite3.connect(
        uri.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )
    enough = patience > 2
    with tracked_run(tracker, "patient", {}) as run:
        monkeypatch.setattr(opening, "LOCKED_SECONDS", patience)
        other.execute("BEGIN EXCLUSIVE")
        commit = threading.Timer(2, lambda: other.execute("COMMIT"))
        commit.start()
        with nullcontext() if enough else pytest.raises(MlflowException, match="is locked"):
            tracker.client.log_metric(run.id, "loss", 1.0)
        commit.join()
        monkeypatch.undo()
    assert find_run(tracker, run.id).metrics == ({"loss": 1.0} if enough else {})


def test_a_server_that_is_down_is_one_sentence_at_once():
    started = time.monotonic()
    with pytest.raises(UserError, match=r"tracking.uri=http://127.0.0.1:9: .*no server answers"):
        open_tracker({"uri": "http://127.0.0.1:9"})
    assert time.monotonic() - started < 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        open_tracker({"uri": f"sqlite:///{tmp_path}/mlruns/mlflow.db"})
