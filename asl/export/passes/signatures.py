"""Two signatures: the competition's, and one with all outputs of the file.

Each has a graph of its own, since LiteRT's newer interface, which is also that of browsers, opens a
file only if every signature names all outputs of its graph. The graphs read the same constants, so
the weights are in the file once.
"""

import copy
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from asl.runtime.litert import OUTPUTS, RECOGNISE, SERVING


def separate_signatures(model: Any) -> None:
    """Leave `serving_default` with `outputs` alone, and add `recognise`, which gives all outputs.

    Args:
        model: a tree of `asl.export.passes.flatbuffer` with the signature `serving_default` of its
            first graph; it is changed. One that has a single output stays as it is.
    """
    outputs = outputs_of(model)
    if len(outputs) == 1:
        return
    (serving,) = model.signatureDefs
    graph = model.subgraphs[0]
    whole = copy.deepcopy(graph)
    whole.outputs = list(outputs.values())
    graph.outputs = [outputs["outputs"]]
    graph.operators = _needed(graph)
    model.subgraphs.append(whole)
    model.signatureDefs = [
        _signature(SERVING, serving, {"outputs": outputs["outputs"]}, 0),
        _signature(RECOGNISE, serving, outputs, len(model.subgraphs) - 1),
    ]


def join_signatures(model: Any) -> None:
    """Undo `separate_signatures`, so that passes have one graph to change.

    Raises:
        ValueError: the model has other signatures.
    """
    serving, recognise = model.signatureDefs
    if recognise.signatureKey != RECOGNISE.encode() or recognise.subgraphIndex < 1:
        raise ValueError(f"has no graph for the signature {RECOGNISE}")
    model.subgraphs[0] = model.subgraphs.pop(recognise.subgraphIndex)
    outputs = {_text(each.name): int(each.tensorIndex) for each in recognise.outputs}
    model.signatureDefs = [_signature(SERVING, serving, outputs, 0)]


def outputs_of(model: Any) -> dict[str, int]:
    """The outputs of a model with one signature: name to tensor, in the order of `OUTPUTS`."""
    (signature,) = model.signatureDefs
    outputs = {_text(each.name): int(each.tensorIndex) for each in signature.outputs}
    return {name: outputs[name] for name in OUTPUTS if name in outputs}


def _needed(graph: Any) -> list[Any]:
    """The operators of a graph that its outputs depend on."""
    needed, kept = {int(index) for index in graph.outputs}, []
    for operator in reversed(graph.operators):
        if needed & {int(index) for index in operator.outputs}:
            needed |= {int(index) for index in operator.inputs}
            kept.append(operator)
    return kept[::-1]


def _signature(key: str, like: Any, outputs: dict[str, int], graph: int) -> Any:
    return schema.SignatureDefT(
        signatureKey=key,
        inputs=like.inputs,
        outputs=[schema.TensorMapT(name=name, tensorIndex=at) for name, at in outputs.items()],
        subgraphIndex=graph,
    )


def _text(name: str | bytes) -> str:
    """Names are bytes in a tree that was parsed, text in one that was made."""
    return name.decode() if isinstance(name, bytes) else name
