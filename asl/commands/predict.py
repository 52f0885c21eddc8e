"""asl predict: the signs in clips, by an exported .tflite or a registered model."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from asl.runtime.predict import Prediction, predict

REGISTERED = "models:/"
TRACKING = "tracking."


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 1 where a clip could not be read."""
    parser = argparse.ArgumentParser(
        "asl predict",
        description="Name the signs in clips with an exported .tflite, or with a registered model; "
        "tracking.uri=… names another store of models.",
    )
    parser.add_argument("model", metavar="MODEL", help="FILE.tflite or models:/NAME@champion")
    parser.add_argument("clips", metavar="CLIP", nargs="+", help="GISLR .parquet, .npy or .npz")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="signs a clip (default 5)")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    overrides = [argument for argument in arguments if argument.startswith(TRACKING)]
    options = parser.parse_args([each for each in arguments if each not in overrides])
    file = _model_file(options.model, overrides)
    predictions, problems = predict(file, options.clips, options.top)
    if options.json:
        print(json.dumps(_as_objects(predictions), ensure_ascii=False, indent=2))
    elif predictions:
        _print_table(predictions)
    for path, reason in problems.items():
        print(f"asl predict: {path}: {reason}", file=sys.stderr)
    return 1 if problems else 0


def _model_file(model: str, overrides: Sequence[str]) -> Path:
    """The file itself, or that of a registered model, for which MLflow is imported."""
    if not model.startswith(REGISTERED):
        return Path(model)
    from asl.config.compose import tracking_settings
    from asl.tracking.registry import registered_file
    from asl.tracking.store import open_tracker

    return registered_file(open_tracker(tracking_settings(overrides)), model)


def _as_objects(predictions: dict[str, Prediction]) -> list[dict[str, object]]:
    return [
        {"clip": clip, "predictions": [{"sign": sign, "probability": p} for sign, p in best]}
        for clip, best in predictions.items()
    ]


def _print_table(predictions: dict[str, Prediction]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("clip", overflow="fold"), "sign", "probability")
    for clip, best in predictions.items():
        for rank, (sign, probability) in enumerate(best):
            table.add_row(
                clip if rank == 0 else "",
                sign,
                f"{probability:.3f}",
                end_section=rank == len(best) - 1,
            )
    Console(markup=False, emoji=False).print(table)
