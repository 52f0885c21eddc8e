"""Parity: whether an exported file and the recognizer give each clip the same outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from asl.export import ExportError
from asl.export.variants import Tolerance, tolerance_of
from asl.recognizer.recognizer import Recognizer
from asl.runtime.litert import Describer


@dataclass(frozen=True)
class ParityResult:
    """How far one file's answers are from the recognizer's.

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
        distances: by the name of each other output, the largest distance and the clip that has it.
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
    distances: Mapping[str, tuple[float, str]] = field(default_factory=dict)


def compare(
    name: str,
    reference: np.ndarray,
    probabilities: np.ndarray,
    clip_names: Sequence[str],
    others: Mapping[str, tuple[np.ndarray, np.ndarray]] = MappingProxyType({}),
) -> ParityResult:
    """Compare a file's answers with the recognizer's.

    Args:
        name: `onnx` or the TFLite variant.
        reference: the recognizer's probabilities [clips, signs].
        probabilities: the file's.
        clip_names: of the clips.
        others: by the name of each other output, the recognizer's and the file's [clips, size].
    """
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
        distances={other: _largest(*pair, clip_names) for other, pair in others.items()},
    )


def _largest(one: np.ndarray, other: np.ndarray, clip_names: Sequence[str]) -> tuple[float, str]:
    distances = np.linalg.norm(other - one, axis=1)
    return float(distances.max()), clip_names[int(distances.argmax())]


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
    for output, (distance, clip) in result.distances.items():
        if distance > tolerance.distance:
            raise ExportError(
                f"{result.name}: on clip {clip!r} the {output} is {distance:.2e} away from the "
                f"recognizer's, allowed is {tolerance.distance:.0e}."
            )


def answers(
    describe: Describer, clips: Mapping[str, np.ndarray], name: str
) -> dict[str, np.ndarray]:
    """The outputs for each clip by their names, float32 [clips, size].

    Raises:
        ExportError: the describer fails on a clip, its answers are not finite, or the
            probabilities do not sum to 1.
    """
    rows = []
    for clip_name, clip in clips.items():
        try:
            outputs = describe(clip)
        except Exception as error:  # each runtime has its own
            raise ExportError(f"{name}: fails on clip {clip_name!r}: {error}") from error
        total = outputs["outputs"].sum()
        if not (np.isfinite(total) and abs(total - 1) < 1e-3):
            raise ExportError(f"{name}: on clip {clip_name!r} the outputs sum to {total}, not 1")
        if odd := [output for output, values in outputs.items() if not np.isfinite(values).all()]:
            raise ExportError(f"{name}: on clip {clip_name!r} {', '.join(odd)} is not finite")
        rows.append(outputs)
    return {output: np.stack([outputs[output] for outputs in rows]) for output in rows[0]}


def torch_describer(recognizer: Recognizer) -> Describer:
    """The recognizer itself, from and to NumPy."""

    def describe(clip: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = recognizer.describe(torch.from_numpy(clip))
        return {output: values.numpy() for output, values in outputs.items()}

    return describe


def onnx_describer(path: Path) -> Describer:
    """An ONNX file in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda clip: dict(zip(names, session.run(names, {"inputs": clip}), strict=True))
