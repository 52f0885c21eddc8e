"""A sweep on a cluster's servers, real ones: a PostgreSQL for the study, MLflow's for the runs."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from asl.cli import run
from asl.paths import PROJECT

SECRET = "Zwiebelkuchen"
START = "import sys; from asl.cli import main; sys.argv = ['asl', *sys.argv[1:]]; main()"
SPACE = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
pytestmark = pytest.mark.slow


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def programs():
    """The folder of PostgreSQL's programs, which Debian keeps off the PATH."""
    folders = [*os.get_exec_path(), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which("pg_ctl", path=os.pathsep.join(map(str, folders)))
    if not found:
        pytest.skip("no PostgreSQL server here (apt install postgresql, or conda's postgresql)")
    return Path(found).resolve().parent


@pytest.fixture
def storage():
    """The address of a study's storage, its password in it."""
    pytest.importorskip("psycopg", reason="pip install -e '.[cluster]'")
    bin, port = programs(), free_port()
    # PostgreSQL serves no administrator, and another user may not look into pytest's folders.
    user = {"user": "nobody"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp())
    (folder / "password").write_text(SECRET)
    for path in (folder, folder / "password"):
        if user:
            shutil.chown(path, "nobody")

    def do(program, *arguments):
        subprocess.run(
            [bin / program, "-D", folder / "data", *arguments],
            check=True, cwd=folder, stdout=subprocess.DEVNULL, **user,
        )  # fmt: skip

    try:
        do("initdb", "-U", "ann", "-A", "scram-sha-256", f"--pwfile={folder}/password")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        do("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:{port}/postgres"
        finally:
            do("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(tmp_path):
    """The address of a server of MLflow's."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        for _ in range(180):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health"):
                break
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_two_workers_share_a_study_on_servers_and_the_password_is_nowhere(
    workbench, storage, server, tmp_path, capsys
):
    import optuna

    from asl.sweeps.trial import log_file
    from asl.tracking.find import find_runs
    from asl.tracking.store import open_tracker

    name = f"servers-{os.getpid()}"
    described = {"n_trials": 4, "sampler": "tpe", "pruner": "median", "space": SPACE}
    described = {"defaults": ["base/settings@_here_", "_self_"], **described, "final_seeds": 1}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/mine.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    arguments = [
        *("sweep", "--config-dir", str(tmp_path), "sweep=mine", f"sweep.name={name}"),
        *workbench.data,
        *("model=cnn", "model.hidden=8", "trainer=smoke", "sweep.workers=2"),
        f"tracking.uri={server}",
        f"sweep.storage={storage}",
    ]
    command = [sys.executable, "-c", START, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = log_file(PROJECT / "mlruns/work", name)
    output = done.stdout + done.stderr + log.read_text()
    log.unlink()
    assert done.returncode == 0, output
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2
    for asked, shown in ((name, "resume with: asl sweep"), ("", name)):
        assert run(["sweep", f"status={asked}", f"sweep.storage={storage}"]) == 0
        printed = capsys.readouterr().out
        assert "4 of 4 trials: 4 complete" in printed
        assert shown in printed
        assert SECRET not in printed

    runs = find_runs(open_tracker({"uri": server, "experiment": "asl"}))
    assert {found.status for found in runs} == {"FINISHED"}
    (parent,) = [found for found in runs if found.tags["kind"] == "sweep"]
    children = [found for found in runs if found.tags.get("mlflow.parentRunId") == parent.run_id]
    labels = sorted(child.tags["sweep.trial"] for child in children)
    assert labels == [*"0123", f"final-{parent.tags['best_trial']}-0"]
    assert all(child.is_recognizer for child in children)

    assert SECRET not in output
    assert "postgresql+psycopg://ann:***@" in output
    assert SECRET not in str(runs)
    for path in (tmp_path / "server.db", *(tmp_path / "artifacts").rglob("*")):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
