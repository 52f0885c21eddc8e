"""The page beside asl landmarks and asl predict: the same video, in Chromium and here.

    python -m benchmarks.page exports/NAME/model_float16_n64.tflite VIDEO…

Each video is first made one of H.264, 640 pixels wide, which Chromium decodes. The page opens it as
a person would, frame by frame, and what MediaPipe's JavaScript finds is noted on its way to the
page. Chromium has no GPU here, so a frame takes seconds; `--frames` takes the first ones alone.
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.page.build import open_recognizer, recognising, write_page
from asl.page.serve import address, open_server
from asl.runtime.predict import predict
from asl.video.extract import extract
from benchmarks import films
from benchmarks.chromium import Chromium

WIDTH = 640

_STATUS = "document.getElementById('status').textContent"
_PARTS = MEDIAPIPE_HOLISTIC.parts
# Holistic's class is put into the window by its own script; what is taken out notes its results.
_NOTING = """
  window.noted = [];
  const names = { face: 468, leftHand: 21, pose: 33, rightHand: 21 };
  const row = (point) => (point ? [point.x, point.y, point.z] : [null, null, null]);
  const rows = (points, count) => Array.from({ length: count }, (_, n) => row(points?.[n]));
  const frame = (results) =>
    Object.entries(names).flatMap(([name, count]) => rows(results[`${name}Landmarks`], count));
  let Theirs;
  Object.defineProperty(window, "Holistic", {
    set: (value) => { Theirs = value; },
    get: () => class extends Theirs {
      onResults(listener) {
        super.onResults((results) => { window.noted.push(frame(results)); listener(results); });
      }
    },
  });
"""


class Seen(NamedTuple):
    """A video in the page and here.

    Attributes:
        page: landmarks that the page found, float32 [frames, 543, 3].
        ours: those of `asl landmarks`.
        named: the signs that the page and `asl predict` name first.
        aspect: the picture's height as a share of its width.
    """

    page: np.ndarray
    ours: np.ndarray
    named: tuple[str, str]
    aspect: float


@contextmanager
def served(model: Path) -> Iterator[str]:
    """The link of a page that recognises, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        write_page(Path(folder), recognising(open_recognizer(model), 0.0), model)
        with open_server(Path(folder), 0) as server:
            thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
            thread.start()
            yield address(server)
            server.shutdown()
            thread.join()


def open_page(browser: Chromium, link: str) -> None:
    """Open a page that recognises, and let it note the landmarks that it finds."""
    browser("Page.addScriptToEvaluateOnNewDocument", source=_NOTING)
    browser.open(link)
    browser.wait(f"{_STATUS} === 'Ready'")


def compare(browser: Chromium, model: Path, film: Path) -> Seen:
    """Show an H.264 video to the page and to the commands.

    Args:
        browser: with the page that runs the model, as `open_page` leaves it.
        model: a .tflite of a fixed number of frames, no fewer than the video's.
        film: the video.
    """
    ours = extract(film).clip
    named, _ = predict(model, [film], top=1)
    browser.value("window.noted = []")
    browser.choose_file("#file", film)
    browser.wait(f"{_STATUS}.startsWith('{film.name}: ')", seconds=60 + 30 * len(ours))
    page = np.array(browser.value("window.noted"), np.float32)
    first = browser.value("document.querySelector('#best .name')?.textContent ?? ''")
    height, width = (
        browser.value(f"document.querySelector('video').video{side}")
        for side in ("Height", "Width")
    )
    return Seen(page, ours, (first, named[str(film)][0][0]), height / width)


def apart(seen: Seen, part: str) -> np.ndarray:
    """How far each landmark of a part is apart, as a share of the picture's width.

    Of the frames in which both see the part.
    """
    rows = _PARTS[part]
    difference = (seen.page - seen.ours)[:, rows.start : rows.stop, :2] * (1, seen.aspect)
    distances = np.hypot(difference[..., 0], difference[..., 1])
    return np.asarray(distances[~np.isnan(distances)])


def agree(seen: Seen, part: str) -> np.ndarray:
    """Whether both see a part, or neither does, in each frame."""
    first = _PARTS[part].start
    return np.asarray(np.isnan(seen.page[:, first, 0]) == np.isnan(seen.ours[:, first, 0]))


def report(videos: Sequence[Seen]) -> str:
    """A row for each part."""
    lines = [
        "| part | frames | both see it | median | 95 % within | same presence |",
        "|---|---|---|---|---|---|",
    ]
    for part, rows in _PARTS.items():
        distances = np.concatenate([apart(seen, part) for seen in videos])
        same = np.concatenate([agree(seen, part) for seen in videos])
        both = len(distances) // len(rows)
        figures = "– | –"
        if both:
            figures = f"{np.median(distances):.4f} | {np.quantile(distances, 0.95):.4f}"
        name = part.replace("_", " ")
        lines.append(f"| {name} | {len(same)} | {both} | {figures} | {same.mean():.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Compare on the videos that are named."""
    parser = argparse.ArgumentParser("python -m benchmarks.page")
    parser.add_argument("model", type=Path, help="a .tflite of a fixed number of frames")
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, help="the first ones of each video (default: all)")
    options: Any = parser.parse_args()
    done = []
    with (
        served(options.model) as link,
        Chromium() as browser,
        tempfile.TemporaryDirectory() as folder,
    ):
        open_page(browser, link)
        for video in options.videos:
            film = Path(folder) / f"{video.stem}.mp4"
            films.write(film, films.pictures(video, WIDTH, options.frames))
            done.append(compare(browser, options.model, film))
            page, ours = done[-1].named
            print(f"{video.stem}: the page names {page}, asl predict {ours}", flush=True)
    print(report(done))


if __name__ == "__main__":
    main()
