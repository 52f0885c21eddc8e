"""Describes the user's own arrays: axes, landmarks, and the value for "not detected".

The description is the file `clips.yaml` beside the arrays; its keys are the arguments of
`NpzSource` (one array of many clips) or of `NpySource` (a file for each clip or frame).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asl.clips.sources.base import BadClip, Reading
from asl.errors import UserError, unknown
from asl.landmarks import Layout
from asl.landmarks import layout as layout_of
from asl.signatures import faults

DESCRIPTION = "clips.yaml"
UNKNOWN_SIGNER = "?"
NO_SIGNERS = "names no signers, so all clips count as one's, and only split=random can divide them"

Axes = str | list[str]
Landmarks = list[int | str | dict[str, str]]
Signs = list[str] | dict[int | str, str]

_Source = TypeVar("_Source")


def open_described(
    source: Callable[..., _Source], root: Path | str, overrides: Mapping[str, Any]
) -> _Source:
    """The source that `clips.yaml` in the folder `root` describes.

    Args:
        source: its class, whose arguments besides `root` are the keys.
        root: the folder of the arrays.
        overrides: replace values of the file; those that are None do not.

    Raises:
        UserError: the folder does not exist; the file is not YAML; a key does not exist, is
            missing, or has a value of another type; or what the class raises.
    """
    path = Path(root) / DESCRIPTION
    if not Path(root).is_dir():
        raise UserError(f"data.root={root}: there is no such folder")
    values = read_description(path)
    overrides = {key: value for key, value in overrides.items() if value is not None}
    for name, value, kind, reason in faults(source, values | overrides, ("root",), strict=True):
        if kind == "missing":
            lacks = "must say" if path.is_file() else "there is no such file to say"
            raise UserError(f"{path}: {lacks} {name}")
        key = f"data.source.{name}" if name in overrides else f"{path}: {name}"
        should = "choose from" if kind == "unknown" else "should be"
        raise UserError(f"{key}={value}: {should} {reason}")
    return source(root, **values | overrides)


def read_description(path: Path) -> dict[str, Any]:
    """The keys and values of a clips.yaml, unchecked; none where there is no such file.

    Raises:
        UserError: it is not YAML, has aliases, or does not hold keys and values.
    """
    import yaml

    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        # A dozen lines of aliases to aliases stand for gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UserError(f"{path}: has aliases (*name); write out what they stand for")
        values = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is not YAML ({reason})") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold keys and values, such as layout: kinect20")
    return values


class ArrayForm:
    """The form of an array that holds a clip, checked, and the conversion to a clip.

    Where the array has two coordinates, z is NaN (not detected), because the recognizer handles
    missing values, but would take a z of 0 for a measurement.

    Attributes:
        axes: of the array, in its order.
        settings: everything that decides what a clip looks like; JSON-able.
    """

    def __init__(
        self,
        layout: str,
        axes: Axes,
        coordinates: str,
        landmarks: Landmarks | None,
        missing: float | str,
        outer: tuple[str, ...],
    ) -> None:
        """Checks the description.

        Args:
            layout: of the resulting clips.
            axes: of the array: those of `outer`, and `landmark` and `coordinate`, or `feature`
                where each frame is flat; in any order.
            coordinates: the values of a landmark in their order: `x`, `y`, `z`, and `v` for a
                value to skip, such as a visibility. Measured channels of the layout follow in its
                order.
            landmarks: of the array, in its order: a part of the layout (`pose`), some of its
                landmarks (`pose 0-24`, `pose 11`), a row of the layout (`500`), or a number of
                landmarks to skip (`skip 10`). `{pose: xyzv}` gives a part its own coordinates
                where frames are flat. None for all of the layout in its order.
            missing: a landmark is not detected where all its coordinates equal this (or NaN).
            outer: the axes of the array besides those of a frame.

        Raises:
            UserError: naming the key, its value and the choices.
        """
        self._layout = layout_of(layout)
        self.axes = _checked_axes(axes, outer)
        self._missing = np.float32(_number("missing", missing))
        if landmarks is None:
            landmarks = list(self._layout.parts)
        self._values = 0
        measured = range(3, len(self._layout.channels))
        places: list[tuple[int, int, int]] = []  # index in a flat frame; raw row; channel
        rows: list[int | None] = []
        for item in landmarks:
            name, letters = _item(item, coordinates)
            if "feature" not in self.axes and letters != coordinates:
                raise UserError(
                    f"landmarks={item}: a part has coordinates of its own only in axes with "
                    "feature; say coordinates for all of them"
                )
            channels = [None if letter == "v" else "xyz".index(letter) for letter in letters]
            for row in _raw_rows(self._layout, name):
                for channel in (*channels, *measured):
                    if row is not None and channel is not None:
                        places.append((self._values, row, channel))
                    self._values += 1
                rows.append(row)
        _check_once(landmarks, [row for row in rows if row is not None], self._layout)
        self._from, self._row, self._channel = np.array(places).T
        self._sizes = {
            "landmark": len(rows),
            "coordinate": len(coordinates) + len(measured),
            "feature": self._values,
        }
        self.settings: dict[str, Any] = {
            "axes": list(self.axes),
            "coordinates": coordinates,
            "landmarks": landmarks,
            "missing": str(self._missing),
        }

    def misfit(self, shape: tuple[int, ...], dtype: np.dtype) -> str:
        """Why an array does not have this form, as the end of a sentence; "" where it does."""
        if dtype.hasobject:
            return "holds Python objects, which are never unpickled here"
        if dtype.kind not in "fiu":
            return f"holds {dtype}, not numbers"
        wanted = [self._sizes.get(axis, axis) for axis in self.axes]
        fits = len(shape) == len(wanted) and all(
            size == want or isinstance(want, str) for size, want in zip(shape, wanted, strict=True)
        )
        if fits:
            return ""
        needs = ", ".join(map(str, wanted))
        axes = ", ".join(self.axes)
        return f"has the shape {list(shape)}, but axes={axes} of {self._layout.name} need [{needs}]"

    def read(self, path: str, array: np.ndarray, frames: int | None = None) -> Reading:
        """One clip.

        Args:
            path: of the clip in error messages.
            array: one clip of an array of this form, without the axis `clip`. Frames of files
                without the axis `time` are stacked on the first axis.
            frames: length of the clip; None to cut frames at the end without any landmark.

        Raises:
            BadClip: no frame, fewer than `frames`, or an infinite coordinate.
        """
        axes = [axis for axis in self.axes if axis != "clip"]
        axes = axes if "time" in axes else ["time", *axes]
        inner = ["feature"] if "feature" in axes else ["landmark", "coordinate"]
        array = array.transpose([axes.index(axis) for axis in ["time", *inner]])
        if frames is not None and not 0 < frames <= len(array):
            raise BadClip(path, f"has {frames} frames of {len(array)}")
        if not len(array):
            raise BadClip(path, "has no frames")
        array = array[:frames]
        clip = self._clip(array.reshape(len(array), -1))
        if frames is None:
            clip = clip[: _end_of_detections(clip)]
            if not len(clip):
                raise BadClip(path, "shows nothing in any frame")
        if np.isinf(clip).any():
            raise BadClip(path, "has an infinite coordinate")
        return Reading(clip, _oddity(clip, self._missing))

    def _clip(self, flat: np.ndarray) -> np.ndarray:
        """A clip, float32 [T, landmarks, channels], from flat frames [T, values]."""
        shape = (len(flat), self._layout.size, len(self._layout.channels))
        clip = np.full(shape, np.nan, np.float32)
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite
            clip[:, self._row, self._channel] = flat[:, self._from]
        if not np.isnan(self._missing):
            clip[((clip == self._missing) | np.isnan(clip)).all(axis=2)] = np.nan
        return clip


def sign_names(signs: Signs | None) -> dict[str, str]:
    """Names of signs by their labels as text; empty where labels are names.

    Raises:
        UserError: two labels have one name.
    """
    if signs is None:
        return {}
    pairs = signs.items() if isinstance(signs, dict) else enumerate(signs)
    names = {str(label): name for label, name in pairs}
    for name in names.values():
        if list(names.values()).count(name) > 1:
            raise UserError(f"signs={signs}: {name} is there more than once")
    return names


def _checked_axes(axes: Axes, outer: tuple[str, ...]) -> tuple[str, ...]:
    named = [axis.strip() for axis in axes.split(",")] if isinstance(axes, str) else axes
    if sorted(named) not in (
        sorted([*outer, "feature"]),
        sorted([*outer, "landmark", "coordinate"]),
    ):
        around = "".join(f"{axis}, " for axis in outer)
        raise UserError(
            f"axes={', '.join(named)}: choose {around}landmark, coordinate or "
            f"{around}feature, in the order of the array"
        )
    return tuple(named)


def _number(key: str, value: float | str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise UserError(f"{key}={value}: should be a number or nan") from error


def _item(item: int | str | dict[str, str], coordinates: str) -> tuple[int | str, str]:
    """The name in an item of `landmarks`, and the coordinates of its landmarks."""
    key = "coordinates"
    if isinstance(item, dict):
        if len(item) != 1:
            raise UserError(f"landmarks={item}: should be one part, such as {{pose: xyzv}}")
        ((item, coordinates),) = item.items()
        key = f"landmarks: {item}"
    counts = [coordinates.count(letter) for letter in "xyz"]
    if set(coordinates) - set("xyzv") or counts not in ([1, 1, 0], [1, 1, 1]):
        raise UserError(
            f"{key}={coordinates}: choose xyz or xy in any order, and v for each value to leave out"
        )
    return item, coordinates


def _raw_rows(layout: Layout, name: int | str) -> Iterable[int | None]:
    """The rows of the layout that an item of `landmarks` names; None for one to skip."""
    rows: dict[str, range] = {"": range(layout.size), **layout.parts}
    match = re.fullmatch(r"([a-z_]*) ?(?:(\d+)(?:-(\d+))?)?", str(name))
    part, first, last = match.groups() if match else ("?", None, None)
    if part == "skip" and first and not last:
        return [None] * int(first)
    if part in rows and not (part == "" and first is None):
        if first is None:
            return rows[part]
        numbers = range(int(first), int(last or first) + 1)
        if numbers and numbers[-1] < len(rows[part]):
            return [rows[part][i] for i in numbers]
    some = [f"{part} (0-{len(rows) - 1})" for part, rows in layout.parts.items()]
    raise unknown("landmarks", name, [*some, f"a row of 0-{layout.size - 1}", "skip NUMBER"])


def _check_once(landmarks: Landmarks, rows: list[int], layout: Layout) -> None:
    if not rows:
        raise UserError(f"landmarks={landmarks}: names none of {layout.name}")
    if len(set(rows)) < len(rows):
        twice = next(row for row in rows if rows.count(row) > 1)
        raise UserError(f"landmarks={landmarks}: row {twice} of {layout.name} is there twice")


def _end_of_detections(clip: np.ndarray) -> int:
    """Number of frames up to the last one with a detected landmark."""
    detected = np.flatnonzero(~np.isnan(clip).all(axis=(1, 2)))
    return int(detected[-1]) + 1 if len(detected) else 0


def _oddity(clip: np.ndarray, missing: np.float32) -> str:
    """A note where two neighbours hold one number alone: probably an undeclared fill value."""
    filled = ((clip == clip[..., :1]) | np.isnan(clip)).all(axis=2)  # [T, landmarks]
    pairs = filled[:, 1:] & (clip[:, 1:, 0] == clip[:, :-1, 0]) & filled[:, :-1]
    if not pairs.any():
        return ""
    value = clip[:, 1:, 0][pairs][0]
    return f"has landmarks at {value:g} in all coordinates, but missing={missing:g}"
