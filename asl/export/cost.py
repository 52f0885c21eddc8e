"""Size and latency of a recognizer's exported file: the figures of a sweep's second objective."""

import copy
import tempfile
from pathlib import Path

import numpy as np

from asl.export.onnx.convert import to_onnx
from asl.export.parity.latency import latency
from asl.export.passes.metadata import labels
from asl.export.tflite import to_tflite
from asl.recognizer.recognizer import Recognizer


def cost(recognizer: Recognizer, clip: np.ndarray) -> dict[str, float]:
    """Export the float16 .tflite without verifying it, measure it, and delete it.

    Args:
        recognizer: it is not changed.
        clip: for the latency, float32 [n, N, 3].

    Returns:
        `size`, the file's bytes without the name of the run, which `asl export` adds; `latency`,
        LiteRT's median milliseconds on one thread.

    Raises:
        ExportError: the conversion failed.
    """
    recognizer = copy.deepcopy(recognizer).cpu().float().eval()
    with tempfile.TemporaryDirectory() as scratch:
        onnx = Path(scratch) / "model.onnx"
        to_onnx(recognizer, onnx)
        path = to_tflite(onnx, onnx.parent, ["float16"], labels(recognizer)).files["float16"]
        median = latency(path, np.asarray(clip, np.float32))["median_ms"]
        return {"size": float(path.stat().st_size), "latency": median}
