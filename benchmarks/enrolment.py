"""Enrolment: what a signer's own clips, or a new sign's, add to a file that is not retrained.

    python -m benchmarks.enrolment +experiment=isl30
    python -m benchmarks.enrolment +experiment=isl30 --hidden 10

Each network of a cross-validation meets the signers that it was not trained on. The first clips of
each sign (on isl30 the frontal ones) are enrolled, and the clips from the fourth on are tested, the
same ones for every number of enrolled clips. With `--hidden` networks are trained without any clip
of so many signs, which are enrolled from the test signer's clips 1 to 5 and tested among all signs
from the sixth on; the cross-validation's own networks, which learned these signs from the other
signers, stand beside them.

How much prototypes count is chosen for each signer on all others. This is a protocol of its own:
none of its numbers but those of 0 clips is about new signers. It goes on where it was interrupted;
results go to docs/benchmarks.md.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from asl.clips.store import ClipStore
from asl.config.plan import plan
from asl.export.prototypes import Blend, blended, prototype_head
from asl.runs.data import open_store
from asl.runs.plan import RunPlan
from benchmarks.held_out import (
    Embedded,
    Network,
    chosen,
    embed,
    hidden_signs,
    networks,
    networks_without,
    read,
)

OWN = (1, 2, 3)
"""Clips of each sign of a person that are enrolled."""

NEW = (1, 3, 5)
"""Clips of each new sign that are enrolled."""

GRID = tuple(
    Blend(temperature, reference, examples)
    for temperature, reference, examples in product(
        (8.0, 12.0, 16.0, 24.0, 32.0, 48.0), (0.3, 0.4, 0.5, 0.6), (0.5, 1.0, 2.0)
    )
)


@dataclass(frozen=True, eq=False)
class Case:
    """Clips of one signer that are enrolled, and others that are tested.

    Attributes:
        signer: name.
        enrolled: embeddings `[clips, width]`.
        enrolled_signs: `[clips]`.
        probabilities: the network's, of the tested clips `[clips, known signs]`.
        embeddings: of the tested clips.
        signs: true ones of the tested clips; those from the number of known ones on are new.
        count: number of all signs.
    """

    signer: str
    enrolled: np.ndarray
    enrolled_signs: np.ndarray
    probabilities: np.ndarray
    embeddings: np.ndarray
    signs: np.ndarray
    count: int

    def answers(self, blend: Blend) -> np.ndarray:
        """Probabilities `[clips, signs]` after the enrolment."""
        head = prototype_head(self.enrolled, self.enrolled_signs, self.count, blend)
        return blended(self.probabilities, self.embeddings, head)

    def loss(self, blend: Blend) -> float:
        """The mean negative logarithm of the true sign's probability."""
        true = np.take_along_axis(self.answers(blend), self.signs[:, None], axis=1)
        return float(-np.log(np.maximum(true, 1e-12)).mean())

    def correct(self, blend: Blend) -> np.ndarray:
        """Whether each tested clip is recognised."""
        return np.asarray(self.answers(blend).argmax(axis=1) == self.signs)


def main() -> None:
    """Train what is missing, enrol, print a table."""
    options = chosen("enrolment", __doc__, hidden=0)
    run_plan = plan(*options.overrides)
    if options.hidden:
        _print_new_signs(run_plan, options)
    else:
        _print_persons(run_plan, options)


# --- a person's clips of known signs --------------------------------------------------------------


def _print_persons(run_plan: RunPlan, options: Namespace) -> None:
    by_clips: dict[int, list[Case]] = {count: [] for count in OWN}
    for network in networks(run_plan, options.tracker, options.folds):
        store, rows = network.store, network.split.test
        embedded = embed(network, options.folder, "test", read(store, rows))
        for signer in np.unique(store.clip_signers[rows]):
            for count in OWN:
                by_clips[count].append(_own_clips(store, rows, embedded, signer, count))
    every = [case for cases in by_clips.values() for case in cases]
    print(f"{run_plan.data.name}: chosen on all signers: {_best(every)}\n")
    print("| own clips a sign | accuracy on the others | against none, ± sd of signers |")
    print("|---|---|---|")
    nothing = [case.probabilities.argmax(axis=1) == case.signs for case in by_clips[1]]
    print(f"| 0 | {np.concatenate(nothing).mean():.4f} | |")
    for count, cases in by_clips.items():
        blends = _chosen_on_others(cases, every)
        correct = [case.correct(blend) for case, blend in zip(cases, blends, strict=True)]
        _print_row(str(count), correct, nothing)


def _own_clips(
    store: ClipStore, rows: np.ndarray, embedded: Embedded, signer: str, count: int
) -> Case:
    """The first clips of each of a signer's signs, and those from the fourth on."""
    own = np.flatnonzero(store.clip_signers[rows] == signer)
    number = _numbers(store, rows[own])
    first, rest = own[number < count], own[number >= max(OWN)]
    return Case(
        signer=signer,
        enrolled=embedded.embeddings[first],
        enrolled_signs=store.sign[rows[first]],
        probabilities=embedded.probabilities()[rest],
        embeddings=embedded.embeddings[rest],
        signs=store.sign[rows[rest]],
        count=len(store.signs),
    )


def _numbers(store: ClipStore, rows: np.ndarray) -> np.ndarray:
    """Which of its sign's clips each clip of a signer is, from 0, in the store's order."""
    numbers, seen = np.zeros(len(rows), int), np.zeros(len(store.signs), int)
    for place, sign in enumerate(store.sign[rows]):
        numbers[place], seen[sign] = seen[sign], seen[sign] + 1
    return numbers


# --- new signs ------------------------------------------------------------------------------------


def _print_new_signs(run_plan: RunPlan, options: Namespace) -> None:
    by_clips: dict[int, list[Case]] = {count: [] for count in NEW}
    for network, new in _pairs(run_plan, options):
        store, rows = network.store, network.split.test
        embedded = embed(network, options.folder, "test", read(store, rows))
        for signer in np.unique(store.clip_signers[rows]):
            for count in NEW:
                by_clips[count].append(_taught(store, rows, embedded, signer, new, count))
    every = [case for cases in by_clips.values() for case in cases]
    print(f"{run_plan.data.name}: chosen on all signers: {_best(every)}\n")
    print("| clips of each new sign | accuracy among all | of new signs | of known signs |")
    print("|---|---|---|---|")
    for count, cases in by_clips.items():
        blends = _chosen_on_others(cases, every)
        correct = np.concatenate([c.correct(b) for c, b in zip(cases, blends, strict=True)])
        is_new = np.concatenate([c.signs >= c.probabilities.shape[1] for c in cases])
        print(_shares(str(count), correct, is_new), flush=True)
    print(_shares("learned from the other signers", *_learned(run_plan, options)))


def _shares(name: str, correct: np.ndarray, is_new: np.ndarray) -> str:
    shares = correct.mean(), correct[is_new].mean(), correct[~is_new].mean()
    return f"| {name} | {' | '.join(f'{share:.4f}' for share in shares)} |"


def _learned(run_plan: RunPlan, options: Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Which of the same clips networks recognise that learned all signs, and which are new."""
    new, _ = hidden_signs(open_store(run_plan.data), options.hidden)
    correct, is_new = [], []
    for network in networks(run_plan, options.tracker, options.folds):
        store, rows = network.store, network.split.test
        embedded = embed(network, options.folder, "test", read(store, rows))
        for signer in np.unique(store.clip_signers[rows]):
            own = np.flatnonzero(store.clip_signers[rows] == signer)
            rest = own[_numbers(store, rows[own]) >= max(NEW)]
            signs = store.sign[rows[rest]]
            correct.append(embedded.logits[rest].argmax(axis=1) == signs)
            is_new.append(np.isin(signs, new))
    return np.concatenate(correct), np.concatenate(is_new)


def _pairs(run_plan: RunPlan, options: Namespace) -> Iterator[tuple[Network, np.ndarray]]:
    """Each network that was trained without some signs, and which of the signs these are."""
    new, names = hidden_signs(open_store(run_plan.data), options.hidden)
    where = options.tracker, names, options.folder, options.folds
    for network in networks_without(run_plan, *where):
        yield network, new


def _taught(
    store: ClipStore, rows: np.ndarray, embedded: Embedded, signer: str, new: np.ndarray, count: int
) -> Case:
    """A signer's first clips of new signs, and the clips of all signs from the sixth on."""
    known = np.setdiff1d(np.arange(len(store.signs)), new)
    place = np.argsort(np.concatenate([known, new]))  # of each sign: known ones first
    own = np.flatnonzero(store.clip_signers[rows] == signer)
    number, signs = _numbers(store, rows[own]), store.sign[rows[own]]
    first, rest = own[(number < count) & np.isin(signs, new)], own[number >= max(NEW)]
    return Case(
        signer=signer,
        enrolled=embedded.embeddings[first],
        enrolled_signs=place[store.sign[rows[first]]],
        probabilities=embedded.of(rest).probabilities(known),
        embeddings=embedded.embeddings[rest],
        signs=place[store.sign[rows[rest]]],
        count=len(store.signs),
    )


# --- how much prototypes count --------------------------------------------------------------------


def _chosen_on_others(cases: Sequence[Case], every: Sequence[Case]) -> list[Blend]:
    """For each case the blend that is best for the other signers' cases."""
    signers = {case.signer for case in cases}
    best = {one: _best([c for c in every if c.signer != one] or every) for one in signers}
    return [best[case.signer] for case in cases]


def _best(cases: Sequence[Case]) -> Blend:
    return GRID[int(np.mean([_losses(case) for case in cases], axis=0).argmin())]


@cache
def _losses(case: Case) -> np.ndarray:
    return np.array([case.loss(blend) for blend in GRID])


def _print_row(name: str, correct: list[np.ndarray], nothing: list[np.ndarray]) -> None:
    gains = [c.mean() - n.mean() for c, n in zip(correct, nothing, strict=True)]
    accuracy, gain, deviation = np.concatenate(correct).mean(), np.mean(gains), np.std(gains)
    print(f"| {name} | {accuracy:.4f} | {gain:+.4f} ± {deviation:.4f} |")


if __name__ == "__main__":
    main()
