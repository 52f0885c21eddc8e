"""Starts the process that converts ONNX to TFLite; imports neither TensorFlow nor torch."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asl.export import ExportError


def convert_onnx(onnx_path: Path, conversions: Sequence[str]) -> dict[str, bytes]:
    """Convert an ONNX recognizer by onnx2tf and TFLiteConverter.

    `asl.export.backend.convert` runs in a process of its own: TensorFlow prints much, keeps its
    memory and can crash. Its output is shown only if it fails.

    Args:
        onnx_path: the graph, `inputs` [n, N, 3] to `outputs` [signs] and others.
        conversions: `float32` and `dynamic`, TFLiteConverter's dynamic-range quantization.

    Returns:
        for each conversion the bytes of a .tflite; its signature serving_default has all outputs.

    Raises:
        ExportError: the process failed; with the last lines of its output.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = {name: Path(scratch) / f"{name}.tflite" for name in conversions}
        command = [sys.executable, "-m", "asl.export.backend.convert", str(onnx_path.resolve())]
        command += [json.dumps({name: str(path) for name, path in paths.items()})]
        log = Path(scratch) / "log.txt"
        with log.open("w") as out:
            # In the scratch folder, because onnx2tf leaves files in the working directory.
            status = subprocess.run(
                command, cwd=scratch, env=_environment(scratch), stdout=out, stderr=out, check=False
            ).returncode
        if status != 0:
            if os.strerror(errno.ENOSPC) in log.read_text(errors="replace"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), scratch)
            last_lines = log.read_text(errors="replace").strip().splitlines()[-30:]
            raise ExportError(
                f"The conversion of {onnx_path.name} to TFLite ended with status {status}; "
                "its last lines:\n" + "\n".join(last_lines)
            )
        return {name: path.read_bytes() for name, path in paths.items()}


def _environment(scratch: str) -> dict[str, str]:
    return os.environ | {
        "KERAS_HOME": scratch,  # else ~/.keras
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",  # the same rounding on every machine
        "TF_USE_LEGACY_KERAS": "1",  # onnx2tf 1.x builds its model with Keras 2
    }
