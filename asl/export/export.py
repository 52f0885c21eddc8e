"""A trained recognizer becomes a folder of verified files."""

import copy
import json
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from asl.errors import UserError, unknown
from asl.export import ExportError
from asl.export.latency import latency
from asl.export.metadata import add_metadata
from asl.export.onnx import to_onnx
from asl.export.report import to_markdown
from asl.export.submission import SUBMISSION
from asl.export.tflite import VARIANTS, to_tflite
from asl.export.verify import (
    compare,
    cruel_clips,
    judge,
    onnx_recognise,
    probabilities,
    torch_recognise,
    verify_tflite,
)
from asl.predict import LABELS
from asl.recognizer.ensemble import Ensemble
from asl.recognizer.recognizer import Recognizer

USABLE = ("model.onnx", *(f"model_{variant}.tflite" for variant in VARIANTS), LABELS, SUBMISSION)
NEEDED = ("onnx", "onnx2tf", "onnxruntime", "onnxscript", "tensorflow", "tf_keras")
REPORTS = ("report.json", "report.md")
TOOLS = (
    "torch",
    "onnx",
    "onnxscript",
    "onnx2tf",
    "tensorflow",
    "tf-keras",
    "ai-edge-litert",
    "onnxruntime",
)


def export(
    recognizer: Recognizer,
    directory: Path,
    clips: Sequence[np.ndarray],
    clip_names: Sequence[str],
    variants: Sequence[str] = ("float32", "float16"),
    run: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write and verify model.onnx, model_<variant>.tflite, labels.json, report.json and report.md.

    Each file is compared with the recognizer on the clips given and on cruel ones made of them
    (`asl.export.verify`). Nothing appears in `directory` before all is verified. After a failed
    verification it holds the reports, which say what failed, and no file of an earlier export.

    Args:
        recognizer: as `asl.recognizer.recognizer.Recognizer`; it stays as it is.
        directory: where the files go; made if absent, other files in it are left alone.
        clips: real ones, float32 [n, N, 3] of the recognizer's layout, NaN = not detected.
        clip_names: one for each clip, for the report.
        variants: of `asl.export.tflite.VARIANTS`.
        run: what the files say of the run that the recognizer comes from: `id`, `name`, `data`,
            `split`.

    Returns:
        the content of report.json.

    Raises:
        UserError: an unknown variant, no clip, or the packages of the extra `export` are absent.
        ExportError: the conversion or a verification failed; names the file, the clip and by how
            much.
    """
    _check(variants, clips)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    recognizer = copy.deepcopy(recognizer).cpu().float().eval()
    all_clips = dict(zip(clip_names, (np.asarray(c, np.float32) for c in clips), strict=True))
    all_clips |= cruel_clips(list(all_clips.values()), recognizer.landmarks.layout)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as scratch:
        made = Path(scratch)
        report = _report_head(recognizer, clips, all_clips)
        try:
            facts = labels(recognizer) | ({"run": dict(run)} if run else {})
            _write(recognizer, made, variants, all_clips, facts, report)
        except ExportError as error:
            report["failure"] = str(error)
            _write_reports(report, made)
            _move(made, directory, REPORTS)
            raise
        report["verified"] = True
        _write_reports(report, made)
        _move(made, directory, [path.name for path in made.iterdir()])
    return report


def check_installed() -> None:
    """Raises UserError where packages of the extra `export` are absent."""
    if absent := [module for module in NEEDED if find_spec(module) is None]:
        packages = ", ".join(absent)
        raise UserError(f"asl export needs {packages}: pip install -e '.[export]' installs them")


def _check(variants: Sequence[str], clips: Sequence[np.ndarray]) -> None:
    check_installed()
    for variant in variants:
        if variant not in VARIANTS:
            raise unknown("export.variants", variant, VARIANTS)
    if not clips:
        raise UserError("export.clips=0: verification needs real clips, choose a number from 1 up")


def _write(
    recognizer: Recognizer,
    made: Path,
    variants: Sequence[str],
    clips: dict[str, np.ndarray],
    facts: dict[str, Any],
    report: dict[str, Any],
) -> None:
    """Make and verify the files in the folder `made`, filling the report in as far as it comes."""
    (made / LABELS).write_text(json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8")
    wanted = probabilities(torch_recognise(recognizer), clips, "torch")
    started = time.perf_counter()
    to_onnx(recognizer, made / "model.onnx")
    report["seconds"]["onnx"] = time.perf_counter() - started
    hop = compare(
        "onnx",
        wanted,
        probabilities(onnx_recognise(made / "model.onnx"), clips, "onnx"),
        list(clips),
    )
    report["hops"].append(asdict(hop))
    judge(hop)
    started = time.perf_counter()
    paths = to_tflite(made / "model.onnx", made, variants)
    report["seconds"]["tflite"] = time.perf_counter() - started
    for variant, path in paths.items():
        add_metadata(path, facts)
        hop, operators = verify_tflite(variant, path, wanted, clips)
        report["hops"].append(asdict(hop))
        judge(hop)
        report["operators"][variant] = dict(operators.most_common())
        report["latency"][variant] = _latencies(path, clips, report["clips"]["real"])
    report["bytes"] = {path.name: path.stat().st_size for path in sorted(made.iterdir())}


def labels(recognizer: Recognizer) -> dict[str, Any]:
    """What a program needs to use the file: the signs in order, and what goes in."""
    layout = recognizer.landmarks.layout
    return {
        "signs": list(recognizer.signs),
        "layout": layout.name,
        "inputs": ["frames", layout.size, 3],
        **_preprocessing(recognizer),
    }


def _preprocessing(recognizer: Recognizer) -> dict[str, Any]:
    """What a recognizer looks at and makes of it, or what each member of an ensemble does."""
    landmarks = recognizer.landmarks
    looks_at = {"landmarks": {"name": landmarks.name, "rows": list(landmarks.own)}}
    if isinstance(recognizer, Ensemble):
        return looks_at | {"members": [_preprocessing(member) for member in recognizer.members]}
    return looks_at | {
        "scaler": _facts(recognizer.scaler),
        "features": _facts(recognizer.features),
    }


def _facts(module: nn.Module) -> dict[str, Any]:
    """A module's class and those of its attributes that are plain values."""
    plain = {
        k: v for k, v in vars(module).items() if isinstance(v, str | int | float | list | tuple)
    }
    return {"class": type(module).__name__} | {
        k: v for k, v in plain.items() if k != "training" and k[0] != "_"
    }


def _latencies(path: Path, clips: dict[str, np.ndarray], real: int) -> dict[str, dict[str, float]]:
    by_length = sorted(list(clips.values())[:real], key=len)
    return {
        name: latency(path, by_length[place])
        for name, place in (("median", real // 2), ("longest", -1))
    }


def _network(recognizer: Recognizer) -> str:
    """The class of the network, or those of an ensemble's members."""
    if isinstance(recognizer, Ensemble):
        return f"Ensemble of {', '.join(map(_network, recognizer.members))}"
    return type(recognizer.backbone).__name__


def _report_head(
    recognizer: Recognizer, clips: Sequence[np.ndarray], all_clips: dict[str, np.ndarray]
) -> dict[str, Any]:
    return {
        "verified": False,
        "parameters": sum(p.numel() for p in recognizer.parameters()),
        "backbone": _network(recognizer),
        "signs": len(recognizer.signs),
        "clips": {"real": len(clips), "cruel": list(all_clips)[len(clips) :]},
        "hops": [],
        "operators": {},
        "latency": {},
        "bytes": {},
        "seconds": {},
        "backend": "ONNX -> onnx2tf, operators in ONNX's axis order -> TFLiteConverter",
        "versions": {"python": platform.python_version()} | {tool: version(tool) for tool in TOOLS},
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _write_reports(report: dict[str, Any], made: Path) -> None:
    (made / "report.json").write_text(
        json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8"
    )
    (made / "report.md").write_text(to_markdown(report), encoding="utf-8")


def _move(made: Path, directory: Path, names: Sequence[str]) -> None:
    """Put the new files in the place of every file of an earlier export."""
    for name in (*USABLE, *REPORTS):
        (directory / name).unlink(missing_ok=True)
    for name in names:
        (made / name).replace(directory / name)
