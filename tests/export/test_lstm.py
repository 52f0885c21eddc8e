"""LiteRT's own LSTM over a sequence, and what we put in its place."""

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from asl.export.passes.flatbuffer import pack, parse
from asl.export.passes.lstm import MAX_STEPS, step_by_step

UNITS, FEATURES = 6, 5


def sequence_lstm(layer: torch.nn.LSTM, steps: int) -> bytes:
    """A .tflite of nothing but UNIDIRECTIONAL_SEQUENCE_LSTM, with the layer's weights."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors = []

    def tensor(shape, values=None, variable=False):
        made = schema.TensorT()
        made.shape, made.type, made.isVariable = list(shape), schema.TensorType.FLOAT32, variable
        made.name, made.buffer = f"t{len(graph.tensors)}".encode(), 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.ascontiguousarray(values, np.float32).view(np.uint8).ravel()
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def gates(weight):
        return [tensor(part.shape, part) for part in np.split(weight.detach().numpy(), 4)]

    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    given, wanted = tensor((1, steps, FEATURES)), tensor((1, steps, UNITS))
    operator = schema.OperatorT()
    states = [tensor((1, UNITS), variable=True) for _ in range(2)]
    weights = [*gates(layer.weight_ih_l0), *gates(layer.weight_hh_l0), -1, -1, -1, *gates(bias)]
    operator.inputs = [given, *weights, -1, -1, *states, -1, -1, -1, -1]
    operator.outputs, operator.opcodeIndex = [wanted], 0
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    operator.builtinOptions = options
    operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    graph.inputs, graph.outputs, graph.operators = [given], [wanted], [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = (
        schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    )
    model.operatorCodes = [code]
    return pack(model)


def answers(tflite: bytes, clips: list[np.ndarray]) -> list[np.ndarray]:
    """One clip after the other, tensors allocated once."""
    model = Interpreter(model_content=tflite, num_threads=1)
    model.allocate_tensors()
    (given,), (wanted,) = model.get_input_details(), model.get_output_details()
    found = []
    for clip in clips:
        model.set_tensor(given["index"], clip)
        model.invoke()
        found.append(model.get_tensor(wanted["index"]))
    return found


@pytest.fixture
def layer() -> torch.nn.LSTM:
    torch.manual_seed(0)
    return torch.nn.LSTM(FEATURES, UNITS, batch_first=True)


def clips(steps: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 1, steps, FEATURES)).astype(np.float32)
    return [one, other, one]


def test_litert_s_own_keeps_its_state_and_the_steps_do_not(layer):
    plain = sequence_lstm(layer, 7)
    model = parse(plain)
    assert step_by_step(model)

    first, _, again = answers(plain, clips(7))
    assert np.abs(again - first).max() > 1e-3
    first, _, again = answers(pack(model), clips(7))
    np.testing.assert_array_equal(again, first)


def test_the_steps_compute_what_pytorch_does(layer):
    model = parse(sequence_lstm(layer, 7))
    step_by_step(model)

    for clip, answer in zip(clips(7), answers(pack(model), clips(7)), strict=True):
        wanted = layer(torch.from_numpy(clip))[0].detach().numpy()
        np.testing.assert_allclose(answer, wanted, atol=1e-6)


def test_the_old_weights_do_not_stay_in_the_file(layer):
    plain = sequence_lstm(layer, 2)
    model = parse(plain)
    before = sum(len(b.data) for b in model.buffers if b.data is not None)
    step_by_step(model)
    after = sum(len(b.data) for b in model.buffers if b.data is not None)
    zeros = 4 * (4 * UNITS + 1 + UNITS)  # a column of the weights, an input, a state
    assert after == before + zeros


def test_long_sequences_stay_as_they_are(layer):
    model = parse(sequence_lstm(layer, MAX_STEPS + 1))
    assert not step_by_step(model)
