"""A recognizer's results on the parts of a split: into a run, or into a folder."""

import json
from pathlib import Path

from asl.clips.datamodule import ClipDataModule
from asl.clips.empty_frames import EmptyFrames
from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.evaluation.calibration import fit_temperature
from asl.evaluation.evaluate import Evaluation, evaluate
from asl.evaluation.plots import evaluation_figures
from asl.evaluation.predictions import Predictions, per_clip, predict_batches
from asl.files import replacing_in
from asl.pictures import with_literal_texts
from asl.recognizer.recognizer import Recognizer
from asl.tracking.record import record_split_results
from asl.tracking.run import TrackedRun

# Tables and figures that not every evaluation has.
OPTIONAL_FILES = {
    "by_missing_hands.csv",
    "by_column.csv",
    "reliability_calibrated.csv",
    "not_sure.csv",
    "conformal_sets.csv",
    "confused_pairs.png",
    "worst_clips.png",
}


def record_results(
    run: TrackedRun,
    recognizer: Recognizer,
    store: ClipStore,
    split: Split,
    batch_size: int,
    test: bool = True,
    draw: bool = True,
    empty_frames: EmptyFrames = "keep",
) -> dict[str, float]:
    """Measure a recognizer on the validation clips and, at their temperature, on the test clips.

    Tables, figures and every clip's scores become artifacts of the run.

    Args:
        run: the run.
        recognizer: in evaluation mode.
        store: the clips.
        split: of the clips.
        batch_size: clips a batch.
        test: whether the test clips are measured.
        draw: whether figures are drawn.
        empty_frames: whether frames without any landmark are kept or dropped, as in training.

    Returns:
        The metrics by name, `test/accuracy` say, to be logged.
    """
    data = ClipDataModule(
        store, split, recognizer.landmarks, batch_size=batch_size, empty_frames=empty_frames
    )
    measured: dict[str, float] = {}
    val: Predictions | None = None
    for part in ("val", "test") if test else ("val",):
        rows = getattr(split, part)
        if not len(rows):
            continue
        predictions = predict_batches(recognizer, data.batches(rows), store.signers)
        evaluation = evaluate(predictions, store, val)
        measured |= {f"{part}/{name}": value for name, value in evaluation.metrics.items()}
        title = f"{run.name}, {part}: {split.part_protocol(part)}"
        figures = evaluation_figures(evaluation, store, title, brief=part == "val") if draw else {}
        clips = per_clip(predictions, store)
        record_split_results(run, part, clips, evaluation.tables, figures)
        if part == "val":
            val = predictions
            measured["temperature"] = fit_temperature(predictions.scores, predictions.signs)
    return measured


def write_results(
    directory: Path, evaluation: Evaluation, store: ClipStore, title: str, report: str
) -> list[Path]:
    """Write report.txt, metrics.json, predictions.parquet, tables and figures.

    Args:
        directory: made if need be; what an earlier evaluation left there is replaced.
        evaluation: what was measured.
        store: the clips that it was measured on.
        title: of the figures.
        report: the text of report.txt.

    Returns:
        The files.
    """
    clips = per_clip(evaluation.predictions, store)
    with replacing_in(directory) as folder:
        (folder / "report.txt").write_text(report + "\n", encoding="utf-8")
        (folder / "metrics.json").write_text(json.dumps(evaluation.metrics, indent=1) + "\n")
        clips.to_parquet(folder / "predictions.parquet", index=False)
        for name, table in evaluation.tables.items():
            table.to_csv(folder / f"{name}.csv", index=name == "confusion")
        for name, figure in evaluation_figures(evaluation, store, title).items():
            with_literal_texts(figure).savefig(folder / f"{name}.png")
        names = {path.name for path in folder.iterdir()}
    for name in OPTIONAL_FILES - names:
        (directory / name).unlink(missing_ok=True)
    return [directory / name for name in sorted(names)]
