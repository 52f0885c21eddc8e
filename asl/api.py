"""What `import asl` offers: the workbench's steps as functions, for notebooks and scripts.

Overrides are those of the command line. Runs go to mlruns/ unless a tracker or `tracking.uri=…`
says otherwise.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from asl.clips import splits
from asl.clips.split import Split, SplitKind
from asl.clips.store import ClipStore
from asl.config.plan import data_plan_of, export_settings, plan
from asl.recognizer.recognizer import Recognizer
from asl.runs.crossval import crossval
from asl.runs.data import make_split as split_store
from asl.runs.data import open_store as open_planned_store
from asl.runs.evaluate import PartEvaluation, evaluate_file, evaluate_run
from asl.runs.export import ExportedRun, export_run
from asl.runs.load import load_run
from asl.runs.plan import DataPlan
from asl.runs.train import train
from asl.runtime.predict import Prediction
from asl.runtime.predict import predict as predict_clips
from asl.tracking.find import find_runs as find_tracked_runs
from asl.tracking.found import FoundRun
from asl.tracking.store import Tracker, open_tracker
from asl.training.checkpoint import load_recognizer as load_checkpoint

__all__ = [
    "crossval",
    "evaluate",
    "export",
    "find_runs",
    "load_recognizer",
    "make_split",
    "open_store",
    "plan",
    "predict",
    "train",
]


def open_store(data: str | Path | DataPlan, *overrides: str) -> ClipStore:
    """Open the packed clips of a data set; they are packed first where they are not up to date.

    Args:
        data: a choice of `data=`, such as `"words15"`; the folder of a store; or a plan.
        overrides: of keys in that group, such as `"data.root=recordings"`.

    Returns:
        A store of clips float32 [frames, landmarks, 3], NaN where nothing was detected.

    Raises:
        UserError: there is no such data set, or nothing in it can be read.

    Example:
        >>> import asl
        >>> store = asl.open_store("synthetic")
        >>> store.read(0).shape[1:]
        (543, 3)
    """
    if isinstance(data, DataPlan):
        return open_planned_store(data)
    if isinstance(data, Path):
        return ClipStore.open(data)
    return open_planned_store(data_plan_of(f"data={data}", *overrides))


def make_split(store: ClipStore, kind: SplitKind = "signer_holdout", **options: Any) -> Split:
    """Divide a store's clips into training, validation and test.

    Args:
        store: the clips.
        kind: `signer_holdout`, `signer_kfold`, `leave_one_signer_out` or `random`.
        options: of that function in `asl.clips.splits`, such as `test=["3"]`.

    Raises:
        UserError: the split cannot be made of these signers.

    Example:
        >>> import asl
        >>> split = asl.make_split(asl.open_store("synthetic"), test=["1"])
        >>> split.test_signers, split.test_signer_independent
        (('1',), True)
    """
    return split_store(partial(getattr(splits, kind), **options), store)


def evaluate(
    model: str | Path,
    part: str = "test",
    *,
    data: DataPlan | None = None,
    split: "partial[Split] | None" = None,
    tracker: Tracker | None = None,
) -> PartEvaluation:
    """Measure a run, or an exported .tflite, on a part of a split.

    Args:
        model: a run's name or id, or `best`; or the path of a .tflite.
        part: `train`, `val` or `test`.
        data: the clips; those of the run's training where None. A .tflite needs them.
        split: makes the split; that of the run where None. A .tflite needs it.
        tracker: the MLflow store; mlruns/mlflow.db where None.

    Returns:
        Metrics, tables and predictions, as `.evaluation`.

    Raises:
        UserError: there is no such run, file or part.

    Example:
        >>> import asl
        >>> run = asl.train(asl.plan("data=synthetic", "model=cnn", "trainer=smoke"))
        >>> measured = asl.evaluate(run.run_id)
        >>> measured.evaluation.metrics["accuracy"] == run.metrics["test/accuracy"]
        True
    """
    if str(model).endswith(".tflite"):
        if data is None or split is None:
            raise ValueError("a .tflite is measured on the clips that data= and split= name")
        return evaluate_file(Path(model), part, data, split)
    loaded = load_run(str(model), tracker or open_tracker())
    return evaluate_run(loaded, part, data, split)


def export(run: str, *overrides: str, tracker: Tracker | None = None) -> ExportedRun:
    """Export a run to verified ONNX and TFLite files, and register the best of them.

    Args:
        run: name or id of the run, or `best`.
        overrides: of `asl export`, such as `"export.variants=[float16]"`, `"export.dir=files"`.
        tracker: the MLflow store; mlruns/mlflow.db where None.

    Returns:
        The folder of the files and the content of its report.json.

    Raises:
        UserError: there is no such run, an unknown choice, or packages for exporting are absent.
        ExportError: a file differs from the recognizer.

    Example:
        >>> import asl
        >>> run = asl.train(asl.plan("data=synthetic", "model=cnn", "trainer=smoke"))
        >>> exported = asl.export(run.run_id, "export.variants=[float32]")
        >>> exported.report["verified"]
        True
    """
    tracker = tracker or open_tracker()
    return export_run(load_run(run, tracker), tracker, **export_settings(*overrides))


def predict(
    model: str | Path, clips: Sequence[str | Path], top: int = 5
) -> tuple[dict[str, Prediction], dict[str, str]]:
    """The most probable signs of clips, by an exported .tflite.

    Args:
        model: the .tflite.
        clips: GISLR .parquet files, or .npy or .npz arrays [frames, landmarks, 3].
        top: how many signs a clip.

    Returns:
        For each readable clip its (sign, probability) pairs, the most probable first; and for each
        of the others the reason.

    Raises:
        UserError: the model cannot be used.

    Example:
        >>> import asl, numpy, pathlib
        >>> run = asl.train(asl.plan("data=synthetic", "model=cnn", "trainer=smoke"))
        >>> exported = asl.export(run.run_id, "export.variants=[float32]")
        >>> clip = pathlib.Path("clip.npy")
        >>> numpy.save(clip, asl.open_store("synthetic").read(0))
        >>> signs, problems = asl.predict(exported.directory / "model_float32.tflite", [clip])
        >>> len(signs["clip.npy"]), problems
        (5, {})
    """
    return predict_clips(model, clips, top)


def find_runs(
    metric: str | None = None,
    data: str | None = None,
    split: str | None = None,
    *,
    tracker: Tracker | None = None,
) -> list[FoundRun]:
    """Tracked runs, best first.

    Args:
        metric: by which they are ranked; test F1, else validation F1, where None.
        data: only runs on this data set.
        split: only runs whose split protocol starts with this.
        tracker: the MLflow store; mlruns/mlflow.db where None.

    Raises:
        UserError: no run has that metric.

    Example:
        >>> import asl
        >>> run = asl.train(asl.plan("data=synthetic", "model=cnn", "trainer=smoke"))
        >>> run.name in [found.name for found in asl.find_runs(data="synthetic")]
        True
    """
    return find_tracked_runs(tracker or open_tracker(), metric, data, split)


def load_recognizer(run: str | Path, *, tracker: Tracker | None = None) -> Recognizer:
    """The recognizer of a run's kept epoch, or of a checkpoint, in evaluation mode.

    Args:
        run: name or id of the run, or `best`; or the path of a .ckpt file.
        tracker: the MLflow store; mlruns/mlflow.db where None.

    Returns:
        A module from clips float32 [B, T, P, 3] and lengths [B] to logits [B, signs];
        `recognise` takes one raw clip [n, N, 3].

    Raises:
        UserError: there is no such run or checkpoint.

    Example:
        >>> import asl, torch
        >>> run = asl.train(asl.plan("data=synthetic", "model=cnn", "trainer=smoke"))
        >>> recognizer = asl.load_recognizer(run.run_id)
        >>> clip = torch.from_numpy(asl.open_store("synthetic").read(0))
        >>> probabilities = recognizer.recognise(clip)
        >>> len(probabilities) == len(recognizer.signs)
        True
    """
    if str(run).endswith(".ckpt"):
        return load_checkpoint(Path(run))
    return load_run(str(run), tracker or open_tracker()).recognizer
