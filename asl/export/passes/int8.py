"""The products with weights in int8: the weights, and what goes in and comes out of them.

The rest stays as it is. Preprocessing cannot be quantized, for no 256 steps hold raw coordinates
with NaN and infinity among them; and sums, normalisations and softmax in between gain nothing by it
(whole networks in int8 were measured to be no faster, and their probabilities wrong by up to 128).
"""

import contextlib
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from asl.errors import first_line
from asl.export.passes.flatbuffer import float32_values, operator_names, pack, parse
from asl.export.passes.float16 import MIN_VALUES
from asl.native import silent_stderr

CALIBRATION_CLIPS = 100
"""Clips from which the ranges of inputs and outputs are taken."""

WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
RECURRENT = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "WHILE")


class NotQuantizedError(Exception):
    """No int8 file can be made of a model; the message says why."""


def to_int8(model: Any, clips: Sequence[np.ndarray]) -> Any:
    """Quantize the products of a model with Google's ai-edge-quantizer.

    The quantizer reads and returns bytes, so the model is packed and parsed once more.

    Args:
        model: a float32 model, inputs [n, N, 3] with n free.
        clips: of the training, float32 [n, N, 3].

    Returns:
        another model.

    Raises:
        NotQuantizedError: its operators do not allow it, or the package is absent.
    """
    names = operator_names(model)
    if recurrent := next((name for name in RECURRENT if name in names), None):
        raise NotQuantizedError(
            f"its recurrent layers are {recurrent}, whose products cannot be given ranges for "
            "int8; `dynamic` quantizes their weights"
        )
    products = "|".join(f"^{re.escape(product)};?$" for product in _products(model))
    quantizer = _quantizer(pack(model))
    from ai_edge_quantizer.qtyping import TFLOperationName

    quantizer.add_static_config(
        products, TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    with silent_stderr():
        try:
            ranges = quantizer.calibrate(
                {"serving_default": [{"inputs": clip} for clip in clips]}, num_threads=1
            )
            quantized = quantizer.quantize(ranges, enable_progress_report=False).quantized_model
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            reason = f"ai-edge-quantizer refuses its graph: {first_line(error)}"
            raise NotQuantizedError(reason) from error
    return parse(bytes(quantized))


def _quantizer(tflite: bytes) -> Any:
    if not find_spec("ai_edge_quantizer"):
        raise NotQuantizedError("it needs ai-edge-quantizer: pip install -e '.[export]'")
    # It imports absl, whose log handler closes the stderr that it finds once logging is set up anew
    # and stderr is another: a notebook's would be gone.
    with silent_stderr(), contextlib.redirect_stderr(sys.__stderr__):
        from ai_edge_quantizer.quantizer import Quantizer

        return Quantizer(bytearray(tflite))


def _products(model: Any) -> list[str]:
    """The names of the outputs of all operators that have a large weight.

    Raises:
        NotQuantizedError: the model has no such operator.
    """
    names = operator_names(model)
    products = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            if names[operator.opcodeIndex] in WEIGHTED:
                values = float32_values(model, graph.tensors[operator.inputs[1]])
                if values is not None and len(values) >= MIN_VALUES:
                    products.append(graph.tensors[operator.outputs[0]].name.decode())
    if not products:
        raise NotQuantizedError(f"it has no weight of {MIN_VALUES} values or more")
    return products
