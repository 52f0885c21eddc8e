"""Inference with exported files: LiteRT, labels, predictions.

Nothing here imports torch, TensorFlow or MLflow, so a prediction starts in a fraction of a second.
"""
