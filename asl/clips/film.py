"""One clip to look at: a strip of pictures, an animation, or a page that plays it."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image  # of Pillow, which matplotlib needs

from asl.clips.drawing import clip_limits, draw_clip, landmark_colours
from asl.clips.sources.pose import pose_bytes
from asl.errors import UserError
from asl.files import replacing
from asl.landmarks import Layout
from asl.pictures import as_png, shortened
from asl.report_page import report_page

TEMPLATE = Path(__file__).with_name("film.html")

_STRIP_FRAMES = 8
_MOST_FRAMES = 600  # of a page or an animation; of longer clips every second, third, …
_MILLISECONDS = 66  # a frame of an animation
_SCALE = 1000  # of the coordinates in a page, which are whole numbers
_LONGEST = 40  # characters of a name in a picture


class Guess(NamedTuple):
    """A recognizer's most probable signs after the first frames of a clip.

    Attributes:
        frames: how many first frames were recognised.
        signs: the most probable signs with their probabilities, the most probable first.
    """

    frames: int
    signs: list[tuple[str, float]]


class Film(NamedTuple):
    """A clip and what is written beside it.

    Attributes:
        clip: float32 [frames, landmarks, channels], NaN = not detected.
        layout: of the clip.
        title: which clip it is.
        guesses: of its growing beginning, in ascending order; may be empty.
    """

    clip: np.ndarray
    layout: Layout
    title: str
    guesses: Sequence[Guess] = ()

    def guess(self, frame: int) -> Guess | None:
        """The last guess of the frames up to this one, which counts from 0."""
        earlier = [guess for guess in self.guesses if guess.frames <= frame + 1]
        return earlier[-1] if earlier else None


def write_film(film: Film, path: Path) -> None:
    """Write a clip as a page, an animation, a strip of pictures or landmarks, by the suffix.

    .html plays, .gif moves, .png is a strip, .pose holds the landmarks for other programs.

    Raises:
        UserError: the path has another suffix, or the layout has no .pose form.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(_FORMATS[path.suffix.lower()](film))


def check_suffix(path: Path) -> None:
    """Raises UserError where `write_film` has no format with this suffix."""
    if path.suffix.lower() not in _FORMATS:
        raise UserError(f"out={path}: must end in {', '.join(_FORMATS)}")


def _strip(film: Film) -> bytes:
    figure = Figure(figsize=(1.3 * _STRIP_FRAMES, 2.1), layout="constrained")
    row = figure.subplots(1, _STRIP_FRAMES)
    draw_clip(row, film.clip, film.layout)
    frames = np.linspace(0, len(film.clip) - 1, _STRIP_FRAMES)
    for axes, frame in zip(row, frames, strict=True):
        axes.set_xlabel(_label(film.guess(round(frame))), fontsize=8)
    figure.suptitle(shortened(film.title, 2 * _LONGEST), fontsize=9, x=0.01, ha="left")
    return as_png(figure, 120)


def _animation(film: Film) -> bytes:
    first, *others = [
        Image.open(io.BytesIO(_frame(film, frame))).convert("RGB") for frame in _frames(film.clip)
    ]
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=_MILLISECONDS, loop=0)
    return file.getvalue()


def _frame(film: Film, frame: int) -> bytes:
    figure = Figure(figsize=(3.4, 3.8))
    axes = figure.add_axes((0.02, 0.1, 0.96, 0.78))
    limits = clip_limits(film.clip, film.layout)
    draw_clip([axes], film.clip[frame : frame + 1], film.layout, limits)
    axes.set_title(f"{frame + 1} of {len(film.clip)}", fontsize=8, color="grey", loc="right")
    figure.suptitle(shortened(film.title, _LONGEST), fontsize=9, x=0.01, ha="left")
    axes.set_xlabel(_label(film.guess(frame)), fontsize=9)
    return as_png(figure, 100)


def _player(film: Film) -> bytes:
    frames = _frames(film.clip)
    left, bottom, right, top = clip_limits(film.clip, film.layout)
    rows = sorted({row for bone in film.layout.bones for row in bone})
    rows = rows or list(range(film.layout.size))
    place = {row: i for i, row in enumerate(rows)}
    points = film.clip[frames][:, rows, :2]  # [frames, rows, 2]
    points = _SCALE * (points - (left, top)) / (right - left, bottom - top)
    colours = landmark_colours(film.layout)
    signs = list(dict.fromkeys(sign for guess in film.guesses for sign, _ in guess.signs))
    film_data: dict[str, Any] = {
        "frames": [frame + 1 for frame in frames],
        "points": _whole(points),
        "bones": [[place[a], place[b], colours[a]] for a, b in film.layout.bones],
        "dots": [] if film.layout.bones else [colours[row] for row in rows],
        "scale": _SCALE,
        "signs": signs,
        "guesses": [
            [guess.frames, [[signs.index(sign), round(p, 4)] for sign, p in guess.signs]]
            for guess in film.guesses
        ],
    }
    page = report_page(TEMPLATE, title=film.title, film=film_data, total=len(film.clip))
    return page.encode()


def _landmarks(film: Film) -> bytes:
    return pose_bytes(film.clip, film.layout)


_FORMATS: dict[str, Callable[[Film], bytes]] = {
    ".html": _player,
    ".png": _strip,
    ".gif": _animation,
    ".pose": _landmarks,
}


def _whole(points: np.ndarray) -> list[list[list[int] | None]]:
    """Points in whole numbers; None where one was not detected."""
    missing = np.isnan(points).any(axis=2)
    whole = np.where(missing[..., None], 0, np.rint(points)).astype(int)
    pairs = zip(whole.tolist(), missing.tolist(), strict=True)
    return [[None if gone else xy for xy, gone in zip(*frame, strict=True)] for frame in pairs]


def _frames(clip: np.ndarray) -> list[int]:
    """The frames that are drawn: all, or every n-th so that at most `_MOST_FRAMES` are."""
    return list(range(0, len(clip), -(-len(clip) // _MOST_FRAMES)))


def _label(guess: Guess | None) -> str:
    if guess is None:
        return ""
    sign, probability = guess.signs[0]
    return f"{shortened(sign, 14)} {probability:.0%}"
