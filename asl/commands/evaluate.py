"""asl evaluate: a run's kept epoch, or a .tflite, on a split: figures, tables and pictures."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from omegaconf import DictConfig

from asl.commands.hydra import run_with_hydra
from asl.commands.trained import seen, trained_run
from asl.config import PROJECT
from asl.errors import UserError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.evaluation.evaluate import Evaluation
    from asl.evaluation.predictions import Predictions

PARTS = ("train", "val", "test")
SHOWN = 10  # rows of a printed table; the files have them all


class Measured(NamedTuple):
    """What was recognised, and of whom.

    Attributes:
        name: of the run or the file.
        store: the clips.
        split: their parts.
        part: predictions of the part that was asked for.
        val: predictions of the validation clips, to fit a temperature on; None where the part is
            these clips itself, or there are none.
        seen: what the recognizer has seen of the part and its signers, in words.
    """

    name: str
    store: "ClipStore"
    split: "Split"
    part: "Predictions"
    val: "Predictions | None"
    seen: str


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    # To Hydra model= is a choice of network, whatever config it composes.
    typed = [f"tflite={a[6:]}" if a.startswith("model=") else a for a in arguments]
    run_with_hydra(_evaluate, "evaluate", typed)


def _evaluate(cfg: DictConfig) -> None:
    from asl.commands.results import protocol, write_results
    from asl.evaluation.calibration import fit_temperature
    from asl.evaluation.evaluate import evaluate

    if (cfg.run is None) == (cfg.tflite is None):
        raise UserError(
            "evaluate needs run=RUN_ID (or run=best), or model=FILE.tflite, and not both"
        )
    if cfg.part not in PARTS:
        raise unknown("part", cfg.part, PARTS)
    measured = _of_tflite(cfg) if cfg.tflite else _of_run(cfg)
    name, store, split, part, val, _ = measured
    temperature = fit_temperature(val.scores, val.signs) if val else None
    evaluation = evaluate(part, store, temperature)
    title = f"{name}, {cfg.part}: {protocol(split, cfg.part)}"
    report = "\n".join(_report(evaluation, cfg.part, measured))
    directory = PROJECT / "data" / "evaluations" / f"{name}-{cfg.part}"
    directory = Path(cfg.evaluate.dir) if cfg.evaluate.dir else directory
    write_results(directory, evaluation, store, title, report)
    print(report)
    print(f"evaluation: {directory}")


# --- what is recognised -------------------------------------------------------------------------


def _of_run(cfg: DictConfig) -> Measured:
    from asl.clips.datamodule import ClipDataModule
    from asl.commands.parts import tracker
    from asl.evaluation.predictions import predict_batches

    trained = trained_run(cfg, tracker(cfg.tracking))
    recognizer = trained.recognizer
    store, split = _data(cfg, trained.config)
    data = ClipDataModule(store, split, recognizer.landmarks)
    part, val = (
        predict_batches(recognizer, data.batches(rows), store.signers) if len(rows) else None
        for rows in _rows(cfg.part, split)
    )
    assert part is not None
    known = seen(trained, store, part.index, cfg.part)
    said = "; ".join(known or ["nothing"])
    if known:
        print(f"warning: seen in training by {trained.run.name}: {said}", file=sys.stderr)
    if known is None:
        said = "not known, as the run had other clips, or another packing of them"
    return Measured(trained.run.name, store, split, part, val, said)


def _of_tflite(cfg: DictConfig) -> Measured:
    from asl.evaluation.predictions import Predictions
    from asl.export.parity.scores import tflite_outputs

    if not (cfg.get("data") and cfg.get("split")):
        raise UserError(f"model={cfg.tflite}: name the clips to measure on: data=… split=…")
    model = Path(cfg.tflite)
    store, split = _data(cfg, cfg)
    order = _order_of_signs(model, store)
    both = _rows(cfg.part, split)
    rows = np.concatenate(both)
    outputs = tflite_outputs(model, store, rows)
    if outputs.shape[1] != len(store.signs):
        raise UserError(
            f"model={model}: gives {outputs.shape[1]} probabilities for {len(store.signs)} signs"
        )
    predictions = Predictions(
        scores=_log_probabilities(outputs[:, order], model),
        signs=store.sign[rows],
        signers=store.clip_signers[rows],
        index=rows,
        names=store.signs,
    )
    asked = np.arange(len(rows)) < len(both[0])
    val = predictions.of(~asked) if len(both[1]) else None
    name = f"{model.resolve().parent.name}-{model.stem}"
    return Measured(name, store, split, predictions.of(asked), val, _trained_on(model))


def _trained_on(model: Path) -> str:
    """What a .tflite says of the clips that it has seen: the data and split of its run."""
    from asl.runtime.predict import read_facts

    run = read_facts(model).get("run")
    if not run:
        return "not known, as this file does not say what it was trained on"
    on = ", ".join(run[key] for key in ("data", "split", "val_protocol") if key in run)
    return f"not known clip by clip; its run {run['name']} was trained on {on}; see run={run['id']}"


def _order_of_signs(model: Path, store: "ClipStore") -> list[int]:
    """The output of each of the store's signs; raises UserError where the file has other signs."""
    from asl.runtime.predict import LABELS, load, read_labels

    load(model)
    try:
        signs = read_labels(model)
    except UserError:
        if model.with_name(LABELS).is_file():
            raise
        print(
            f"{model}: names no signs; its outputs are taken to be the {len(store.signs)} signs of "
            f"{store.name} in their order there",
            file=sys.stderr,
        )
        return list(range(len(store.signs)))
    if sorted(signs) != sorted(store.signs):
        raise UserError(f"model={model}: its signs are not those of this data set")
    return [signs.index(sign) for sign in store.signs]


def _log_probabilities(outputs: np.ndarray, model: Path) -> np.ndarray:
    """Scores whose softmax the probabilities are; what are no probabilities are scores already."""
    finite = np.isfinite(outputs).all(axis=1)
    if not finite.all():
        print(
            f"{model}: no finite answer to {(~finite).sum():,} of {len(finite):,} clips; "
            "counted as if all signs were equally probable",
            file=sys.stderr,
        )
        outputs = np.where(finite[:, None], outputs, 1 / outputs.shape[1])
    probable = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-2)
    if not probable:
        print(f"{model}: gives no probabilities; taken for logits", file=sys.stderr)
        return outputs
    return np.log(np.maximum(outputs, np.finfo(np.float32).tiny))


def _data(typed: DictConfig, trained: DictConfig) -> "tuple[ClipStore, Split]":
    """The data and split that were typed, else those that the run was trained with."""
    from asl.commands.parts import make_split, open_store

    store = open_store(typed.get("data") or trained.data)
    return store, make_split(typed.get("split") or trained.split, store)


def _rows(part: str, split: "Split") -> tuple[np.ndarray, np.ndarray]:
    """The part's rows, and those to fit a temperature on, which are none for `val` itself."""
    rows = {"train": split.train, "val": split.val, "test": split.test}[part]
    if not len(rows):
        raise UserError(f"part={part}: this split has no such clips ({split.protocol})")
    return rows, split.val[:0] if part == "val" else split.val


# --- what is said of it -------------------------------------------------------------------------


def _report(evaluation: "Evaluation", part: str, measured: Measured) -> list[str]:
    from asl.commands.results import protocol

    tables, split = evaluation.tables, measured.split
    of_whom = f"{part} ({protocol(split, part)}), {len(evaluation.predictions.signs):,} clips"
    lines = [of_whom, f"seen in training: {measured.seen}", *_figures(evaluation)]
    lines += _calibration(evaluation, split)
    for row in tables["intervals"].itertuples():
        what = f"95 % bootstrap interval, {row.drawn} drawn anew"
        lines.append(f"accuracy {row.accuracy:.4f} [{row.low:.4f}, {row.high:.4f}]: {what}")
    signers = tables["per_signer"][["signer", "clips", "accuracy", "low", "high", "f1", "mrr"]]
    lines += _table("by signer, the hardest first (intervals: clips drawn anew)", signers)
    lines += _table("hardest signs", tables["per_sign"], 5)
    lines += _table("most confused", tables["confused_pairs"], 5)
    lines += _table("by length in frames", tables["by_length"])
    if "by_missing_hands" in tables:
        lines += _table("by share of frames without a hand", tables["by_missing_hands"])
    else:
        lines += ["", "by share of frames without a hand: these clips record no hands"]
    return lines


def _figures(evaluation: "Evaluation") -> list[str]:
    """The first figures of all: loss and ranks in one line, averages over signs in another."""
    over_signs = ("precision", "recall", "f1")
    shown = {k: v for k, v in evaluation.metrics.items() if not k.startswith("ece")}
    return [
        "  ".join(f"{k} {v:.4f}" for k, v in shown.items() if k not in over_signs),
        "macro: " + "  ".join(f"{k} {shown[k]:.4f}" for k in over_signs),
    ]


def _calibration(evaluation: "Evaluation", split: "Split") -> list[str]:
    from asl.evaluation.calibration import at_its_bound

    said = f"expected calibration error {evaluation.metrics['ece']:.4f}"
    temperature = evaluation.temperature
    if temperature is None:
        return [f"{said}; no other validation clips to fit a temperature on"]
    calibrated = evaluation.metrics["ece_calibrated"]
    fitted = f"fitted on {len(split.val):,} validation clips: {split.val_protocol}"
    bound = "; these do not say how far to go: a bound" if at_its_bound(temperature) else ""
    return [f"{said}; {calibrated:.4f} at temperature {temperature:.3f} ({fitted}{bound})"]


def _table(title: str, table: "pd.DataFrame", most: int = SHOWN) -> list[str]:
    if table.empty:
        return ["", f"{title}: none"]
    text = table.head(most).to_string(index=False, float_format=lambda value: f"{value:.4f}")
    rest = [f"… and {len(table) - most} more"] if most == SHOWN and len(table) > most else []
    return ["", f"{title}:", text, *rest]
