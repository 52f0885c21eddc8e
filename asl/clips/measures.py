"""What is measured of each packed clip, in one pass: for the report and its checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xxhash

from asl.clips.neighbours import Neighbours, nearest
from asl.clips.store import ClipStore

STEPS = 20
"""Points of a clip's normalised time at which detections are counted."""

_WINDOWS = 8  # of a clip, over each of which the distances of its shape are averaged
_OFFSET = (
    0.1  # shoulders: what is nearer counts as touching, lest jitter there decide the logarithm
)


@dataclass(frozen=True)
class Measures:
    """Measurements of some clips; row i of each array and table is the same clip.

    Attributes:
        clips: row (of the store), clip (its name), sign, signer, frames; and
            digest: hash of its content;
            size: median distance of the shoulders, in the unit of the coordinates;
            x, y: medians of the coordinates;
            low_x, high_x, low_y, high_y: their 1 % and 99 % quantiles;
            reach: 99 % quantile of the larger of |x| and |y|;
            movement: how far landmarks are from their mean place, in sizes: the standard deviation
            over time of the liveliest tenth of the landmarks.
            The face is left out of all these. NaN where nothing was detected.
        detected: a column from 0 to 1 for each part of the body: the share of frames that have it.
        missing: for each part the share of clips that lack it, at `STEPS` points from first frame
            to last.
        shapes: float32 [clips, distances * windows], see `shape`; NaN where nothing was detected.
    """

    clips: pd.DataFrame
    detected: pd.DataFrame
    missing: pd.DataFrame
    shapes: np.ndarray

    @cached_property
    def neighbours(self) -> Neighbours:
        """The nearest others of each clip that moves, by its shape."""
        moving = (self.clips["movement"] > 0).to_numpy() & ~np.isnan(self.shapes).any(axis=1)
        return nearest(self.shapes, moving)


def measure(store: ClipStore, rows: Sequence[int] | np.ndarray) -> Measures:
    """Measure clips, one after the other.

    A part counts as detected where its first, middle or last landmark is, because detectors detect
    a part as a whole.

    Args:
        store: the data set.
        rows: of the clips.
    """
    reader = _Reader(store)
    facts, detected, shapes = [], [], []
    seen = np.zeros((STEPS, len(reader.parts)))
    for row in rows:
        clip = store.read(int(row), reader.rows)[..., :2].astype(np.float64)  # [T, landmarks, 2]
        there = ~(np.isnan(clip[..., 0]) | np.isnan(clip[..., 1]))
        parts = np.stack([there[:, probes].any(axis=1) for probes in reader.parts.values()], axis=1)
        seen += parts[np.arange(STEPS) * len(parts) // STEPS]
        detected.append(parts.mean(axis=0))
        size = reader.size(clip, there)
        digest = xxhash.xxh3_128_hexdigest(np.ascontiguousarray(store.view(int(row))).data)
        facts.append({"digest": digest, "size": size, **reader.places(clip, there, size)})
        shapes.append(reader.shape(clip, size))
    rows = np.asarray(rows)
    names = store.clips.iloc[rows][["path", "frames"]].rename(columns={"path": "clip"})
    names = names.assign(row=rows, sign=store.clip_signs[rows], signer=store.clip_signers[rows])
    return Measures(
        clips=pd.concat([names.reset_index(drop=True), pd.DataFrame(facts)], axis=1),
        detected=pd.DataFrame(np.array(detected), columns=list(reader.parts)),
        missing=pd.DataFrame(1 - seen / len(rows), columns=list(reader.parts)),
        shapes=_filled(np.array(shapes, np.float32)),
    )


class _Reader:
    """Measures clips of a store by its body, probe and paired landmarks; rows are the store's."""

    def __init__(self, store: ClipStore) -> None:
        layout = store.layout
        stored = range(layout.size) if store.landmarks is None else store.landmarks.tolist()
        pairs = [pair for pair in layout.distance_pairs if set(pair) <= set(stored)]
        parts = {
            part: held
            for part, rows in layout.parts.items()
            if (held := [row for row in stored if row in rows])
        }
        probes = {part: [held[0], held[len(held) // 2], held[-1]] for part, held in parts.items()}
        body = [row for part, held in parts.items() if part != "face" for row in held]
        body = body or parts["face"]
        wanted = {*body, *(row for rows in probes.values() for row in rows)}
        wanted |= {row for pair in pairs for row in pair}
        self.rows = np.array(sorted(wanted))
        place = {row: i for i, row in enumerate(self.rows.tolist())}
        self.parts = {part: [place[row] for row in rows] for part, rows in probes.items()}
        self.body = np.array([place[row] for row in body])
        self.pairs = np.array([[place[row] for row in pair] for pair in pairs]).reshape(-1, 2).T
        self.shoulders = [place[row] for row in layout.lengths.get("shoulders", ()) if row in place]

    def size(self, clip: np.ndarray, there: np.ndarray) -> float:
        """The median distance of the shoulders; where they are not seen, the spread of the body."""
        if len(self.shoulders) == 2 and (both := there[:, self.shoulders].all(axis=1)).any():
            left, right = clip[both][:, self.shoulders].transpose(1, 0, 2)
            if size := float(np.median(np.linalg.norm(left - right, axis=1))):
                return size
        body = clip[:, self.body][there[:, self.body]]  # [n, 2]
        return float(np.linalg.norm(body.std(axis=0))) or 1.0 if len(body) else np.nan

    def places(self, clip: np.ndarray, there: np.ndarray, size: float) -> dict[str, float]:
        """Range, centre and movement of the body."""
        points, present = clip[:, self.body], there[:, self.body]
        body = points[present]  # [n, 2]
        names = ("x", "y", "low_x", "low_y", "high_x", "high_y", "reach", "movement")
        if not len(body):
            return dict.fromkeys(names, np.nan)
        low, middle, high = np.quantile(body, [0.01, 0.5, 0.99], axis=0)
        reach = np.quantile(np.abs(body).max(axis=1), 0.99)
        values = [*middle, *low, *high, reach, _deviation(points, present) / size]
        return dict(zip(names, map(float, values), strict=True))

    def shape(self, clip: np.ndarray, size: float) -> np.ndarray:
        """Logarithms of the layout's distances in sizes, averaged over windows of the clip.

        They do not depend on where a signer stands, how large the picture is and how fast the sign
        is made. A distance that is not seen in a window is that of the whole clip.
        """
        if not self.pairs.size:
            return np.zeros(0)
        start, end = clip[:, self.pairs[0]], clip[:, self.pairs[1]]
        windows = _window_means(np.linalg.norm(start - end, axis=2) / size)  # [windows, pairs]
        seen = ~np.isnan(windows)
        count = np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
        whole = np.where(seen, windows, 0).sum(axis=0) / count
        return np.log(np.where(seen, windows, whole) + _OFFSET).ravel()


def _deviation(points: np.ndarray, present: np.ndarray) -> float:
    """The 90 % quantile over landmarks of their standard deviation over time; 0 of one frame.

    Args:
        points: [T, landmarks, 2].
        present: whether each was detected, [T, landmarks].
    """
    twice = present.sum(axis=0) > 1
    if not twice.any():
        return 0.0
    points, there = points[:, twice], present[:, twice, None]
    count = there.sum(axis=0)
    mean = np.where(there, points, 0).sum(axis=0) / count
    variance = (np.where(there, points - mean, 0) ** 2).sum(axis=0) / count
    return float(np.quantile(np.sqrt(variance.sum(axis=1)), 0.9))


def _window_means(values: np.ndarray) -> np.ndarray:
    """Means of the present values in each of the windows of time, [T, n] to [windows, n]."""
    starts = np.arange(_WINDOWS) * len(values) // _WINDOWS
    if len(values) < _WINDOWS:
        return values[starts]
    there = ~np.isnan(values)
    sums = np.add.reduceat(np.where(there, values, 0), starts)
    counts = np.add.reduceat(there.astype(int), starts)
    return sums / np.where(counts, counts, np.nan)


def _filled(shapes: np.ndarray) -> np.ndarray:
    """Shapes whose distances that a clip never shows are the mean over all clips."""
    missing = np.isnan(shapes)
    shown = ~missing.all(axis=0)  # by any clip
    shapes, missing = shapes[:, shown], missing[:, shown]
    means = np.where(missing, 0, shapes).sum(axis=0) / (~missing).sum(axis=0)
    empty = missing.all(axis=1, keepdims=True)
    return np.where(missing & ~empty, means, shapes).astype(np.float32)
