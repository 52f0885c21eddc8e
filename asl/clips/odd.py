"""Checks of one clip by itself; `prepare` packs an odd clip all the same, and reports it.

Imports no pandas, because the workers that pack must start fast. `asl.clips.problems` compares
clips with each other and finds more.
"""

import numpy as np

from asl.landmarks import Layout

NOTHING = "no landmark was detected in any frame"

_FARTHEST = 20
"""No share of a picture and no metre from a camera is larger; pixels and millimetres are."""


def oddity(clip: np.ndarray, layout: Layout) -> str:
    """What is odd about a clip, as the end of a sentence; empty where nothing is.

    Args:
        clip: float32 [frames, landmarks, 3] of the whole layout, NaN = not detected.
        layout: of the clip.
    """
    missing = np.isnan(clip[..., 0])  # [frames, landmarks]
    if missing.all() and np.isnan(clip).all():
        return NOTHING
    if len(clip) == 1:
        return "has one frame"
    hands = [rows for part, rows in layout.parts.items() if part.endswith("_hand")]
    if hands and all(missing[:, rows.start : rows.stop].all() for rows in hands):
        return "no hand was detected in any frame"
    if _is_frozen(clip):
        return "does not move: all frames are the same"
    some = np.abs(clip[[0, len(clip) // 2, -1], :, :2])
    if np.fmax.reduce(some, axis=None) > _FARTHEST and np.nanmedian(some) > _FARTHEST:
        return "has coordinates of pixels or millimetres, not of shares or metres"
    return ""


def _is_frozen(clip: np.ndarray) -> bool:
    """Whether no landmark is at two places."""
    if (clip[0] != clip[-1])[~np.isnan(clip[0]) & ~np.isnan(clip[-1])].any():
        return False  # as of nearly all clips
    return bool(np.array_equal(np.fmin.reduce(clip), np.fmax.reduce(clip), equal_nan=True))
