"""The other way to TFLite: litert-torch, straight from PyTorch."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from asl.export.tflite import in_its_own_process
from asl.recognizer.recognizer import Recognizer


def to_tflite(recognizer: Recognizer, directory: Path, variants: Sequence[str]) -> dict[str, Path]:
    """Convert a recognizer to TFLite, one file a variant: model_<variant>.tflite.

    Args:
        recognizer: on the CPU, in evaluation mode.
        directory: where the files go; exists.
        variants: of `float32` and `float16`; ai-edge-quantizer makes the others of float32.

    Raises:
        ExportError: the conversion failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "recognizer.pt"
        torch.save(recognizer, saved)
        return in_its_own_process("asl.export.litert_convert", saved, directory, variants)
