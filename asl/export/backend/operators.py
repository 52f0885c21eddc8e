"""ONNX operators in TensorFlow, axis for axis, in place of onnx2tf's, which guess the layout.

onnx2tf 1.x moves tensors into TensorFlow's channels-last order as it goes and afterwards tells by
*comparing sizes* which axis went where. Where two neighbouring axes have the same size the sizes
say nothing, and it guesses: a tensor whose axes after the first are all equal is declared
transposed (`inverted_operation_enable_disable` in onnx2tf/utils/common_functions.py), and every
operator after it then turns its constants, its axes and its permutation. That is how an LSTM with
as many frames as hidden units, [1, 64, 64], is converted wrongly and silently.

Here nothing is moved, so there is nothing to guess: each operator below takes and gives tensors
in ONNX's own axis order, and `install` puts them in the place of onnx2tf's. The operators that are
not listed stay onnx2tf's own; they are told that nothing was moved, and a result whose shape is
not the one that ONNX states stops the conversion.

It imports TensorFlow and onnx2tf: only `asl.export.backend.convert`, a separate process, may import
it.
"""

import operator
import sys
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf_keras
from onnx2tf.utils import common_functions

Tensor = Any  # Keras, eager or NumPy: TensorFlow's functions take all three
Inputs = Sequence[Tensor]  # of a node, in ONNX's order; None or too few where they are optional
Attributes = dict[str, Any]


def _dtype(onnx_type: int) -> Any:
    return tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(onnx_type))


def _ints(x: Tensor) -> Any:
    """A shape, index or axis tensor as TensorFlow wants it: int32, or a list if known."""
    values = _known(x)
    if values is None:
        return tf.cast(x, tf.int32)
    return [int(np.clip(i, -(2**31), 2**31 - 1)) for i in np.atleast_1d(values)]


def _known(x: Tensor) -> np.ndarray | None:
    """The values of a constant tensor, None for one that depends on the clip."""
    if isinstance(x, np.ndarray | np.generic):
        return np.asarray(x)
    return x.numpy() if hasattr(x, "numpy") else None


def _optional(x: Inputs, place: int) -> Tensor | None:
    return x[place] if len(x) > place else None


def _axes(x: Inputs, a: Attributes) -> list[int] | None:
    if "axes" in a:
        return list(a["axes"])
    axes = _optional(x, 1)
    return None if axes is None else _ints(axes)


def _reduction(function: Callable[..., Tensor]) -> Callable[[Inputs, Attributes], Tensor]:
    def reduced(x: Inputs, a: Attributes) -> Tensor:
        axes = _axes(x, a)
        if axes is None and a.get("noop_with_empty_axes", 0):
            return x[0]
        return function(x[0], axis=axes, keepdims=bool(a.get("keepdims", 1)))

    return reduced


def _elementwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Arithmetic of two tensors, with the coordinates of all landmarks in one row.

    LiteRT works row by row. Broadcasting [..., 1, 3] over a clip [..., P, 3] has rows of three
    numbers, which take ten times as long as rows of 3 P numbers.
    """

    def applied(x: Inputs, a: Attributes) -> Tensor:
        one, other = x
        if _one_a_coordinate(other, one):
            return _in_long_rows(one, lambda long: function(long, _repeated(other, one)))
        if _one_a_coordinate(one, other):
            return _in_long_rows(other, lambda long: function(_repeated(one, other), long))
        return function(one, other)

    return applied


def _one_a_coordinate(small: Tensor, large: Tensor) -> bool:
    """Whether `small` is `[1, …, 1, C]` and `large` is `[..., P, C]`, C at most `SHORT`."""
    if len(large.shape) < 3 or not tf.as_dtype(large.dtype).is_floating:
        return False
    points, coordinates = large.shape[-2:]
    row = (1,) * (len(small.shape) - 1) + (coordinates,)
    short = coordinates is not None and 1 < coordinates <= SHORT
    return short and points not in (None, 1) and tuple(small.shape) == row


SHORT = 4
"""Numbers in a row that is too short to be worth a row of its own."""


def _repeated(small: Tensor, large: Tensor) -> Tensor:
    return tf.tile(tf.reshape(small, [-1]), [large.shape[-2]])


def _in_long_rows(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply the function to `x` `[..., P, C]` reshaped to `[..., P·C]`, and reshape back."""
    *before, points, coordinates = (-1 if size is None else size for size in x.shape)
    if before.count(-1) > 1:
        before = list(tf.unstack(tf.shape(x)[:-2]))
    long = tf.reshape(x, [*before, points * coordinates])
    return tf.reshape(function(long), [*before, points, coordinates])


def _divide(x: Tensor, y: Tensor) -> Tensor:
    return x / y if tf.as_dtype(x.dtype).is_floating else tf.truncatediv(x, y)


def _shape(x: Inputs, a: Attributes) -> Tensor:
    return tf.shape(x[0], out_type=tf.int64)[a.get("start", 0) : a.get("end")]


def _reshape(x: Inputs, a: Attributes) -> Tensor:
    target = _ints(x[1])
    if isinstance(target, list) and not a.get("allowzero", 0):
        target = [x[0].shape[i] if size == 0 else size for i, size in enumerate(target)]
    return tf.reshape(x[0], target)


def _unsqueeze(x: Inputs, a: Attributes) -> Tensor:
    axes = _axes(x, a) or []
    rank = len(x[0].shape) + len(axes)
    return reduce(tf.expand_dims, sorted(axis % rank for axis in axes), x[0])


def _expand(x: Inputs, a: Attributes) -> Tensor:
    target = _ints(x[1])  # ONNX broadcasts both ways: a 1 in the target keeps the tensor's own size
    if isinstance(target, list) and None not in x[0].shape:
        target = np.broadcast_shapes(tuple(x[0].shape), target)
    return tf.broadcast_to(x[0], target)


def _slice(x: Inputs, a: Attributes) -> Tensor:
    starts, ends = _ints(x[1]), _ints(x[2])
    count = len(starts) if isinstance(starts, list) else starts.shape[0]
    axes = range(count) if _optional(x, 3) is None else _ints(x[3])
    steps = [1] * count if _optional(x, 4) is None else _ints(x[4])
    index = [slice(None)] * len(x[0].shape)
    for i, axis in enumerate(axes):
        # int32's limits mean "to the end"; backwards, only an absent bound does
        end = None if isinstance(ends, list) and abs(ends[i]) >= 2**31 - 1 else ends[i]
        index[axis] = slice(starts[i], end, steps[i])
    return x[0][tuple(index)]


def _split(x: Inputs, a: Attributes) -> list[Tensor]:
    axis = a.get("axis", 0)
    if _optional(x, 1) is not None:
        return tf.split(x[0], _ints(x[1]), axis)
    total = x[0].shape[axis]
    size = -(-total // a["num_outputs"])
    return tf.split(x[0], [min(size, total - i) for i in range(0, total, size)], axis)


def _gather(x: Inputs, a: Attributes) -> Tensor:
    axis = a.get("axis", 0)
    indices = _known(x[1])
    if indices is None:
        return tf.gather(x[0], tf.cast(x[1], tf.int32), axis=axis)
    if (indices < 0).any():
        indices = np.where(indices < 0, indices + x[0].shape[axis], indices)
    if indices.ndim == 1 and len(indices):
        # The rows of a body's parts follow each other, and a slice copies them all at once.
        runs = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)
        if len(runs) * LONG_RUN <= len(indices):
            before = [slice(None)] * (axis % len(x[0].shape))
            parts = [x[0][(*before, slice(int(run[0]), int(run[-1]) + 1))] for run in runs]
            return tf.concat(parts, axis) if len(parts) > 1 else parts[0]
    return tf.gather(x[0], indices.astype(np.int32), axis=axis)


LONG_RUN = 8
"""Rows in succession, on average, from which on slices are faster than a gather."""


def _gather_nd(x: Inputs, a: Attributes) -> Tensor:
    return tf.gather_nd(x[0], tf.cast(x[1], tf.int32), batch_dims=a.get("batch_dims", 0))


def _gather_elements(x: Inputs, a: Attributes) -> Tensor:
    axis, indices = a.get("axis", 0), _known(x[1])
    rank = len(x[0].shape)
    if indices is not None and indices.shape == tuple(x[0].shape):
        size = x[0].shape[axis]
        backwards = np.arange(size - 1, -1, -1).reshape(
            [-1 if i == axis % rank else 1 for i in range(rank)]
        )
        if (indices == backwards).all():
            return tf.reverse(x[0], [axis])
    # Otherwise each index becomes a place in the flattened tensor.
    place = tf.cast(x[1], tf.int32) * _stride(x[0], axis % rank)
    for other in set(range(rank)) - {axis % rank}:
        along = [-1 if i == other else 1 for i in range(rank)]
        place += tf.reshape(tf.range(_size(x[1], other)), along) * _stride(x[0], other)
    return tf.gather(tf.reshape(x[0], [-1]), place)


def _size(x: Tensor, axis: int) -> Tensor:
    """How long an axis is: a number, or a tensor where that depends on the clip."""
    return tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]


def _stride(x: Tensor, axis: int) -> Tensor:
    return reduce(operator.mul, (_size(x, i) for i in range(axis + 1, len(x.shape))), 1)


def _pad(x: Inputs, a: Attributes) -> Tensor:
    rank = len(x[0].shape)
    pads = np.zeros((rank, 2), np.int32)
    axes = range(rank) if _optional(x, 3) is None else _ints(x[3])
    pads[list(axes)] = np.reshape(_ints(x[1]), (2, -1)).T
    value = 0 if _optional(x, 2) is None else x[2]
    mode = {"constant": "CONSTANT", "reflect": "REFLECT"}[a.get("mode", "constant")]
    return tf.pad(x[0], pads, mode, constant_values=value)


def _gemm(x: Inputs, a: Attributes) -> Tensor:
    product = tf.matmul(
        x[0], x[1], transpose_a=bool(a.get("transA", 0)), transpose_b=bool(a.get("transB", 0))
    )
    product = product if a.get("alpha", 1.0) == 1 else product * a["alpha"]
    return product if _optional(x, 2) is None else product + x[2] * np.float32(a.get("beta", 1.0))


def _clip(x: Inputs, a: Attributes) -> Tensor:
    result = x[0] if _optional(x, 1) is None else tf.maximum(x[0], x[1])
    return result if _optional(x, 2) is None else tf.minimum(result, x[2])


def _layer_norm(x: Inputs, a: Attributes) -> Tensor:
    first = a.get("axis", -1)
    axes = list(range(first, 0 if first < 0 else len(x[0].shape)))
    centred = x[0] - tf.reduce_mean(x[0], axes, keepdims=True)
    variance = tf.reduce_mean(centred * centred, axes, keepdims=True)
    normal = centred * tf.math.rsqrt(variance + a.get("epsilon", 1e-5)) * x[1]
    return normal if _optional(x, 2) is None else normal + x[2]


def _batch_norm(x: Inputs, a: Attributes) -> Tensor:
    scale, bias, mean, variance = (np.asarray(_known(v)) for v in x[1:5])
    factor = scale / np.sqrt(variance + a.get("epsilon", 1e-5))
    channel = (-1,) + (1,) * (len(x[0].shape) - 2)  # ONNX: [B, C, ...]
    return x[0] * factor.reshape(channel) + (bias - mean * factor).reshape(channel)


def _conv(x: Inputs, a: Attributes) -> Tensor:
    """Convolution of [B, C, T] or [B, C, H, W], inside as TensorFlow's [B, H, W, C]."""
    signal, weight = x[0], np.asarray(_known(x[1]))  # [O, C/groups, ...]
    spatial = len(signal.shape) - 2
    pads = a.get("pads", [0] * 2 * spatial)
    strides, dilations = a.get("strides", [1] * spatial), a.get("dilations", [1] * spatial)
    signal = tf.transpose(signal, [0, *range(2, spatial + 2), 1])
    weight = weight.transpose(*range(2, spatial + 2), 1, 0)  # [..., C/groups, O]
    padding = [[0, 0], *zip(pads[:spatial], pads[spatial:], strict=True), [0, 0]]
    if any(pads):
        signal = tf.pad(signal, np.asarray(padding, np.int32))
    if spatial == 1:
        signal, weight = tf.expand_dims(signal, 1), weight[None]
        strides, dilations = [1, *strides], [1, *dilations]
    groups = a.get("group", 1)
    if groups > 1 and groups == signal.shape[-1]:
        height, width, _, out = weight.shape  # TensorFlow: [H, W, C, outputs a channel]
        weight = weight.reshape(height, width, groups, out // groups)
        result = tf.nn.depthwise_conv2d(
            signal, weight, [1, *strides, 1], "VALID", dilations=dilations
        )
    else:
        parts = zip(tf.split(signal, groups, -1), np.split(weight, groups, -1), strict=True)
        result = tf.concat(
            [tf.nn.conv2d(s, w, strides, "VALID", dilations=dilations) for s, w in parts], -1
        )
    if _optional(x, 2) is not None:
        result = result + x[2]
    if spatial == 1:
        result = tf.squeeze(result, 1)
    return tf.transpose(result, [0, spatial + 1, *range(1, spatial + 1)])


def _recurrent(
    x: Inputs, a: Attributes, one_direction: Callable[..., list[Tensor]]
) -> list[Tensor]:
    """An ONNX recurrent layer: [T, B, F] -> [T, directions, B, H], states [directions, B, H].

    Raises:
        NotImplementedError: sequence lengths, peepholes, a clip or initial states other than zero.
    """
    unsupported = a.get("layout", 0) or a.keys() & {"clip", "activations"}
    if unsupported or any(v is not None for v in (*x[4:5], *x[7:8])):
        raise NotImplementedError("only recurrent layers as PyTorch exports them can be converted")
    if any(v is not None and (_known(v) is None or np.any(_known(v))) for v in x[5:7]):
        raise NotImplementedError("a recurrent layer must start from zero")
    sequence = tf.transpose(x[0], [1, 0, 2])  # [B, T, F]
    weights = [np.asarray(_known(v)) for v in x[1:4]]
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
        a.get("direction", "forward")
    ]
    outputs = []
    for direction, reverse in enumerate(backward):
        inward = tf.reverse(sequence, [1]) if reverse else sequence
        y, *states = one_direction(inward, *(w[direction] for w in weights), a)
        y = tf.reverse(y, [1]) if reverse else y
        outputs.append([tf.transpose(y, [1, 0, 2]), *states])
    axes = [1, *(0 for _ in outputs[0][1:])]
    return [
        tf.stack(parts, axis) for parts, axis in zip(zip(*outputs, strict=True), axes, strict=True)
    ]


def _lstm(x: Tensor, w: np.ndarray, r: np.ndarray, b: np.ndarray, a: Attributes) -> list[Tensor]:
    """One direction over [B, T, F] as TFLite's fused operator, whose state is reset at the start.

    The fused UNIDIRECTIONAL_SEQUENCE_LSTM keeps its state from one `invoke` to the next: the second
    clip would begin where the first one ended. So each sequence starts with an extra frame in which
    an extra feature closes the input, forget and output gates: sigmoid of a large negative number
    is 0, the cell becomes 0 * old + 0 * new = 0 and the output 0 * tanh(0) = 0, whatever the state
    was. The extra feature is 0 in every real frame, so these are computed as without it.
    """
    hidden = a["hidden_size"]
    gates = [0, 2, 3, 1]  # ONNX: input, output, forget, cell; Keras: input, forget, cell, output
    kernel, recurrent = (np.concatenate([np.split(m, 4)[g] for g in gates]).T for m in (w, r))
    bias = (b[: 4 * hidden] + b[4 * hidden :]).reshape(4, hidden)[gates].ravel()
    # The size of the largest weight, so that the extra row costs no resolution when quantized.
    closing = -max(float(np.abs(kernel).max()), 0.01) * np.repeat([1, 1, 0, 1], hidden)
    kernel = np.concatenate([kernel, closing[None]]).astype(np.float32)
    batch, _, features = x.shape
    reset = np.zeros((batch, 1, features + 1), np.float32)
    reset[..., -1] = 1e4  # within float16
    x = tf.pad(x, [[0, 0], [0, 0], [0, 1]])
    x = tf.concat([reset, x], 1)
    layer = tf_keras.layers.LSTM(hidden, return_sequences=True, return_state=True)
    layer.build(x.shape)
    layer.set_weights([kernel, recurrent, bias])
    y, h, c = layer(x)
    return [y[:, 1:], h, c]


def _gru(x: Tensor, w: np.ndarray, r: np.ndarray, b: np.ndarray, a: Attributes) -> list[Tensor]:
    if not a.get("linear_before_reset", 0):
        raise NotImplementedError("only GRUs that reset after the product can be converted")
    return list(_Gru(w, r, b)(x))


class _Gru(tf_keras.layers.Layer):  # type: ignore[misc]
    """A GRU as a loop of few operators, all of known sizes; Keras's own takes half as long again.

    One product serves the inputs of all steps. The outputs so far are the end of a tensor as long
    as all of them, which moves on by one each step.
    """

    def __init__(self, w: np.ndarray, r: np.ndarray, b: np.ndarray) -> None:
        super().__init__()
        self.w, self.r, self.b = w.T, r.T, np.split(b, 2)
        self.units = r.shape[1]

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [1, T, H] and the last of them of a clip [1, T, F]."""
        steps = _size(x, 1)
        inputs = tf.matmul(tf.reshape(x, [-1, x.shape[2]]), self.w) + self.b[0]
        inputs = tf.reshape(inputs, [-1, 1, 3 * self.units])
        parts = [2 * self.units, self.units]

        def step(time: Tensor, state: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            gates, new = tf.split(tf.gather(inputs, time), parts, -1)
            held_gates, held = tf.split(tf.matmul(state, self.r) + self.b[1], parts, -1)
            update, reset = tf.split(tf.sigmoid(gates + held_gates), 2, -1)
            new = tf.tanh(new + reset * held)
            state = new + update * (state - new)
            return time + 1, state, tf.concat([outputs[1:], state], 0)

        start = tf.zeros([1, self.units])
        _, last, outputs = tf.while_loop(
            lambda time, *_: time < steps,
            step,
            (0, start, tf.zeros([steps, self.units])),
            (tf.TensorShape([]), start.shape, tf.TensorShape([x.shape[1], self.units])),
        )
        return outputs[None], last


OPERATORS: dict[str, Callable[[Inputs, Attributes], Any]] = {
    "Abs": lambda x, a: tf.abs(x[0]),
    "Add": _elementwise(tf.add),
    "And": lambda x, a: tf.logical_and(x[0], x[1]),
    "BatchNormalization": _batch_norm,
    "Cast": lambda x, a: tf.cast(x[0], _dtype(a["to"])),
    "Clip": _clip,
    "Concat": lambda x, a: tf.concat(list(x), a["axis"]),
    "Conv": _conv,
    "Div": _elementwise(_divide),
    "Equal": lambda x, a: tf.equal(x[0], x[1]),
    "Exp": lambda x, a: tf.exp(x[0]),
    "Expand": _expand,
    "Floor": lambda x, a: tf.floor(x[0]),
    "GRU": lambda x, a: _recurrent(x, a, _gru),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "Greater": lambda x, a: tf.greater(x[0], x[1]),
    "GreaterOrEqual": lambda x, a: tf.greater_equal(x[0], x[1]),
    "Identity": lambda x, a: tf.identity(x[0]),
    "LSTM": lambda x, a: _recurrent(x, a, _lstm),
    "LayerNormalization": _layer_norm,
    "Less": lambda x, a: tf.less(x[0], x[1]),
    "LessOrEqual": lambda x, a: tf.less_equal(x[0], x[1]),
    "Log": lambda x, a: tf.math.log(x[0]),
    "MatMul": lambda x, a: tf.matmul(x[0], x[1]),
    "Max": lambda x, a: reduce(tf.maximum, x),
    "Min": lambda x, a: reduce(tf.minimum, x),
    "Mul": _elementwise(tf.multiply),
    "Neg": lambda x, a: tf.negative(x[0]),
    "Not": lambda x, a: tf.logical_not(x[0]),
    "Or": lambda x, a: tf.logical_or(x[0], x[1]),
    "Pad": _pad,
    "Pow": lambda x, a: tf.pow(x[0], tf.cast(x[1], x[0].dtype)),
    "Range": lambda x, a: tf.range(x[0], x[1], x[2]),
    "Reciprocal": lambda x, a: 1 / x[0],
    "ReduceMax": _reduction(tf.reduce_max),
    "ReduceMean": _reduction(tf.reduce_mean),
    "ReduceMin": _reduction(tf.reduce_min),
    "ReduceProd": _reduction(tf.reduce_prod),
    "ReduceSum": _reduction(tf.reduce_sum),
    "Relu": lambda x, a: tf.nn.relu(x[0]),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": lambda x, a: tf.sigmoid(x[0]),
    "Slice": _slice,
    "Softmax": lambda x, a: tf.nn.softmax(x[0], a.get("axis", -1)),
    "Split": _split,
    "Sqrt": lambda x, a: tf.sqrt(x[0]),
    "Squeeze": lambda x, a: tf.squeeze(x[0], _axes(x, a)),
    "Sub": _elementwise(tf.subtract),
    "Tanh": lambda x, a: tf.tanh(x[0]),
    "Tile": lambda x, a: tf.tile(x[0], _ints(x[1])),
    "Transpose": lambda x, a: tf.transpose(x[0], a.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Where": lambda x, a: tf.where(x[0], x[1], x[2]),
}


def install() -> None:
    """Replace onnx2tf's operators by those above, in this process.

    onnx2tf imports the operator `X` as `make_node` of the module onnx2tf.ops.X when it meets the
    first X, so this has to be called before its `convert`.
    """
    common_functions.inverted_operation_enable_disable = _in_onnx_order
    for name, function in OPERATORS.items():
        make_node = _in_onnx_order(_handler(function))
        sys.modules[f"onnx2tf.ops.{name}"] = SimpleNamespace(make_node=make_node)  # type: ignore[assignment]


def _handler(function: Callable[[Inputs, Attributes], Any]) -> Callable[..., None]:
    """An operator of the table as the function that onnx2tf calls for each node."""

    def make_node(*, graph_node: Any, tf_layers_dict: dict[str, Any], **_: Any) -> None:
        results = function(
            [_value(v, tf_layers_dict) for v in graph_node.inputs], dict(graph_node.attrs)
        )
        results = results if isinstance(results, list) else [results]
        for output, result in zip(graph_node.outputs, results, strict=False):
            tf_layers_dict[output.name] = {
                "optype": graph_node.op,
                "shape": output.shape,
                "dtype": output.dtype,
                "tf_node": _with_stated_shape(result, output.shape),
            }

    return make_node


def _with_stated_shape(result: Tensor, stated: Sequence[int | str] | None) -> Tensor:
    """Restore sizes that ONNX states and TensorFlow's shape inference has lost."""
    if stated is None or len(stated) != len(result.shape) or _known(result) is not None:
        return result
    sizes = [size if isinstance(size, int) else -1 for size in stated]
    pairs = zip(sizes, result.shape, strict=True)
    lost = any(size != -1 and inferred is None for size, inferred in pairs)
    return tf.reshape(result, sizes) if lost and sizes.count(-1) <= 1 else result


def _value(variable: Any, tf_layers_dict: dict[str, Any]) -> Tensor:
    if hasattr(variable, "values"):
        return variable.values
    return tf_layers_dict[variable.name]["tf_node"] if variable.name else None


def _in_onnx_order(make_node: Callable[..., None]) -> Callable[..., None]:
    """Has `make_node` record that its outputs are in ONNX's axis order, if their shapes agree.

    Raises:
        ValueError: an output's shape is not the one that ONNX states.
    """

    @wraps(make_node)
    def checked(**kwargs: Any) -> None:
        make_node(**kwargs)
        node, tensors = kwargs["graph_node"], kwargs["tf_layers_dict"]
        for output in node.outputs:
            if output.name not in tensors:
                continue
            stated = output.shape
            if stated is not None:
                stated = [size if isinstance(size, int) else None for size in stated]
            shape = tensors[output.name]["tf_node"].shape
            if not tf.TensorShape(stated).is_compatible_with(shape):
                raise ValueError(
                    f"{node.op} {node.name}: ONNX states {stated}, TensorFlow gives {shape}"
                )
            tensors[output.name]["before_op_output_shape_trans"] = False

    return checked
