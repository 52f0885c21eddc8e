"""What a split is: rows of a store, and how they were chosen, as facts and in words."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from asl.clips.names import joined

SplitKind = Literal[
    "signer_holdout", "signer_kfold", "leave_one_signer_out", "random", "all_signers", "whole"
]
NOT_INDEPENDENT = "(not signer-independent)"
CHOSEN_ON_TEST = "(optimistic: the epoch is chosen on the test clips)"
SIGNER = "signer"
_LONGEST_LIST = 1000


@dataclass(frozen=True, eq=False)
class Split:
    """Three sets of rows, disjoint but for `val=test`, and the facts that describe them.

    Attributes:
        train: rows to train on, sorted, int64.
        val: rows for choosing the epoch; may be empty.
        test: rows to test on, once; empty where `kind` is all_signers.
        kind: name of the function that made the split.
        test_signers: names; empty where `kind` is random or `by` is another column.
        val_signers: names; empty where validation has no signers of its own.
        test_signer_independent: whether no test signer is in the training or validation rows.
        val_signer_independent: whether no validation signer is in the training rows; true where
            `val` is empty.
        fold: index of the fold that is the test; None where the split has no folds.
        folds: number of folds; None where the split has none.
        share: of the clips that are test clips, where `kind` is random.
        val_share: of the other clips that are validation clips, where these have no own signers.
        seed: of a random split.
        by: what training, validation and test are kept apart by: `signer`, or a column.
        test_groups: values of that column that the test has; empty where it is `signer`.
        val_groups: values that validation has; empty where validation has none of its own.
        by_digest: hash of the column; empty where it is `signer`.
        notes: remarks for a reader of the results, on missing signs for example.
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
    by: str = SIGNER
    test_groups: tuple[str, ...] = ()
    val_groups: tuple[str, ...] = ()
    by_digest: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def family(self) -> str:
        """The kind of split, with `by=COLUMN` where that is not the signer."""
        return self.kind if self.by == SIGNER else f"{self.kind} by={self.by}"

    @property
    def validated_on_test(self) -> bool:
        """Whether the epoch is chosen on the test clips, whose results are optimistic then."""
        return len(self.val) > 0 and np.array_equal(self.val, self.test)

    @property
    def mixed(self) -> str:
        """What is wrong with the test, in words; empty where nothing is."""
        if self.validated_on_test:
            return CHOSEN_ON_TEST
        return "" if self.test_signer_independent else NOT_INDEPENDENT

    @property
    def protocol(self) -> str:
        """How the test rows were chosen, in words; results compare only under the same one."""
        if self.kind == "all_signers":
            return "all_signers test=none"
        if self.kind == "whole":
            return "whole: every clip"
        if self.kind == "random":
            return f"random {self.share:.0%} seed={self.seed} {NOT_INDEPENDENT}"
        number = f"{(self.fold or 0) + 1}/{self.folds} " if self.kind == "signer_kfold" else ""
        mixed = f" {self.mixed}" if self.mixed else ""
        tested = self.test_signers if self.by == SIGNER else self.test_groups
        return f"{self.family} {number}test={listed(tested, self.by)}{mixed}"

    @property
    def val_protocol(self) -> str:
        """How the validation rows were chosen, in words."""
        if not len(self.val):
            return "none"
        if self.validated_on_test:
            return "the test clips"
        if self.val_signers:
            return f"signers {listed(self.val_signers)}"
        if self.val_groups:
            mixed = "" if self.val_signer_independent else f" {NOT_INDEPENDENT}"
            return f"{self.by}={listed(self.val_groups, self.by)}{mixed}"
        whose = "training signers' clips" if self.by == SIGNER else "training clips"
        whose = "other clips" if self.kind == "random" else whose
        return f"{self.val_share:.0%} of the {whose} {NOT_INDEPENDENT}"

    def part_protocol(self, part: str) -> str:
        """How the rows of `val`, or else of the test, were chosen."""
        return self.val_protocol if part == "val" else self.protocol


def listed(names: Sequence[str], by: str = SIGNER) -> str:
    """The names; a digest stands for what is too long for a tag of MLflow."""
    text = joined(names)
    if len(text) > _LONGEST_LIST:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        what = "signers" if by == SIGNER else f"of {by}"
        text = f"{text[:_LONGEST_LIST]}… {len(names)} {what}, {digest}"
    return f"[{text}]"
