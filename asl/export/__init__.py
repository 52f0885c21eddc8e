"""From a trained recognizer to verified files for the phone: ONNX, then TFLite."""

import os

# Read when onnxruntime is imported: without it, it reports to its maker and leaves files in HOME.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class ExportError(Exception):
    """An export that must not be used; names the file, the clip and by how much it differs."""
