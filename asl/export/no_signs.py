"""Clips that are no sign, made of clips that are: what a recognizer must not name."""

from collections.abc import Callable, Sequence

import numpy as np

STILL = 0.002
"""Deviation of a resting landmark, as a share of the body's size: a camera's noise."""


def rest(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The posture of the clip's beginning, held."""
    noise = random.normal(scale=STILL * _size(clip), size=clip.shape)
    return (clip[:1] + noise).astype(np.float32)


def half(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The first or the second half."""
    middle = max(1, len(clip) // 2)
    return clip[:middle] if random.random() < 0.5 else clip[-middle:]


def backwards(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The frames in reverse order."""
    return np.ascontiguousarray(clip[::-1])


def noise(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Every landmark wanders at random, by as much a frame as in the clip, missing where it was."""
    values = np.nan_to_num(clip[:1])
    steps = np.diff(clip, axis=0)
    speed = np.sqrt(np.nanmean(np.square(steps))) if np.isfinite(steps).any() else 0.0
    walk = random.normal(scale=float(speed), size=clip.shape).cumsum(0)
    return np.where(np.isfinite(clip), values + walk, np.nan).astype(np.float32)


def joined(clip: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One clip after another, of another sign."""
    return np.concatenate([clip, other])


ALONE: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "rest": rest,
    "half": half,
    "backwards": backwards,
    "noise": noise,
}
"""The kinds that are made of one clip."""

KINDS = (*ALONE, "joined")


def no_signs(
    clips: Sequence[np.ndarray], signs: Sequence[int] | np.ndarray
) -> dict[str, list[np.ndarray]]:
    """For each kind of clip that is no sign as many clips as are given; the same each time.

    Args:
        clips: of signs, float32 [n, N, C] each.
        signs: of the clips, so that two that are joined are of two signs.
    """
    random = np.random.default_rng(0)
    made = {name: [make(clip, random) for clip in clips] for name, make in ALONE.items()}
    made["joined"] = []
    for clip, sign in zip(clips, signs, strict=True):
        others = np.flatnonzero(np.asarray(signs) != sign)
        if len(others):
            made["joined"].append(joined(clip, clips[int(random.choice(others))]))
    return made


def _size(clip: np.ndarray) -> float:
    finite = clip[np.isfinite(clip)]
    return float(finite.std()) if len(finite) else 0.0
