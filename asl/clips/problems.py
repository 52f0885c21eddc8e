"""Clips that are probably wrong, by name: found by comparing each with the others.

Every check is a comparison with what is usual in the data set, so that it holds in any unit and
for any camera. The limits are such that the real sets words15 and isl30 have few false alarms.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from asl.clips.measures import Measures, measure
from asl.clips.neighbours import NEAREST
from asl.clips.store import ClipStore

KINDS = {
    "duplicate": "Clips with the content of another one. Under two signers, such a clip is trained "
    "on and tested on at once.",
    "frozen": "Clips in which nothing moves.",
    "coordinates": "Clips whose coordinates are far outside the range of the others: pixels, "
    "millimetres.",
    "short": "Clips much shorter than the others.",
    "no hands": "Clips in which no hand was detected, or nothing at all.",
    "possibly mislabelled": "Clips whose nearest neighbours all carry one other sign. They are "
    "suggestions: look at them.",
}
SAMPLED_CLIPS = 5000
"""Of a larger data set, a random sample of as many clips is measured."""

_FROZEN = 0.03  # of the usual movement
_FAR = 10  # times the usual reach, or that part of it
_SHORT = 5  # times shorter than usual
NEAR = 0.1  # of the usual distance from a clip to its nearest neighbour
_CLEARLY = 2  # times nearer to the clips of another sign than to those of its own


class Finding(NamedTuple):
    """Something that is probably wrong with a clip.

    Attributes:
        number: of the clip among those measured.
        kind: one of `KINDS`.
        what: is wrong, as the end of a sentence that begins with the clip.
        other: number of the clip that it is compared with; -1 for none.
    """

    number: int
    kind: str
    what: str
    other: int = -1


def find_problems(store: ClipStore, seed: int = 0) -> pd.DataFrame:
    """The clips of a data set that are probably wrong.

    Args:
        store: the data set; of more than `SAMPLED_CLIPS` clips a random sample is compared.
        seed: of the sample.

    Returns:
        A row for each finding: row (of the store), clip, sign, signer, kind, what (is wrong, the
        end of a sentence) and other (row of the clip that it is compared with, or -1).
    """
    return problems_among(measure(store, sampled_rows(store, seed)))


def sampled_rows(store: ClipStore, seed: int = 0) -> np.ndarray:
    """The rows of a random sample, in ascending order; all where they are few."""
    order = np.random.default_rng(seed).permutation(len(store))
    return np.sort(order[:SAMPLED_CLIPS])


def problems_among(measures: Measures) -> pd.DataFrame:
    """The table of `find_problems`, of clips that are measured already."""
    checks = (_duplicates, _frozen, _far_coordinates, _short, _without_hands, _mislabelled)
    findings = [finding for check in checks for finding in check(measures)]
    clips = measures.clips
    table = clips.loc[[found.number for found in findings], ["row", "clip", "sign", "signer"]]
    rows = clips["row"].to_numpy()
    return table.reset_index(drop=True).assign(
        kind=[found.kind for found in findings],
        what=[found.what for found in findings],
        other=[-1 if found.other < 0 else int(rows[found.other]) for found in findings],
    )


# --- one clip against another -------------------------------------------------------------------


def _duplicates(measures: Measures) -> Iterator[Finding]:
    """Clips with the content of an earlier one, or nearly so."""
    clips, near = measures.clips, measures.neighbours
    first: dict[str, int] = {}
    typical = usual(near.distance[:, 0])
    for number, digest in enumerate(clips["digest"]):
        if np.isnan(clips["reach"].iloc[number]):
            continue
        other = first.setdefault(digest, number)
        if other != number:
            whose = _whose(clips, number, other)
            yield Finding(number, "duplicate", f"has the content of {whose}", other)
            continue
        distance, other = near.distance[number, 0], int(near.rows[number, 0])
        same = other >= 0 and clips["digest"].iloc[other] == digest
        if other < number and not same and distance <= NEAR * typical:
            what = f"is nearly the same as {_whose(clips, number, other)}"
            share = f"{distance / typical:.1%} of the usual distance to a clip's nearest neighbour"
            yield Finding(number, "duplicate", f"{what} ({share})", other)


def _whose(clips: pd.DataFrame, number: int, other: int) -> str:
    """The other clip's name, with its sign and signer where those differ."""
    ours, theirs = clips.iloc[number], clips.iloc[other]
    differ = [
        f"of {what} {theirs[what]}" for what in ("sign", "signer") if ours[what] != theirs[what]
    ]
    return " ".join([theirs["clip"], *differ])


def _mislabelled(measures: Measures) -> Iterator[Finding]:
    """Clips whose nearest neighbours all carry one other sign, and that are far from their own."""
    near, sign = measures.neighbours, measures.clips["sign"].to_numpy(str)
    counts = measures.clips["sign"].value_counts()
    for number in np.flatnonzero(near.rows.min(axis=1, initial=0) >= 0).tolist():
        theirs = np.unique(sign[near.rows[number]])
        if len(theirs) > 1 or theirs[0] == sign[number] or counts[sign[number]] <= NEAREST:
            continue
        own = _distances_to(measures, number, sign == sign[number])
        ratio = own[:NEAREST].mean() / near.distance[number].mean()
        if ratio >= _CLEARLY:
            what = (
                f"looks like {str(theirs[0])!r}: its {NEAREST} nearest neighbours all are, and "
                f"those of its own sign are {ratio:.1f} times as far"
            )
            yield Finding(number, "possibly mislabelled", what, int(near.rows[number, 0]))


def _distances_to(measures: Measures, number: int, some: np.ndarray) -> np.ndarray:
    """Distances from a clip to some others, ascending."""
    others = measures.shapes[some & (np.arange(len(some)) != number)]
    return np.sort(np.sqrt(((others - measures.shapes[number]) ** 2).mean(axis=1)))


# --- one clip against what is usual -------------------------------------------------------------


def _frozen(measures: Measures) -> Iterator[Finding]:
    movement, frames = _columns(measures, "movement", "frames")
    typical = usual(movement[frames > 1])
    for number in np.flatnonzero((frames > 1) & (movement < _FROZEN * typical)).tolist():
        share = f"{movement[number] / typical:.1%} of what is usual"
        yield Finding(number, "frozen", f"does not move in {frames[number]} frames ({share})")


def _far_coordinates(measures: Measures) -> Iterator[Finding]:
    (reach,) = _columns(measures, "reach")
    if not (typical := usual(reach)):
        return
    for number in np.flatnonzero((reach > _FAR * typical) | (reach < typical / _FAR)).tolist():
        times = reach[number] / typical
        what = f"has coordinates up to {reach[number]:,.4g}, {times:,.3g} times the usual"
        yield Finding(number, "coordinates", f"{what} {typical:,.4g}")


def _short(measures: Measures) -> Iterator[Finding]:
    (frames,) = _columns(measures, "frames")
    typical = usual(frames)
    for number in np.flatnonzero(frames < max(typical / _SHORT, 2 * (typical > 2))).tolist():
        counted = "1 frame" if frames[number] == 1 else f"{frames[number]} frames"
        yield Finding(number, "short", f"has {counted}, where {typical:.0f} are usual")


def _without_hands(measures: Measures) -> Iterator[Finding]:
    """Clips without hands, unless most are; and those in which nothing was detected."""
    (reach,) = _columns(measures, "reach")
    hands = measures.detected.reindex(columns=["left_hand", "right_hand"]).dropna(axis=1)
    without = (hands == 0).all(axis=1).to_numpy() & bool(hands.shape[1])
    if without.mean() > 0.5:
        without[:] = False
    for number in np.flatnonzero(without | np.isnan(reach)).tolist():
        what = "nothing" if np.isnan(reach[number]) else "no hand"
        yield Finding(number, "no hands", f"has {what} detected in any frame")


def _columns(measures: Measures, *names: str) -> list[np.ndarray]:
    return [measures.clips[name].to_numpy() for name in names]


def usual(values: np.ndarray) -> float:
    """The median of the finite values; 0 where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else 0.0
