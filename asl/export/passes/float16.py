"""Weights as float16, and nothing but weights.

TensorFlow's own float16 conversion rounds every constant, those of the preprocessing too: 1e6, from
which on a coordinate counts as missing, becomes infinite, and the moments at which a clip of 400
frames is read shift by a tenth of a frame. Here the preprocessing stays as it is.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import pack, parse

WEIGHTED = (
    "FULLY_CONNECTED",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "BATCH_MATMUL",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "LSTM",
    "WHILE",
)
SMALLEST = 1024
"""How many values a weight must have to be worth an operator that widens it."""


def to_float16(tflite: bytes) -> bytes:
    """The same model with its large weights stored as float16, widened as the file is opened.

    Args:
        tflite: a float32 model.
    """
    model = parse(tflite)
    narrow: dict[int, int] = {}  # a weight's buffer -> its float16 copy's
    for graph in model.subgraphs:
        widened = []
        for index in sorted(_weights(model, graph)):
            tensor = graph.tensors[index]
            if tensor.buffer not in narrow:
                narrow[tensor.buffer] = _add_narrow(model, tensor.buffer)
            copy = _tensor(tensor, narrow[tensor.buffer])
            graph.tensors.append(copy)
            widened.append(_widen(model, len(graph.tensors) - 1, index))
            tensor.buffer = 0
        graph.operators = widened + graph.operators
    for buffer in narrow:
        model.buffers[buffer].data = None
    return pack(model, len(tflite))


def _weights(model: Any, graph: Any) -> set[int]:
    """Which tensors of a graph are large float32 constants that a weighted operator reads."""
    codes = [getattr(schema.BuiltinOperator, name) for name in WEIGHTED]
    read = {
        int(index)
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode in codes
        for index in operator.inputs
        if index >= 0
    }
    return {
        index
        for index in read
        if graph.tensors[index].type == schema.TensorType.FLOAT32
        and model.buffers[graph.tensors[index].buffer].data is not None
        and len(model.buffers[graph.tensors[index].buffer].data) >= 4 * SMALLEST
    }


def _add_narrow(model: Any, buffer: int) -> int:
    values = np.asarray(model.buffers[buffer].data, np.uint8).view(np.float32)
    added = schema.BufferT()
    added.data = values.astype(np.float16).view(np.uint8)
    model.buffers.append(added)
    return len(model.buffers) - 1


def _tensor(wide: Any, buffer: int) -> Any:
    narrow = schema.TensorT()
    narrow.shape, narrow.type, narrow.buffer = wide.shape, schema.TensorType.FLOAT16, buffer
    narrow.name = wide.name + b"_float16"
    narrow.hasRank = wide.hasRank
    return narrow


def _widen(model: Any, source: int, target: int) -> Any:
    code = schema.BuiltinOperator.DEQUANTIZE
    known = [i for i, c in enumerate(model.operatorCodes) if c.builtinCode == code]
    if not known:
        added = schema.OperatorCodeT()
        added.builtinCode = added.deprecatedBuiltinCode = code
        added.version = 2  # the first that reads float16
        model.operatorCodes.append(added)
        known = [len(model.operatorCodes) - 1]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = known[0], [source], [target]
    return operator
