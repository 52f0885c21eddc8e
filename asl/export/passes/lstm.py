"""LSTMs step by step, which is faster than LiteRT's operator for whole sequences, and forgets.

LiteRT's `UNIDIRECTIONAL_SEQUENCE_LSTM` multiplies the inputs of each step on their own, without
the fast kernels for matrices, and keeps its state from one clip to the next. Here one product
serves the inputs of all steps, and the small `LSTM` operator makes one step after the other from a
state of zeros. That takes two thirds of the time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

OPERATOR = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions

MOST_STEPS = 65
"""Of longer sequences, the operators would fill the file."""

ORDER = (0, 2, 1, 3)
"""The sequence's gates: input, forget, cell, output; the step's: input, cell, forget, output."""


def step_by_step(model: Any) -> bool:
    """Put steps in the place of every float32 LSTM over a sequence of known, moderate length.

    Args:
        model: of `asl.export.passes.flatbuffer.parse`; changed.

    Returns:
        whether there was one.
    """
    found = False
    for graph in model.subgraphs:
        operators: list[Any] = []
        for operator in graph.operators:
            if _replaceable(model, graph, operator):
                operators += _Steps(model, graph).of(operator)
                found = True
            else:
                operators.append(operator)
        graph.operators = operators
        _forget_unread(model, graph)
    return found


def _replaceable(model: Any, graph: Any, operator: Any) -> bool:
    fused = OPERATOR.UNIDIRECTIONAL_SEQUENCE_LSTM
    if model.operatorCodes[operator.opcodeIndex].builtinCode != fused:
        return False
    sequence, weights = (graph.tensors[operator.inputs[place]] for place in (0, 1))
    sizes = sequence.shape if sequence.shapeSignature is None else sequence.shapeSignature
    # Weights of other types are another operator's business.
    return bool(0 < sizes[1] <= MOST_STEPS and weights.type == schema.TensorType.FLOAT32)


def _forget_unread(model: Any, graph: Any) -> None:
    """Empty the buffers of constants that no operator reads any more."""
    read = {int(index) for operator in graph.operators for index in operator.inputs}
    for index, tensor in enumerate(graph.tensors):
        if index not in read and tensor.buffer:
            buffer, tensor.buffer = tensor.buffer, 0
            if all(other.buffer != buffer for each in model.subgraphs for other in each.tensors):
                model.buffers[buffer].data = None


class _Steps:
    """Adds operators and tensors to a graph."""

    def __init__(self, model: Any, graph: Any) -> None:
        self.model = model
        self.graph = graph
        self.made: list[Any] = []

    def of(self, operator: Any) -> list[Any]:
        """The operators that give what one LSTM over a sequence gives."""
        inputs = list(operator.inputs)
        steps = int(self.graph.tensors[inputs[0]].shape[1])
        kernel, recurrent, bias = (
            np.concatenate([self._values(inputs[start + gate]) for gate in ORDER])
            for start in (1, 5, 12)
        )
        units = recurrent.shape[1]
        gates = self._tensor(steps, 4 * units)
        self._add("FULLY_CONNECTED", [inputs[0], self._constant(kernel), self._constant(bias)],
                  [gates], schema.FullyConnectedOptionsT())  # fmt: skip
        rows = [self._tensor(4 * units) for _ in range(steps)]
        self._add("UNPACK", [gates], rows, _options(schema.UnpackOptionsT(), num=steps, axis=0))
        # A step's inputs are in its bias; the operator wants some all the same, and gets one 0.
        nothing = self._constant(np.zeros((1, 1), np.float32))
        weights = self._constant(np.pad(recurrent, ((0, 0), (1, 0))))
        zeros = self._constant(np.zeros((1, units), np.float32))
        state, cell = self._tensor(1, units), self._tensor(1, units)
        for tensor in (state, cell):
            self._add("ZEROS_LIKE", [zeros], [tensor], schema.ZerosLikeOptionsT())
        outputs = []
        for row in rows:
            output, after = self._tensor(1, units), self._tensor(1, units)
            scratch = [self._tensor(1, 1 + units), self._tensor(1, 4 * units)]
            self._add("LSTM", [nothing, state, weights, row, cell], [output, after, *scratch],
                      _options(schema.LSTMOptionsT(), kernelType=schema.LSTMKernelType.BASIC,
                               fusedActivationFunction=schema.ActivationFunctionType.TANH),
                      version=2)  # fmt: skip
            outputs.append(output)
            # LiteRT writes the new state over the old one, so the next step is given a copy.
            state, cell = self._tensor(1, units), after
            self._add("CAST", [output], [state], schema.CastOptionsT())
        self.made.pop()  # the last copy, which nobody reads
        packed = _options(schema.PackOptionsT(), valuesCount=steps, axis=1)
        self._add("PACK", outputs, list(operator.outputs), packed)
        return self.made

    def _values(self, index: int) -> np.ndarray:
        tensor = self.graph.tensors[index]
        data = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8)
        return data.view(np.float32).reshape(tensor.shape)

    def _constant(self, values: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = np.ascontiguousarray(values, np.float32).view(np.uint8).ravel()
        self.model.buffers.append(buffer)
        return self._tensor(*values.shape, buffer=len(self.model.buffers) - 1)

    def _tensor(self, *shape: int, buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.hasRank = np.asarray(shape, np.int32), True
        tensor.type, tensor.buffer = schema.TensorType.FLOAT32, buffer
        tensor.name = f"step{len(self.graph.tensors)}".encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _add(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any,
        version: int = 1,
    ) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(OPERATOR, name), version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(OPTIONS, type(options).__name__.removesuffix("T"))
        self.made.append(operator)

    def _code(self, operator: int, version: int) -> int:
        codes = self.model.operatorCodes
        for place, code in enumerate(codes):
            if code.builtinCode == operator and code.version >= version:
                return place
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = operator, version
        code.deprecatedBuiltinCode = min(operator, 127)
        codes.append(code)
        return len(codes) - 1


def _options(options: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(options, name, value)
    return options
