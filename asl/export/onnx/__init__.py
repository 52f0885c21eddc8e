"""From a recognizer to ONNX, by PyTorch's exporter."""
