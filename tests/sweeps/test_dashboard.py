"""optuna-dashboard opens the study file of a sweep."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.request

import optuna
import pytest

from asl.sweeps.queue import Goal, Worker
from asl.sweeps.space import parse
from asl.sweeps.study import StudyAddress, join_study
from asl.sweeps.worker import Outcome, work

SPACE = parse(
    {
        "model": {"choices": ["cnn", "transformer"]},
        "model.heads": {"choices": [1, 2], "when": {"model": "transformer"}},
        "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    }
)


@pytest.fixture
def dashboard(tmp_path):
    """Fetches a path of its API, for a study with two finished trials."""
    program = shutil.which("optuna-dashboard")
    if not program:
        pytest.skip("no optuna-dashboard on the PATH (pip install optuna-dashboard)")
    file = f"sqlite:///{tmp_path}/optuna.db"
    sampler = optuna.samplers.RandomSampler(seed=0)
    address = StudyAddress(file, "mine")
    study = join_study(address, ("maximize",), {"data": "x"}, tmp_path, ("val/f1",), sampler)
    work(study, Goal(SPACE, 2), Worker(tmp_path), lambda attempt: Outcome((0.5,)), 1)
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}") as answer:
            return json.load(answer)

    with (tmp_path / "log").open("w") as log:
        command = [program, file, "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(60):
            with contextlib.suppress(OSError):
                get("studies")
                break
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.5)
        yield get, study
    finally:
        process.terminate()
        process.wait()


def test_it_shows_the_study_and_each_trials_values(dashboard):
    get, study = dashboard
    (shown,) = get("studies")["study_summaries"]
    assert shown["study_name"] == "mine"
    trials = get(f"studies/{shown['study_id']}?after=0")["trials"]
    for trial, mine in zip(trials, study.trials, strict=True):
        assert trial["state"] == "Complete"
        assert trial["values"] == mine.values
        assert {param["name"] for param in trial["params"]} == set(mine.params)
