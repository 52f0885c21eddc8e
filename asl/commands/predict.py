"""asl predict: the signs in clips, by an exported .tflite or a registered model."""

import argparse
import csv
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
    parser.add_argument(
        "clips",
        metavar="CLIP",
        nargs="+",
        help="GISLR .parquet, .npy or .npz, or what clips.yaml in its folder describes",
    )
    parser.add_argument("--top", type=int, default=5, metavar="N", help="signs a clip (default 5)")
    parser.add_argument("--labels", metavar="FILE", help="the signs, where the .tflite has none")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--csv", action="store_true", help="print a row for each clip and sign")
    overrides = [argument for argument in arguments if argument.startswith(TRACKING)]
    options = parser.parse_args([each for each in arguments if each not in overrides])
    file = _model_file(options.model, overrides)
    predictions, problems = predict(file, options.clips, options.top, options.labels)
    if options.json:
        print(json.dumps(_as_objects(predictions), ensure_ascii=False, indent=2))
    elif options.csv:
        _print_csv(predictions)
    else:
        for clip, best in predictions.items():
            signs = (f"{_one_line(sign)} {probability:.3f}" for sign, probability in best)
            print(_one_line(clip), *signs, sep="\t")
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


def _print_csv(predictions: dict[str, Prediction]) -> None:
    table = csv.writer(sys.stdout)
    table.writerow(["clip", "rank", "sign", "probability"])
    for clip, best in predictions.items():
        table.writerows([clip, rank, *scored] for rank, scored in enumerate(best, start=1))


def _one_line(text: str) -> str:
    """A name of a stranger's, without line breaks and control characters of terminals."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
