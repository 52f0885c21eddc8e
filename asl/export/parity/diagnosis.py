"""Where a graph that says something else parts from the recognizer that it was made of."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asl.recognizer.recognizer import Recognizer

TOLERANCE = 1e-3
"""Of a module's answer, as a share of the largest value in it."""

RANDOM = ("Dropout", "RandomNormalLike", "RandomUniformLike", "Bernoulli")


def diagnose(whole: nn.Module, onnx: Path, clip: np.ndarray) -> str:
    """Name the first part of an ONNX graph whose answer is not that of the same module.

    PyTorch's exporter notes with every operator which module it comes from, so the answers of both
    can be laid side by side.

    Args:
        whole: what the graph should be of, `asl.export.onnx.convert.Recognise` in evaluation mode.
        onnx: the graph.
        clip: that they disagree on, float32 [n, N, 3].

    Returns:
        a sentence; an empty string where nothing is found.
    """
    import onnx as onnx_format

    graph = onnx_format.load(onnx).graph
    if left_on := sorted({node.op_type for node in graph.node} & set(RANDOM)):
        return f"The graph has {', '.join(left_on)}: dropout was left on."
    if other := _other_landmarks(whole, graph):
        return other
    return _first_difference(whole, onnx, clip)


def _other_landmarks(whole: nn.Module, graph: Any) -> str:
    """A sentence if the graph takes other landmarks out of a clip than the recognizer does."""
    from onnx import numpy_helper

    outermost = next(module for module in whole.modules() if isinstance(module, Recognizer))
    wanted = outermost.indices.tolist()
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type != "Gather" or node.input[0] != "inputs" or node.input[1] not in constants:
            continue
        got = numpy_helper.to_array(constants[node.input[1]]).tolist()
        if len(got) != len(wanted):
            return f"The graph looks at {len(got)} landmarks, not {len(wanted)}."
        for place, (row, own) in enumerate(zip(got, wanted, strict=True)):
            if row != own:
                return (
                    f"The graph looks at other landmarks: number {place} of {len(got)} is row "
                    f"{row} of the clip, not {own}."
                )
    return ""


def _first_difference(whole: nn.Module, onnx: Path, clip: np.ndarray) -> str:
    answers, changes = _module_answers(whole, torch.from_numpy(clip))
    found = _graph_answers(onnx, clip)
    for name, answer in answers.items():
        kind = type(whole.get_submodule(name)).__name__
        said = name.removeprefix("recognizer.")
        if name not in found and changes[name] and not _has_parts(whole, name):
            return f"The graph lacks {said} ({kind})."
        got = found.get(name)
        if got is None or got.shape != answer.shape:
            continue
        scale = max(float(np.nanmax(np.abs(answer), initial=0)), 1e-6)
        difference = float(np.nanmax(np.abs(got - answer), initial=0))
        if difference > TOLERANCE * scale:
            return f"It begins at {said} ({kind}), whose answer is off by {difference / scale:.1%}."
    return ""


def _has_parts(whole: nn.Module, name: str) -> bool:
    """Whether a module has others in it, which say more."""
    return next(whole.get_submodule(name).children(), None) is not None


def _module_answers(
    whole: nn.Module, clip: Tensor
) -> tuple[dict[str, np.ndarray], dict[str, bool]]:
    """What each module says, in the order in which they end, and whether it is not what it got."""
    answers: dict[str, np.ndarray] = {}
    changes: dict[str, bool] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Any, ...], said: Any) -> None:
            first = said[0] if isinstance(said, tuple) else said
            if isinstance(first, Tensor) and first.is_floating_point():
                answers[name] = first.numpy()
                changes[name] = not any(first is each for each in given)

        return hook

    hooks = [
        module.register_forward_hook(note(name)) for name, module in whole.named_modules() if name
    ]
    try:
        with torch.inference_mode():
            whole(clip)
    finally:
        for hook in hooks:
            hook.remove()
    return answers, changes


def _graph_answers(onnx: Path, clip: np.ndarray) -> dict[str, np.ndarray]:
    """What the last operator of each module says."""
    import onnx as onnx_format
    import onnxruntime

    model = onnx_format.load(onnx)
    of_module: dict[str, str] = {}
    for node in model.graph.node:
        for name in _modules(node):
            of_module[name] = node.output[0]
    modules = defaultdict(list)
    for name, value in of_module.items():
        modules[value].append(name)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(
        onnx_format.ValueInfoProto(name=value) for value in modules if value not in known
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values = session.run(list(modules), {"inputs": clip})
    answers = zip(modules.values(), values, strict=True)
    return {name: value for names, value in answers for name in names}


def _modules(node: Any) -> list[str]:
    """The modules that an operator is inside of, by torch.onnx's note `name: class/name: class`."""
    notes = {each.key: each.value for each in node.metadata_props}
    parts = notes.get("namespace", "").split("/")[:-1]
    return [name for name in (part.split(": ")[0] for part in parts) if name]
