"""A tracked run as plain values; nothing here imports MLflow, which takes seconds."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from asl.errors import UserError
from asl.tracking.ranking import rank

# Of a split that goes by another column than the signer: its name, and a hash of its values.
SPLIT_BY, SPLIT_BY_DIGEST = "split.by", "split.by.digest"

DEFAULT_METRICS = ("test/f1", "val/f1")
CHOOSING_METRICS = ("val/f1", "test/f1")

PROTOCOL = {
    "data": "the data set",
    "data.fingerprint": "the packed clips",
    "split": "the split",
    "val_protocol": "the validation",
    SPLIT_BY_DIGEST: "the column that the split goes by",
}
"""Tags of runs and versions that must be the same for their numbers to compare, and their words."""

CHECKPOINT_REMOVED = "checkpoint_removed"  # tag: why `asl clean` removed it
MONITOR = "monitor"  # tag: the metric that chose the epoch
DEFAULT_MONITOR = "val/f1"


@dataclass(frozen=True)
class FoundRun:
    """A tracked run as plain values; `split` is the protocol that its numbers hold for."""

    run_id: str
    name: str
    status: str
    data: str
    split: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    started: int

    @property
    def split_kind(self) -> str:
        """The split function, `signer_holdout` say."""
        return self.tags.get("split.kind") or self.split.partition(" ")[0]  # before version 0.2

    @property
    def split_by(self) -> str:
        """What its split keeps apart: `signer`, or a column."""
        return self.tags.get(SPLIT_BY, "signer")

    @property
    def monitor(self) -> str:
        """The metric that chose the epoch."""
        return self.tags.get(MONITOR) or self.params.get("monitor") or DEFAULT_MONITOR

    @property
    def comparable(self) -> tuple[str, ...]:
        """What runs must share to be compared: clips, split, validation and monitor."""
        return (*(self.tags.get(key, "") for key in PROTOCOL), self.monitor)

    @property
    def diverged(self) -> bool:
        """Whether a loss is not finite."""
        losses = (value for name, value in self.metrics.items() if name.endswith("/loss"))
        return not all(map(math.isfinite, losses))

    @property
    def validation(self) -> str:
        """Whose clips its validation numbers are of."""
        if self.tags.get("val_protocol") == "none":
            return "none"
        if self.validated_on_test:
            return "the test clips"
        return "other signers" if self.val_signer_independent else "training signers"

    @property
    def validated_on_test(self) -> bool:
        """Whether the test clips chose the epoch, in each fold of a cross-validation."""
        return self.tags.get("val_protocol") in ("the test clips", "in each fold, its test clips")

    @property
    def test_signer_independent(self) -> bool:
        """Whether no signer of its test was trained on."""
        return self.tags.get("signer_independent") != "false"

    @property
    def val_signer_independent(self) -> bool:
        """Whether no signer of its validation was trained on."""
        if "val_signer_independent" in self.tags:
            return self.tags["val_signer_independent"] == "true"
        return "not signer-independent" not in self.tags.get("val_protocol", "")  # before 0.2

    def as_json(self) -> dict[str, Any]:
        """What `asl runs --json` prints of it."""
        hidden = ("tags", "started")
        return {key: value for key, value in asdict(self).items() if key not in hidden}

    @property
    def is_training(self) -> bool:
        """Whether this is a trained run, not the parent of some."""
        return self.tags.get("kind") == "train"

    @property
    def is_recognizer(self) -> bool:
        """Whether it keeps a recognizer: a training, not pruned and not cleaned, or an ensemble."""
        if "pruned" in self.tags or CHECKPOINT_REMOVED in self.tags:
            return False
        return self.is_training or self.tags.get("kind") == "ensemble"


def best_first(
    runs: Sequence[FoundRun], metric: str | None = None, split: str | None = None
) -> list[FoundRun]:
    """The runs, best first by `metric`; those without it come last, in their order.

    Args:
        runs: the newest first.
        metric: a metric as logged; default `test/f1`, else `val/f1`. Of losses, calibration
            errors, sizes and times the smallest is the best.
        split: only runs whose split protocol starts with this, `signer_holdout` say.

    Raises:
        UserError: no run has that metric.
    """
    runs = [run for run in runs if run.split.startswith(split or "")]
    if metric and runs and not any(metric in run.metrics for run in runs):
        known = sorted({name for run in runs for name in run.metrics})
        raise UserError(f"metric={metric}: no run has it; choose from {', '.join(known) or 'none'}")
    wanted = (metric,) if metric else DEFAULT_METRICS
    return sorted(runs, key=lambda run: rank(run.metrics, wanted))
