"""A split's predictions into a run's tables and pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.tracking.run import TrackedRun
    from asl.training.evaluation import Predictions


def record_split(
    run: "TrackedRun", name: str, split: "Split", store: "ClipStore", predictions: "Predictions"
) -> None:
    """Log tables, confusions and every clip's scores of one split."""
    from asl.tracking.record import record_split_results
    from asl.training.evaluation import (
        confused_pairs,
        confusion,
        per_clip,
        per_sign,
        per_signer,
    )

    record_split_results(
        run,
        split=name,
        protocol=split.val_protocol if name == "val" else split.protocol,
        signers=per_signer(predictions),
        signs=per_sign(predictions),
        pairs=confused_pairs(predictions),
        counts=confusion(predictions),
        clips=per_clip(predictions, store.clips["path"]),
    )
