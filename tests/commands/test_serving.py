"""A registered model answers over HTTP, and from a server of MLflow's, as its file does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asl.cli import run
from asl.clips.sources.gislr import read_clip
from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import write_tflite
from asl.tracking.find import find_run
from asl.tracking.registry import register, registered_file
from asl.tracking.run import create_run
from asl.tracking.store import open_tracker

pytestmark = pytest.mark.slow


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(arguments: list[str], folder: Path, **variables: str) -> Iterator[str]:
    """The address of `mlflow` as a server, which ends with the block."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    # MLflow starts uvicorn by its name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PATH": path} | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health"):
                break
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def genuine(shared_data) -> Path:
    """A clip of the competition, with hands that were not detected."""
    return shared_data / "gislr_sample" / "train_landmark_files" / "22343" / "239181.parquet"


def predicted(capsys, *arguments: str) -> list[dict]:
    capsys.readouterr()
    assert run(["predict", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)[0]["predictions"]


def post(address: str, content: object) -> list[dict]:
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps(content, allow_nan=False).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())["predictions"]


def test_mlflow_serves_the_champion(exported, workbench, genuine, tmp_path, capsys):
    model, uri = "models:/asl-synthetic@champion", workbench.tracking.partition("=")[2]
    wanted = predicted(capsys, model, str(genuine), workbench.tracking)
    assert len(wanted) == 4

    clip = read_clip(genuine)
    assert np.isnan(clip).any()
    rows = np.where(np.isnan(clip), None, clip.astype(object)).tolist()  # JSON has no NaN
    command = ["models", "serve", "-m", model, "--env-manager", "local"]
    with serving(command, tmp_path, MLFLOW_TRACKING_URI=uri) as address:
        answer = post(address, {"inputs": rows})
        with pytest.raises(urllib.error.HTTPError) as mistake:
            post(address, {"inputs": [frame[:20] for frame in rows]})
    assert mistake.value.code == 400
    assert [entry["sign"] for entry in answer] == [entry["sign"] for entry in wanted]
    for entry, own in zip(answer, wanted, strict=True):
        assert entry["probability"] == pytest.approx(own["probability"], abs=1e-6)


def test_a_server_keeps_the_registered_models(tiny_tflite, tmp_path):
    tflite = tiny_tflite(tmp_path / "model_float16.tflite")
    facts = {"signs": ["again", "bird", "cat"], "layout": "mediapipe_holistic"}
    facts["landmarks"] = {"name": "all", "rows": [0]}
    write_tflite(parse(tflite.read_bytes()), tflite, facts)
    clip = np.zeros((3, 543, 3), np.float32)
    backend = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    backend += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with serving(["server", *backend], tmp_path) as address:
        store = open_tracker({"uri": address, "experiment": "asl"})
        made = find_run(store, create_run(store, "cnn", {"kind": "train"}).info.run_id)
        assert register(store, made, "asl-words15", tflite, clip).champion
        found = registered_file(store, "models:/asl-words15@champion")
    assert found.read_bytes() == tflite.read_bytes()
