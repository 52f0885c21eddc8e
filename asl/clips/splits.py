"""Who is trained on and who is tested: rows of a store, by signer, under a named protocol.

Every split here is decided by the names, the counts and a seed alone, so that it is the same on
every machine. Signers compare as text: 3 and "3" are one signer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Interval

from asl.errors import UserError, unknown

Signers = list[str | int]
Share = Annotated[float, Interval(gt=0, lt=1)]


SplitKind = Literal["signer_holdout", "signer_kfold", "leave_one_signer_out", "random"]
NOT_INDEPENDENT = "(not signer-independent)"


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sets of rows, and what may be said of numbers measured on them.

    Attributes:
        train: rows to fit on, sorted, int64.
        val: rows to choose the epoch by; empty where there are none.
        test: rows to measure on once.
        kind: the function that made it.
        test_signers: names of the signers of the test; empty where `kind` is random.
        val_signers: names of the signers of the validation, if it has signers of its own.
        test_signer_independent: whether no test signer is trained on.
        val_signer_independent: whether no validation signer is trained on; true of no validation.
        fold: which fold is the test, from 0; None where the split has no folds.
        folds: of how many; None where the split has no folds.
        share: of the clips in the test, where `kind` is random.
        val_share: of the other clips in the validation, where it has no signers of its own.
        seed: of a random split.
        notes: what a reader of the numbers should know besides.
    """

    train: np.ndarray = field(repr=False)
    val: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    kind: SplitKind
    test_signers: tuple[str, ...]
    val_signers: tuple[str, ...]
    test_signer_independent: bool
    val_signer_independent: bool
    fold: int | None = None
    folds: int | None = None
    share: float | None = None
    val_share: float | None = None
    seed: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def protocol(self) -> str:
        """How the test rows were chosen, in words; numbers compare only under the same one."""
        if self.kind == "random":
            return f"random {self.share:.0%} seed={self.seed} {NOT_INDEPENDENT}"
        number = f"{(self.fold or 0) + 1}/{self.folds} " if self.kind == "signer_kfold" else ""
        return f"{self.kind} {number}test={_listed(self.test_signers)}"

    @property
    def val_protocol(self) -> str:
        """How the validation rows were chosen, in words."""
        if not len(self.val):
            return "none"
        if self.val_signers:
            return f"signers {_listed(self.val_signers)}"
        whose = "other clips" if self.kind == "random" else "training signers' clips"
        return f"{self.val_share:.0%} of the {whose} {NOT_INDEPENDENT}"

    def part_protocol(self, part: str) -> str:
        """How the rows of `val`, or else of the test, were chosen."""
        return self.val_protocol if part == "val" else self.protocol


def signer_holdout(
    signs: Sequence[str] | np.ndarray,
    signers: Sequence[str] | np.ndarray,
    *,
    test: Signers | None = None,
    val: Signers | Literal["none"] | None = None,
    test_share: Share = 0.2,
    val_share: Share = 0.2,
    val_signers_from: Annotated[int, Ge(2)] = 4,
    seed: Annotated[int, Ge(0)] = 0,
) -> Split:
    """Some signers are kept for the test.

    Args:
        signs: the name of each clip's sign.
        signers: the name of each clip's signer.
        test: signers to test on; a seeded share of all signers, at least one, where None.
        val: signers to validate on; "none" for no validation. Where None: a seeded share of the
            signers, at least one, if there are `val_signers_from` of them; otherwise a share of
            the training signers' clips, the same of each sign.
        test_share: share of all signers that is tested on.
        val_share: share of all signers, or of the training signers' clips, to validate on.
        val_signers_from: with so many signers in all, validation has signers of its own.
        seed: of every choice made here.

    Raises:
        UserError: a named signer does not exist or is wanted twice, or nobody is left to train on.
    """
    signs, signers = _names(signs), _names(signers)
    everyone = sorted_signers(signers)
    rng = np.random.default_rng(seed)
    if test is None:
        if len(everyone) < 2:
            raise UserError(f"split: only signer {everyone[0]} is there, so none can be held out")
        tested = _drawn(everyone, test_share, rng)
    else:
        tested = _chosen("split.test", test, everyone)
    chosen = _Validation(val, val_share, val_signers_from)
    return _by_signer(signs, signers, "signer_holdout", tested, chosen, rng)


def signer_kfold(
    signs: Sequence[str] | np.ndarray,
    signers: Sequence[str] | np.ndarray,
    *,
    folds: Annotated[int, Ge(2)] = 5,
    fold: Annotated[int, Ge(0)] = 0,
    val: Signers | Literal["none"] | None = None,
    val_share: Share = 0.2,
    val_signers_from: Annotated[int, Ge(2)] = 4,
    seed: Annotated[int, Ge(0)] = 0,
) -> Split:
    """The signers are dealt into folds of nearly equal numbers of clips; one fold is the test.

    Args:
        signs: the name of each clip's sign.
        signers: the name of each clip's signer.
        folds: how many.
        fold: which one to test on, counted from 0.
        val: as in `signer_holdout`.
        val_share: as in `signer_holdout`.
        val_signers_from: as in `signer_holdout`.
        seed: of the validation signers and of ties; the folds follow from the counts.

    Raises:
        UserError: there are fewer signers than folds, no such fold, or what `signer_holdout` says.
    """
    signs, signers = _names(signs), _names(signers)
    everyone = sorted_signers(signers)
    if folds > len(everyone):
        raise UserError(f"split.folds={folds}: there are only {len(everyone)} signers")
    if fold >= folds:
        raise unknown("split.fold", fold, range(folds))
    tested = deal_signers(signers, folds)[fold]
    rng = np.random.default_rng(seed)
    chosen = _Validation(val, val_share, val_signers_from)
    return _by_signer(signs, signers, "signer_kfold", tested, chosen, rng, fold, folds)


def leave_one_signer_out(
    signs: Sequence[str] | np.ndarray,
    signers: Sequence[str] | np.ndarray,
    *,
    fold: Annotated[int, Ge(0)] = 0,
    test: Signers | None = None,
    val: Signers | Literal["none"] | None = None,
    val_share: Share = 0.2,
    val_signers_from: Annotated[int, Ge(2)] = 4,
    seed: Annotated[int, Ge(0)] = 0,
) -> Split:
    """One signer is the test.

    Args:
        signs: the name of each clip's sign.
        signers: the name of each clip's signer.
        fold: which signer, counted from 0 in the order of their names.
        test: the signer by name, which goes before `fold`.
        val: as in `signer_holdout`.
        val_share: as in `signer_holdout`.
        val_signers_from: as in `signer_holdout`.
        seed: of the validation signers.

    Raises:
        UserError: there is no such fold, more than one signer is named, or what `signer_holdout`
            says.
    """
    signs, signers = _names(signs), _names(signers)
    everyone = sorted_signers(signers)
    if test is None and fold >= len(everyone):
        raise unknown("split.fold", fold, range(len(everyone)))
    tested = [everyone[fold]] if test is None else _chosen("split.test", test, everyone)
    if len(tested) != 1:
        raise UserError(f"split.test={_listed(tested)}: leave_one_signer_out tests on one signer")
    rng = np.random.default_rng(seed)
    chosen = _Validation(val, val_share, val_signers_from)
    number = everyone.index(tested[0])
    return _by_signer(
        signs, signers, "leave_one_signer_out", tested, chosen, rng, number, len(everyone)
    )


def random(
    signs: Sequence[str] | np.ndarray,
    signers: Sequence[str] | np.ndarray,
    *,
    val: Literal["none"] | None = None,
    test_share: Share = 0.2,
    val_share: Share = 0.2,
    seed: Annotated[int, Ge(0)] = 0,
) -> Split:
    """A share of every sign's clips is the test, whoever signs them: not signer-independent.

    Args:
        signs: the name of each clip's sign.
        signers: the name of each clip's signer.
        val: "none" for no validation.
        test_share: share of all clips that is tested on.
        val_share: share of the other clips to validate on.
        seed: of every choice made here.

    Raises:
        UserError: a share leaves nothing to train or test on.
    """
    signs, signers = _names(signs), _names(signers)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(signs))
    test = _share_of_each_sign(rows, signs, test_share, rng)
    rest = np.setdiff1d(rows, test)
    held = rest[:0] if val == "none" else _share_of_each_sign(rest, signs, val_share, rng)
    return _checked(
        signs,
        signers,
        Split(
            train=np.setdiff1d(rest, held),
            val=held,
            test=test,
            kind="random",
            test_signers=(),
            val_signers=(),
            test_signer_independent=False,
            val_signer_independent=not len(held),
            share=test_share,
            val_share=val_share,
            seed=seed,
        ),
    )


def deal_signers(signers: Sequence[str] | np.ndarray, folds: int) -> list[list[str]]:
    """Deals signers into folds with numbers of clips as equal as can be.

    Greedy (the signer with most clips goes to the fold with fewest), then up to two signers of one
    fold change places with up to two of another, for as long as that brings their numbers closer.

    Args:
        signers: the name of each clip's signer.
        folds: how many.

    Returns:
        The signers of each fold.
    """
    names, counts = np.unique(_names(signers), return_counts=True)
    clips = dict(zip(names.tolist(), counts.tolist(), strict=True))
    dealt: list[list[str]] = [[] for _ in range(folds)]
    for name in sorted(clips, key=lambda name: (-clips[name], _natural(name))):
        min(dealt, key=lambda fold: sum(clips[other] for other in fold)).append(name)
    while any(_levelled(a, b, clips) for a, b in combinations(dealt, 2)):
        pass
    return [sorted(fold, key=_natural) for fold in dealt]


def _levelled(a: list[str], b: list[str], clips: dict[str, int]) -> bool:
    """Makes the exchange that levels two folds best; whether there was one."""
    gap = sum(clips[name] for name in a) - sum(clips[name] for name in b)
    exchanges = [
        (
            abs(
                gap - 2 * (sum(clips[name] for name in given) - sum(clips[name] for name in taken))
            ),
            given,
            taken,
        )
        for given, taken in product(_few(a), _few(b))
        if len(given) < len(a) + len(taken) and len(taken) < len(b) + len(given)
    ]
    left, given, taken = min(exchanges, key=lambda exchange: exchange[0])
    if left >= abs(gap):
        return False
    for one, other, moved in ((a, b, given), (b, a, taken)):
        one[:] = [name for name in one if name not in moved]
        other.extend(moved)
    return True


def _few(names: list[str]) -> list[tuple[str, ...]]:
    return [(), *combinations(names, 1), *combinations(names, 2)]


def sorted_signers(signers: Sequence[str] | np.ndarray) -> list[str]:
    """The different signers: numbers by value, then names."""
    return sorted(np.unique(_names(signers)).tolist(), key=_natural)


def _natural(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def _names(values: Sequence[str] | np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(str)


def _chosen(key: str, wanted: Signers, choices: list[str]) -> list[str]:
    names = list(dict.fromkeys(str(signer) for signer in wanted))
    if not names:
        raise UserError(f"{key}=[]: name at least one signer of {', '.join(choices)}")
    if strange := [name for name in names if name not in choices]:
        raise unknown(key, _listed(strange), choices)
    return sorted(names, key=_natural)


def _drawn(choices: list[str], share: float, rng: np.random.Generator) -> list[str]:
    count = max(1, min(round(share * len(choices)), len(choices) - 1))
    return sorted(rng.permutation(choices)[:count].tolist(), key=_natural)


def _listed(names: Sequence[str]) -> str:
    return f"[{','.join(names)}]"


class _Validation(NamedTuple):
    """How a split of signers chooses its validation; see `signer_holdout`."""

    signers: Signers | Literal["none"] | None
    share: float
    signers_from: int


def _by_signer(
    signs: np.ndarray,
    signers: np.ndarray,
    kind: SplitKind,
    tested: list[str],
    validation: _Validation,
    rng: np.random.Generator,
    fold: int | None = None,
    folds: int | None = None,
) -> Split:
    """The split with these test signers: chooses validation, and what is left is trained."""
    everyone = sorted_signers(signers)
    others = [name for name in everyone if name not in tested]
    if not others:
        raise UserError(f"split.test={_listed(tested)}: nobody is left to train on")
    rest = np.flatnonzero(np.isin(signers, others))
    names: list[str] = []
    val, share, signers_from = validation
    if val == "none":
        held = rest[:0]
    elif val is None and (len(everyone) < signers_from or len(others) < 2):
        held = _share_of_each_sign(rest, signs, share, rng)
    else:
        names = _drawn(others, share, rng) if val is None else _chosen("split.val", val, others)
        held = np.flatnonzero(np.isin(signers, names))
    return _checked(
        signs,
        signers,
        Split(
            train=np.setdiff1d(rest, held),
            val=held,
            test=np.flatnonzero(np.isin(signers, tested)),
            kind=kind,
            test_signers=tuple(tested),
            val_signers=tuple(names),
            test_signer_independent=True,
            val_signer_independent=bool(names) or not len(held),
            fold=fold,
            folds=folds,
            val_share=share,
        ),
    )


def _share_of_each_sign(
    rows: np.ndarray, signs: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """That share of each sign's rows, at least one where a sign has two."""
    drawn = []
    for sign in np.unique(signs[rows]):
        own = rng.permutation(rows[signs[rows] == sign])
        drawn.append(own[: min(max(1, round(share * len(own))), len(own) - 1)])
    return np.sort(np.concatenate(drawn))


def _checked(signs: np.ndarray, signers: np.ndarray, split: Split) -> Split:
    """The split with its notes; raises UserError where there is nothing to train or test on."""
    for name in ("train", "test"):
        if not len(getattr(split, name)):
            raise UserError(f"split: {split.protocol} leaves no clip to {name} on")
    return replace(split, notes=_notes(signs, signers, split))


def _notes(signs: np.ndarray, signers: np.ndarray, split: Split) -> list[str]:
    notes = []
    everything = np.unique(signs)
    for name in ("train", "val", "test"):
        rows = getattr(split, name)
        missing = np.setdiff1d(everything, signs[rows])
        if len(rows) and len(missing):
            notes.append(f"{len(missing)} signs have no {name} clip: {_some(missing)}")
    pairs = len(np.unique(np.stack([signs, signers], axis=1), axis=0))
    possible = len(everything) * len(np.unique(signers))
    if pairs < possible:
        lacking = possible - pairs
        notes.append(f"{lacking} of {possible} pairs of sign and signer have no clip")
    return notes


def _some(names: Sequence[str] | np.ndarray, most: int = 10) -> str:
    shown = ", ".join(str(name) for name in names[:most])
    return shown + (", …" if len(names) > most else "")
