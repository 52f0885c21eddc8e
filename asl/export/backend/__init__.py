"""From ONNX to TensorFlow Lite, in a process of its own: onnx2tf, then TFLiteConverter."""
