"""Draws the skeletons of clips."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from asl.landmarks import Layout

Limits = tuple[float, float, float, float]
"""Left, bottom, right and top of what is drawn."""

_PART_COLOURS = {"left_hand": "#e6550d", "right_hand": "#3182bd", "face": "#969696"}


def draw_clip(
    row: Sequence[Axes], clip: np.ndarray, layout: Layout, limits: Limits | None = None
) -> None:
    """Draws evenly spaced frames of a clip, from first to last, with the same limits.

    Args:
        row: axes to draw on, one for each frame.
        clip: [frames, landmarks, channels], NaN = not detected.
        layout: of the clip.
        limits: those of the clip where None.
    """
    left, bottom, right, top = limits or clip_limits(clip, layout)
    for axes, frame in zip(row, np.linspace(0, len(clip) - 1, len(row)), strict=True):
        draw_frame(axes, clip[round(frame)], layout)
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        axes.set_title(f"{round(frame) + 1}", fontsize=7, color="grey", loc="right")


def draw_strip(axes: Axes, clip: np.ndarray, layout: Layout, frames: int) -> None:
    """Draws evenly spaced frames of a clip, from first to last, side by side.

    Args:
        axes: to draw on, `frames` times as wide as high.
        clip: [frames, landmarks, channels], NaN = not detected.
        layout: of the clip.
        frames: how many to draw.
    """
    left, bottom, right, top = clip_limits(clip, layout)
    for place, frame in enumerate(np.linspace(0, len(clip) - 1, frames)):
        points = clip[round(frame)].copy()
        points[(points[:, 0] < left) | (points[:, 0] > right)] = np.nan  # else in the next frame
        points[:, 0] += place * (right - left)
        draw_frame(axes, points, layout)
    axes.set(xlim=(left, left + frames * (right - left)), ylim=(bottom, top))


def draw_frame(axes: Axes, points: np.ndarray, layout: Layout) -> None:
    """Draws one frame as a skeleton, or as dots in a layout without bones.

    Args:
        axes: to draw on; ticks and spines are hidden.
        points: [landmarks, channels], NaN = not detected.
        layout: of the points.
    """
    colours = landmark_colours(layout)
    if layout.bones:
        lines = points[np.array(layout.bones), :2]  # [bones, 2, 2]
        of_bones = [colours[start] for start, _ in layout.bones]
        axes.add_collection(LineCollection(list(lines), colors=of_bones, linewidths=0.8))
    else:
        axes.scatter(points[:, 0], points[:, 1], c=colours, s=12)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def landmark_colours(layout: Layout) -> list[str]:
    """The colour of each landmark, that of its part of the body."""
    part_of = {row: part for part, rows in layout.parts.items() for row in rows}
    return [_PART_COLOURS.get(part_of[row], "#555555") for row in range(layout.size)]


def clip_limits(clip: np.ndarray, layout: Layout) -> Limits:
    """A square around all landmarks of a clip not far below the hips, where it has some."""
    down = -1.0 if layout.y_up else 1.0
    x, y = np.moveaxis(clip[..., :2], -1, 0)
    inside = np.isfinite(x) & np.isfinite(y)
    if "hips" in layout.reference:
        shoulders, hips = (
            _median(clip[:, layout.reference[name], 1]) for name in ("shoulders", "hips")
        )
        inside &= ~((y - hips) * down >= 0.2 * abs(hips - shoulders))
    if not inside.any():
        return 0.0, max(down, 0.0), 1.0, max(-down, 0.0)
    low, high = np.quantile(np.stack([x[inside], y[inside]], axis=1), [0.002, 0.998], axis=0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    (left, bottom), (right, top) = middle - half, middle + half
    return (left, top, right, bottom) if down > 0 else (left, bottom, right, top)


def _median(values: np.ndarray) -> float:
    """The median of the values that are not NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan
