"""A .tflite as a tree of objects: parsed once, changed by the passes, packed once."""

from collections.abc import Sequence
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

ALIGNMENT = 16
"""Bytes; `force_align` of `Buffer.data` in TFLite's schema."""


def parse(tflite: bytes) -> Any:
    """The model as a `ModelT`, with all constants in its buffers, read-only uint8 arrays."""
    model = flatbuffer_utils.read_model_from_bytearray(tflite)
    for buffer in model.buffers:
        # Constants that were stored behind the flatbuffer, as ai-edge-quantizer does. Packing
        # writes anything but an array byte by byte.
        if isinstance(buffer.data, bytes):
            buffer.data = np.frombuffer(buffer.data, np.uint8) if buffer.data else None
    return model


def pack(model: Any) -> bytes:
    """The tree as a .tflite.

    `flatbuffer_utils.convert_object_to_bytearray` does the same without the alignment that the
    schema asks for; Python's generated code does not know `force_align`.
    """
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        self.Prep(ALIGNMENT, x.nbytes)
        return int(super().CreateNumpyVector(x))


def operator_names(model: Any) -> list[str]:
    """The name of each operator code; `CUSTOM:<name>` for one that is not built in."""
    names = []
    for index, code in enumerate(model.operatorCodes):
        name = flatbuffer_utils.opcode_to_name(model, index) or "unknown"
        names.append(f"CUSTOM:{code.customCode.decode()}" if name == "CUSTOM" else name)
    return names


def operator_code(model: Any, name: str, version: int = 1) -> int:
    """The index of a built-in operator of at least this version; added where it is absent."""
    builtin = getattr(schema.BuiltinOperator, name)
    for index, code in enumerate(model.operatorCodes):
        same = flatbuffer_utils.get_builtin_code_from_operator_code(code) == builtin
        if same and code.version >= version:
            return index
    model.operatorCodes.append(
        schema.OperatorCodeT(
            builtinCode=builtin, deprecatedBuiltinCode=min(builtin, 127), version=version
        )
    )
    return len(model.operatorCodes) - 1


def add_buffer(model: Any, values: np.ndarray) -> int:
    """Add a constant; the index of its buffer."""
    data = np.ascontiguousarray(values).view(np.uint8).ravel()
    model.buffers.append(schema.BufferT(data=data))
    return len(model.buffers) - 1


def float32_values(model: Any, tensor: Any) -> np.ndarray | None:
    """The values of a float32 constant, flat; None for any other tensor."""
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.asarray(data, np.uint8).view(np.float32)


class GraphEditor:
    """Adds tensors and operators to a graph.

    Args:
        model: the tree; it is changed.
        graph: one of its subgraphs.
        prefix: how the names of added tensors begin.
    """

    def __init__(self, model: Any, graph: Any, prefix: str) -> None:
        self.model, self.graph, self.prefix = model, graph, prefix

    def tensor(self, *shape: int, kind: int = schema.TensorType.FLOAT32, buffer: int = 0) -> int:
        """Add a tensor that an operator computes; its index."""
        number = len(self.graph.tensors)
        name = f"{self.prefix}{number}".encode()
        self.graph.tensors.append(
            schema.TensorT(shape=list(shape), hasRank=True, type=kind, buffer=buffer, name=name)
        )
        return number

    def constant(self, values: np.ndarray) -> int:
        """Add a tensor of these values, float32 or int32; its index."""
        kinds = {np.dtype(np.float32): "FLOAT32", np.dtype(np.int32): "INT32"}
        kind = getattr(schema.TensorType, kinds[values.dtype])
        return self.tensor(*values.shape, kind=kind, buffer=add_buffer(self.model, values))

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        version: int = 1,
    ) -> Any:
        """A built-in operator; its place among the others is the caller's business."""
        kind = type(options).__name__.removesuffix("T") if options else "NONE"
        return schema.OperatorT(
            opcodeIndex=operator_code(self.model, name, version),
            inputs=list(inputs),
            outputs=list(outputs),
            builtinOptions=options,
            builtinOptionsType=getattr(schema.BuiltinOptions, kind),
        )
