"""PyTorch's operators as TFLite's, for litert-torch, with any number of frames.

litert-torch 0.10 lowers most operators by way of JAX, which knows no free axis: the conversion of
a clip `[n, N, 3]` with n free stops at the first operator. It hands on calls of `tfl.…` as they
are, however, and these may have free axes. So here every operator that a recognizer is made of is
the TFLite operator that does the same. What is not listed goes litert-torch's way, which stops at a
free axis and never freezes it.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from litert_converter.mlir import ir
from litert_converter.mlir.dialects import stablehlo
from litert_torch import fx_infra
from litert_torch.backend.lowerings import registry, utils

from asl.export import recurrent  # noqa: F401  (defines the operators asl.lstm and asl.gru)

Value = Any
"""A tensor in MLIR, `ir.Value`, or a Python number in its place."""

FREE = ir.ShapedType.get_dynamic_size()
LONGEST = 2**31 - 1
aten = torch.ops.aten


def install() -> None:
    """From now on litert-torch uses these."""
    for kept in KEPT:
        fx_infra.decomp.remove_pre_lower_decomp(kept)
    for target, lowering in OPERATORS.items():
        registry.global_registry.register(target, lowering)


def _stated(context: Any) -> list[Any]:
    """The types that PyTorch states for the results of the operator being lowered."""
    return list(utils.node_meta_to_ir_types(context.node))


def _call(name: str, result: Any, operands: Sequence[Value], **attributes: Any) -> Value:
    """An operator of TFLite."""
    return stablehlo.custom_call(
        result=[result],
        inputs=list(operands),
        call_target_name=ir.StringAttr.get(f"tfl.{name}"),
        has_side_effect=ir.BoolAttr.get(False),
        backend_config=ir.StringAttr.get(str(ir.DictAttr.get(attributes))),
    )


def _flag(value: bool) -> Any:
    return ir.BoolAttr.get(value)


def _number(value: int) -> Any:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), value)


def _plain() -> dict[str, Any]:
    return {"fused_activation_function": ir.StringAttr.get("NONE")}


def _constant(values: Any, dtype: Any = np.int32) -> Value:
    return utils.numpy_array_constant(np.array(values, dtype))


def _typed(shape: Sequence[int], element: Any) -> Any:
    return ir.RankedTensorType.get(list(shape), element)


def _float(*shape: int) -> Any:
    return _typed(shape, ir.F32Type.get())


def _int(*shape: int) -> Any:
    return _typed(shape, ir.IntegerType.get_signless(32))


def _as(x: Value, element: Any) -> Value:
    """A tensor or a number as a tensor of this element type."""
    if not isinstance(x, ir.Value):
        return utils.splat(x, element)
    if x.type.element_type == element:
        return x
    return _call("cast", _typed(x.type.shape, element), [x])


def _sizes(sizes: Sequence[Any], result: Any) -> Value:
    """A shape as operand: constant with a -1 where one size is free, else put together."""
    free = [place for place, size in enumerate(result.shape) if size == FREE]
    if len(free) <= 1:
        return _constant([-1 if size == FREE else size for size in result.shape])
    return utils.convert_shape_to_ir_value(list(sizes))


# ---- element by element


def _unary(name: str) -> Callable[..., Value]:
    return lambda context, x: _call(name, x.type, [x])


def _binary(name: str, fused: bool = False) -> Callable[..., Value]:
    def lowered(context: Any, x: Value, y: Value, alpha: float = 1) -> Value:
        (result,) = _stated(context)
        x, y = _as(x, result.element_type), _as(y, result.element_type)
        if alpha != 1:
            y = _call("mul", y.type, [y, _as(alpha, result.element_type)], **_plain())
        return _call(name, result, [x, y], **(_plain() if fused else {}))

    return lowered


def _comparison(name: str) -> Callable[..., Value]:
    def lowered(context: Any, x: Value, y: Value) -> Value:
        element = x.type.element_type
        if isinstance(y, float) or (isinstance(y, ir.Value) and _is_float(y.type.element_type)):
            element = ir.F32Type.get()
        return _call(name, _stated(context)[0], [_as(x, element), _as(y, element)])

    return lowered


def _is_float(element: Any) -> bool:
    return element == ir.F32Type.get()


def _square(context: Any, x: Value, power: float) -> Value:
    if power != 2:
        raise NotImplementedError(f"a power of {power}")
    return _call("square", x.type, [x])


def _clamp(context: Any, x: Value, min: float | None = None, max: float | None = None) -> Value:
    for name, bound in (("maximum", min), ("minimum", max)):
        if bound is not None:
            x = _call(name, x.type, [x, _as(bound, x.type.element_type)])
    return x


def _where(context: Any, condition: Value, x: Value, y: Value) -> Value:
    (result,) = _stated(context)
    element = result.element_type
    return _call("select_v2", result, [condition, _as(x, element), _as(y, element)])


def _same(context: Any, x: Value, *_: Any, **__: Any) -> Value:
    return x


def _nothing(context: Any, *_: Any, **__: Any) -> None:
    return None


def _cast(context: Any, x: Value, **_: Any) -> Value:
    return _as(x, _stated(context)[0].element_type)


# ---- made from numbers


def _full(context: Any, sizes: Sequence[Any], value: Value, **_: Any) -> Value:
    (result,) = _stated(context)
    element = result.element_type
    if FREE in result.shape:
        return _call("fill", result, [utils.convert_shape_to_ir_value(sizes), _as(value, element)])
    if not isinstance(value, ir.Value):
        return utils.splat(value, element, result.shape)
    return _call("broadcast_to", result, [_as(value, element), _constant(result.shape)])


def _full_like(context: Any, x: Value, value: Value, **_: Any) -> Value:
    if FREE in x.type.shape:
        raise NotImplementedError("full_like of a free size")
    return _full(context, x.type.shape, value)


def _scalar(context: Any, value: float, **_: Any) -> Value:
    return utils.splat(value, _stated(context)[0].element_type)


def _arange(context: Any, start: Value, end: Value, step: Value = 1, **_: Any) -> Value:
    if any(isinstance(x, float) for x in (start, end, step)):
        raise NotImplementedError("a range of fractions")
    (result,) = _stated(context)
    whole = ir.IntegerType.get_signless(32)
    made = _call("range", _int(*result.shape), [_as(x, whole) for x in (start, end, step)])
    return _as(made, result.element_type)


# ---- shapes and places


def _reshape(context: Any, x: Value, sizes: Sequence[Any]) -> Value:
    (result,) = _stated(context)
    return _call("reshape", result, [x, _sizes(sizes, result)])


def _unsqueeze(context: Any, x: Value, axis: int) -> Value:
    return _call("expand_dims", _stated(context)[0], [x, _constant(axis)])


def _squeeze(context: Any, x: Value, axes: int | Sequence[int]) -> Value:
    axes = [axes] if isinstance(axes, int) else axes
    axes = [axis % len(x.type.shape) for axis in axes]
    return _call("squeeze", _stated(context)[0], [x], squeeze_dims=_axes(*axes))


def _axes(*axes: int) -> Any:
    wide = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get([ir.IntegerAttr.get(wide, axis) for axis in axes])


def _expand(context: Any, x: Value, sizes: Sequence[Any], **_: Any) -> Value:
    (result,) = _stated(context)
    if list(result.shape) == list(x.type.shape):
        return x
    pairs = zip(result.shape, sizes, strict=True)
    known = [given if size == FREE else size for size, given in pairs]
    return _call("broadcast_to", result, [x, utils.convert_shape_to_ir_value(known)])


def _permute(context: Any, x: Value, axes: Sequence[int]) -> Value:
    rank = len(x.type.shape)
    return _call("transpose", _stated(context)[0], [x, _constant([a % rank for a in axes])])


def _transposed(x: Value, *axes: int) -> Value:
    shape = [x.type.shape[axis] for axis in axes]
    return _call("transpose", _typed(shape, x.type.element_type), [x, _constant(axes)])


def _cut(
    x: Value, result: Any, axis: int, start: Value, end: Value, step: int = 1, drop: bool = False
) -> Value:
    """`x[:, start:end:step]` with as many `:` before as the axis says, and others behind."""
    rank = len(x.type.shape)
    others = (1 << rank) - 1 - (1 << axis)
    to_the_end = _is_the_end(end, FREE)
    begin, stop, strides = [0] * rank, [0] * rank, [1] * rank
    begin[axis], strides[axis] = start, step
    stop[axis] = 0 if to_the_end else end
    return _call(
        "strided_slice",
        result,
        [x, *(utils.convert_shape_to_ir_value(places) for places in (begin, stop, strides))],
        begin_mask=_number(others),
        end_mask=_number(others | (1 << axis if to_the_end else 0)),
        ellipsis_mask=_number(0),
        new_axis_mask=_number(0),
        shrink_axis_mask=_number(1 << axis if drop else 0),
        offset=_flag(False),
    )


def _slice(
    context: Any, x: Value, axis: int = 0, start: Value = None, end: Value = None, step: int = 1
) -> Value:
    (result,) = _stated(context)
    axis %= len(x.type.shape)
    start = 0 if start is None else start
    if isinstance(start, int) and start == 0 and step == 1 and _is_the_end(end, x.type.shape[axis]):
        return x
    return _cut(x, result, axis, start, end, step)


def _is_the_end(end: Value, size: int) -> bool:
    """Whether an axis of this size, which may be free, is not cut before its end."""
    if end is None:
        return True
    return isinstance(end, int) and end >= (LONGEST if size == FREE else size)


def _select(context: Any, x: Value, axis: int, place: int) -> Value:
    end = None if place == -1 else place + 1
    return _cut(x, _stated(context)[0], axis % len(x.type.shape), place, end, drop=True)


def _split(context: Any, x: Value, sizes: Sequence[int], axis: int = 0) -> list[Value]:
    starts = np.cumsum([0, *sizes]).tolist()
    axis %= len(x.type.shape)
    return [
        _cut(x, result, axis, start, start + size)
        for result, start, size in zip(_stated(context), starts, sizes, strict=False)
    ]


def _cat(context: Any, parts: Sequence[Value], axis: int = 0) -> Value:
    (result,) = _stated(context)
    parts = [_as(part, result.element_type) for part in parts]
    return _call("concatenation", result, parts, axis=_number(axis % len(result.shape)), **_plain())


def _pad(context: Any, x: Value, around: Sequence[int], value: float = 0) -> Value:
    """PyTorch names the last axis first."""
    if value:
        raise NotImplementedError(f"padding with {value}")
    rank = len(x.type.shape)
    sides = [(0, 0)] * (rank - len(around) // 2)
    sides += list(zip(around[::2], around[1::2], strict=True))[::-1]
    return _call("pad", _stated(context)[0], [x, _constant(sides)])


def _index_select(context: Any, x: Value, axis: int, places: Value) -> Value:
    return _gather(x, _stated(context)[0], axis % len(x.type.shape), places)


def _gather(x: Value, result: Any, axis: int, places: Value) -> Value:
    places = _as(places, ir.IntegerType.get_signless(32))
    return _call("gather", result, [x, places], axis=_number(axis), batch_dims=_number(0))


def _index(context: Any, x: Value, places: Sequence[Value]) -> Value:
    """`x[rows, columns]`, as many indices as given, of shapes that fit each other."""
    if any(place is None for place in places):
        raise NotImplementedError("an index that leaves out an axis")
    (result,) = _stated(context)
    common = list(result.shape)[: len(result.shape) - len(x.type.shape) + len(places)]
    whole = ir.IntegerType.get_signless(32)
    columns = []
    for place in places:
        spread = _call("broadcast_to", _int(*common), [_as(place, whole), _constant(common)])
        columns.append(_call("expand_dims", _int(*common, 1), [spread, _constant(-1)]))
    together = _call(
        "concatenation", _int(*common, len(places)), columns, axis=_number(len(common)), **_plain()
    )
    return _call("gather_nd", result, [x, together])


def _gather_steps(context: Any, x: Value, axis: int, places: Value) -> Value:
    """`torch.gather` along the steps of one clip [1, T, C]: by places in the flat tensor."""
    (result,) = _stated(context)
    one, _, channels = x.type.shape
    if (one, axis) != (1, 1):
        raise NotImplementedError("gather along another axis than the steps of one clip")
    whole = ir.IntegerType.get_signless(32)
    rows = _int(*result.shape)
    places = _call("mul", rows, [_as(places, whole), _as(channels, whole)], **_plain())
    places = _call("add", rows, [places, _constant(np.arange(channels))], **_plain())
    flat = _call("reshape", _typed([FREE], x.type.element_type), [x, _constant([-1])])
    return _gather(flat, result, 0, places)


# ---- sums and products


def _reduction(name: str) -> Callable[..., Value]:
    def lowered(
        context: Any, x: Value, axes: Sequence[int], keepdim: bool = False, **_: Any
    ) -> Value:
        (result,) = _stated(context)
        x = _as(x, result.element_type)
        return _reduced(name, x, result, axes, keepdim)

    return lowered


def _reduced(name: str, x: Value, result: Any, axes: Sequence[int], keep: bool) -> Value:
    axes = [axis % len(x.type.shape) for axis in axes]
    return _call(name, result, [x, _constant(axes)], keep_dims=_flag(keep))


def _matmul(context: Any, x: Value, y: Value) -> Value:
    return _call(
        "batch_matmul",
        _stated(context)[0],
        [x, y],
        adj_x=_flag(False),
        adj_y=_flag(False),
        asymmetric_quantize_inputs=_flag(False),
    )


def _linear(context: Any, x: Value, weight: Value, bias: Value | None = None) -> Value:
    return _product(x, weight, bias, _stated(context)[0])


def _product(x: Value, weight: Value, bias: Value | None, result: Any) -> Value:
    return _call(
        "fully_connected",
        result,
        [x, weight, _bias(bias, weight.type.shape[0])],
        weights_format=ir.StringAttr.get("DEFAULT"),
        keep_num_dims=_flag(True),
        asymmetric_quantize_inputs=_flag(False),
        **_plain(),
    )


def _bias(bias: Value | None, outputs: int) -> Value:
    return utils.splat(0.0, ir.F32Type.get(), [outputs]) if bias is None else bias


def _layer_norm(
    context: Any, x: Value, shape: Sequence[int], weight: Value, bias: Value, epsilon: float
) -> list[Any]:
    if len(shape) != 1:
        raise NotImplementedError("a layer norm over several axes")
    one = _float(*list(x.type.shape)[:-1], 1)
    x = _call("sub", x.type, [x, _reduced("mean", x, one, [-1], True)], **_plain())
    variance = _reduced("mean", _call("square", x.type, [x]), one, [-1], True)
    variance = _call("add", one, [variance, _constant(epsilon, np.float32)], **_plain())
    x = _call("mul", x.type, [x, _call("rsqrt", one, [variance])], **_plain())
    return [_plus(_times(x, weight), bias), None, None]


def _softmax(context: Any, x: Value, axis: int, *_: Any) -> Value:
    if axis % len(x.type.shape) != len(x.type.shape) - 1:
        raise NotImplementedError("a softmax along another axis than the last")
    one = ir.FloatAttr.get(ir.F32Type.get(), 1.0)
    return _call("softmax", x.type, [x], beta=one)


def _convolve(
    context: Any,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """Over the steps of `[B, C, T]`; in TFLite these are images `[B, 1, T, C]`."""
    (result,) = _stated(context)
    batch, channels, steps = x.type.shape
    outputs, inputs, kernel = weight.type.shape
    depthwise = groups > 1
    if depthwise and (inputs, outputs) != (1, channels):
        raise NotImplementedError("a convolution in groups of several channels")
    x = _transposed(x, 0, 2, 1)
    x = _call("expand_dims", _float(batch, 1, steps, channels), [x, _constant(1)])
    if around := _around(padding, (kernel - 1) * dilation[0]):
        wider = FREE if steps == FREE else steps + sum(around)
        sides = [(0, 0), (0, 0), around, (0, 0)]
        x = _call("pad", _float(batch, 1, wider, channels), [x, _constant(sides)])
    # Filters are [1, 1, K, C] where each channel has its own, else [outputs, 1, K, inputs].
    weight = _transposed(weight, *((1, 2, 0) if depthwise else (0, 2, 1)))
    shape = [weight.type.shape[0], 1, *list(weight.type.shape)[1:]]
    weight = _call("reshape", _float(*shape), [weight, _constant(shape)])
    made = _call(
        "depthwise_conv_2d" if depthwise else "conv_2d",
        _float(batch, 1, result.shape[2], outputs),
        [x, weight, _bias(bias, outputs)],
        dilation_h_factor=_number(1),
        dilation_w_factor=_number(dilation[0]),
        stride_h=_number(1),
        stride_w=_number(stride[0]),
        padding=ir.StringAttr.get("VALID"),
        **({"depth_multiplier": _number(1)} if depthwise else {}),
        **_plain(),
    )
    made = _call("squeeze", _float(batch, result.shape[2], outputs), [made], squeeze_dims=_axes(1))
    return _transposed(made, 0, 2, 1)


def _around(padding: Sequence[int] | str, lost: int) -> tuple[int, int] | None:
    """How many zeros stand before and after the steps."""
    if padding == "same":
        return lost // 2, lost - lost // 2
    if padding == "valid" or not padding[0]:
        return None
    return int(padding[0]), int(padding[0])


# ---- one step after the other


def _lstm(context: Any, steps: Value, weights: Sequence[Value]) -> Value:
    units = weights[1].type.shape[1]

    def step(inputs: Value, states: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
        held = _product(states[0], weights[0], weights[1], _float(1, 4 * units))
        # PyTorch's gates: input, forget, cell, output.
        gates = _parts(_call("add", held.type, [inputs, held], **_plain()), 4)
        opened, kept, shown = (_call("logistic", gates[g].type, [gates[g]]) for g in (0, 1, 3))
        new = _call("tanh", gates[2].type, [gates[2]])
        cell = _plus(_times(kept, states[1]), _times(opened, new))
        return [_times(shown, _call("tanh", cell.type, [cell])), cell]

    return _recurrent(context, steps, weights, step, states=2)


def _gru(context: Any, steps: Value, weights: Sequence[Value]) -> Value:
    units = weights[1].type.shape[1]

    def step(inputs: Value, states: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
        # PyTorch's gates: reset, update, new.
        reset, update, new = _parts(inputs, 3)
        held = _product(states[0], weights[0], weights[1], _float(1, 3 * units))
        held_reset, held_update, held_new = _parts(held, 3)
        reset, update = _plus(reset, held_reset), _plus(update, held_update)
        reset, update = (_call("logistic", x.type, [x]) for x in (reset, update))
        new = _call("tanh", new.type, [_plus(new, _times(reset, held_new))])
        older = _call("sub", new.type, [states[0], new], **_plain())
        return [_plus(new, _times(update, older))]

    return _recurrent(context, steps, weights, step, states=1)


def _recurrent(
    context: Any,
    steps: Value,
    weights: Sequence[Value],
    step: Callable[..., list[Value]],
    states: int,
) -> Value:
    """One direction over `[1, T, F]` as a loop; its states start at zero in every call.

    One product serves the inputs of all steps. The outputs so far are the end of a tensor as long
    as all of them, which moves on by one each step.
    """
    (result,) = _stated(context)
    one, length, units = result.shape
    if one != 1:
        raise NotImplementedError("a recurrent layer over several clips")
    into, across, into_bias, across_bias = weights
    gates = into.type.shape[0]
    inputs = _product(steps, into, into_bias, _float(1, length, gates))
    inputs = _call("reshape", _float(length, gates), [inputs, _constant([-1, gates])])
    count = stablehlo.get_dimension_size(inputs, 0)
    zeros = utils.splat(0.0, ir.F32Type.get(), [1, units])
    nothing = _zeros(count, length, units)
    carried = [_constant(0), *[zeros] * states, nothing, count, inputs, across, across_bias]
    types = [value.type for value in carried]
    loop = stablehlo.WhileOp(types, carried)
    places = [ir.Location.unknown()] * len(types)
    with ir.InsertionPoint(loop.regions[0].blocks.append(*types, arg_locs=places)) as at:
        time, end = at.block.arguments[0], at.block.arguments[2 + states]
        stablehlo.return_([_call("less", _typed([], ir.IntegerType.get_signless(1)), [time, end])])
    with ir.InsertionPoint(loop.regions[1].blocks.append(*types, arg_locs=places)) as at:
        time, *held, made, end, rows, weight, bias = at.block.arguments
        row = _call("reshape", _int(1), [time, _constant([1])])
        row = _gather(rows, _float(1, gates), 0, row)
        held = step(row, held, (weight, bias))
        shorter = FREE if length == FREE else length - 1
        made = _joined(_cut(made, _float(shorter, units), 0, 1, None), held[0], made.type)
        later = _call("add", time.type, [time, _constant(1)], **_plain())
        stablehlo.return_([later, *held, made, end, rows, weight, bias])
    outputs = loop.results[1 + states]
    return _call("expand_dims", result, [outputs, _constant(0)])


def _zeros(count: Value, length: int, units: int) -> Value:
    if length != FREE:
        return utils.splat(0.0, ir.F32Type.get(), [length, units])
    sizes = utils.convert_shape_to_ir_value([count, units])
    return _call("fill", _float(FREE, units), [sizes, utils.splat(0.0, ir.F32Type.get())])


def _joined(made: Value, last: Value, result: Any) -> Value:
    return _call("concatenation", result, [made, last], axis=_number(0), **_plain())


def _parts(x: Value, count: int) -> list[Value]:
    """Equal parts of `[1, count · C]`."""
    size = x.type.shape[1] // count
    return [_cut(x, _float(1, size), 1, part * size, (part + 1) * size) for part in range(count)]


def _plus(x: Value, y: Value) -> Value:
    return _call("add", x.type, [x, y], **_plain())


def _times(x: Value, y: Value) -> Value:
    return _call("mul", x.type, [x, y], **_plain())


# ---- sizes, which are numbers until the clip is known


def _size(context: Any, x: Value, axis: int) -> Value:
    return stablehlo.get_dimension_size(x, axis)


def _of_sizes(name: str) -> Callable[..., Value]:
    def lowered(context: Any, x: Value, y: Value) -> Value:
        if not isinstance(x, ir.Value) and not isinstance(y, ir.Value):
            raise NotImplementedError(f"{name} of two known sizes")
        whole = ir.IntegerType.get_signless(32)
        return _call(name, _int(), [_as(x, whole), _as(y, whole)], **_plain())

    return lowered


KEPT = [aten.linear, aten.matmul, aten.conv1d, aten.arange.default, aten.arange.start]
"""What PyTorch would take apart: TFLite has an operator for it, or litert-torch stumbles."""

OPERATORS: dict[Any, Callable[..., Any]] = {
    operator.add: _of_sizes("add"),
    operator.mul: _of_sizes("mul"),
    operator.sub: _of_sizes("sub"),
    aten.sym_size.int: _size,
    aten._assert_tensor_metadata.default: _nothing,
    aten._assert_scalar.default: _nothing,
    aten._softmax.default: _softmax,
    aten._to_copy.default: _cast,
    aten.abs.default: _unary("abs"),
    aten.add.Scalar: _binary("add", fused=True),
    aten.add.Tensor: _binary("add", fused=True),
    aten.alias.default: _same,
    aten.amax.default: _reduction("reduce_max"),
    aten.arange.default: lambda context, end, **_: _arange(context, 0, end),
    aten.arange.start: _arange,
    aten.arange.start_step: _arange,
    aten.bitwise_and.Tensor: _binary("logical_and"),
    aten.bmm.default: _matmul,
    aten.cat.default: _cat,
    aten.clamp.default: _clamp,
    aten.clone.default: _same,
    aten.constant_pad_nd.default: _pad,
    aten.conv1d.default: _convolve,
    aten.conv1d.padding: _convolve,
    aten.cos.default: _unary("cos"),
    aten.div.Tensor: _binary("div", fused=True),
    aten.eq.Tensor: _comparison("equal"),
    aten.exp.default: _unary("exp"),
    aten.expand.default: _expand,
    aten.full.default: _full,
    aten.full_like.default: _full_like,
    aten.gather.default: _gather_steps,
    aten.gt.Scalar: _comparison("greater"),
    aten.index.Tensor: _index,
    aten.index_select.default: _index_select,
    aten.linear.default: _linear,
    aten.logical_and.default: _binary("logical_and"),
    aten.lt.Scalar: _comparison("less"),
    aten.lt.Tensor: _comparison("less"),
    aten.matmul.default: _matmul,
    aten.mean.dim: _reduction("mean"),
    aten.mm.default: _matmul,
    aten.mul.Tensor: _binary("mul", fused=True),
    aten.native_layer_norm.default: _layer_norm,
    aten.neg.default: _unary("neg"),
    aten.permute.default: _permute,
    aten.pow.Tensor_Scalar: _square,
    aten.relu.default: _unary("relu"),
    aten.rsqrt.default: _unary("rsqrt"),
    aten.scalar_tensor.default: _scalar,
    aten.select.int: _select,
    aten.sigmoid.default: _unary("logistic"),
    aten.sin.default: _unary("sin"),
    aten.slice.Tensor: _slice,
    aten.split_with_sizes.default: _split,
    aten.sqrt.default: _unary("sqrt"),
    aten.squeeze.dim: _squeeze,
    aten.squeeze.dims: _squeeze,
    aten.sub.Tensor: _binary("sub", fused=True),
    aten.sum.dim_IntList: _reduction("sum"),
    aten.tanh.default: _unary("tanh"),
    aten.unsqueeze.default: _unsqueeze,
    aten.view.default: _reshape,
    aten.where.self: _where,
    torch.ops.asl.gru.default: _gru,
    torch.ops.asl.lstm.default: _lstm,
}
