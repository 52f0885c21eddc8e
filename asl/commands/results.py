"""What a recognizer is worth on the parts of a split: into a run, or into a folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.evaluation.evaluate import Evaluation
    from asl.evaluation.plots import Drawn
    from asl.recognizer.recognizer import Recognizer
    from asl.tracking.run import TrackedRun

DRAWN_PAIRS = 3


def record_results(
    run: "TrackedRun",
    recognizer: "Recognizer",
    store: "ClipStore",
    split: "Split",
    batch_size: int,
    test: bool = True,
    pictures: bool = True,
) -> dict[str, float]:
    """Measure a recognizer on the validation clips and, at their temperature, on the test clips.

    Tables, pictures where wanted, and every clip's scores become artifacts of the run.

    Returns:
        The metrics by name, `test/accuracy` say, to be logged.
    """
    from asl.clips.datamodule import ClipDataModule
    from asl.evaluation.calibration import fit_temperature
    from asl.evaluation.evaluate import evaluate
    from asl.evaluation.predictions import per_clip, predict_batches
    from asl.tracking.record import record_split_results

    data = ClipDataModule(store, split, recognizer.landmarks, batch_size=batch_size)
    measured: dict[str, float] = {}
    for part in ("val", "test") if test else ("val",):
        rows = getattr(split, part)
        if not len(rows):
            continue
        predictions = predict_batches(recognizer, data.batches(rows), store.signers)
        evaluation = evaluate(predictions, store, measured.get("temperature"))
        measured |= {f"{part}/{name}": value for name, value in evaluation.metrics.items()}
        title = f"{run.name}, {part}: {protocol(split, part)}"
        drawn = figures(evaluation, store, title, cheap=part == "val") if pictures else {}
        clips = per_clip(predictions, store.clips["path"])
        record_split_results(run, part, clips, evaluation.tables, drawn)
        if part == "val":
            measured["temperature"] = fit_temperature(predictions.scores, predictions.signs)
    return measured


def write_results(
    directory: Path, evaluation: "Evaluation", store: "ClipStore", title: str, report: str
) -> None:
    """Write report.txt, metrics.json, predictions.parquet, tables and pictures.

    Args:
        directory: made if need be; what an earlier evaluation left there is replaced.
        evaluation: what was measured.
        store: the clips that it was measured on.
        title: of the pictures.
        report: the text of report.txt.
    """
    from asl.evaluation.predictions import per_clip

    directory.mkdir(parents=True, exist_ok=True)
    for name in ("by_missing_hands.csv", "reliability_calibrated.csv", "confused_pairs.png"):
        (directory / name).unlink(missing_ok=True)  # not every evaluation has them
    (directory / "report.txt").write_text(report + "\n", encoding="utf-8")
    (directory / "metrics.json").write_text(json.dumps(evaluation.metrics, indent=1) + "\n")
    clips = per_clip(evaluation.predictions, store.clips["path"])
    clips.to_parquet(directory / "predictions.parquet", index=False)
    for name, table in evaluation.tables.items():
        table.to_csv(directory / f"{name}.csv", index=name == "confusion")
    for name, figure in figures(evaluation, store, title).items():
        figure.savefig(directory / f"{name}.png")


def figures(
    evaluation: "Evaluation", store: "ClipStore", title: str, cheap: bool = False
) -> "dict[str, Figure]":
    """Pictures of an evaluation by name; with `cheap` the confusions and the signers alone."""
    from asl.evaluation import plots as pictures

    tables = evaluation.tables
    drawn = {
        "confusion": pictures.confusion_matrix(tables["confusion"], title),
        "per_signer": pictures.signer_bars(tables["per_signer"], title),
    }
    if cheap:
        return drawn
    drawn["breakdown"] = pictures.breakdown(
        tables["by_length"], tables.get("by_missing_hands"), title
    )
    drawn["reliability"] = pictures.reliability_diagram(
        tables["reliability"], tables.get("reliability_calibrated"), title
    )
    if examples := _examples(evaluation, store):
        drawn["confused_pairs"] = pictures.confused_pairs(examples, store.layout, title)
    return drawn


def protocol(split: "Split", part: str) -> str:
    """How the clips of a part were chosen."""
    return split.val_protocol if part == "val" else split.protocol


def _examples(evaluation: "Evaluation", store: "ClipStore") -> "list[tuple[Drawn, Drawn]]":
    """Clips of the most confused pairs, in the direction in which they are confused more often.

    A pair with a sign of which the store has no clip cannot be drawn.
    """
    from asl.evaluation.confusion import example_clips
    from asl.evaluation.plots import Drawn

    pairs = evaluation.tables["confused_pairs"]
    shown = pairs[pairs[["sign", "other"]].isin(set(store.clip_signs)).all(axis=1)]
    examples = []
    for pair in shown.head(DRAWN_PAIRS).to_dict("records"):
        sign, other = pair["sign"], pair["other"]
        there, back = pair["sign_as_other"], pair["other_as_sign"]
        if back > there:
            sign, other = other, sign
        rows = example_clips(evaluation.predictions, store, sign, other)
        said = (f"{sign}, taken for {other} ({max(there, back)} ×)", f"{other}")
        first, second = (
            Drawn(f"{text}\nsigner {store.clip_signers[row]}", store.read(row))
            for text, row in zip(said, rows, strict=True)
        )
        examples.append((first, second))
    return examples
