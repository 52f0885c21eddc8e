"""The clips of a run as MLflow data sets: those of training, validation and test."""

import hashlib
import json
from typing import Any

import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker

CONTEXTS = {"train": "training", "val": "validation", "test": "test"}


def record_inputs(run: TrackedRun, name: str, source: str, store: ClipStore, split: Split) -> None:
    """Log the parts of a split that have clips, each with its digest, layout and counts.

    Args:
        run: the run.
        name: of the data set.
        source: the raw data set's folder.
        store: its packed clips.
        split: their parts.
    """
    inputs = [
        _input(name, source, store, rows, context, _protocol(split, part))
        for part, context in CONTEXTS.items()
        if len(rows := getattr(split, part))
    ]
    run.client.log_inputs(run.id, inputs)


def record_all_clips(run: TrackedRun, name: str, source: str, store: ClipStore, use: str) -> None:
    """Log a whole store as the data set of a run above others, with what it is used for."""
    rows = np.arange(len(store))
    run.client.log_inputs(run.id, [_input(name, source, store, rows, use, use)])


def copy_inputs(tracker: Tracker, source: str, run: TrackedRun) -> None:
    """Log the data sets of another run, by its id."""
    if inputs := tracker.client.get_run(source).inputs:
        run.client.log_inputs(run.id, inputs.dataset_inputs)


def _input(
    name: str, source: str, store: ClipStore, rows: np.ndarray, context: str, protocol: str
) -> DatasetInput:
    dataset = Dataset(
        name=name,
        digest=part_digest(store, rows),
        source_type="local",
        source=json.dumps({"uri": source}),
        schema=json.dumps({"mlflow_tensorspec": _schema(store)}),
        profile=json.dumps(_counts(store, rows, protocol)),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def part_digest(store: ClipStore, rows: np.ndarray) -> str:
    """The store's fingerprint, shortened, and a hash of the rows."""
    of_rows = hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()
    return f"{store.fingerprint[:8]}-{of_rows[:8]}"


def _schema(store: ClipStore) -> dict[str, str]:
    frame = store.layout.size, len(store.layout.channels)
    clip = TensorSpec(np.dtype(np.float32), (-1, *frame), "landmarks")
    sign = TensorSpec(np.dtype(str), (-1,), "sign")
    return {"features": Schema([clip]).to_json(), "targets": Schema([sign]).to_json()}


def _counts(store: ClipStore, rows: np.ndarray, protocol: str) -> dict[str, Any]:
    return {
        "clips": len(rows),
        "frames": int(store.frames[rows].sum()),
        "signs": len(np.unique(store.sign[rows])),
        "signers": len(np.unique(store.signer[rows])),
        "layout": store.layout.name,
        "protocol": protocol,
    }


def _protocol(split: Split, part: str) -> str:
    return "the other clips" if part == "train" else split.part_protocol(part)
