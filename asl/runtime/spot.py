"""Where the signs are in a long recording, from a recognizer's answers to overlapping windows.

A recording of `frames` frames is divided into steps of `hop` frames. Window j begins with step j
and lies over `cover` steps, so every step but the first and last ones is seen by `cover` windows.
A recognizer of isolated signs answers every window with some sign; that it is one, and where it
begins, follows from how long the windows agree.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = -1
"""In place of a sign's index: no sign."""


WINDOWS = 8
"""That lie over a moment, about."""


class Segment(NamedTuple):
    """A sign in a recording.

    Attributes:
        start: its first frame.
        end: the frame after its last one.
        sign: index of the sign.
        score: the highest of its smoothed probabilities.
    """

    start: int
    end: int
    sign: int
    score: float


def steps_of(window: float) -> tuple[int, int]:
    """Frames of a step, and steps of a window, for windows of about so many frames."""
    hop = max(1, round(window / WINDOWS))
    return hop, max(1, round(window / hop))


def find_signs(
    probabilities: NDArray[np.float32],
    known: NDArray[np.float32],
    seen: NDArray[np.bool_],
    hop: int,
    cover: int,
    *,
    threshold: float,
    shortest: int,
    gap: int,
) -> list[Segment]:
    """The signs of a recording, in their order; no two overlap.

    Args:
        probabilities: [windows, signs], of each window; of those without a hand they do not count.
        known: [windows], how probable it is that each window shows one of the signs, and so how
            much it counts: one that lies over the end of a sign and the beginning of the next is
            none of them.
        seen: [frames], whether a hand is seen.
        hop: frames of a step.
        cover: steps of a window.
        threshold: a sign's smoothed probability reaches it somewhere, and is nowhere below half of
            it: two thresholds, so that a sign is not cut where it is doubtful for a moment.
        shortest: frames of a sign; shorter ones are left out.
        gap: frames without a hand, or of doubt, that do not part a sign.
    """
    weights = shares(seen, hop, cover, len(probabilities)) * known
    smooth = smoothed(probabilities, weights, cover)
    signs = most_probable(smooth, steps_seen(seen, hop, len(smooth)), threshold / 2)
    found = strong(smooth, runs(signs), threshold)
    joined = merged([_in_frames(segment, hop, seen) for segment in found], gap)
    return [segment for segment in joined if segment.end - segment.start >= shortest]


def shares(seen: NDArray[np.bool_], hop: int, cover: int, windows: int) -> NDArray[np.float64]:
    """The share of each window's frames in which a hand is seen, [windows].

    A window that the end of the recording cuts off is counted as a whole one.
    """
    count = np.concatenate([[0], np.cumsum(seen)])
    starts = np.arange(windows) * hop
    ends = np.minimum(starts + hop * cover, len(seen))
    return (count[ends] - count[starts]) / (hop * cover)


def smoothed(
    probabilities: NDArray[np.float32], weights: NDArray[np.float64], cover: int
) -> NDArray[np.float64]:
    """The mean over the windows that lie over each step, [steps, signs].

    Args:
        probabilities: [windows, signs].
        weights: [windows], how much each counts; steps whose windows all have weight 0 get 0.
        cover: steps of a window.
    """
    windows, signs = probabilities.shape
    total, weight = np.zeros((windows + cover - 1, signs)), np.zeros(windows + cover - 1)
    weighted = np.where(weights[:, None] > 0, probabilities, 0) * weights[:, None]
    for step in range(cover):
        total[step : step + windows] += weighted
        weight[step : step + windows] += weights
    return total / np.where(weight > 0, weight, 1)[:, None]


def steps_seen(seen: NDArray[np.bool_], hop: int, steps: int) -> NDArray[np.bool_]:
    """Whether a hand is seen in any frame of each step, [steps]."""
    padded = np.zeros(steps * hop, bool)
    padded[: len(seen)] = seen[: len(padded)]
    return np.any(padded.reshape(steps, hop), axis=1)


def most_probable(
    smooth: NDArray[np.float64], seen: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    """The most probable sign of each step, [steps]; all others are suppressed.

    `NONE` where no hand is seen or its probability is below `least`.
    """
    certain = seen & (smooth.max(axis=1) >= least)
    return np.where(certain, smooth.argmax(axis=1), NONE)


def runs(signs: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Start and end of each run of steps with the same sign; `NONE` is no sign."""
    borders = np.flatnonzero(np.diff(signs)) + 1
    edges = [0, *borders.tolist(), len(signs)]
    return [(start, end) for start, end in pairwise(edges) if signs[start] != NONE]


def strong(
    smooth: NDArray[np.float64], parts: list[tuple[int, int]], threshold: float
) -> list[Segment]:
    """Those runs in which the sign's probability reaches the threshold, in steps."""
    segments = []
    for start, end in parts:
        sign = int(smooth[start].argmax())
        score = float(smooth[start:end, sign].max())
        if score >= threshold:
            segments.append(Segment(start, end, sign, score))
    return segments


def merged(segments: list[Segment], gap: int) -> list[Segment]:
    """Neighbours of the same sign become one where at most `gap` frames lie between them."""
    result: list[Segment] = []
    for segment in segments:
        last = result[-1] if result else None
        if last and last.sign == segment.sign and segment.start - last.end <= gap:
            result[-1] = last._replace(end=segment.end, score=max(last.score, segment.score))
        else:
            result.append(segment)
    return result


def _in_frames(segment: Segment, hop: int, seen: NDArray[np.bool_]) -> Segment:
    """A segment of steps in frames, from the first to the last one in which a hand is seen."""
    first = segment.start * hop
    shown = np.flatnonzero(seen[first : segment.end * hop])
    return segment._replace(start=first + int(shown[0]), end=first + int(shown[-1]) + 1)
