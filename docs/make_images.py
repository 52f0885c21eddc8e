"""The pictures of README.md and of the documentation, from real clips and tracked runs.

    python docs/make_images.py

needs a store of `data=words15`, runs on it as in docs/tutorial.md (one of them `model=lstm`), a
finished `asl sweep` on it, and Chromium for the picture of the MLflow UI.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import matplotlib.image as mpimg
import numpy as np
from matplotlib.figure import Figure

import asl
from asl.clips.drawing import draw_clip
from asl.evaluation.plots import confusion_matrix
from asl.tracking.find import download
from asl.tracking.store import open_tracker

IMAGES = Path(__file__).parent / "images"
DPI = 110
FRAMES = 7
SIGNS = ("coffee", "thank-you")
SWEEP_PICTURE = "pictures/parallel.png"
WIDTH, HEIGHT = 1900, 2300
SHOWN = 205, 978, 1405, 2005  # pixels of the tables of parameters and of metrics


def main() -> None:
    """Write all pictures to docs/images."""
    IMAGES.mkdir(exist_ok=True)
    draw_skeletons().savefig(IMAGES / "skeleton.png", dpi=DPI)
    draw_confusion().savefig(IMAGES / "confusion.png", dpi=DPI)
    copy_sweep(IMAGES / "sweep.png")
    photograph_runs(IMAGES / "runs.png")


def draw_skeletons() -> Figure:
    """The first clip of each of some signs by signer 3, frame by frame."""
    store = asl.open_store("words15")
    figure = Figure(figsize=(9, 1.5 * len(SIGNS)), layout="constrained")
    rows = figure.subplots(len(SIGNS), FRAMES)
    for axes, sign in zip(rows, SIGNS, strict=True):
        mine = (store.clip_signs == sign) & (store.clip_signers.astype(str) == "3")
        draw_clip(axes, store.read(int(np.flatnonzero(mine)[0])), store.layout)
        axes[0].set_ylabel(sign)
    return figure


def draw_confusion() -> Figure:
    """The confusion matrix of an LSTM on the signer that it was not trained on."""
    (run,) = [run for run in asl.find_runs(data="words15") if run.params.get("model") == "lstm"][:1]
    measured = asl.evaluate(run.run_id)
    title = f"{run.name}: {measured.split.protocol}"
    return confusion_matrix(measured.evaluation.tables["confusion"], title)


def copy_sweep(target: Path) -> None:
    """The parallel coordinates of the newest sweep."""
    tracker = open_tracker()
    parents = tracker.client.search_runs(
        [tracker.experiment_id], "tags.kind = 'sweep'", order_by=["attributes.start_time DESC"]
    )
    shutil.copy(download(tracker, parents[0].info.run_id, SWEEP_PICTURE), target)


def photograph_runs(target: Path) -> None:
    """The MLflow UI's comparison of the runs on words15: their parameters and metrics."""
    found = [run for run in asl.find_runs(data="words15") if "test/f1" in run.metrics][:4]
    runs = quote(json.dumps([run.run_id for run in found]))
    experiments = quote(json.dumps([open_tracker().experiment_id]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "import asl.cli; asl.cli.main()", "ui", "--port", str(port)]
    page = f"compare-runs?runs={runs}&experiments={experiments}"
    with tempfile.TemporaryDirectory() as profile, subprocess.Popen(command) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health")
            _screenshot(f"http://127.0.0.1:{port}/#/{page}", target, profile)
        finally:
            server.send_signal(signal.SIGINT)
    left, top, right, bottom = SHOWN
    mpimg.imsave(target, mpimg.imread(target)[top:bottom, left:right])


def _screenshot(address: str, target: Path, profile: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
    subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-background-networking", "--disable-sync", "--no-first-run"),
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{HEIGHT}",
            "--virtual-time-budget=30000",
            f"--screenshot={target}",
            address,
        ],
        check=True,
        timeout=300,
    )


def _wait_for(address: str, seconds: int = 180) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5)
        except OSError:
            time.sleep(1)
        else:
            return
    raise TimeoutError(address)


if __name__ == "__main__":
    main()
