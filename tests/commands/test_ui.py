"""asl ui: MLflow's run table with the columns that runs are compared by."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from asl.tracking.store import open_tracker
from asl.tracking.view import prepare_view

START = "import sys; from asl.cli import main; sys.argv = ['asl', *sys.argv[1:]]; main()"


def test_the_view_shows_choices_and_metrics(workbench, trained):
    store = open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})
    path = prepare_view(store)
    assert f"/experiments/{store.experiment_id}/runs?viewStateShareKey=asl" in path
    experiment = store.client.get_experiment(store.experiment_id)
    view = json.loads(experiment.tags["mlflow.sharedViewState.asl"])
    for column in ("params.`model`", "metrics.`test/accuracy`", "metrics.`val/f1`"):
        assert column in view["selectedColumns"]
    bands = [chart["selectedMetricKeys"] for chart in view["compareRunCharts"]]
    assert ["curve/val/f1", "curve/val/f1 minus sd", "curve/val/f1 plus sd"] in bands


@pytest.fixture
def served(workbench, trained):
    """The running command, and the address that it printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-u", "-c", START, "ui", "--port", str(port), workbench.tracking]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        link = process.stdout.readline().split()[2]
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield process, link, port
    finally:
        process.terminate()  # a killed one could not end its server
        process.wait(60)
        process.stdout.close()


@pytest.mark.slow
def test_a_termination_ends_every_process_and_frees_the_port(served):
    process, _, port = served
    children = psutil.Process(process.pid).children(recursive=True)
    assert 1 <= len(children) <= 4
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_a_browser_shows_the_metrics_at_once(served, trained, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("no chromium on the PATH")
    _, link, _ = served
    page = subprocess.run(
        [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu"),
            *(f"--user-data-dir={tmp_path}", "--window-size=1900,1000"),
            *("--virtual-time-budget=60000", "--dump-dom", link),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout
    for words in (trained[:12], "test/accuracy", "val/f1", "scaler"):
        assert words in page
