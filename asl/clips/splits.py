"""Splits of a store's rows into training, validation and test, by signer or by another column.

A split depends only on the names, the counts and a seed, so it is the same on every machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Interval

from asl.clips.columns import UNKNOWN
from asl.clips.folds import deal_signers
from asl.clips.names import Names, as_text, natural, sorted_names
from asl.clips.split import SIGNER, Split, SplitKind, listed
from asl.errors import UserError, unknown

Signers = list[str | int]
ValSigners = Signers | Literal["none", "test"] | None
TestSigners = Signers | Literal["none"] | None
Share = Annotated[float, Interval(gt=0, lt=1)]
ValSignersFrom = Annotated[int, Ge(2)]
Seed = Annotated[int, Ge(0)]
Columns = Mapping[str, Names]


class Validation(NamedTuple):
    """The arguments that all splits by signer share: how validation clips are chosen.

    Attributes:
        val: signers to validate on; "none" for no validation; "test" for the test clips themselves,
            which makes their results optimistic. Where None: a seeded share of the signers, at
            least one, if there are `val_signers_from` signers; otherwise a share of the training
            signers' clips, the same for each sign.
        val_share: share of all signers, or of the training signers' clips, to validate on.
        val_signers_from: from this number of signers on, validation has signers of its own.
    """

    val: ValSigners
    val_share: float
    val_signers_from: int


def signer_holdout(
    signs: Names,
    signers: Names,
    *,
    by: str = SIGNER,
    columns: Columns = MappingProxyType({}),
    test: TestSigners = None,
    val: ValSigners = None,
    test_share: Share = 0.2,
    val_share: Share = 0.2,
    val_signers_from: ValSignersFrom = 4,
    seed: Seed = 0,
) -> Split:
    """Tests on some signers, and trains on the others.

    Args:
        signs: sign of each clip.
        signers: signer of each clip.
        by: `signer`, or a column whose values are kept apart instead; other options name these.
        columns: further columns, a value of each clip by name.
        test: signers to test on; a seeded share of all signers, at least one, where None; "none"
            to train on everybody, as `all_signers` does.
        val: see `Validation`.
        test_share: share of all signers that is tested on.
        val_share: see `Validation`.
        val_signers_from: see `Validation`.
        seed: of the random choices.

    Raises:
        UserError: a named signer does not exist or is in both test and validation, or no signer
            is left to train on.
    """
    clips = _clips(signs, signers, by, columns)
    validation = Validation(val, val_share, val_signers_from)
    rng = np.random.default_rng(seed)
    if test == "none":
        return _split_by_group(clips, "all_signers", [], validation, rng)
    names = clips.names
    if test is None:
        if len(names) < 2:
            raise UserError(f"split: only {by} {names[0]} is there, so none can be held out")
        tested = _draw_signers(names, test_share, rng)
    else:
        tested = _checked_signers("split.test", test, names)
    return _split_by_group(clips, "signer_holdout", tested, validation, rng)


def signer_kfold(
    signs: Names,
    signers: Names,
    *,
    by: str = SIGNER,
    columns: Columns = MappingProxyType({}),
    folds: Annotated[int, Ge(2)] = 5,
    fold: Annotated[int, Ge(0)] = 0,
    val: ValSigners = None,
    val_share: Share = 0.2,
    val_signers_from: ValSignersFrom = 4,
    seed: Seed = 0,
) -> Split:
    """Tests on one of several folds of signers with nearly equal numbers of clips.

    Args:
        signs: sign of each clip.
        signers: signer of each clip.
        by: `signer`, or a column whose values are kept apart instead; other options name these.
        columns: further columns, a value of each clip by name.
        folds: number of folds.
        fold: index of the fold to test on, from 0.
        val: see `Validation`.
        val_share: see `Validation`.
        val_signers_from: see `Validation`.
        seed: of the validation signers; the folds depend on the numbers of clips alone.

    Raises:
        UserError: there are fewer signers than folds, the fold does not exist, or as
            `signer_holdout` raises.
    """
    clips = _clips(signs, signers, by, columns)
    if folds > len(clips.names):
        of = "signers" if by == SIGNER else f"values of {by}"
        raise UserError(f"split.folds={folds}: there are only {len(clips.names)} {of}")
    if fold >= folds:
        raise unknown("split.fold", fold, range(folds))
    tested = deal_signers(clips.groups, folds)[fold]
    rng = np.random.default_rng(seed)
    validation = Validation(val, val_share, val_signers_from)
    return _split_by_group(clips, "signer_kfold", tested, validation, rng, fold, folds)


def leave_one_signer_out(
    signs: Names,
    signers: Names,
    *,
    by: str = SIGNER,
    columns: Columns = MappingProxyType({}),
    fold: Annotated[int, Ge(0)] = 0,
    test: Signers | None = None,
    val: ValSigners = None,
    val_share: Share = 0.2,
    val_signers_from: ValSignersFrom = 4,
    seed: Seed = 0,
) -> Split:
    """Tests on one signer.

    Args:
        signs: sign of each clip.
        signers: signer of each clip.
        by: `signer`, or a column whose values are kept apart instead; other options name these.
        columns: further columns, a value of each clip by name.
        fold: index of the signer in the order of names, from 0.
        test: the signer by name, instead of `fold`.
        val: see `Validation`.
        val_share: see `Validation`.
        val_signers_from: see `Validation`.
        seed: of the validation signers.

    Raises:
        UserError: the fold does not exist, more than one signer is named, or as `signer_holdout`
            raises.
    """
    clips = _clips(signs, signers, by, columns)
    names = clips.names
    if test is None and fold >= len(names):
        raise unknown("split.fold", fold, range(len(names)))
    tested = [names[fold]] if test is None else _checked_signers("split.test", test, names)
    if len(tested) != 1:
        raise UserError(f"split.test={listed(tested)}: leave_one_signer_out tests on one {by}")
    rng = np.random.default_rng(seed)
    validation = Validation(val, val_share, val_signers_from)
    fold, folds = names.index(tested[0]), len(names)
    return _split_by_group(clips, "leave_one_signer_out", tested, validation, rng, fold, folds)


def all_signers(
    signs: Names,
    signers: Names,
    *,
    by: str = SIGNER,
    columns: Columns = MappingProxyType({}),
    val: ValSigners = "none",
    val_share: Share = 0.2,
    val_signers_from: ValSignersFrom = 4,
    seed: Seed = 0,
) -> Split:
    """Trains on all signers and tests on none: for the final model, whose epochs are known.

    Args:
        signs: sign of each clip.
        signers: signer of each clip.
        by: `signer`, or a column whose values are kept apart instead; other options name these.
        columns: further columns, a value of each clip by name.
        val: see `Validation`; with "none" the last epoch is kept.
        val_share: see `Validation`.
        val_signers_from: see `Validation`.
        seed: of the validation signers.

    Raises:
        UserError: a named validation signer does not exist, or nobody is left to train on.
    """
    clips = _clips(signs, signers, by, columns)
    validation = Validation(val, val_share, val_signers_from)
    return _split_by_group(clips, "all_signers", [], validation, np.random.default_rng(seed))


def whole(signs: Names, signers: Names) -> Split:
    """Tests on every clip: for a data set that was not trained on. Nothing can be trained with it.

    Args:
        signs: sign of each clip.
        signers: signer of each clip.
    """
    rows = np.arange(len(signs))
    return Split(
        train=rows[:0],
        val=rows[:0],
        test=rows,
        kind="whole",
        test_signers=tuple(sorted_names(signers)),
        val_signers=(),
        test_signer_independent=True,
        val_signer_independent=True,
    )


def random(
    signs: Names,
    signers: Names,
    *,
    val: Literal["none"] | None = None,
    test_share: Share = 0.2,
    val_share: Share = 0.2,
    seed: Seed = 0,
) -> Split:
    """Tests on a share of every sign's clips by any signer: not signer-independent.

    Args:
        signs: sign of each clip.
        signers: signer of each clip.
        val: "none" for no validation.
        test_share: share of all clips that is tested on.
        val_share: share of the other clips to validate on.
        seed: of the random choices.

    Raises:
        UserError: no clip is left to train or to test on.
    """
    signs, signers = as_text(signs), as_text(signers)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(signs))
    test = _share_of_each_sign(rows, signs, test_share, rng)
    rest = np.setdiff1d(rows, test)
    held = rest[:0] if val == "none" else _share_of_each_sign(rest, signs, val_share, rng)
    split = Split(
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
    )
    return _with_notes(split, signs, signers)


def _checked_signers(key: str, signers: Signers, choices: list[str]) -> list[str]:
    names = list(dict.fromkeys(str(signer) for signer in signers))
    if not names:
        raise UserError(f"{key}=[]: name at least one signer of {', '.join(choices)}")
    if others := [name for name in names if name not in choices]:
        raise unknown(key, listed(others), choices)
    return sorted(names, key=natural)


def _draw_signers(choices: list[str], share: float, rng: np.random.Generator) -> list[str]:
    count = max(1, min(round(share * len(choices)), len(choices) - 1))
    return sorted(rng.permutation(choices)[:count].tolist(), key=natural)


def groups_of(by: str, signers: Names, columns: Columns) -> np.ndarray:
    """What a split keeps apart: the signer of each clip, or its value in a column, str [clips].

    Raises:
        UserError: there is no such column, or it does not say the value of a clip.
    """
    if by == SIGNER:
        return as_text(signers)
    if by not in columns:
        raise unknown("split.by", by, [SIGNER, *columns])
    groups = as_text(columns[by])
    if unsaid := int((groups == UNKNOWN).sum()):
        raise UserError(
            f"split.by={by}: {unsaid:,} of {len(groups):,} clips have no {by}, so nothing says "
            "which side they belong on"
        )
    return groups


class _Clips(NamedTuple):
    """Sign and signer of each clip, and what they are kept apart by, each str [clips]."""

    signs: np.ndarray
    signers: np.ndarray
    by: str
    groups: np.ndarray

    @property
    def names(self) -> list[str]:
        """The different groups."""
        return sorted_names(self.groups)


def _clips(signs: Names, signers: Names, by: str, columns: Columns) -> _Clips:
    return _Clips(as_text(signs), as_text(signers), by, groups_of(by, signers, columns))


def _split_by_group(
    clips: _Clips,
    kind: SplitKind,
    tested: list[str],
    validation: Validation,
    rng: np.random.Generator,
    fold: int | None = None,
    folds: int | None = None,
) -> Split:
    """The split with these test groups: draws validation, and trains on the rest."""
    names = clips.names
    others = [name for name in names if name not in tested]
    if not others:
        raise UserError(f"split.test={listed(tested)}: nobody is left to train on")
    rest = np.flatnonzero(np.isin(clips.groups, others))
    val, share, signers_from = validation
    val_groups: list[str] = []
    test = np.flatnonzero(np.isin(clips.groups, tested))
    if val == "none":
        held = rest[:0]
    elif val == "test":
        if not tested:
            raise UserError("split.val=test: there is no test; choose none, or name signers")
        val_groups, held = tested, test
    elif val is None and (len(names) < signers_from or len(others) < 2):
        held = _share_of_each_sign(rest, clips.signs, share, rng)
    else:
        val_groups = (
            _draw_signers(others, share, rng)
            if val is None
            else _checked_signers("split.val", val, others)
        )
        held = np.flatnonzero(np.isin(clips.groups, val_groups))
    split = Split(
        train=np.setdiff1d(rest, held),
        val=held,
        test=test,
        kind=kind,
        test_signers=tuple(tested),
        val_signers=tuple(val_groups),
        test_signer_independent=val != "test",
        val_signer_independent=bool(val_groups) or not len(held),
        fold=fold,
        folds=folds,
        val_share=share,
    )
    if clips.by != SIGNER:
        split = _as_split_by_column(split, clips)
    return _with_notes(split, clips.signs, clips.signers)


def _as_split_by_column(split: Split, clips: _Clips) -> Split:
    """The facts of a split whose groups are no signers: who stands on both sides is counted."""
    train, val, test = (clips.signers[rows] for rows in (split.train, split.val, split.test))
    digest = hashlib.sha256("\n".join(clips.groups).encode()).hexdigest()
    return replace(
        split,
        test_signers=(),
        val_signers=(),
        test_signer_independent=not np.isin(test, [*train, *val]).any(),
        val_signer_independent=split.val_signer_independent and not np.isin(val, train).any(),
        by=clips.by,
        test_groups=split.test_signers,
        val_groups=split.val_signers,
        by_digest=digest[:16],
    )


def _share_of_each_sign(
    rows: np.ndarray, signs: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """That share of each sign's rows, at least one where a sign has two."""
    drawn = []
    for sign in np.unique(signs[rows]):
        shuffled = rng.permutation(rows[signs[rows] == sign])
        count = min(max(1, round(share * len(shuffled))), len(shuffled) - 1)
        drawn.append(shuffled[:count])
    return np.sort(np.concatenate(drawn))


def _with_notes(split: Split, signs: np.ndarray, signers: np.ndarray) -> Split:
    """The split with its notes; raises UserError where there is nothing to train or test on."""
    notes = []
    all_signs = np.unique(signs)
    for name in ("train", "val", "test"):
        rows = getattr(split, name)
        if not len(rows):
            if name == "train" or (name == "test" and split.kind != "all_signers"):
                raise UserError(f"split: {split.protocol} leaves no clip to {name} on")
            continue
        missing = np.setdiff1d(all_signs, signs[rows])
        if len(missing):
            listed = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
            notes.append(f"{len(missing)} signs have no {name} clip: {listed}")
    pairs = len(np.unique(np.stack([signs, signers], axis=1), axis=0))
    possible = len(all_signs) * len(np.unique(signers))
    if pairs < possible:
        notes.append(f"{possible - pairs} of {possible} pairs of sign and signer have no clip")
    return replace(split, notes=notes)
