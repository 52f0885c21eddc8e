"""asl evaluate: a run's kept epoch, or a .tflite, on a split, by the same metrics."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from asl.commands.hydra import run_with_hydra
from asl.commands.trained import trained_run
from asl.errors import UserError, unknown

if TYPE_CHECKING:
    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.training.evaluation import Predictions

PARTS = ("train", "val", "test")


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    # To Hydra model= is a choice of network, whatever config it composes.
    typed = [f"tflite={a[6:]}" if a.startswith("model=") else a for a in arguments]
    run_with_hydra(_evaluate, "evaluate", typed)


def _evaluate(cfg: DictConfig) -> None:
    if (cfg.run is None) == (cfg.tflite is None):
        raise UserError(
            "evaluate needs run=RUN_ID (or run=best), or model=FILE.tflite, and not both"
        )
    if cfg.part not in PARTS:
        raise unknown("part", cfg.part, PARTS)
    if cfg.tflite is not None:
        if not (cfg.get("data") and cfg.get("split")):
            raise UserError(f"model={cfg.tflite}: name the clips to measure on: data=… split=…")
        store, split = _data(cfg, cfg)
        predictions = _of_tflite(Path(cfg.tflite), store, _rows(cfg.part, split))
    else:
        store, split, predictions = _of_run(cfg)
    _print(cfg.part, split, predictions)


def _of_run(cfg: DictConfig) -> "tuple[ClipStore, Split, Predictions]":
    from asl.clips.datamodule import ClipDataModule
    from asl.commands.parts import tracker
    from asl.training.evaluation import predict_batches

    _, recognizer, trained = trained_run(cfg, tracker(cfg.tracking))
    store, split = _data(cfg, trained)
    data = ClipDataModule(store, split, recognizer.landmarks)
    rows = _rows(cfg.part, split)
    return store, split, predict_batches(recognizer, data.batches(rows), store.signers)


def _of_tflite(model: Path, store: "ClipStore", rows: np.ndarray) -> "Predictions":
    from asl.predict import load, read_labels
    from asl.training.evaluation import Predictions

    recognise = load(model)
    if read_labels(model) != store.signs:
        raise UserError(f"model={model}: its signs are not those of this data set")
    scores = np.stack([recognise(store.read(row)) for row in rows])
    return Predictions(
        scores=np.log(np.maximum(scores, 1e-12)),
        signs=store.sign[rows],
        signers=store.clip_signers[rows],
        index=rows,
        names=store.signs,
    )


def _data(typed: DictConfig, trained: DictConfig) -> "tuple[ClipStore, Split]":
    """The data and split that were typed, else those that the run was trained with."""
    from asl.commands.parts import make_split, open_store

    store = open_store(typed.get("data") or trained.data)
    return store, make_split(typed.get("split") or trained.split, store)


def _rows(part: str, split: "Split") -> np.ndarray:
    rows = {"train": split.train, "val": split.val, "test": split.test}[part]
    if not len(rows):
        raise UserError(f"part={part}: this split has no such clips ({split.protocol})")
    return rows


def _print(part: str, split: "Split", predictions: "Predictions") -> None:
    from asl.training.evaluation import confused_pairs, metrics, per_signer

    protocol = split.val_protocol if part == "val" else split.protocol
    print(f"{part} ({protocol}), {len(predictions.signs)} clips")
    found = metrics(predictions, "")
    print("  ".join(f"{name} {value:.4f}" for name, value in found.items()))
    with pd.option_context("display.float_format", "{:.4f}".format, "display.width", 120):
        print(per_signer(predictions).to_string(index=False))
        pairs = confused_pairs(predictions, most=5)
        print("most confused:", "none" if pairs.empty else "\n" + pairs.to_string(index=False))
