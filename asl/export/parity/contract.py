"""The GISLR competition's contract for a .tflite: signature, built-in operators, no kept state."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asl.export import ExportError
from asl.export.passes.flatbuffer import operator_names, parse
from asl.runtime.litert import interpreter, load_fixed


def check_contract(
    name: str, path: Path, clip: np.ndarray, signs: int, frames: int | None = None
) -> Counter[str]:
    """Check a .tflite in LiteRT: signature, operators, and that it keeps no state.

    Args:
        name: the variant, for messages.
        path: the file.
        clip: an example, float32 [n, N, C].
        signs: number of outputs.
        frames: a fixed n, which the example has; None where n is free.

    Returns:
        how often each operator occurs.

    Raises:
        ExportError: names the file and what is wrong.
    """
    check_signature(name, path, [frames or -1, *clip.shape[1:]], signs)
    operators = count_operators(path)
    if foreign := [op for op in operators if op.startswith("CUSTOM")]:
        raise ExportError(f"{name}: has operators that are not built in: {', '.join(foreign)}")
    check_no_kept_state(name, path, clip)
    return operators


def check_signature(name: str, path: Path, shape: Sequence[int], signs: int) -> None:
    """Check for serving_default: inputs [n, N, C] -> outputs [signs], both float32.

    Args:
        name: the variant, for messages.
        path: the file.
        shape: of the inputs; -1 for n where it is free.
        signs: number of outputs.

    Raises:
        ExportError: another signature.
    """
    model = interpreter(path)
    signatures = model.get_signature_list()
    expected = {"serving_default": {"inputs": ["inputs"], "outputs": ["outputs"]}}
    if signatures != expected:
        raise ExportError(f"{name}: has the signatures {signatures}, not {expected}")
    (inputs,), (outputs,) = model.get_input_details(), model.get_output_details()
    shapes = [list(inputs["shape_signature"]), list(outputs["shape_signature"])]
    types = {inputs["dtype"], outputs["dtype"]}
    if shapes != [[*shape], [signs]] or types != {np.float32}:
        raise ExportError(
            f"{name}: inputs and outputs are {shapes}, not float32 {[*shape]} and [{signs}]"
        )


def count_operators(path: Path) -> Counter[str]:
    """How often each operator occurs, loops' bodies included; CUSTOM:<name> if not built in."""
    model = parse(path.read_bytes())
    names = operator_names(model)
    return Counter(
        names[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators
    )


def check_no_kept_state(name: str, path: Path, clip: np.ndarray) -> None:
    """Check that a clip's outputs do not depend on the clip before.

    LiteRT's fused LSTM keeps its state. Tensors are allocated once, since allocating them again
    would reset it.

    Raises:
        ExportError: the same clip gets other outputs the second time.
    """
    predictor = load_fixed(path, clip.shape)
    reversed_clip = np.ascontiguousarray(clip[::-1] * 2, np.float32)
    first, _, second = (predictor(each) for each in (clip, reversed_clip, clip))
    difference = float(np.abs(second - first).max())
    if not difference <= 1e-6:
        raise ExportError(
            f"{name}: keeps state: the same clip's second answer differs by {difference:.2e}"
        )
