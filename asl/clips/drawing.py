"""Draws the skeletons of clips."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from asl.landmarks import Layout

_PART_COLOURS = {"left_hand": "#e6550d", "right_hand": "#3182bd", "face": "#969696"}


def draw_clip(row: Sequence[Axes], clip: np.ndarray, layout: Layout) -> None:
    """Draws evenly spaced frames of a clip, from first to last, with the same limits.

    Args:
        row: axes to draw on, one for each frame.
        clip: [frames, landmarks, 3], NaN = not detected.
        layout: of the clip.
    """
    left, bottom, right, top = _limits(clip, layout)
    for axes, frame in zip(row, np.linspace(0, len(clip) - 1, len(row)), strict=True):
        draw_frame(axes, clip[round(frame)], layout)
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        axes.set_title(f"{round(frame) + 1}", fontsize=7, color="grey", loc="right")


def draw_frame(axes: Axes, points: np.ndarray, layout: Layout) -> None:
    """Draws one frame as a skeleton.

    Args:
        axes: to draw on; ticks and spines are hidden.
        points: [landmarks, 3], NaN = not detected.
        layout: of the points.
    """
    part_of = {row: part for part, rows in layout.parts.items() for row in rows}
    lines = points[np.array(layout.bones), :2]  # [bones, 2, 2]
    colours = [_PART_COLOURS.get(part_of[start], "#555555") for start, _ in layout.bones]
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=0.8))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _limits(clip: np.ndarray, layout: Layout) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a square around all landmarks not far below the hips."""
    shoulders, hips = (
        np.nanmedian(clip[:, layout.reference[name], 1]) for name in ("shoulders", "hips")
    )
    down = -1.0 if layout.y_up else 1.0
    x, y = np.moveaxis(clip[..., :2], -1, 0)
    inside = (y - hips) * down < 0.2 * abs(hips - shoulders)
    if not inside.any():
        return 0.0, max(down, 0.0), 1.0, max(-down, 0.0)
    low, high = np.quantile(np.stack([x[inside], y[inside]], axis=1), [0.002, 0.998], axis=0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    (left, bottom), (right, top) = middle - half, middle + half
    return (left, top, right, bottom) if down > 0 else (left, bottom, right, top)
