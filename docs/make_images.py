"""The pictures of README.md and of the documentation, from real clips and tracked runs.

    python docs/make_images.py

needs a store of `data=words15`, runs on it as in docs/tutorial.md (one of them `model=lstm`), a
finished `asl sweep` and `asl crossval` on it, `asl eda`, the best run exported with
`export.frames=64 export.dir=exports/words15`, a video of a signer, and Chromium for the pictures of
pages. A picture whose runs are missing is left as it is, and named.
"""

import contextlib
import functools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import matplotlib.image as mpimg
import numpy as np
from matplotlib.figure import Figure

import asl
from asl.cli import run
from asl.clips.drawing import draw_clip
from asl.evaluation.plots import confusion_matrix
from asl.paths import PROJECT, raw_data
from asl.tracking.find import FoundRun, download
from asl.tracking.store import open_tracker
from asl.tracking.view import prepare_view
from benchmarks.chromium import Chromium

IMAGES = Path(__file__).parent / "images"
DPI = 110
FRAMES = 7
SIGNS = ("coffee", "thank-you")
SWEEP_PICTURE = "pictures/parallel.png"
WIDTH, HEIGHT = 1900, 2300
SHOWN = 205, 978, 1405, 2005  # pixels of the tables of parameters and of metrics
CLIP = "302060"  # drawn as a strip: a coffee
Box = tuple[int, int, int, int]  # left, top, right, bottom


def main() -> None:
    """Write all pictures to docs/images."""
    IMAGES.mkdir(exist_ok=True)
    pictures = {
        "skeleton.png": lambda path: draw_skeletons().savefig(path, dpi=DPI),
        "confusion.png": lambda path: draw_confusion().savefig(path, dpi=DPI),
        "sweep.png": copy_sweep,
        "strip.png": draw_strip,
        "eda.png": photograph_eda,
        "comparison.png": photograph_comparison,
        "page.png": photograph_page,
        "record.png": photograph_record,
    }
    for name, make in pictures.items():
        _attempt(name, make)
    with mlflow_ui() as address:
        for name, page in ui_pages().items():
            _attempt(name, functools.partial(photograph_ui, address=address, page=page))


def _attempt(name: str, make: Callable[[Path], Any]) -> None:
    try:
        make(IMAGES / name)
    except (LookupError, ValueError, OSError) as reason:
        print(f"{name}: left as it is ({reason})", file=sys.stderr)


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
    lstm = next(each for each in _trained_on_words() if each.params["model"] == "lstm")
    measured = asl.evaluate(lstm.run_id)
    title = f"{lstm.name}: {measured.split.protocol}"
    return confusion_matrix(measured.evaluation.tables["confusion"], title)


def copy_sweep(target: Path) -> None:
    """The parallel coordinates of the newest sweep."""
    tracker = open_tracker()
    parents = tracker.client.search_runs(
        [tracker.experiment_id], "tags.kind = 'sweep'", order_by=["attributes.start_time DESC"]
    )
    shutil.copy(download(tracker, parents[0].info.run_id, SWEEP_PICTURE), target)


def draw_strip(target: Path) -> None:
    """A clip as `asl show` draws it, with what the best run says of its beginning."""
    if run(["show", CLIP, "run=best", "data=words15", f"out={target}"]):
        raise ValueError("asl show failed")


def photograph_eda(target: Path) -> None:
    """The top of the page that `asl eda data=words15` writes."""
    page = PROJECT / "data/reports/words15/report.html"
    _screenshot(page.resolve(strict=True).as_uri(), target, 1100, 1500)


def photograph_comparison(target: Path) -> None:
    """The page of `asl compare`: the convolutional network beside the LSTM."""
    found = _trained_on_words()
    names = [next(r.name for r in found if r.params.get("model") == m) for m in ("lstm", "cnn")]
    with tempfile.TemporaryDirectory() as folder:
        if run(["compare", *names, f"compare.dir={folder}"]):
            raise ValueError("asl compare failed")
        (page,) = Path(folder).glob("*.html")
        _screenshot(page.as_uri(), target, 1100, 1400)


def photograph_page(target: Path) -> None:
    """The page of `asl page`, given the landmarks of a clip."""
    store = asl.open_store("words15")
    file = PROJECT / "exports" / "words15" / "model_float16_n64.tflite"
    with (
        tempfile.TemporaryDirectory() as folder,
        served("page", f"model={file.resolve(strict=True)}") as address,
        Chromium(size=(1000, 790)) as browser,
    ):
        clip = Path(folder) / f"{CLIP}.npy"
        np.save(clip, store.read(store.find(CLIP)))
        browser.open(address)
        browser.wait("document.getElementById('status').textContent === 'Ready'")
        browser.choose_file("#file", clip)
        browser.wait("document.getElementById('status').textContent.endsWith('frames')")
        browser.photograph(target)


def photograph_record(target: Path) -> None:
    """The page of `asl record` after a clip, its landmarks without the picture of the person."""
    with tempfile.TemporaryDirectory() as folder:
        typed = ("signs=[hello,thanks,water,milk]", "signer=anna", f"out={folder}/recordings")
        camera = _film(Path(raw_data("videos")) / "hoy_001.mp4", Path(folder) / "camera.mjpeg")
        with (
            served("record", *typed, "seconds=5") as address,
            Chromium(camera=camera, size=(1000, 790)) as browser,
        ):
            browser.open(address)
            browser.wait("document.getElementById('where').textContent")
            browser.value("document.getElementById('where').hidden = true")  # a folder's path
            browser.value("document.getElementById('video').style.visibility = 'hidden'")
            browser.value("document.getElementById('camera').click()")
            browser.wait("document.getElementById('skeleton').dataset.bones > 20", 180)
            browser.press(" ")
            browser.wait("document.querySelector('.recording') !== null", 60)
            browser.photograph(target)


def _film(video: Path, target: Path) -> Path:
    """Pictures of a video as a camera that Chromium can be given."""
    import cv2

    capture = cv2.VideoCapture(str(video.resolve(strict=True)))
    pictures = [capture.read()[1] for _ in range(40)][20::4]
    small = [cv2.resize(picture, (640, 360)) for picture in pictures]
    target.write_bytes(b"".join(cv2.imencode(".jpg", each)[1].tobytes() for each in small))
    return target


@contextlib.contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The link of a command that serves a page."""
    command = [sys.executable, "-c", "import asl.cli; asl.cli.main()", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[1]
        finally:
            server.send_signal(signal.SIGINT)


class Page(NamedTuple):
    """A page of the MLflow UI: its address, the size of the window, the part that is kept.

    What is cut off on the right is a panel that MLflow opens for whoever comes first.
    """

    path: str
    size: tuple[int, int]
    kept: Box


def ui_pages() -> dict[str, Page]:
    """Pages of the MLflow UI by the picture's name."""
    tracker = open_tracker()
    experiment = f"#/experiments/{tracker.experiment_id}"
    found = _trained_on_words()
    best = found[0].run_id
    compared = quote(json.dumps([each.run_id for each in found[:4]]))
    experiments = quote(json.dumps([tracker.experiment_id]))
    pages = {
        "runs.png": Page(
            f"#/compare-runs?runs={compared}&experiments={experiments}", (WIDTH, HEIGHT), SHOWN
        ),
        "run_table.png": Page(prepare_view(tracker).lstrip("/"), (2300, 560), (0, 0, 1712, 560)),
        "run_overview.png": Page(f"{experiment}/runs/{best}", (1700, 1100), (0, 0, 1262, 1100)),
    }
    if any(each.tags["kind"] == "crossval" for each in asl.find_runs(data="words15")):
        charts = f"{prepare_view(tracker).lstrip('/')}&compareRunsMode=CHART"
        pages["band.png"] = Page(charts, (2300, 1000), (0, 0, 1712, 1000))
    return pages


def photograph_ui(target: Path, address: str, page: Page) -> None:
    """A part of a page of the MLflow UI."""
    _screenshot(f"{address}/{page.path}", target, *page.size)
    left, top, right, bottom = page.kept
    mpimg.imsave(target, mpimg.imread(target)[top:bottom, left:right])


def _trained_on_words() -> list[FoundRun]:
    """Runs of the tutorial, the best first: one for each network, block 3 held out."""
    found = [each for each in asl.find_runs(data="words15") if each.is_training]
    held_out = [r for r in found if r.split.endswith("test=[3]") and "test/f1" in r.metrics]
    first = {r.params["model"]: r for r in reversed(held_out) if r.params.get("model")}
    return [r for r in held_out if r in first.values()]


@contextlib.contextmanager
def mlflow_ui() -> Iterator[str]:
    """The MLflow UI on the workbench's runs, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    port = address.rpartition(":")[2]
    command = [sys.executable, "-c", "import asl.cli; asl.cli.main()", "ui", "--port", port]
    with subprocess.Popen(command) as server:
        try:
            _wait_for(f"{address}/health")
            yield address
        finally:
            server.send_signal(signal.SIGINT)


def _screenshot(address: str, target: Path, width: int, height: int) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--disable-background-networking", "--disable-sync", "--no-first-run"),
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                "--virtual-time-budget=90000",
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
