"""Accuracy of the recognizer and of each exported file on a split's clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asl.clips.datamodule import ClipDataModule
from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.evaluation.metrics import sign_metrics
from asl.evaluation.predictions import predict_batches
from asl.export import ExportError
from asl.export.parity.scores import tflite_outputs
from asl.recognizer.recognizer import Recognizer

TORCH = "torch"
"""The recognizer itself, among the names of the files."""


def accuracies(
    recognizer: Recognizer, files: Mapping[str, Path], store: ClipStore, split: Split
) -> dict[str, Any]:
    """Accuracy and macro F1 on all validation and all test clips, of the recognizer and its files.

    Args:
        recognizer: on the CPU; it has the signs of the store.
        files: variant to .tflite.
        store: the clips.
        split: its validation and test clips are measured.

    Returns:
        for `val` and `test`, where the split has such clips: `protocol`, `signer_independent`,
        `clips`, and `files`, name to `accuracy` and `f1`.

    Raises:
        ExportError: a file's answer to a clip is not finite.
    """
    parts = {"val": split.val, "test": split.test}
    rows = np.concatenate(list(parts.values()))
    if not len(rows):
        return {}
    scores = {TORCH: _torch_scores(recognizer, store, split, rows)}
    for variant, path in files.items():
        scores[variant] = tflite_outputs(path, store, rows)
        if not np.isfinite(scores[variant]).all():
            invalid = int((~np.isfinite(scores[variant]).all(1)).sum())
            raise ExportError(
                f"{variant}: no finite answer to {invalid} of the split's {len(rows)} clips"
            )
    measured, start = {}, 0
    for part, part_rows in parts.items():
        end = start + len(part_rows)
        if len(part_rows):
            independent = (
                split.val_signer_independent if part == "val" else split.test_signer_independent
            )
            measured[part] = {
                "protocol": split.part_protocol(part),
                "signer_independent": independent,
                "clips": len(part_rows),
                "files": {
                    name: _figures(file_scores[start:end], store.sign[part_rows])
                    for name, file_scores in scores.items()
                },
            }
        start = end
    return measured


def _torch_scores(
    recognizer: Recognizer, store: ClipStore, split: Split, rows: np.ndarray
) -> np.ndarray:
    """The recognizer's logits [rows, signs]."""
    data = ClipDataModule(store, split, recognizer.landmarks)
    predictions = predict_batches(recognizer, data.batches(rows), store.signers)
    return predictions.scores[np.searchsorted(predictions.index, rows)]


def _figures(scores: np.ndarray, signs: np.ndarray) -> dict[str, float]:
    """Accuracy and macro F1 of scores [clips, signs]."""
    metrics = sign_metrics(scores.shape[1])
    metrics.update(torch.from_numpy(scores), torch.from_numpy(signs))
    values = metrics.compute()
    return {name: float(values[name]) for name in ("accuracy", "f1")}
