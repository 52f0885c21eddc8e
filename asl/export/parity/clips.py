"""The clips that exported files are verified on: a sample of a split, and edge cases."""

from collections.abc import Sequence

import numpy as np

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.landmarks import Layout


def select_verification_clips(store: ClipStore, split: Split, most: int) -> tuple[str, np.ndarray]:
    """At most so many clips that were not trained on: of the validation, then of the test.

    A split that has neither gives training clips.

    Returns:
        where the clips are from, in words; their rows.
    """
    names, selected = [], np.array([], int)
    for name, rows in (("validation", split.val), ("test", split.test)):
        if len(rows) and len(selected) < most:
            names.append(name)
            sample = stratified_sample(store, rows, most - len(selected))
            selected = np.concatenate([selected, sample])
    if not names:
        return "training", stratified_sample(store, split.train, most)
    return " and ".join(names), selected


def stratified_sample(store: ClipStore, rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, sorted; balanced over signs, then over signers. Seeded."""
    if len(rows) <= most:
        return rows
    remaining = np.random.default_rng(0).permutation(rows)
    per_sign, per_signer = np.zeros(len(store.signs), int), np.zeros(len(store.signers), int)
    selected = []
    for _ in range(most):
        count = per_sign[store.sign[remaining]] * (most + 1) + per_signer[store.signer[remaining]]
        rarest = int(count.argmin())
        row = int(remaining[rarest])
        selected.append(row)
        remaining = np.delete(remaining, rarest)
        per_sign[store.sign[row]] += 1
        per_signer[store.signer[row]] += 1
    return np.sort(selected)


def edge_case_clips(clips: Sequence[np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """Clips that recordings seldom hold and an app will send: short, long, empty, infinite.

    Args:
        clips: real ones, float32 [n, N, 3]; at least one.
        layout: of the clips.

    Returns:
        name to clip; they are made of the real clip that lacks the fewest landmarks.
    """
    clip = max(clips, key=lambda clip: np.isfinite(clip).mean())
    random = np.random.default_rng(0)
    made = {
        f"{n} frame{'s' * (n > 1)}": np.resize(clip, (n, *clip.shape[1:]))
        for n in (1, 2, 3, 400, 1000)
    }
    made["half missing"] = np.where(random.random(clip.shape[:2])[..., None] < 0.5, np.nan, clip)
    made["every other frame empty"] = _without(clip, slice(1, None, 2))
    hands = {
        part: list(layout.parts[part])
        for part in ("left_hand", "right_hand")
        if part in layout.parts
    }
    for part, rows in hands.items():
        made[f"no {part}"] = _without(clip, slice(None), rows)
    if hands:
        made["no hands"] = _without(
            clip, slice(None), [row for rows in hands.values() for row in rows]
        )
    made["nothing at all"] = np.full_like(clip, np.nan)
    made["one frame of nothing"] = np.full_like(clip[:1], np.nan)
    infinite = np.where(random.random(clip.shape) < 0.5, np.inf, -np.inf)
    made["inf here and there"] = np.where(random.random(clip.shape) < 0.1, infinite, clip)
    made["off the image"] = clip * 5 - 2
    made["absurdly far away"] = clip * 1e7
    made["nothing moves"] = np.repeat(clip[:1], 30, axis=0)
    return {name: edge_case.astype(np.float32) for name, edge_case in made.items()}


def _without(
    clip: np.ndarray, frames: slice, rows: Sequence[int] | slice = slice(None)
) -> np.ndarray:
    emptied = clip.copy()
    emptied[frames, rows] = np.nan
    return emptied
