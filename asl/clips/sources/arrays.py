"""What somebody else's arrays mean: their axes, their landmarks, what stands for "not detected".

People say it in a small file beside the arrays, `clips.yaml`; its keys are the arguments of
`NpzSource` (one array of many clips) or of `NpySource` (files of a clip or of a frame each).
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asl.clips.sources.base import BadClip, Reading
from asl.errors import UserError, unknown
from asl.landmarks import Layout
from asl.landmarks import layout as layout_of

DESCRIPTION = "clips.yaml"
UNKNOWN_SIGNER = "?"
NO_SIGNERS = "names no signers, so all clips count as one's, and only split=random can divide them"

Axes = str | list[str]
Landmarks = list[int | str | dict[str, str]]
Signs = list[str] | dict[int | str, str]

_Source = TypeVar("_Source")


def described(
    source: Callable[..., _Source], root: Path | str, given: Mapping[str, Any]
) -> _Source:
    """The source that `clips.yaml` in the folder `root` describes.

    Args:
        source: the class; what it takes beside `root` are the keys.
        root: the folder of the arrays.
        given: keys that win over the file's; those that are None don't.

    Raises:
        UserError: no such folder; no YAML in the file; a key that does not exist, is missing, or
            has a value of another type; or what the class raises.
    """
    path = Path(root) / DESCRIPTION
    if not Path(root).is_dir():
        raise UserError(f"data.root={root}: there is no such folder")
    hints = typing.get_type_hints(source.__init__)  # type: ignore[misc]
    parameters = dict(list(inspect.signature(source).parameters.items())[1:])
    values = _read_description(path)
    for key, value in values.items():
        if key not in parameters:
            raise UserError(f"{path}: {unknown(str(key), value, parameters)}")
    given = {key: value for key, value in given.items() if value is not None}
    for key, parameter in parameters.items():
        if key not in values | given and parameter.default is parameter.empty:
            lacks = "must say" if path.is_file() else "there is no such file to say"
            raise UserError(f"{path}: {lacks} {key}")
    for key, value in (values | given).items():
        where = "data.source." if key in given else f"{path}: "
        _check_type(f"{where}{key}", hints[key], value)
    return source(root, **values | given)


def _read_description(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is not YAML ({reason})") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold keys and values, such as layout: kinect20")
    return values


def _check_type(key: str, hint: Any, value: object) -> None:
    from pydantic import TypeAdapter, ValidationError  # here: workers, too, import this file

    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        reasons = {fault["msg"].removeprefix("Input should be ") for fault in error.errors()}
        raise UserError(f"{key}={value}: should be {', or '.join(sorted(reasons))}") from error


class ArrayForm:
    """How an array holds a clip.

    Where two coordinates are given, z stays NaN, as if it was never detected: the recognizer then
    takes it for missing, which a z of 0 would not be.

    Attributes:
        axes: the array's, in its order.
        settings: all that decides what a clip looks like; JSON-able.
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
            layout: of the clips that come out.
            axes: of the array: those of `outer`, then `landmark` and `coordinate`, or `feature`
                where each frame is flat, all in any order.
            coordinates: the values of a landmark in their order, `x`, `y`, `z`, and `v` for one
                to leave out, such as a visibility.
            landmarks: what the array has, in its order: a part of the layout's (`pose`), some of
                its landmarks (`pose 0-24`, `pose 11`), a row of the layout (`500`), or so many to
                leave out (`skip 10`). `{pose: xyzv}` gives a part coordinates of its own, where
                frames are flat. None where it has the layout's, in the layout's order.
            missing: a landmark was not detected where all its coordinates equal this (or NaN).
            outer: the axes around a frame's.

        Raises:
            UserError: naming the key, its value and the choices.
        """
        self._layout = layout_of(layout)
        self.axes = _checked_axes(axes, outer)
        self._missing = np.float32(_number("missing", missing))
        if landmarks is None:
            landmarks = list(self._layout.parts)
        self._values = 0
        places: list[tuple[int, int, int]] = []  # where in a flat frame; raw row; x, y or z
        rows: list[int | None] = []
        for item in landmarks:
            name, letters = _item(item, coordinates)
            if "feature" not in self.axes and letters != coordinates:
                raise UserError(
                    f"landmarks={item}: a part has coordinates of its own only in axes with "
                    "feature; say coordinates for all of them"
                )
            for row in _raw_rows(self._layout, name):
                for letter in letters:
                    if row is not None and letter != "v":
                        places.append((self._values, row, "xyz".index(letter)))
                    self._values += 1
                rows.append(row)
        _check_once(landmarks, [row for row in rows if row is not None], self._layout)
        self._from, self._row, self._coordinate = np.array(places).T
        self._sizes = {
            "landmark": len(rows),
            "coordinate": len(coordinates),
            "feature": self._values,
        }
        self.settings: dict[str, Any] = {
            "axes": list(self.axes),
            "coordinates": coordinates,
            "landmarks": landmarks,
            "missing": str(self._missing),
        }

    def misfit(self, shape: tuple[int, ...], dtype: np.dtype) -> str:
        """What keeps an array from being one of this form, as the end of a sentence; or ""."""
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
            path: what an error calls it.
            array: a clip's part of an array that fits, so without the axis `clip`; where the axes
                have no `time`, its frames are stacked in front.
            frames: how many the clip has; None where it ends with the last that shows anything.

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
            clip = clip[: _last_shown(clip)]
            if not len(clip):
                raise BadClip(path, "shows nothing in any frame")
        if np.isinf(clip).any():
            raise BadClip(path, "has an infinite coordinate")
        return Reading(clip, _oddity(clip, self._missing))

    def _clip(self, flat: np.ndarray) -> np.ndarray:
        """Values `[T, values]` as a clip, float32 [T, landmarks, 3]."""
        clip = np.full((len(flat), self._layout.size, 3), np.nan, np.float32)
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite
            clip[:, self._row, self._coordinate] = flat[:, self._from]
        if not np.isnan(self._missing):
            clip[((clip == self._missing) | np.isnan(clip)).all(axis=2)] = np.nan
        return clip


def sign_names(signs: Signs | None) -> dict[str, str]:
    """Label, as text, to name; empty where signs are named by their labels.

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
    """What an item of `landmarks` names, and the values that each landmark has."""
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
    """The rows of the layout that an item of `landmarks` names, None for one to leave out."""
    rows: dict[str, range] = {"": range(layout.size), **layout.parts}
    match = re.fullmatch(r"([a-z_]*) ?(?:(\d+)(?:-(\d+))?)?", str(name))
    part, first, last = match.groups() if match else ("?", None, None)
    if part == "skip" and first and not last:
        return [None] * int(first)
    if part in rows and not (part == "" and first is None):
        chosen = rows[part] if first is None else range(int(first), int(last or first) + 1)
        if first is None:
            return chosen
        if chosen and chosen[-1] < len(rows[part]):
            return [rows[part][i] for i in chosen]
    some = [f"{part} (0-{len(rows) - 1})" for part, rows in layout.parts.items()]
    raise unknown("landmarks", name, [*some, f"a row of 0-{layout.size - 1}", "skip NUMBER"])


def _check_once(landmarks: Landmarks, rows: list[int], layout: Layout) -> None:
    if not rows:
        raise UserError(f"landmarks={landmarks}: names none of {layout.name}")
    if len(set(rows)) < len(rows):
        twice = next(row for row in rows if rows.count(row) > 1)
        raise UserError(f"landmarks={landmarks}: row {twice} of {layout.name} is there twice")


def _last_shown(clip: np.ndarray) -> int:
    """How many frames there are up to the last in which anything was detected."""
    shown = np.flatnonzero(~np.isnan(clip).all(axis=(1, 2)))
    return int(shown[-1]) + 1 if len(shown) else 0


def _oddity(clip: np.ndarray, missing: np.float32) -> str:
    """Two neighbours of nothing but one number: a filling that was not said to mean missing."""
    filled = ((clip == clip[..., :1]) | np.isnan(clip)).all(axis=2)  # [T, landmarks]
    pairs = filled[:, 1:] & (clip[:, 1:, 0] == clip[:, :-1, 0]) & filled[:, :-1]
    if not pairs.any():
        return ""
    value = clip[:, 1:, 0][pairs][0]
    return f"has landmarks at {value:g} in all coordinates, but missing={missing:g}"
