"""A trained recognizer becomes a folder of verified files."""

import contextlib
import copy
import json
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.errors import UserError, unknown
from asl.export import ExportError
from asl.export.backend.tflite import QUANTIZED, VARIANTS, to_tflite
from asl.export.onnx.convert import Recognise, to_onnx
from asl.export.parity.choice import compared, spread
from asl.export.parity.diagnosis import diagnose
from asl.export.parity.measure import measure
from asl.export.parity.verify import (
    Hop,
    compare,
    edge_case_clips,
    judge,
    onnx_recognise,
    probabilities,
    torch_recognise,
    verify_tflite,
)
from asl.export.passes.int8 import CALIBRATED_ON, NotQuantizedError, to_dynamic, to_int8
from asl.export.passes.labels import labels
from asl.export.passes.metadata import add_metadata
from asl.export.report import timed, to_markdown
from asl.export.requirements import check_installed
from asl.export.selection import offer
from asl.export.submission import SUBMISSION
from asl.recognizer.ensemble import Ensemble
from asl.recognizer.recognizer import Recognizer
from asl.runtime.labels import LABELS

USABLE = ("model.onnx", *(f"model_{variant}.tflite" for variant in VARIANTS), LABELS, SUBMISSION)
REPORTS = ("report.json", "report.md")
TOOLS = (
    "torch",
    "onnx",
    "onnxscript",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "onnxruntime",
    "onnx2tf",
    "tensorflow",
    "tf-keras",
)
ROUTE = "ONNX -> onnx2tf, operators in ONNX's axis order -> TFLiteConverter"


def export(
    recognizer: Recognizer,
    directory: Path,
    clips: Sequence[np.ndarray],
    clip_names: Sequence[str],
    variants: Sequence[str] = ("float32", "float16"),
    run: Mapping[str, str] | None = None,
    data: tuple[ClipStore, Split] | None = None,
    max_drop: float = 0.005,
) -> dict[str, Any]:
    """Write and verify model.onnx, model_<variant>.tflite, labels.json, report.json and report.md.

    Each file is compared with the recognizer on the given clips and on edge cases derived from
    them (`asl.export.parity.verify`). Nothing appears in `directory` before all is verified. After
    a failed verification it holds the reports, which say what failed, and no file of an earlier export.
    A quantized file that fails is kept, but not offered: `asl.export.selection`.

    Args:
        recognizer: as `asl.recognizer.recognizer.Recognizer`; it stays as it is.
        directory: where the files go; made if absent, other files in it are left alone.
        clips: real ones, float32 [n, N, 3] of the recognizer's layout, NaN = not detected.
        clip_names: one for each clip, for the report.
        variants: of `asl.export.backend.tflite.VARIANTS`.
        run: what the files say of the run that the recognizer comes from: `id`, `name`, `data`,
            `split`.
        data: on whose validation and test clips each file's accuracy is measured; int8 takes its
            ranges from training clips of it, or else from `clips`.
        max_drop: of accuracy on the validation clips, from which on a file is not offered.

    Returns:
        the content of report.json.

    Raises:
        UserError: an unknown variant, no clip, or packages that are needed are absent.
        ExportError: the conversion or a verification failed; names the file, the clip and by how
            much.
    """
    _check(variants, clips)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    recognizer = copy.deepcopy(recognizer).cpu().float().eval()
    all_clips = dict(zip(clip_names, (np.asarray(c, np.float32) for c in clips), strict=True))
    all_clips |= edge_case_clips(list(all_clips.values()), recognizer.landmarks.layout)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as scratch:
        made = Path(scratch)
        report = _report_head(recognizer, clips, all_clips)
        if data:
            report["clips"]["part"] = compared(*data, len(clips))[0]
        try:
            facts = labels(recognizer) | ({"run": dict(run)} if run else {})
            (made / LABELS).write_text(
                json.dumps(facts, ensure_ascii=False, indent=2), encoding="utf-8"
            )
            paths = _write(recognizer, made, variants, all_clips, facts, report, data)
            measure(recognizer, paths, list(all_clips.values())[: len(clips)], report, data)
            sizes = {variant: path.stat().st_size for variant, path in paths.items()}
            found = offer(sizes, report["rejected"], report["accuracy"], max_drop)
            report |= {**found._asdict(), "max_drop": max_drop}
        except ExportError as error:
            report["failure"] = str(error)
            _write_reports(report, made)
            _move(made, directory, REPORTS)
            raise
        report["verified"] = True
        report["bytes"] = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
        _write_reports(report, made)
        _move(made, directory, [path.name for path in made.iterdir()])
    return report


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
    data: tuple[ClipStore, Split] | None,
) -> dict[str, Path]:
    """Make and verify the files in the folder `made`, filling the report in as far as it comes."""
    with timed(report, "torch"):
        wanted = probabilities(torch_recognise(recognizer), clips, "torch")
    onnx = made / "model.onnx"
    with timed(report, "onnx"):
        to_onnx(recognizer, onnx)
        got = probabilities(onnx_recognise(onnx), clips, "onnx")
    hop = compare("onnx", wanted, got, list(clips))
    report["hops"].append(asdict(hop))
    try:
        judge(hop)
    except ExportError as error:
        where = diagnose(Recognise(recognizer).eval(), onnx, clips[hop.worst_clip])
        raise ExportError(f"{error} {where}".rstrip()) from error
    real = list(clips.values())[: report["clips"]["real"]]
    paths = _convert(made, variants, _representative(real, data), report)
    for variant, path in paths.items():
        add_metadata(path, facts)
        with timed(report, f"verifying {variant}"):
            hop, operators = verify_tflite(variant, path, wanted, clips)
        report["hops"].append(asdict(hop))
        report["operators"][variant] = dict(operators.most_common())
        _judge(hop, report)
    return paths


def _convert(
    made: Path,
    variants: Sequence[str],
    representative: Sequence[np.ndarray],
    report: dict[str, Any],
) -> dict[str, Path]:
    """The .tflite of each variant; one that a model's operators do not allow is reported."""
    quantized = [variant for variant in variants if variant in ("int8",)]
    converted = [variant for variant in variants if variant not in quantized]
    if quantized:
        converted = list(dict.fromkeys([*converted, "float32"]))
    with timed(report, "tflite"):
        paths = to_tflite(made / "model.onnx", made, converted)
    for variant in quantized:
        path = made / f"model_{variant}.tflite"
        with timed(report, variant):
            try:
                path.write_bytes(_quantized(variant, paths["float32"], representative))
                paths[variant] = path
            except NotQuantizedError as error:
                report["not_made"][variant] = str(error)
    for variant in set(paths) - set(variants):
        paths.pop(variant).unlink()
    return paths


def _quantized(variant: str, float32: Path, representative: Sequence[np.ndarray]) -> bytes:
    model = float32.read_bytes()
    return to_int8(model, representative) if variant == "int8" else to_dynamic(model)


def _representative(
    clips: Sequence[np.ndarray], data: tuple[ClipStore, Split] | None
) -> Sequence[np.ndarray]:
    """Training clips, or without data the first of those given."""
    if data is None:
        return clips[:CALIBRATED_ON]
    store, split = data
    return [store.read(row) for row in spread(store, split.train, CALIBRATED_ON)]


def _judge(hop: Hop, report: dict[str, Any]) -> None:
    """Refuse a hop that breaks its limit; of a quantized file it is the report that says so."""
    try:
        judge(hop)
    except ExportError as error:
        if hop.name not in QUANTIZED:
            raise
        report["rejected"][hop.name] = str(error)


def _network(recognizer: Recognizer) -> str:
    """The class of the network, or those of an ensemble's members."""
    if isinstance(recognizer, Ensemble):
        return f"Ensemble of {', '.join(map(_network, recognizer.members))}"
    return type(recognizer.backbone).__name__


def _report_head(
    recognizer: Recognizer,
    clips: Sequence[np.ndarray],
    all_clips: dict[str, np.ndarray],
) -> dict[str, Any]:
    return {
        "verified": False,
        "parameters": sum(p.numel() for p in recognizer.parameters()),
        "backbone": _network(recognizer),
        "signs": len(recognizer.signs),
        "clips": {"real": len(clips), "edge_cases": list(all_clips)[len(clips) :]},
        "hops": [],
        "not_made": {},
        "rejected": {},
        "operators": {},
        "accuracy": {},
        "latency": {},
        "memory": {},
        "bytes": {},
        "seconds": {},
        "backend": ROUTE,
        "versions": {"python": platform.python_version()} | _versions(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _versions() -> dict[str, str]:
    found = {}
    for tool in TOOLS:
        with contextlib.suppress(PackageNotFoundError):  # only int8 needs the quantizer
            found[tool] = version(tool)
    return found


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
