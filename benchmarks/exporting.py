"""How fast and how small exported files are: `python -m benchmarks.exporting`.

Our files take raw landmarks; those that Keras makes of the same layers take finished features. They
take turns in LiteRT on one thread, so what else the machine does slows both. What preprocessing
takes is timed in files whose network is a mean over time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from asl.config.plan import choices, plan
from asl.export.export import export
from asl.export.onnx.convert import to_onnx
from asl.export.tflite import to_tflite
from asl.recognizer.build import build_recognizer
from asl.recognizer.recognizer import Recognizer
from asl.runtime.litert import interpreter, load_fixed
from benchmarks.command import options
from benchmarks.table import Row, below, machine, report, rounds

PACKAGES = ("torch", "onnx2tf", "tensorflow", "tf-keras", "ai-edge-litert")
SIGNS = [f"sign {number:03d}" for number in range(250)]
NOTEBOOK = "+experiment=notebook_lstm50"
WINNER = ("model=conv_transformer", "landmarks=gislr118", "features=gislr_1st", "scaler=gislr_1st")
LAYERS = {
    "lstm": (50, (NOTEBOOK,)),
    "bigru": (100, (NOTEBOOK, "model=bigru", "model.embed=0")),
}


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: of each comparison.
        layers: of LAYERS, compared with Keras's.
        models: whose preprocessing is timed.
        winner: overrides of the large network.
    """

    rounds: int
    layers: tuple[str, ...]
    models: tuple[str, ...]
    winner: tuple[str, ...]


FULL = Size(rounds=1000, layers=tuple(LAYERS), models=tuple(choices("model")), winner=WINNER)
QUICK = Size(10, ("lstm",), (), (*WINNER, "model.hidden=16"))


class Mean(nn.Module):
    """The least that can stand for a network and its head."""

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        """Summaries `[B, F]` of steps `[B, T, F]`, and these as they are."""
        return steps if mask is None else steps.mean(1)


def main() -> None:
    """Measure, print and write."""
    chosen = options("exporting", __doc__).parse_args()
    size: Size = QUICK if chosen.quick else FULL
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        folder = Path(scratch)
        rows = _against_keras(size, folder) + _winner(size, folder)
        for model in size.models:
            rows += _preprocessing(model, size, folder)
    print(report(chosen.folder / "exporting", "Exported files, measured", machine(PACKAGES), rows))
    print(f"written to {chosen.folder / 'exporting'}.md and .json")


def _against_keras(size: Size, folder: Path) -> list[Row]:
    theirs = {name: folder / f"keras_{name}.tflite" for name in size.layers}
    wanted = {str(theirs[name]): (name, LAYERS[name][0], (20, 225)) for name in size.layers}
    subprocess.run(
        [sys.executable, "-m", "benchmarks.keras_rnn", json.dumps(wanted)],
        check=True, capture_output=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
    )  # fmt: skip
    rows = []
    for name in size.layers:
        units, overrides = LAYERS[name]
        recognizer = _recognizer(*overrides, f"model.hidden={units}")
        made = _files(recognizer, folder / name, ("float32", "float16"))
        files = {**made, "keras": theirs[name]}
        taken = rounds(
            {
                what: _recognition(path, 20 if what in made else None)
                for what, path in files.items()
            },
            size.rounds,
        )
        what = f"{name} {units} x 2, 20 frames"
        for variant in made:
            ratio = taken[variant] / taken["keras"]
            rows.append(
                Row(f"{what}: ours from raw landmarks, {variant}", taken[variant] * 1e3, "ms",
                    ratio, "{} Keras's", **below(1.0, ratio))
            )  # fmt: skip
        rows.append(Row(f"{what}: Keras's from features", taken["keras"] * 1e3, "ms"))
    return rows


def _winner(size: Size, folder: Path) -> list[Row]:
    """The GISLR winner's network: latency, megabytes, and what a verified export takes."""
    directory = folder / "winner"
    recognizer, clips = _recognizer(*size.winner), [_clip(n) for n in range(10, 60)]
    began = time.perf_counter()
    export(recognizer, directory, {f"clip {number}": clip for number, clip in enumerate(clips)})
    seconds = time.perf_counter() - began
    path = directory / "model_float16.tflite"
    taken = rounds({"ours": _recognition(path, 22)}, size.rounds)["ours"] * 1e3
    megabytes = path.stat().st_size / 1e6
    return [
        Row("conv_transformer as the winner's, 22 frames, float16", taken, "ms",
            **below(10, taken)),
        Row("… size", megabytes, "MB", **below(4, megabytes)),
        Row(f"… its verified export, two variants, {len(clips)} clips", seconds, "s",
            **below(60, seconds)),
    ]  # fmt: skip


def _preprocessing(model: str, size: Size, folder: Path) -> list[Row]:
    whole = _recognizer(f"model={model}")
    empty = Recognizer(
        whole.landmarks, whole.scaler, whole.features, Mean(), Mean(), SIGNS, whole.handedness
    ).eval()
    files = {
        part: _files(recognizer, folder / f"{model}-{part}", ("float32",))["float32"]
        for part, recognizer in (("whole", whole), ("empty", empty))
    }
    taken = rounds({part: _recognition(path, 37) for part, path in files.items()}, size.rounds)
    share = taken["empty"] / (taken["whole"] - taken["empty"])
    return [
        Row(f"model={model}, 37 frames, float32", taken["whole"] * 1e3, "ms"),
        Row("… preprocessing", taken["empty"] * 1e3, "ms", share, "{} the network",
            **below(1.0, share)),
    ]  # fmt: skip


def _recognizer(*overrides: str) -> Recognizer:
    """With fresh weights, as `asl train` would begin with."""
    torch.manual_seed(0)
    return build_recognizer(plan(*overrides).recognizer, SIGNS).eval()


def _files(recognizer: Recognizer, folder: Path, variants: Sequence[str]) -> dict[str, Path]:
    folder.mkdir()
    to_onnx(recognizer, folder / "model.onnx")
    return to_tflite(folder / "model.onnx", folder, variants).files


def _clip(frames: int) -> np.ndarray:
    """A made-up clip [frames, 543, 3] without its left hand."""
    random = np.random.default_rng(frames)
    clip = 0.5 + random.normal(size=(frames, 543, 3)).cumsum(0) / 50
    clip[:, 468:489] = np.nan
    return clip.astype(np.float32)


def _recognition(path: Path, frames: int | None) -> Callable[[], Any]:
    """One clip in, its probabilities out; features of the file's own shape where frames is None."""
    if frames is None:
        shape = interpreter(path).get_input_details()[0]["shape"]
        clip = np.full(shape, 0.1, np.float32)  # zeros alone LiteRT would skip
    else:
        clip = _clip(frames)
    predictor = load_fixed(path, clip.shape)
    predictor(clip)
    return lambda: predictor(clip)


if __name__ == "__main__":
    main()
