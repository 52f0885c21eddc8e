"""How well each file names the signs of a split's clips, beside the recognizer itself."""

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
"""The name of the recognizer itself beside those of the files."""


def accuracies(
    recognizer: Recognizer, files: Mapping[str, Path], store: ClipStore, split: Split
) -> dict[str, Any]:
    """Accuracy and macro F1 on all validation and all test clips, of the recognizer and its files.

    Args:
        recognizer: on the CPU; it has the signs of the store.
        files: variant to .tflite.
        store: the clips.
        split: what is measured of them.

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
            wrong = int((~np.isfinite(scores[variant]).all(1)).sum())
            raise ExportError(
                f"{variant}: no finite answer to {wrong} of the split's {len(rows)} clips"
            )
    ends = np.cumsum([len(own) for own in parts.values()])
    measured = {}
    for (part, own), end in zip(parts.items(), ends, strict=True):
        if len(own):
            protocol = split.part_protocol(part)
            measured[part] = {
                "protocol": protocol,
                "signer_independent": (
                    split.val_signer_independent if part == "val" else split.test_signer_independent
                ),
                "clips": len(own),
                "files": {
                    name: _figures(given[end - len(own) : end], store.sign[own])
                    for name, given in scores.items()
                },
            }
    return measured


def _torch_scores(
    recognizer: Recognizer, store: ClipStore, split: Split, rows: np.ndarray
) -> np.ndarray:
    """The recognizer's logits [rows, signs]."""
    data = ClipDataModule(store, split, recognizer.landmarks)
    found = predict_batches(recognizer, data.batches(rows), store.signers)
    return found.scores[np.searchsorted(found.index, rows)]


def _figures(scores: np.ndarray, signs: np.ndarray) -> dict[str, float]:
    """Accuracy and macro F1 of scores [clips, signs]."""
    metrics = sign_metrics(scores.shape[1])
    metrics.update(torch.from_numpy(scores), torch.from_numpy(signs))
    found = metrics.compute()
    return {name: float(found[name]) for name in ("accuracy", "f1")}
