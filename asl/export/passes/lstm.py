"""LSTMs as PyTorch computes them, taken apart into steps where that is faster.

LiteRT's `UNIDIRECTIONAL_SEQUENCE_LSTM` multiplies the inputs of each step on their own, without
the fast kernels for matrices, and keeps its state from one clip to the next. Here one product
serves the inputs of all steps, and the small `LSTM` operator makes one step after the other from a
state of zeros. That takes two thirds of the time.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import GraphEditor, float32_values, operator_names

FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"

MAX_STEPS = 65
"""Of longer sequences, the operators would fill the file."""

ORDER = (0, 2, 1, 3)
"""The sequence's gates: input, forget, cell, output; the step's: input, cell, forget, output."""


def exact_lstms(model: Any) -> None:
    """Let the cells of LSTMs grow, as PyTorch's do, and take the LSTMs apart where that pays.

    TensorFlow's converter gives every fused LSTM a `cell_clip` of 10, which neither Keras nor
    PyTorch has. An untrained network never reaches it; a trained one that counts frames in a cell
    does, and its answers are then wrong without any error.

    Args:
        model: a tree of `asl.export.passes.flatbuffer`; it is changed.
    """
    step_by_step(model)
    names = operator_names(model)
    for graph in model.subgraphs:
        for operator in graph.operators:
            if names[operator.opcodeIndex] == FUSED:
                operator.builtinOptions.cellClip = 0.0  # 0 means none


def step_by_step(model: Any) -> bool:
    """Replace every float32 LSTM over a sequence of known, moderate length by its steps.

    Args:
        model: a tree of `asl.export.passes.flatbuffer`; it is changed.

    Returns:
        whether there was one.
    """
    names = operator_names(model)
    replaced = False
    for graph in model.subgraphs:
        operators: list[Any] = []
        for operator in graph.operators:
            if names[operator.opcodeIndex] == FUSED and _replaceable(graph, operator):
                operators += _steps(model, graph, operator)
                replaced = True
            else:
                operators.append(operator)
        graph.operators = operators
        _drop_unread_constants(model, graph)
    return replaced


def _replaceable(graph: Any, operator: Any) -> bool:
    sequence, weights = (graph.tensors[operator.inputs[place]] for place in (0, 1))
    sizes = sequence.shape if sequence.shapeSignature is None else sequence.shapeSignature
    # Weights of other types, dynamic's, need another kernel.
    return bool(0 < sizes[1] <= MAX_STEPS and weights.type == schema.TensorType.FLOAT32)


def _drop_unread_constants(model: Any, graph: Any) -> None:
    """Empty the buffers of constants that no operator reads any longer."""
    read = {int(index) for operator in graph.operators for index in operator.inputs}
    for index, tensor in enumerate(graph.tensors):
        if index not in read and tensor.buffer:
            buffer, tensor.buffer = tensor.buffer, 0
            if all(other.buffer != buffer for each in model.subgraphs for other in each.tensors):
                model.buffers[buffer].data = None


def _steps(model: Any, graph: Any, operator: Any) -> list[Any]:
    """The operators that give what one LSTM over a sequence gives; their tensors are added."""
    edit = GraphEditor(model, graph, "step")
    inputs = list(operator.inputs)
    steps = int(graph.tensors[inputs[0]].shape[1])
    kernel, recurrent, bias = (
        np.concatenate([_values(model, graph.tensors[inputs[start + gate]]) for gate in ORDER])
        for start in (1, 5, 12)
    )
    units = recurrent.shape[1]
    gates = edit.tensor(steps, 4 * units)
    layer = [inputs[0], edit.constant(kernel), edit.constant(bias)]
    operators = [edit.operator("FULLY_CONNECTED", layer, [gates], schema.FullyConnectedOptionsT())]
    rows = [edit.tensor(4 * units) for _ in range(steps)]
    apart = schema.UnpackOptionsT(num=steps, axis=0)
    operators.append(edit.operator("UNPACK", [gates], rows, apart))
    # A step's inputs are in its bias; the operator requires an input, so it gets one 0.
    nothing = edit.constant(np.zeros((1, 1), np.float32))
    weights = edit.constant(np.pad(recurrent, ((0, 0), (1, 0))))
    zeros = edit.constant(np.zeros((1, units), np.float32))
    state, cell = edit.tensor(1, units), edit.tensor(1, units)
    for tensor in (state, cell):
        operators.append(edit.operator("ZEROS_LIKE", [zeros], [tensor], schema.ZerosLikeOptionsT()))
    outputs = []
    for row in rows:
        output, after = edit.tensor(1, units), edit.tensor(1, units)
        scratch = [edit.tensor(1, 1 + units), edit.tensor(1, 4 * units)]
        step = schema.LSTMOptionsT(
            kernelType=schema.LSTMKernelType.BASIC,
            fusedActivationFunction=schema.ActivationFunctionType.TANH,
        )
        read, given = [nothing, state, weights, row, cell], [output, after, *scratch]
        operators.append(edit.operator("LSTM", read, given, step, version=2))
        outputs.append(output)
        # LiteRT writes the new state over the old one, so the next step is given a copy.
        state, cell = edit.tensor(1, units), after
        operators.append(edit.operator("CAST", [output], [state], schema.CastOptionsT()))
    operators.pop()  # the last copy, which no operator reads
    packed = schema.PackOptionsT(valuesCount=steps, axis=1)
    return [*operators, edit.operator("PACK", outputs, operator.outputs, packed)]


def _values(model: Any, tensor: Any) -> np.ndarray:
    values = float32_values(model, tensor)
    assert values is not None
    return values.reshape(tensor.shape)
