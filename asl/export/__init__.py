"""From a trained recognizer to verified files for the phone: ONNX, then TFLite."""


class ExportError(Exception):
    """An export that must not be used; names the file, the clip and by how much it differs."""
