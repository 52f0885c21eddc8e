import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asl.export import ExportError

VARIANTS = ("float32", "float16", "dynamic", "int8")
QUANTIZED = ("dynamic", "int8")
"""Variants that compute in other numbers than the recognizer, so that accuracy must judge them."""


def to_tflite(onnx_path: Path, directory: Path, variants: Sequence[str]) -> dict[str, Path]:
    """Convert an ONNX recognizer to TFLite, one file a variant: model_<variant>.tflite.

    The conversion runs in a process of its own (`asl.export.backend.convert`): TensorFlow talks much, keeps
    its memory and can crash, and none of that is the caller's. What it says is shown if it fails.

    Args:
        onnx_path: as `asl.export.onnx.convert.to_onnx` writes it: `inputs` [n, N, 3], `outputs` [signs].
        directory: where the files go; exists.
        variants: of VARIANTS without int8, which `asl.export.passes.int8` makes of float32. `dynamic`
            stores weights as int8, and products quantize what they multiply as they go.

    Raises:
        ExportError: the conversion failed.
    """
    return in_its_own_process("asl.export.backend.convert", onnx_path, directory, variants)


def in_its_own_process(
    converter: str, source: Path, directory: Path, variants: Sequence[str]
) -> dict[str, Path]:
    """Have a converter make one file a variant of what it reads.

    Args:
        converter: a module, to be run with two arguments: the source, and as JSON each variant's
            file.
        source: what it reads.
        directory: where the files go; exists.
        variants: of VARIANTS.

    Raises:
        ExportError: the conversion failed.
    """
    paths = {variant: directory / f"model_{variant}.tflite" for variant in variants}
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log.txt"
        command = [sys.executable, "-m", converter, str(source.resolve())]
        command += [json.dumps({variant: str(path.resolve()) for variant, path in paths.items()})]
        with log.open("w") as out:
            # From the scratch folder, so that whatever a converter leaves behind goes with it.
            status = subprocess.run(
                command, cwd=scratch, env=_environment(scratch), stdout=out, stderr=out, check=False
            ).returncode
        if status != 0:
            said = log.read_text(errors="replace").strip().splitlines()[-30:]
            raise ExportError(
                f"The conversion of {source.name} to TFLite ended with status {status}; "
                "its last lines:\n" + "\n".join(said)
            )
    return paths


def _environment(scratch: str) -> dict[str, str]:
    return os.environ | {
        "KERAS_HOME": scratch,  # else ~/.keras
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",  # the same rounding on every machine
        "TF_USE_LEGACY_KERAS": "1",  # onnx2tf 1.x builds its model with Keras 2
    }
