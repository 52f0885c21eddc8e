"""Which of the exported files are rejected, and which of the others is the best."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from asl.export.parity.accuracy import TORCH
from asl.export.variants import VARIANTS


class Selection(NamedTuple):
    """The recommended file of an export.

    Attributes:
        best: the variant; None where every file is rejected.
        why: how it was selected, in a sentence.
        rejected: variant to the reason.
    """

    best: str | None
    why: str
    rejected: dict[str, str]


def select_variant(
    sizes: Mapping[str, int],
    rejected: Mapping[str, str],
    accuracy: Mapping[str, Any],
    max_drop: float,
) -> Selection:
    """Reject files that lose too much validation accuracy; the smallest of the others is best.

    Test clips have no influence. Without validation clips no file is rejected here, and a quantized
    file, of which parity says too little, is best only if there is no other.

    Args:
        sizes: variant to the bytes of its file.
        rejected: variant to the reason, of those that verification has rejected.
        accuracy: as `asl.export.parity.accuracy.accuracies` gives it.
        max_drop: largest loss of accuracy against the recognizer.
    """
    val = accuracy.get("val")
    reasons = (_accuracy_losses(val, max_drop) if val else {}) | dict(rejected)
    candidates = [variant for variant in sizes if variant not in reasons]
    if val:
        how = f"that lose at most {max_drop} of accuracy on {val['clips']} validation clips"
    else:
        exact = [variant for variant in candidates if not VARIANTS[variant].quantized]
        candidates = exact or candidates
        how = "that pass verification; without validation clips accuracy could not be judged"
    if not candidates:
        return Selection(None, "every file is rejected", reasons)
    best = min(candidates, key=lambda variant: sizes[variant])
    files = "file" if len(candidates) == 1 else "files"
    return Selection(best, f"the smallest of {len(candidates)} {files} {how}", reasons)


def _accuracy_losses(val: Mapping[str, Any], max_drop: float) -> dict[str, str]:
    """The files that lose too much accuracy on the validation clips, and how much."""
    reference = val["files"][TORCH]["accuracy"]
    drops = {name: reference - figures["accuracy"] for name, figures in val["files"].items()}
    return {
        variant: f"its accuracy on the {val['clips']} validation clips is {drop:.4f} below the "
        f"recognizer's, allowed is {max_drop} (export.max_drop)"
        for variant, drop in drops.items()
        if drop > max_drop + 1e-9  # shares of clips are rounded
    }
