"""Weights as float16, and nothing but weights.

TensorFlow's own float16 conversion rounds every constant, those of the preprocessing too: 1e6, from
which on a coordinate counts as missing, becomes infinite, and the moments at which a clip of 400
frames is read shift by a tenth of a frame. Here the preprocessing stays as it is.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import add_buffer, float32_values, operator_code, operator_names

WEIGHTED = (
    "FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "WHILE",
)  # fmt: skip
MIN_VALUES = 1024
"""Size of a weight from which on the operator that widens it is worth its cost."""


def to_float16(model: Any) -> Any:
    """Store large weights as float16, widened by DEQUANTIZE when the file is opened.

    Args:
        model: a float32 model, a tree of `asl.export.passes.flatbuffer`; it is changed.

    Returns:
        the model.
    """
    narrow: dict[int, int] = {}  # a weight's buffer -> the buffer of its float16 copy
    for graph in model.subgraphs:
        dequantize = []
        for index in sorted(_large_weights(model, graph)):
            tensor = graph.tensors[index]
            if tensor.buffer not in narrow:
                values = float32_values(model, tensor)
                assert values is not None
                narrow[tensor.buffer] = add_buffer(model, values.astype(np.float16))
            graph.tensors.append(_float16_tensor(tensor, narrow[tensor.buffer]))
            dequantize.append(
                schema.OperatorT(
                    opcodeIndex=operator_code(model, "DEQUANTIZE", version=2),  # reads float16
                    inputs=[len(graph.tensors) - 1],
                    outputs=[index],
                )
            )
            tensor.buffer = 0
        graph.operators = dequantize + graph.operators
    for buffer in narrow:
        model.buffers[buffer].data = None
    return model


def _large_weights(model: Any, graph: Any) -> set[int]:
    """Which tensors of a graph are large float32 constants that a weighted operator reads."""
    names = operator_names(model)
    read = {
        int(index)
        for operator in graph.operators
        if names[operator.opcodeIndex] in WEIGHTED
        for index in operator.inputs
        if index >= 0
    }
    values = {index: float32_values(model, graph.tensors[index]) for index in read}
    return {index for index, v in values.items() if v is not None and len(v) >= MIN_VALUES}


def _float16_tensor(wide: Any, buffer: int) -> Any:
    return schema.TensorT(
        shape=wide.shape,
        type=schema.TensorType.FLOAT16,
        buffer=buffer,
        name=wide.name + b"_float16",
        hasRank=wide.hasRank,
    )
