"""The GISLR competition's contract for a .tflite: signature, built-in operators, no kept state."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asl.export import ExportError
from asl.export.passes.flatbuffer import operator_names, parse
from asl.runtime.litert import OUTPUTS, RECOGNISE, SERVING, interpreter, load_fixed


def check_contract(
    name: str,
    path: Path,
    clip: np.ndarray,
    signs: int,
    frames: int | None = None,
    outputs: Sequence[str] = OUTPUTS[:2],
) -> Counter[str]:
    """Check a .tflite in LiteRT: signature, operators, and that it keeps no state.

    Args:
        name: the variant, for messages.
        path: the file.
        clip: an example, float32 [n, N, C].
        signs: number of outputs.
        frames: a fixed n, which the example has; None where n is free.
        outputs: names of what `recognise` gives.

    Returns:
        how often each operator occurs.

    Raises:
        ExportError: names the file and what is wrong.
    """
    check_signature(name, path, [frames or -1, *clip.shape[1:]], signs, outputs)
    operators = count_operators(path)
    if foreign := [op for op in operators if op.startswith("CUSTOM")]:
        raise ExportError(f"{name}: has operators that are not built in: {', '.join(foreign)}")
    check_no_kept_state(name, path, clip)
    return operators


def check_signature(
    name: str, path: Path, shape: Sequence[int], signs: int, names: Sequence[str]
) -> None:
    """Check for serving_default: inputs [n, N, C] -> outputs [signs], both float32.

    `recognise` has the same input, the same output, and others.

    Args:
        name: the variant, for messages.
        path: the file.
        shape: of the inputs; -1 for n where it is free.
        signs: number of outputs.
        names: of all that `recognise` gives.

    Raises:
        ExportError: another signature.
    """
    model = interpreter(path)
    signatures = model.get_signature_list()
    expected = {
        SERVING: {"inputs": ["inputs"], "outputs": ["outputs"]},
        RECOGNISE: {"inputs": ["inputs"], "outputs": sorted(names)},
    }
    if signatures != expected:
        raise ExportError(f"{name}: has the signatures {signatures}, not {expected}")
    serving, recognise = (model.get_signature_runner(key) for key in expected)
    inputs, outputs = serving.get_input_details()["inputs"], serving.get_output_details()["outputs"]
    shapes = [list(inputs["shape_signature"]), list(outputs["shape_signature"])]
    types = {inputs["dtype"], outputs["dtype"]}
    if shapes != [[*shape], [signs]] or types != {np.float32}:
        raise ExportError(
            f"{name}: inputs and outputs are {shapes}, not float32 {[*shape]} and [{signs}]"
        )
    given = [each["index"] for each in model.get_output_details()]
    sizes = list(recognise.get_output_details()["outputs"]["shape"])
    if given != [outputs["index"]] or sizes != [signs]:
        raise ExportError(f"{name}: its first graph has other outputs than {SERVING}")


def count_operators(path: Path) -> Counter[str]:
    """How often each operator occurs in the graph of `serving_default` and in loops' bodies.

    One that is not built in is named CUSTOM:<name>.
    """
    model = parse(path.read_bytes())
    names = operator_names(model)
    twins = {each.subgraphIndex for each in model.signatureDefs if each.subgraphIndex}
    return Counter(
        names[operator.opcodeIndex]
        for number, graph in enumerate(model.subgraphs)
        for operator in graph.operators
        if number not in twins
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
