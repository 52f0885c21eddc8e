"""Recurrent layers that keep a free time axis in ONNX.

PyTorch's exporter derives the shapes behind an `nn.LSTM` or `nn.GRU` by running its steps one after
the other, which freezes their number at the example's. The custom operators here state their
shapes, and `TRANSLATIONS` maps each of them to its ONNX operator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import opset20 as onnx
from torch import Tensor, nn


@torch.library.custom_op("asl::lstm", mutates_args=())
def lstm(steps: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """One direction of one layer, `[B, T, F]` to `[B, T, H]`, from a state of zeros."""
    state = [_zeros(steps, weights)] * 2
    return torch.lstm(steps, state, list(weights), True, 1, 0.0, False, False, True)[0]


@torch.library.custom_op("asl::gru", mutates_args=())
def gru(steps: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """One direction of one layer, `[B, T, F]` to `[B, T, H]`, from a state of zeros."""
    state = _zeros(steps, weights)
    return torch.gru(steps, state, list(weights), True, 1, 0.0, False, False, True)[0]


@lstm.register_fake
@gru.register_fake
def _stated_shape(steps: Tensor, weights: Sequence[Tensor]) -> Tensor:
    return steps.new_empty(*steps.shape[:2], weights[1].shape[1])


def _zeros(steps: Tensor, weights: Sequence[Tensor]) -> Tensor:
    return steps.new_zeros(1, steps.shape[0], weights[1].shape[1])


class ExportableLayer(nn.Module):
    """Replaces an `nn.LSTM` or `nn.GRU` of one layer and one direction, batch first."""

    def __init__(self, layer: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.run = lstm if isinstance(layer, nn.LSTM) else gru
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self.weights = nn.ParameterList(layer.get_parameter(name) for name in names)

    def forward(self, steps: Tensor) -> tuple[Tensor]:
        """The steps' outputs, in a tuple as from the layer itself."""
        return (self.run(steps, list(self.weights)),)


def replace_recurrent_layers(module: nn.Module) -> None:
    """Replace every recurrent layer of a module by its exportable form, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.LSTM | nn.GRU):
            setattr(module, name, ExportableLayer(child))
        else:
            replace_recurrent_layers(child)


def _lstm_in_onnx(steps: Any, weights: Sequence[Any]) -> Any:
    # PyTorch's gates: input, forget, cell, output; ONNX's: input, output, forget, cell.
    inputs, states, bias = _ordered(weights, (0, 3, 1, 2))
    outputs, _, _ = onnx.LSTM(
        onnx.Transpose(steps, perm=[1, 0, 2]), inputs, states, bias, hidden_size=_hidden(weights)
    )
    return _batch_first(outputs)


def _gru_in_onnx(steps: Any, weights: Sequence[Any]) -> Any:
    # PyTorch's gates: reset, update, new; ONNX's: update, reset, new.
    inputs, states, bias = _ordered(weights, (1, 0, 2))
    outputs, _ = onnx.GRU(
        onnx.Transpose(steps, perm=[1, 0, 2]),
        inputs,
        states,
        bias,
        hidden_size=_hidden(weights),
        linear_before_reset=1,
    )
    return _batch_first(outputs)


def _hidden(weights: Sequence[Any]) -> int:
    return int(weights[1].shape[1])


def _ordered(weights: Sequence[Any], order: Sequence[int]) -> tuple[Any, Any, Any]:
    """Weights with their gates in another order: `[1, G·H, F]`, `[1, G·H, H]` and `[1, 2·G·H]`."""
    reordered = []
    for weight in weights:
        gates = onnx.Split(weight, axis=0, num_outputs=len(order))
        reordered.append(onnx.Concat(*(gates[gate] for gate in order), axis=0))
    bias = onnx.Concat(reordered[2], reordered[3], axis=0)
    inputs, states, bias = (onnx.Unsqueeze(x, _axis(0)) for x in (*reordered[:2], bias))
    return inputs, states, bias


def _batch_first(outputs: Any) -> Any:
    """`[B, T, H]` of `[T, 1, B, H]`."""
    return onnx.Transpose(onnx.Squeeze(outputs, _axis(1)), perm=[1, 0, 2])


def _axis(number: int) -> Any:
    return onnx.Constant(value_ints=[number])


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.asl.lstm.default: _lstm_in_onnx,
    torch.ops.asl.gru.default: _gru_in_onnx,
}
