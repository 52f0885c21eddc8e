"""asl predict: the signs in clips, by an exported .tflite or a registered model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asl.errors import UserError
from asl.runtime.predict import predict
from asl.runtime.printed import as_csv, as_json, as_lines
from asl.terminal import printable

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
        nargs="*",
        help="video, .parquet, .pose, .sign, .npy, .npz, or what clips.yaml beside it describes",
    )
    parser.add_argument("--top", type=int, default=5, metavar="N", help="signs a clip (default 5)")
    parser.add_argument("--labels", metavar="FILE", help="the signs, where the .tflite has none")
    parser.add_argument("--mirror", action="store_true", help="exchange left and right of videos")
    parser.add_argument("--window", type=float, default=3, help="seconds of a long video a clip")
    parser.add_argument("--camera", type=int, metavar="N", help="name what camera N (0, …) sees")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print a JSON list")
    forms.add_argument("--csv", action="store_true", help="print a row for each clip and sign")
    overrides = [argument for argument in arguments if argument.startswith(TRACKING)]
    options = parser.parse_intermixed_args([each for each in arguments if each not in overrides])
    if not options.clips and options.camera is None:
        raise UserError("predict needs clips, or --camera=N: asl predict MODEL CLIP…")
    file = _model_file(options.model, overrides)
    how = {"labels": options.labels, "window": options.window, "mirror": options.mirror}
    if options.camera is not None:
        from asl.runtime.camera import recognise_camera

        for seconds, best in recognise_camera(file, options.camera, options.top, **how):
            print(as_lines({f"{seconds:.1f} s": best}), end="", flush=True)
        return 0
    predictions, problems = predict(file, options.clips, options.top, **how)
    form = as_json if options.json else as_csv if options.csv else as_lines
    print(form(predictions), end="")
    for path, reason in problems.items():
        print(printable(f"asl predict: {path}: {reason}"), file=sys.stderr)
    return 1 if problems else 0


def _model_file(model: str, overrides: Sequence[str]) -> Path:
    """The file itself, or that of a registered model, for which MLflow is imported."""
    if not model.startswith(REGISTERED):
        return Path(model)
    from asl.config.compose import tracking_settings
    from asl.tracking.registry import registered_file
    from asl.tracking.store import open_tracker

    return registered_file(open_tracker(tracking_settings(overrides)), model)
