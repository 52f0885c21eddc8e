"""The page in Chromium: what it names, what it asks for, and what it records."""

import functools
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from asl.clips.sources.gislr import GislrSource, read_clip
from asl.config.compose import compose
from asl.errors import UserError
from asl.page import assets
from asl.paths import PROJECT
from asl.recognizer.build import build_recognizer
from asl.runtime.predict import predict
from asl.video.models import are_there
from benchmarks.chromium import Chromium, installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

START = "import sys; from asl.cli import main; sys.argv = ['asl', *sys.argv[1:]]; main()"
FRAMES = 32
STATUS = "document.getElementById('status').textContent"
BEST = (
    "[...document.querySelectorAll('#best li')]"
    ".map(row => [row.children[0].textContent, row.children[1].value])"
)
BONES = "Number(document.getElementById('skeleton').dataset.bones)"


@pytest.fixture(scope="module", autouse=True)
def tools(tmp_path_factory) -> None:
    """Skips where the browser or the packages of the page are missing."""
    if not installed():
        pytest.skip("no chromium on the PATH")
    try:
        packages = [assets.LITERT, assets.LITERT_LOADER, assets.HOLISTIC]
        assets.vendor(packages, tmp_path_factory.mktemp("vendor"))
    except UserError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def clips(shared_data) -> dict[str, np.ndarray]:
    """Real clips, of two signs."""
    entries = GislrSource(shared_data / "words15").listing().entries
    chosen = [entries[0], entries[700]]
    return {e.sequence_id: read_clip(shared_data / "words15" / e.path) for e in chosen}


@pytest.fixture(scope="module")
def model(clips, tmp_path_factory) -> Path:
    """An untrained recognizer whose answers differ from clip to clip, exported for browsers."""
    pytest.importorskip("onnx2tf")
    from asl.export.export import export

    torch.manual_seed(0)
    config = compose("train", ["model=cnn", "model.hidden=16", "features.frames=16"])
    groups = ("landmarks", "scaler", "features", "model", "head")
    spec = {group: dict(config[group]) for group in groups}
    recognizer = build_recognizer(spec, ["again", "<b>bird", "cat", "dog", "eat"]).eval()
    with torch.no_grad():
        recognizer.head.layers[-1].weight.mul_(10)
    folder = tmp_path_factory.mktemp("export")
    export(recognizer, folder, clips, ["float16"], frames=FRAMES)
    return folder / f"model_float16_n{FRAMES}.tflite"


@pytest.fixture(scope="module")
def film(shared_data, tmp_path_factory) -> Path:
    """A camera's pictures: some of a real video, small ones, again and again."""
    cv2 = pytest.importorskip("cv2")
    file = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    video = cv2.VideoCapture(str(shared_data / "videos" / "hoy_001.mp4"))
    pictures = [video.read()[1] for _ in range(40)][20::4]
    encoded = [cv2.imencode(".jpg", cv2.resize(each, (320, 180)))[1] for each in pictures]
    file.write_bytes(b"".join(each.tobytes() for each in encoded))
    return file


class Command:
    """A command that serves a page, and the link that it printed."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-c", START, *arguments]
        # In the background, shells let what they start ignore Ctrl-C.
        heard = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=heard
        )
        line = self.process.stdout.readline()
        assert line.startswith("page: http://127.0.0.1:"), line
        self.link = line.split()[1]

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process.stdout.close()
        return status


def own(requests: list[str], link: str) -> bool:
    """Whether every request went to the page's own host."""
    assert len(requests) > 10
    foreign = [each for each in requests if not each.startswith((link, f"blob:{link}", "data:"))]
    return foreign == []


def test_the_page_names_what_predict_names_and_asks_no_other_host(model, clips, tmp_path):
    files = {name: tmp_path / f"{name}.npy" for name in clips}
    for name, file in files.items():
        np.save(file, clips[name])
    expected, _ = predict(model, list(files.values()))
    with Command("page", f"model={model}") as command, Chromium() as browser:
        browser(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
        )
        browser.open(command.link)
        browser.wait(f"{STATUS} === 'Ready'")
        tops = set()
        for file in files.values():
            browser.choose_file("#file", file)
            browser.wait(f"{STATUS} === '{file.name}: {len(clips[file.stem])} frames'")
            shown = browser.value(BEST)
            wanted = expected[str(file)]
            assert [sign for sign, _ in shown] == [sign for sign, _ in wanted]
            np.testing.assert_allclose([p for _, p in shown], [p for _, p in wanted], atol=1e-4)
            tops.add(wanted[0][0])
            assert browser.value(BONES) > 20
        assert len(tops) > 1
        rate = 1000 / browser.value("Number(document.getElementById('speed').dataset.recognition)")
        print(f"{rate:.0f} recognitions a second")
        assert rate >= 15
        browser.value(
            "{const s = document.getElementById('language'); s.value = 'de';"
            " s.dispatchEvent(new Event('change')); 1}"
        )
        assert browser.value("document.documentElement.lang") == "de"
        assert browser.value("document.getElementById('camera').textContent") == "Kamera starten"
        assert not browser.errors
        assert own(browser.requests, command.link)
        assert command.end(signal.SIGTERM) == 143


def test_the_page_is_not_sure_where_predict_is_not(scored_tflite, tmp_path):
    model = scored_tflite(tmp_path / "model.tflite", 0.6, 1)
    files = [tmp_path / f"{x}.npy" for x in ("0.5", "0.7")]
    for file in files:
        np.save(file, np.full((1, 543, 3), float(file.stem), np.float32))
    expected, _ = predict(model, files)
    with Command("page", f"model={model}", "threshold=0") as command, Chromium() as browser:
        browser.open(command.link)
        browser.wait(f"{STATUS} === 'Ready'")
        for file in files:
            browser.choose_file("#file", file)
            browser.wait(f"{STATUS} === '{file.name}: 1 frames'")
            named = browser.value("document.getElementById('answer').textContent")
            best = expected[str(file)]
            assert named == (best[0][0] if best.sure else "Not sure")
        assert browser.value("document.title") == "Signs: model"
    assert [best.sure for best in expected.values()] == [True, False]


def test_an_answer_that_is_not_finite_is_said_in_both_languages(scored_tflite, tmp_path):
    """As `asl predict` says it; the signs of the clip before do not stay."""
    model = scored_tflite(tmp_path / "model.tflite", 0.6, 1)
    clip = np.full((1, 543, 3), 0.5, np.float32)
    np.save(tmp_path / "whole.npy", clip)
    clip[:, :468] = np.nan  # the mean of which is NaN
    np.save(tmp_path / "nan.npy", clip)
    _, problems = predict(model, [tmp_path / "nan.npy"])
    assert list(problems.values()) == ["the model's answer to it is not finite"]
    with Command("page", f"model={model}", "threshold=0") as command, Chromium() as browser:
        browser.open(command.link)
        browser.wait(f"{STATUS} === 'Ready'")
        browser.choose_file("#file", tmp_path / "whole.npy")
        browser.wait(f"{BEST}.length === 3")
        browser.choose_file("#file", tmp_path / "nan.npy")
        browser.wait(f"{STATUS}.startsWith('The recognizer’s answer is not finite')")
        assert browser.value(BEST) == []
        assert browser.value("document.getElementById('answer').textContent") == ""
        browser.value(
            "{const s = document.getElementById('language'); s.value = 'de';"
            " s.dispatchEvent(new Event('change')); 1}"
        )
        assert browser.value(STATUS).startswith("Die Antwort des Erkenners ist nicht endlich")
        assert not browser.errors


def test_a_clip_that_was_left_for_another_says_no_more(scored_tflite, tmp_path):
    """It waits for the time of its last frame while the next clip is opened."""
    model = scored_tflite(tmp_path / "model.tflite", 0.6, 1)
    for name in ("first", "second"):
        np.save(tmp_path / f"{name}.npy", np.full((1, 543, 3), 0.5, np.float32))
    with Command("page", f"model={model}", "threshold=0") as command, Chromium() as browser:
        browser.open(command.link)
        browser.wait(f"{STATUS} === 'Ready'")
        browser.value(
            "window.left = []; window.plain = setTimeout;"
            " window.setTimeout = (then) => { left.push(then); return 0; }; 1"
        )
        browser.choose_file("#file", tmp_path / "first.npy")
        browser.wait("left.length === 1")
        browser.value("window.setTimeout = plain; 1")
        browser.choose_file("#file", tmp_path / "second.npy")
        browser.wait(f"{STATUS} === 'second.npy: 1 frames'")
        browser.value("left[0](); new Promise((resolve) => plain(resolve, 200)).then(() => 1)")
        assert browser.value(STATUS) == "second.npy: 1 frames"
        assert not browser.errors


def test_the_page_sees_what_landmarks_sees_and_names_what_predict_names(model, shared_data):
    pytest.importorskip("av")
    if not are_there():
        pytest.skip("no models of MediaPipe")
    video = shared_data / "videos" / "hoy_001.mp4"
    # In a process of its own: the landmarker's threads stay, and Chromium is forked from this one.
    command = [sys.executable, "-m", "benchmarks.page", str(model), str(video), "--frames", "5"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *table = done.stdout.splitlines()
    named = re.fullmatch("hoy_001: the page names (.+), asl predict (.+)", first)
    assert named, first
    assert named[1] == named[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    assert {row[-1] for row in rows} == {"1.000"}  # the same presence, of each part
    figures = {row[0]: row[3:5] for row in rows if row[2] != "0"}
    assert set(figures) >= {"pose", "right hand"}
    for median, within in figures.values():
        assert float(median) < 0.01
        assert float(within) < 0.03


def test_a_camera_gets_a_skeleton_and_a_sign(model, film):
    typed = ["page", f"model={model}", "threshold=0"]
    with Command(*typed) as command, Chromium(camera=film) as browser:
        browser.open(command.link)
        browser.wait(f"{STATUS} === 'Ready'")
        browser.value("document.getElementById('camera').click()")
        browser.wait(f"{BONES} > 20", 180)
        browser.wait("document.getElementById('answer').textContent", 120)
        assert browser.value(BEST)[0][0] == browser.value(
            "document.getElementById('answer').textContent"
        )
        assert browser.value("document.getElementById('skeleton').classList.contains('mirrored')")
        browser.value("document.getElementById('camera').click()")
        assert browser.wait(f"{STATUS} === 'Ready'")
        assert own(browser.requests, command.link)
        assert not browser.errors
        assert command.end(signal.SIGINT) == 0


def test_recorded_clips_outlive_a_reload_and_a_killed_server(film, tmp_path):
    out = tmp_path / "recordings"
    typed = ["record", "signs=[hello,bye]", "signer=anna", f"out={out}", "seconds=0.5", "clips=1"]
    saved = "[...document.querySelectorAll('#saved li')].map(line => line.textContent).join()"
    with Chromium(camera=film) as browser:
        with Command(*typed) as command:
            browser.open(command.link)
            browser.wait("document.getElementById('prompt').textContent === 'hello'")
            browser.value("document.getElementById('camera').click()")
            browser.wait(f"{BONES} > 20", 180)
            browser.press(" ")
            browser.wait(f"{STATUS} === 'Saved: hello, clip 1'", 180)
            browser("Page.reload")
            browser.wait(f"{saved} === 'hello: 1 of 1,bye: 0 of 1'")
        # Leaving that block has killed the server.
        port = urlsplit(command.link).port
        with Command(*typed, f"port={port}") as command:
            browser("Page.reload")
            browser.wait(f"{saved} === 'hello: 1 of 1,bye: 0 of 1'")
            assert browser.value("document.getElementById('prompt').textContent") == "bye"
            assert own(browser.requests, command.link)
    data = ["data=gislr", f"data.root={out}", f"data.store={tmp_path / 'store'}", "workers=1"]
    command = [sys.executable, "-c", START, "prepare", *data]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 clips" in done.stdout
    (entry,) = GislrSource(out).listing().entries
    clip = read_clip(out / entry.path)
    assert np.isfinite(clip[:, 489]).any()
