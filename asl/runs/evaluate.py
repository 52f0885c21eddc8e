"""Measuring a run, or an exported .tflite, on a part of a split."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asl.clips.datamodule import ClipDataModule
from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.errors import UserError, unknown
from asl.evaluation.calibration import fit_temperature
from asl.evaluation.evaluate import Evaluation, evaluate
from asl.evaluation.predictions import Predictions, predict_batches
from asl.export.parity.scores import tflite_outputs
from asl.paths import PROJECT, as_file_name
from asl.runs.data import check_layout, make_split, open_store, outputs_of_signs
from asl.runs.load import LoadedRun, leakage
from asl.runs.plan import DataPlan
from asl.runs.results import write_results
from asl.runtime.labels import LABELS, read_facts, read_labels
from asl.runtime.litert import load

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class PartEvaluation:
    """A recognizer's evaluation on a part of a split.

    Attributes:
        name: of the run or the file.
        part: `train`, `val` or `test`.
        store: the clips.
        split: their parts.
        evaluation: metrics and tables.
        seen: what the recognizer has seen of the part in training, in words.
    """

    name: str
    part: str
    store: ClipStore
    split: Split
    evaluation: Evaluation
    seen: str

    @property
    def title(self) -> str:
        """Name, part and protocol."""
        return f"{self.name}, {self.part}: {self.split.part_protocol(self.part)}"


def evaluate_run(
    loaded: LoadedRun,
    part: str = "test",
    data: DataPlan | None = None,
    split: Callable[..., Split] | None = None,
) -> PartEvaluation:
    """Measure a run's recognizer.

    Args:
        loaded: the run.
        part: of the split.
        data: the clips; those of the run's training where None.
        split: makes the split; the run's where None.

    Raises:
        UserError: an unknown part, or one without clips; or clips of another layout or of other
            signs than the run's.
    """
    store, recognizer = open_store(data or loaded.data), loaded.recognizer
    name = f"run={loaded.run.name}"
    check_layout(name, recognizer.landmarks.layout.name, store)
    order = outputs_of_signs(name, recognizer.signs, store)
    parts = make_split(split or loaded.split, store)
    rows, val_rows = _rows(part, parts)
    batches = ClipDataModule(store, parts, recognizer.landmarks)

    def predictions_of(some: np.ndarray) -> Predictions:
        found = predict_batches(recognizer, batches.batches(some), store.signers)
        return replace(found, scores=found.scores[:, order], names=store.signs)

    predictions = predictions_of(rows)
    val = predictions_of(val_rows) if len(val_rows) else None
    leaks = leakage(loaded, store, predictions.index, part)
    if leaks:
        leak = "; ".join(leaks)
        print(f"warning: seen in training by {loaded.run.name}: {leak}", file=sys.stderr)
    seen = "; ".join(leaks or ["nothing"])
    if leaks is None:
        seen = "not known, as the run had other clips, or another packing of them"
    return _evaluation(loaded.run.name, part, store, parts, predictions, val, seen)


def evaluate_file(
    model: Path, part: str, data: DataPlan, split: Callable[..., Split]
) -> PartEvaluation:
    """Measure a .tflite in LiteRT.

    Args:
        model: the file.
        part: of the split.
        data: the clips.
        split: makes the split.

    Raises:
        UserError: the file cannot be used, or it has other signs than the data set.
    """
    store = open_store(data)
    parts = make_split(split, store)
    order = _outputs_of_file(model, store)
    rows, val_rows = _rows(part, parts)
    both = np.concatenate([rows, val_rows])
    outputs = tflite_outputs(model, store, both)  # [clips, signs]
    if outputs.shape[1] != len(store.signs):
        raise UserError(
            f"model={model}: gives {outputs.shape[1]} probabilities for {len(store.signs)} signs"
        )
    predictions = Predictions(
        scores=_log_probabilities(outputs[:, order], model),
        signs=store.sign[both],
        signers=store.clip_signers[both],
        index=both,
        names=store.signs,
    )
    in_part = np.arange(len(both)) < len(rows)
    val = predictions.of(~in_part) if len(val_rows) else None
    name = f"{model.resolve().parent.name}-{model.stem}"
    return _evaluation(name, part, store, parts, predictions.of(in_part), val, _provenance(model))


def check_part(part: str) -> None:
    """Raises UserError unless this is a part of a split."""
    if part not in PARTS:
        raise unknown("part", part, PARTS)


def write_evaluation(measured: PartEvaluation, report: str, directory: Path | None = None) -> Path:
    """Write the report, tables and figures; by default into data/evaluations/NAME-PART."""
    folder = f"{as_file_name(measured.name)}-{measured.part}"
    default = PROJECT / "data" / "evaluations" / folder
    directory = directory or default
    write_results(directory, measured.evaluation, measured.store, measured.title, report)
    return directory


def _evaluation(
    name: str,
    part: str,
    store: ClipStore,
    split: Split,
    predictions: Predictions,
    val: Predictions | None,
    seen: str,
) -> PartEvaluation:
    temperature = fit_temperature(val.scores, val.signs) if val else None
    evaluation = evaluate(predictions, store, temperature)
    return PartEvaluation(name, part, store, split, evaluation, seen)


def _rows(part: str, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The part's rows, and those to fit a temperature on, which are none for `val` itself."""
    check_part(part)
    rows = getattr(split, part)
    if not len(rows):
        raise UserError(f"part={part}: this split has no such clips ({split.protocol})")
    return rows, split.val[:0] if part == "val" else split.val


# --- files --------------------------------------------------------------------------------------


def _provenance(model: Path) -> str:
    """What is known of a file's training clips: the data and split of its run."""
    run = read_facts(model).get("run")
    if not run:
        return "not known, as this file does not say what it was trained on"
    trained_on = ", ".join(run[key] for key in ("data", "split", "val_protocol") if key in run)
    return (
        f"not known clip by clip; its run {run['name']} was trained on {trained_on}; "
        f"see run={run['id']}"
    )


def _outputs_of_file(model: Path, store: ClipStore) -> list[int]:
    """The output of each of the store's signs; raises UserError where the file has other signs."""
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
    return outputs_of_signs(f"model={model}", signs, store)


def _log_probabilities(outputs: np.ndarray, model: Path) -> np.ndarray:
    """Scores [clips, signs] whose softmax the probabilities are; other outputs are scores.

    Raises:
        UserError: none of the outputs is finite.
    """
    finite = np.isfinite(outputs).all(axis=1)
    if not finite.any():
        raise UserError(f"model={model}: gives no finite answer to any of {len(finite):,} clips")
    if not finite.all():
        print(
            f"{model}: no finite answer to {(~finite).sum():,} of {len(finite):,} clips; "
            "counted as if all signs were equally probable",
            file=sys.stderr,
        )
        outputs = np.where(finite[:, None], outputs, 1 / outputs.shape[1])
    if not ((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-2)):
        print(f"{model}: gives no probabilities; taken for logits", file=sys.stderr)
        return outputs
    return np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
