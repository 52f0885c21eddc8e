"""The products with weights in int8: the weights, and what goes in and comes out of them.

The rest stays as it is. Preprocessing cannot be quantized, for no 256 steps hold raw coordinates
with NaN and infinity among them; and sums, normalisations and softmax in between gain nothing by it
(whole networks in int8 were measured to be no faster, and their probabilities wrong by up to 128).
"""

import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import pack, parse
from asl.export.passes.float16 import SMALLEST
from asl.runtime.litert import silent_stderr

CALIBRATED_ON = 100
"""Clips from which the ranges of inputs and outputs are taken."""

OPERATOR = schema.BuiltinOperator
WEIGHTED = (OPERATOR.FULLY_CONNECTED, OPERATOR.CONV_2D, OPERATOR.DEPTHWISE_CONV_2D)
RECURRENT = {
    OPERATOR.LSTM: "LSTM",
    OPERATOR.UNIDIRECTIONAL_SEQUENCE_LSTM: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    OPERATOR.WHILE: "WHILE",
}


class NotQuantizedError(Exception):
    """No int8 file can be made of a model; the message says why."""


def to_int8(tflite: bytes, clips: Sequence[np.ndarray]) -> bytes:
    """The same model with its products quantized by Google's ai-edge-quantizer.

    Args:
        tflite: a float32 model, inputs [n, N, 3] with n free.
        clips: real ones that it was trained on, float32 [n, N, 3].

    Raises:
        NotQuantizedError: its operators do not allow it, or the package is absent.
    """
    model = parse(tflite)
    _refuse_recurrent(model)
    quantizer = _quantizer(tflite)
    quantizer.add_static_config(
        _names(_products(model)), _every_operator(), activation_num_bits=8, weight_num_bits=8
    )

    def quantize() -> Any:
        ranges = quantizer.calibrate(
            {"serving_default": [{"inputs": clip} for clip in clips]}, num_threads=1
        )
        return quantizer.quantize(ranges, enable_progress_report=False)

    return _made(quantize)


def to_dynamic(tflite: bytes) -> bytes:
    """The same model with its products' weights as int8; they quantize their inputs as they go.

    Args:
        tflite: a float32 model.

    Raises:
        NotQuantizedError: it has no large weight, or the package is absent or refuses the model.
    """
    quantizer = _quantizer(tflite)
    quantizer.add_dynamic_config(_names(_products(parse(tflite))), _every_operator(), num_bits=8)
    return _made(lambda: quantizer.quantize(enable_progress_report=False))


def _quantizer(tflite: bytes) -> Any:
    if not find_spec("ai_edge_quantizer"):
        raise NotQuantizedError("it needs ai-edge-quantizer: pip install -e '.[export]'")
    # It imports absl, whose log handler closes the stderr that it finds once logging is set up anew
    # and stderr is another: a notebook's would be gone.
    with silent_stderr(), contextlib.redirect_stderr(sys.__stderr__):
        from ai_edge_quantizer.quantizer import Quantizer

        return Quantizer(bytearray(tflite))


def _every_operator() -> Any:
    from ai_edge_quantizer.qtyping import TFLOperationName

    return TFLOperationName.ALL_SUPPORTED


def _names(products: Sequence[str]) -> str:
    return "|".join(f"^{re.escape(product)};?$" for product in products)


def _made(quantize: Callable[[], Any]) -> bytes:
    with silent_stderr():
        try:
            made = quantize().quantized_model
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise NotQuantizedError(f"ai-edge-quantizer refuses its graph: {reason}") from error
    return _in_one(bytes(made))


def _in_one(tflite: bytes) -> bytes:
    """The same model with its constants inside the flatbuffer; the quantizer puts them behind it.

    Whatever writes the file anew, as metadata do, would leave them behind.
    """
    model = parse(tflite)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 stand for inside
            end = buffer.offset + buffer.size
            buffer.data = np.frombuffer(tflite[buffer.offset : end], np.uint8)
            buffer.offset = buffer.size = 0
    return pack(model, len(tflite))


def _refuse_recurrent(model: Any) -> None:
    codes = [code.builtinCode for code in model.operatorCodes]
    for code, name in RECURRENT.items():
        if code in codes:
            raise NotQuantizedError(
                f"its recurrent layers are {name}, whose products cannot be given ranges for int8; "
                "`dynamic` quantizes their weights"
            )


def _products(model: Any) -> list[str]:
    """The names of the outputs of all operators that have a large weight.

    Raises:
        NotQuantizedError: the model has no such operator.
    """
    codes = [code.builtinCode for code in model.operatorCodes]
    found = [
        graph.tensors[operator.outputs[0]].name.decode()
        for graph in model.subgraphs
        for operator in graph.operators
        if codes[operator.opcodeIndex] in WEIGHTED
        and _values(model, graph.tensors[operator.inputs[1]]) >= SMALLEST
    ]
    if not found:
        raise NotQuantizedError(f"it has no weight of {SMALLEST} values or more")
    return found


def _values(model: Any, tensor: Any) -> int:
    """How many float32 values a constant has; 0 for what is none."""
    data = model.buffers[tensor.buffer].data
    return 0 if data is None or tensor.type != schema.TensorType.FLOAT32 else len(data) // 4
