"""The kinds of .tflite that an export can write, and how exact each of them must be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asl.export.passes.float16 import to_float16
from asl.export.passes.int8 import to_int8

Calibration = Callable[[], Sequence[np.ndarray]]
"""Reads training clips, float32 [n, N, 3] each; called only by variants that need them."""


@dataclass(frozen=True)
class Tolerance:
    """How far a file's answers may be from the recognizer's on the verification clips.

    The meanings are part of report.md.
    """

    difference: float = field(
        metadata={"meaning": "largest difference allowed between two probabilities of a sign"}
    )
    agreement: float = field(
        metadata={"meaning": "share of clips that must have the same top sign, ties included"}
    )
    tie: float = field(
        metadata={
            "meaning": "another top sign is a tie if the recognizer's own probabilities of the two "
            "signs differ by less than"
        }
    )
    distance: float = field(
        metadata={"meaning": "largest distance allowed between two embeddings of a clip"}
    )


@dataclass(frozen=True)
class Variant:
    """One kind of .tflite.

    Attributes:
        description: how weights and products are stored and computed, for the report.
        conversion: the TFLiteConverter result to start from: `float32`, or `dynamic` for its
            dynamic-range quantization.
        build: the passes from that result, a tree of `asl.export.passes.flatbuffer`, to the
            variant's; it may change the tree that it is given.
        quantized: whether it computes in other numbers than the recognizer. A quantized file that
            fails verification is reported and kept; any other stops the export.
        tolerance: of its parity with the recognizer.
    """

    description: str
    conversion: str
    build: Callable[[Any, Calibration], Any]
    quantized: bool
    tolerance: Tolerance


VARIANTS = {
    "float32": Variant(
        "weights and activations in float32",
        conversion="float32",
        build=lambda model, calibration: model,
        quantized=False,
        tolerance=Tolerance(1e-4, 1.0, 1e-5, 1e-3),
    ),
    "float16": Variant(
        "large weights stored in float16, computed in float32",
        conversion="float32",
        build=lambda model, calibration: to_float16(model),
        quantized=False,
        tolerance=Tolerance(2e-2, 0.995, 1e-3, 5e-2),
    ),
    "dynamic": Variant(
        "weights stored in int8, inputs of products quantized at run time",
        conversion="dynamic",
        build=lambda model, calibration: model,
        quantized=True,
        tolerance=Tolerance(2e-1, 0.98, 1e-2, 5e-1),
    ),
    "int8": Variant(
        "products in int8, their ranges calibrated on training clips; the rest in float32",
        conversion="float32",
        build=lambda model, calibration: to_int8(model, calibration()),
        quantized=True,
        tolerance=Tolerance(5e-1, 0.95, 5e-2, 5e-1),
    ),
}

ONNX_TOLERANCE = Tolerance(1e-4, 1.0, 1e-5, 1e-3)
FIXED = "_n"  # in the name of a variant with a fixed number of frames, before the number


def fixed(variant: str, frames: int) -> str:
    """The name of a variant whose files read exactly so many frames."""
    return f"{variant}{FIXED}{frames}"


def variant_of(name: str) -> Variant:
    """The variant of this name, whatever its number of frames."""
    return VARIANTS[name.partition(FIXED)[0]]


def tolerance_of(name: str) -> Tolerance:
    """The tolerance of a file that is compared with the recognizer: `onnx` or a variant."""
    return ONNX_TOLERANCE if name == "onnx" else variant_of(name).tolerance


def file_name(variant: str) -> str:
    """The name of a variant's file."""
    return f"model_{variant}.tflite"
