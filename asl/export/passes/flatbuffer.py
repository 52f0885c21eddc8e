"""Opening a .tflite as objects, changing it, writing it again."""

from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.lstm import step_by_step

ALIGNMENT = 16
"""Of a buffer's bytes: `force_align` in TFLite's schema, which Python's generated code forgets."""


def parse(tflite: bytes) -> Any:
    """The model as an object tree."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(tflite, 0))


def pack(model: Any, size: int) -> bytes:
    """The object tree as a .tflite; `size` is about how many bytes it will have."""
    builder = _Builder(size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        self.Prep(ALIGNMENT, x.nbytes)
        return int(super().CreateNumpyVector(x))


def with_exact_lstms(tflite: bytes) -> bytes:
    """The same model with LSTMs that let their cells grow, taken apart into steps where that pays.

    TensorFlow's converter gives every fused LSTM a `cell_clip` of 10, which neither Keras nor
    PyTorch has. An untrained network never reaches it; a trained one that counts frames in a cell
    does, and is then silently another network.
    """
    model = parse(tflite)
    taken_apart = step_by_step(model)
    fused = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    found = [
        operator
        for graph in model.subgraphs
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == fused
    ]
    for operator in found:
        operator.builtinOptions.cellClip = 0.0  # 0 is no clip
    return pack(model, len(tflite)) if found or taken_apart else tflite
