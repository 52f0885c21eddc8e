"""Which module of a recognizer an ONNX graph first differs in."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asl.recognizer.recognizer import Recognizer

TOLERANCE = 1e-3
"""Of a module's output, as a share of its largest value."""

RANDOM = ("Dropout", "RandomNormalLike", "RandomUniformLike", "Bernoulli")


def diagnose(module: nn.Module, onnx: Path, clip: np.ndarray) -> str:
    """Name the first module whose output in an ONNX graph differs from PyTorch's.

    PyTorch's exporter notes the module that each operator comes from, so the outputs of both can be
    compared module by module.

    Args:
        module: that was exported, `asl.export.onnx.convert.ExportedForward` in evaluation mode.
        onnx: the graph.
        clip: on which their probabilities differ, float32 [n, N, 3].

    Returns:
        a sentence; an empty string where nothing is found.
    """
    import onnx as onnx_format

    graph = onnx_format.load(onnx).graph
    if left_on := sorted({node.op_type for node in graph.node} & set(RANDOM)):
        return f"The graph has {', '.join(left_on)}: dropout was left on."
    if difference := _other_landmarks(module, graph):
        return difference
    return _first_difference(module, onnx, clip)


def _other_landmarks(module: nn.Module, graph: Any) -> str:
    """A sentence if the graph selects other landmarks of a clip than the recognizer does."""
    from onnx import numpy_helper

    outermost = next(each for each in module.modules() if isinstance(each, Recognizer))
    expected = outermost.indices.tolist()
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type != "Gather" or node.input[0] != "inputs" or node.input[1] not in constants:
            continue
        rows = numpy_helper.to_array(constants[node.input[1]]).tolist()
        if len(rows) != len(expected):
            return f"The graph looks at {len(rows)} landmarks, not {len(expected)}."
        for place, (row, expected_row) in enumerate(zip(rows, expected, strict=True)):
            if row != expected_row:
                return (
                    f"The graph looks at other landmarks: number {place} of {len(rows)} is row "
                    f"{row} of the clip, not {expected_row}."
                )
    return ""


def _first_difference(module: nn.Module, onnx: Path, clip: np.ndarray) -> str:
    outputs, changes = _module_outputs(module, torch.from_numpy(clip))
    graph_outputs = _graph_outputs(onnx, clip)
    for name, expected in outputs.items():
        part = module.get_submodule(name)
        label = f"{name.removeprefix('recognizer.')} ({type(part).__name__})"
        has_children = next(part.children(), None) is not None
        if name not in graph_outputs and changes[name] and not has_children:
            return f"The graph lacks {label}."
        output = graph_outputs.get(name)
        if output is None or output.shape != expected.shape:
            continue
        scale = max(float(np.nanmax(np.abs(expected), initial=0)), 1e-6)
        difference = float(np.nanmax(np.abs(output - expected), initial=0))
        if difference > TOLERANCE * scale:
            return f"It begins at {label}, whose answer is off by {difference / scale:.1%}."
    return ""


def _module_outputs(
    module: nn.Module, clip: Tensor
) -> tuple[dict[str, np.ndarray], dict[str, bool]]:
    """Each submodule's output, in the order of execution, and whether it differs from its input."""
    outputs: dict[str, np.ndarray] = {}
    changes: dict[str, bool] = {}

    def record(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and first.is_floating_point():
                outputs[name] = first.numpy()
                changes[name] = not any(first is each for each in inputs)

        return hook

    hooks = [
        part.register_forward_hook(record(name)) for name, part in module.named_modules() if name
    ]
    try:
        with torch.inference_mode():
            module(clip)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, changes


def _graph_outputs(onnx: Path, clip: np.ndarray) -> dict[str, np.ndarray]:
    """The output of the last operator of each module."""
    import onnx as onnx_format
    import onnxruntime

    model = onnx_format.load(onnx)
    last_values: dict[str, str] = {}
    for node in model.graph.node:
        for name in _modules(node):
            last_values[name] = node.output[0]
    modules = defaultdict(list)
    for name, value in last_values.items():
        modules[value].append(name)
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(
        onnx_format.ValueInfoProto(name=value) for value in modules if value not in present
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values = session.run(list(modules), {"inputs": clip})
    return {
        name: value for names, value in zip(modules.values(), values, strict=True) for name in names
    }


def _modules(node: Any) -> list[str]:
    """The modules that contain an operator, by torch.onnx's note `name: class/name: class`."""
    notes = {each.key: each.value for each in node.metadata_props}
    parts = notes.get("namespace", "").split("/")[:-1]
    return [name for name in (part.split(": ")[0] for part in parts) if name]
