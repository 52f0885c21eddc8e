"""Accuracy of the recognizer and of each exported file on a split's clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asl.clips.datamodule import ClipDataModule
from asl.clips.split import Split
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
        recognizer: on the CPU; it has the signs of the store, in any order.
        files: variant to .tflite.
        store: the clips.
        split: its validation and test clips are measured.

    Returns:
        for `val` and `test`, where the split has such clips: `protocol`, `signer_independent`,
        `clips`, and `files`, name to `accuracy` and `f1`.

    Raises:
        ExportError: a file's answer to a clip is not finite.
    """
    independent = {"val": split.val_signer_independent, "test": split.test_signer_independent}
    outputs = np.array([recognizer.signs.index(sign) for sign in store.signs])  # [store's signs]
    measured = {}
    for part, rows in (("val", split.val), ("test", split.test)):
        if not len(rows):
            continue
        scores = {TORCH: _torch_scores(recognizer, store, split, rows)}
        scores |= {name: _tflite_scores(name, path, store, rows) for name, path in files.items()}
        measured[part] = {
            "protocol": split.part_protocol(part),
            "signer_independent": independent[part],
            "clips": len(rows),
            "files": {
                name: _figures(each, outputs[store.sign[rows]]) for name, each in scores.items()
            },
        }
    return measured


def _tflite_scores(name: str, path: Path, store: ClipStore, rows: np.ndarray) -> np.ndarray:
    """A file's probabilities [rows, signs]."""
    scores = tflite_outputs(path, store, rows)
    if invalid := int((~np.isfinite(scores).all(1)).sum()):
        raise ExportError(f"{name}: no finite answer to {invalid} of the split's {len(rows)} clips")
    return scores


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
