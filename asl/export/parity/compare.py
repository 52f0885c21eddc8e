"""Parity: whether an exported file gives each clip the recognizer's probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asl.export import ExportError
from asl.export.variants import Tolerance, tolerance_of
from asl.recognizer.recognizer import Recognizer
from asl.runtime.litert import Predictor


@dataclass(frozen=True)
class ParityResult:
    """How far one file's probabilities are from the recognizer's.

    Attributes:
        name: `onnx` or the TFLite variant.
        max_difference: of a probability on any clip.
        mean_difference: over all probabilities of all clips.
        worst_clip: that has the largest difference.
        same_top: share of clips with the same top sign.
        ties: clips with another top sign that the recognizer itself all but ties with its own.
        changed: clips with another top sign, ties not counted.
        clips: number of clips compared.
        tolerance: that the file must keep to.
    """

    name: str
    max_difference: float
    mean_difference: float
    worst_clip: str
    same_top: float
    ties: int
    changed: tuple[str, ...]
    clips: int
    tolerance: Tolerance


def compare(
    name: str, reference: np.ndarray, probabilities: np.ndarray, clip_names: Sequence[str]
) -> ParityResult:
    """Compare a file's probabilities with the recognizer's, both [clips, signs]."""
    tolerance = tolerance_of(name)
    difference = np.abs(probabilities - reference)
    rows = np.arange(len(reference))
    top, other_top = reference.argmax(1), probabilities.argmax(1)
    margin = reference[rows, top] - reference[rows, other_top]
    differs, tied = top != other_top, margin < tolerance.tie
    changed = differs & ~tied
    return ParityResult(
        name,
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        worst_clip=clip_names[int(difference.max(1).argmax())],
        same_top=float(1 - differs.mean()),
        ties=int((differs & tied).sum()),
        changed=tuple(
            clip for clip, is_changed in zip(clip_names, changed, strict=True) if is_changed
        ),
        clips=len(reference),
        tolerance=tolerance,
    )


def check_parity(result: ParityResult) -> None:
    """Check a comparison against its tolerance.

    Raises:
        ExportError: names the file, the clip and the difference.
    """
    tolerance = result.tolerance
    if result.max_difference > tolerance.difference:
        raise ExportError(
            f"{result.name}: on clip {result.worst_clip!r} a probability differs from the "
            f"recognizer's by {result.max_difference:.2e}, allowed is {tolerance.difference:.0e}."
        )
    agreement = 1 - len(result.changed) / result.clips
    if agreement < tolerance.agreement:
        raise ExportError(
            f"{result.name}: the top sign is the recognizer's on {agreement:.2%} of "
            f"{result.clips}, not on {tolerance.agreement:.1%}; it is another on "
            f"{', '.join(result.changed[:5])}, and a probability differs "
            f"by up to {result.max_difference:.2e}, on clip {result.worst_clip!r}."
        )


def probabilities(predictor: Predictor, clips: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The probabilities of each clip, float32 [clips, signs].

    Raises:
        ExportError: the predictor fails on a clip, or its outputs are not finite or do not sum
            to 1.
    """
    rows = []
    for clip_name, clip in clips.items():
        try:
            outputs = predictor(clip)
        except Exception as error:  # each runtime has its own
            raise ExportError(f"{name}: fails on clip {clip_name!r}: {error}") from error
        if not (np.isfinite(outputs).all() and abs(outputs.sum() - 1) < 1e-3):
            raise ExportError(
                f"{name}: on clip {clip_name!r} the outputs sum to {outputs.sum()}, not 1"
            )
        rows.append(outputs)
    return np.stack(rows)


def torch_predictor(recognizer: Recognizer) -> Predictor:
    """The recognizer itself, from and to NumPy."""

    def predictor(clip: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return recognizer.recognise(torch.from_numpy(clip)).numpy()

    return predictor


def onnx_predictor(path: Path) -> Predictor:
    """An ONNX file in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda clip: session.run(["outputs"], {"inputs": clip})[0]
