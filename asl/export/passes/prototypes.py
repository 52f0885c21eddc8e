"""Prototypes in a .tflite: operators behind its outputs, which can be taken out again."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import GraphEditor
from asl.export.passes.signatures import outputs_of
from asl.export.prototypes import LEAST, Head

MARK = "enrolled/"
"""How the names of added tensors begin."""


def add_prototypes(model: Any, known: int, head: Head) -> None:
    """Add operators that blend a graph's outputs with prototypes, as `asl.export.prototypes` does.

    Args:
        model: a tree of `asl.export.passes.flatbuffer` with one signature, of all outputs, without
            prototypes and metadata; it is changed.
        known: number of the network's signs.
        head: of the network's signs and new ones after them.
    """
    given = outputs_of(model)
    weights, biases = head
    signs, axis = len(biases), np.array([1], np.int32)
    add = _Operators(model, model.subgraphs[0], MARK)
    # The first operators that are added read the graph's outputs, in their order.
    sizes = {"outputs": known, "embedding": weights.shape[1], "unknown": 1}
    rows = {name: add.reshaped(index, 1, sizes[name]) for name, index in given.items()}
    least = add.constant(np.array([[LEAST]], np.float32))
    scores = add("MAXIMUM", [rows["outputs"], least], known, schema.MaximumMinimumOptionsT())
    scores = add("LOG", [scores], known)
    if new := signs - known:
        highest = schema.ReducerOptionsT(keepDims=True)
        best = add("REDUCE_MAX", [scores, add.constant(axis)], 1, highest)
        beside = schema.ConcatenationOptionsT(axis=1)
        scores = add("CONCATENATION", [scores, *[best] * new], signs, beside)
    layer = [rows["embedding"], add.constant(weights), add.constant(biases)]
    evidence = add("FULLY_CONNECTED", layer, signs, schema.FullyConnectedOptionsT())
    scores = add("ADD", [scores, evidence], signs, schema.AddOptionsT())
    answers = add("SOFTMAX", [scores], signs, schema.SoftmaxOptionsT(beta=1.0))
    _replace(model, given["outputs"], add.reshaped(answers, signs))
    if "unknown" in given:
        highest = schema.ReducerOptionsT(keepDims=True)
        most = add("REDUCE_MAX", [evidence, add.constant(axis)], 1, highest)
        left = add("EXP", [add("NEG", [add("RELU", [most], 1)], 1)], 1)
        unknown = add("MUL", [rows["unknown"], left], 1, schema.MulOptionsT())
        _replace(model, given["unknown"], add.reshaped(unknown, 1))


def remove_prototypes(model: Any) -> None:
    """Make a graph what it was before `add_prototypes`; one without prototypes stays as it is."""
    graph = model.subgraphs[0]
    marked = [n for n, tensor in enumerate(graph.tensors) if tensor.name.startswith(MARK.encode())]
    if marked:
        first = marked[0]
        added = [each for each in graph.operators if each.outputs[0] >= first]
        for output, reader in zip(outputs_of(model).values(), added, strict=False):
            _replace(model, output, int(reader.inputs[0]))
        constants = {tensor.buffer for tensor in graph.tensors[first:]} - {0}
        model.buffers = model.buffers[: min(constants)]
        graph.operators = [each for each in graph.operators if each.outputs[0] < first]
        graph.tensors = graph.tensors[:first]
    used = {each.opcodeIndex for every in model.subgraphs for each in every.operators}
    model.operatorCodes = model.operatorCodes[: max(used) + 1]


def _replace(model: Any, old: int, new: int) -> None:
    """Let the graph and its signatures give another tensor as an output."""
    graph = model.subgraphs[0]
    graph.outputs = [new if index == old else int(index) for index in graph.outputs]
    for signature in model.signatureDefs:
        for each in signature.outputs:
            if each.tensorIndex == old:
                each.tensorIndex = new


class _Operators(GraphEditor):
    """Adds operators on rows of numbers to the end of a graph."""

    def __call__(self, name: str, inputs: list[int], width: int, options: Any = None) -> int:
        """Add an operator with one output `[1, width]`; the tensor's index."""
        output = self.tensor(1, width)
        self.graph.operators.append(self.operator(name, inputs, [output], options))
        return output

    def reshaped(self, tensor: int, *shape: int) -> int:
        """A tensor in another shape."""
        sizes, output = self.constant(np.array(shape, np.int32)), self.tensor(*shape)
        options = schema.ReshapeOptionsT(newShape=list(shape))
        self.graph.operators.append(self.operator("RESHAPE", [tensor, sizes], [output], options))
        return output
