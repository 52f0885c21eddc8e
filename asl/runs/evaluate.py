"""Measuring a run, or an exported .tflite, on a part of a split."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from asl.clips.datamodule import ClipDataModule
from asl.clips.split import Split
from asl.clips.splits import whole
from asl.clips.store import ClipStore
from asl.errors import UserError, check_choice
from asl.evaluation.evaluate import Evaluation, evaluate
from asl.evaluation.predictions import Predictions, predict_batches
from asl.export.parity.scores import tflite_outputs
from asl.paths import PROJECT, as_file_name
from asl.runs.data import (
    SignMap,
    UnknownSigns,
    check_layout,
    listed,
    make_split,
    open_store,
    outputs_of_signs,
)
from asl.runs.load import LoadedRun, leakage
from asl.runs.plan import DataPlan
from asl.runs.results import write_results
from asl.runtime.labels import LABELS, read_facts, read_labels
from asl.runtime.predict import check_model
from asl.terminal import printable
from asl.tracking.descriptions import record_description, results_description
from asl.tracking.inputs import record_inputs
from asl.tracking.record import log_metrics, record_files, record_params
from asl.tracking.run import tracked_run
from asl.tracking.store import Tracker
from asl.tracking.tags import run_tags

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
        signer_independent: whether it is not known to have been trained on signers of the part.
        left_out: clips of the part whose sign the recognizer does not know.
    """

    name: str
    part: str
    store: ClipStore
    split: Split
    evaluation: Evaluation
    seen: str
    signer_independent: bool
    left_out: np.ndarray

    @property
    def unknown(self) -> str:
        """What was left out, in a sentence; empty where nothing was."""
        if not len(self.left_out):
            return ""
        signs = sorted(set(self.store.clip_signs[self.left_out]))
        known = len(self.evaluation.predictions.signs)
        accuracy = self.evaluation.metrics["accuracy"] * known / (known + len(self.left_out))
        return (
            f"left out: {len(self.left_out):,} clips of {len(signs)} signs that it does not know "
            f"({listed(signs)}); with these counted as wrong, accuracy is {accuracy:.4f}"
        )

    @property
    def title(self) -> str:
        """Name, part and protocol."""
        return f"{self.name}, {self.part}: {self.split.part_protocol(self.part)}"


def evaluate_run(
    loaded: LoadedRun,
    part: str = "test",
    data: DataPlan | None = None,
    split: Callable[..., Split] | None = None,
    *,
    signs: Mapping[str, str] | None = None,
    unknown_signs: UnknownSigns = "refuse",
) -> PartEvaluation:
    """Measure a run's recognizer.

    Args:
        loaded: the run.
        part: of the split.
        data: the clips; those of the run's training where None.
        split: makes the split; where None the run's, and of another data set than the run's every
            clip is a test clip.
        signs: names of the clips' signs to names that the run knows.
        unknown_signs: whether signs that the run does not know are refused or left out.

    Raises:
        UserError: an unknown part, or one without clips; or clips of another layout or of other
            signs than the run's.
    """
    chosen, recognizer = data or loaded.data, loaded.recognizer
    store = open_store(chosen)
    name = f"run={loaded.run.name}"
    check_layout(name, recognizer.landmarks.layout.name, store)
    mapped = outputs_of_signs(name, recognizer.signs, store, signs, unknown_signs)
    parts = make_split(split or _default_split(loaded, data), store)
    rows, val_rows = _rows(part, parts)
    batches = ClipDataModule(store, parts, recognizer.landmarks, empty_frames=chosen.empty_frames)

    def predictions_of(some: np.ndarray) -> Predictions:
        known = batches.batches(mapped.known(store, some))
        predictions = predict_batches(recognizer, known, store.signers)
        return replace(
            predictions,
            scores=predictions.scores[:, mapped.outputs],
            signs=mapped.labels[predictions.signs],
            names=mapped.names,
        )

    predictions = predictions_of(rows)
    val = predictions_of(val_rows) if len(val_rows) else None
    leaks = leakage(loaded, store, predictions.index, part)
    if leaks:
        leak = "; ".join(leaks)
        warning = f"warning: seen in training by {loaded.run.name}: {leak}"
        print(printable(warning), file=sys.stderr)
    seen = "; ".join(leaks or ["nothing"])
    if leaks is None:
        seen = "not known, as the run had other clips, or another packing of them"
    independent = parts.test_signer_independent and not leaks
    return _evaluation(loaded.run.name, part, store, parts, predictions, val, seen, independent)


def _default_split(loaded: LoadedRun, data: DataPlan | None) -> Callable[..., Split]:
    """The run's split, or of another data set every clip."""
    return whole if data and data.name != loaded.run.data else loaded.split


def evaluate_file(
    model: Path,
    part: str,
    data: DataPlan,
    split: Callable[..., Split],
    *,
    labels: str | None = None,
    signs: Mapping[str, str] | None = None,
    unknown_signs: UnknownSigns = "refuse",
) -> PartEvaluation:
    """Measure a .tflite in LiteRT.

    Args:
        model: the file.
        part: of the split.
        data: the clips.
        split: makes the split.
        labels: a file with the .tflite's signs, as in `asl.runtime.labels.read_labels`; None for
            those in it or beside it.
        signs: names of the clips' signs to names that the file knows.
        unknown_signs: whether signs that the file does not know are refused or left out.

    Raises:
        UserError: the file cannot be used, or it has other signs than the data set.
    """
    store = open_store(data)
    parts = make_split(split, store)
    mapped = _outputs_of_file(model, store, labels, signs, unknown_signs)
    rows, val_rows = _rows(part, parts)
    known = mapped.known(store, rows)
    both = np.concatenate([known, mapped.known(store, val_rows)])
    outputs = tflite_outputs(model, store, both)  # [clips, signs]
    if outputs.shape[1] != len(mapped.names):
        raise UserError(
            f"model={model}: gives {outputs.shape[1]} probabilities for {len(mapped.names)} signs"
        )
    predictions = Predictions(
        scores=_log_probabilities(outputs[:, mapped.outputs], model),
        signs=mapped.labels[store.sign[both]],
        signers=store.clip_signers[both],
        index=both,
        names=mapped.names,
    )
    in_part = np.arange(len(both)) < len(known)
    val = predictions.of(~in_part) if len(val_rows) else None
    name = f"{model.resolve().parent.name}-{model.stem}"
    return _evaluation(
        name,
        part,
        store,
        parts,
        predictions.of(in_part),
        val,
        _provenance(model),
        parts.test_signer_independent and not _may_have_trained_on(model, store, parts),
    )


def check_part(part: str) -> None:
    """Raises UserError unless this is a part of a split."""
    check_choice("part", part, PARTS)


def write_evaluation(measured: PartEvaluation, report: str, directory: Path | None = None) -> Path:
    """Write the report, tables and figures; by default into data/evaluations/NAME-DATA-PART."""
    folder = f"{as_file_name(f'{measured.name}-{measured.store.name}')}-{measured.part}"
    directory = directory or PROJECT / "data" / "evaluations" / folder
    write_results(directory, measured.evaluation, measured.store, measured.title, report)
    return directory


def record_evaluation(measured: PartEvaluation, report: str, tracker: Tracker) -> str:
    """Record an evaluation as a run of kind `evaluate`, and return its id."""
    store, split = measured.store, measured.split
    more = {"evaluated": measured.name, "part": measured.part}
    more["signer_independent"] = str(measured.signer_independent).lower()
    tags = run_tags("evaluate", store.name, store.fingerprint, split, more)
    name = f"evaluate-{measured.name}-{store.name}"
    with tracked_run(tracker, name, tags) as run, TemporaryDirectory() as folder:
        record_params(run, {"data": store.name, "evaluated": measured.name})
        record_inputs(run, store.name, str(store.directory), store, split)
        values = measured.evaluation.metrics.items()
        log_metrics(run, {f"{measured.part}/{name}": value for name, value in values})
        files = write_results(Path(folder), measured.evaluation, store, measured.title, report)
        record_files(run, files, measured.part)
        what = f"**{measured.name}**, evaluated on the {measured.part} clips of **{store.name}**"
        note = " ".join(filter(None, [f"Seen in training: {measured.seen}.", measured.unknown]))
        metrics = {f"{measured.part}/{name}": value for name, value in values}
        record_description(run, results_description(what, run.id, split, metrics, note))
    return run.id


def _evaluation(
    name: str,
    part: str,
    store: ClipStore,
    split: Split,
    predictions: Predictions,
    val: Predictions | None,
    seen: str,
    signer_independent: bool,
) -> PartEvaluation:
    evaluation = evaluate(predictions, store, val)
    left_out = np.setdiff1d(getattr(split, part), predictions.index)
    return PartEvaluation(name, part, store, split, evaluation, seen, signer_independent, left_out)


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
    if not isinstance(run, dict) or not {"name", "id"} <= run.keys():
        return "not known, as this file does not say what it was trained on"
    trained_on = ", ".join(str(run[key]) for key in ("data", "split") if key in run)
    if "val_protocol" in run:
        trained_on += f", validation: {run['val_protocol']}"
    return (
        f"not known clip by clip; its run {run['name']} was trained on {trained_on}; "
        f"see run={run['id']}"
    )


def _may_have_trained_on(model: Path, store: ClipStore, split: Split) -> bool:
    """Whether all clips are tested of the data set that a file's run was trained on."""
    run = read_facts(model).get("run")
    return split.kind == "whole" and isinstance(run, dict) and run.get("data") == store.name


def _outputs_of_file(
    model: Path,
    store: ClipStore,
    labels: str | None,
    spelling: Mapping[str, str] | None,
    unknown_signs: UnknownSigns,
) -> SignMap:
    """As `outputs_of_signs`; a file that names no signs has the store's, in their order."""
    check_model(model)
    try:
        signs = read_labels(model, labels)
    except UserError:
        if labels is not None or model.with_name(LABELS).is_file():
            raise
        print(
            f"{model}: names no signs; its outputs are assumed to be the {len(store.signs)} "
            f"signs of {store.name}, in that order",
            file=sys.stderr,
        )
        every = list(range(len(store.signs)))
        return SignMap(every, store.signs, np.array(every))
    return outputs_of_signs(f"model={model}", signs, store, spelling, unknown_signs)


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
        print(f"{model}: its outputs are not probabilities; used as logits", file=sys.stderr)
        return outputs
    return np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
