"""What a recognizer costs on the phone: the figures of a sweep's second objective."""

import copy
import tempfile
from pathlib import Path

import numpy as np

from asl.export.backend.tflite import to_tflite
from asl.export.onnx.convert import to_onnx
from asl.export.parity.latency import latency
from asl.export.passes.labels import labels
from asl.export.passes.metadata import add_metadata
from asl.recognizer.recognizer import Recognizer


def cost(recognizer: Recognizer, clip: np.ndarray) -> dict[str, float]:
    """Export the float16 .tflite, weigh and time it, and throw it away unverified.

    Args:
        recognizer: it stays as it is.
        clip: that it is timed on, float32 [n, N, 3].

    Returns:
        `size`, the file's bytes without the name of the run, which `asl export` adds; `latency`,
        LiteRT's median milliseconds on one thread.

    Raises:
        ExportError: the conversion failed.
    """
    recognizer = copy.deepcopy(recognizer).cpu().float().eval()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        to_onnx(recognizer, made / "model.onnx")
        path = to_tflite(made / "model.onnx", made, ["float16"])["float16"]
        add_metadata(path, labels(recognizer))
        taken = latency(path, np.asarray(clip, np.float32))["median_ms"]
        return {"size": float(path.stat().st_size), "latency": taken}
