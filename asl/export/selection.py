"""Which of the files that were made can be offered, and which of these is the best."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from asl.export.backend.tflite import QUANTIZED
from asl.export.parity.accuracy import TORCH


class Offer(NamedTuple):
    """What is recommended of an export.

    Attributes:
        best: the variant; None where none is offered.
        why: how it was chosen, in a sentence.
        rejected: variant to the reason.
    """

    best: str | None
    why: str
    rejected: dict[str, str]


def offer(
    sizes: Mapping[str, int],
    refused: Mapping[str, str],
    accuracy: Mapping[str, Any],
    max_drop: float,
) -> Offer:
    """Drop what loses too much accuracy on the validation clips; the smallest of the rest is best.

    Test clips choose nothing here. Where there are no validation clips nothing is dropped, and a
    quantized file, of which agreement says too little, is best only if there is no other.

    Args:
        sizes: variant to the bytes of its file.
        refused: variant to the reason, of those that verification has refused already.
        accuracy: as `asl.export.parity.accuracy.accuracies` gives it.
        max_drop: of accuracy against the recognizer, at most.
    """
    val = accuracy.get("val")
    reasons = (_losses(val, max_drop) if val else {}) | dict(refused)
    offered = [variant for variant in sizes if variant not in reasons]
    if val:
        how = f"that lose at most {max_drop} of accuracy on {val['clips']} validation clips"
    else:
        offered = [v for v in offered if v not in QUANTIZED] or offered
        how = "whose answers agree; without validation clips accuracy could not be judged"
    if not offered:
        return Offer(None, "none of the files can be offered", reasons)
    best = min(offered, key=lambda variant: sizes[variant])
    return Offer(best, f"the smallest of {len(offered)} {_files(offered)} {how}", reasons)


def _losses(val: Mapping[str, Any], max_drop: float) -> dict[str, str]:
    """The files that lose too much accuracy on the validation clips, and how much."""
    own = val["files"][TORCH]["accuracy"]
    drops = {variant: own - figures["accuracy"] for variant, figures in val["files"].items()}
    return {
        variant: f"its accuracy on the {val['clips']} validation clips is {drop:.4f} below the "
        f"recognizer's, allowed is {max_drop} (export.max_drop)"
        for variant, drop in drops.items()
        if drop > max_drop + 1e-9  # shares of clips are rounded
    }


def _files(variants: list[str]) -> str:
    return "file" if len(variants) == 1 else "files"
