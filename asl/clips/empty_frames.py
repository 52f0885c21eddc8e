"""Frames in which a detector found nothing."""

from typing import Literal

import numpy as np

EmptyFrames = Literal["keep", "drop"]


def without_empty_frames(
    clips: np.ndarray, lengths: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clips without the frames that show none of the first `size` landmarks, in the same array.

    Args:
        clips: `[B, T, P, C]`, NaN where not detected and beyond a clip's length.
        lengths: `[B]`.
        size: of the landmark set, whose own landmarks come first.

    Returns:
        Clips `[B, T', P, C]` and their lengths; one that shows nothing at all stays as it is.
    """
    seen = ~np.isnan(clips[:, :, :size]).all(axis=(2, 3))  # [B, T]
    kept = np.where(seen.any(axis=1), seen.sum(axis=1), lengths)
    for clip, frames, length in zip(clips, seen, kept, strict=True):
        if frames.any():
            clip[:length] = clip[frames]
            clip[length:] = np.nan
    return clips[:, : kept.max()], kept
