"""A trained recognizer becomes a folder of verified files."""

import contextlib
import copy
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError, check_choice
from asl.export import ExportError
from asl.export.calibration import ACCEPTED, Labelled, accepted_share, fit_answers
from asl.export.onnx.convert import ExportedForward, to_onnx
from asl.export.parity.accuracy import accuracies
from asl.export.parity.clips import (
    edge_case_clips,
    select_verification_clips,
    stratified_sample,
)
from asl.export.parity.compare import (
    ParityResult,
    answers,
    check_parity,
    compare,
    onnx_describer,
    torch_describer,
)
from asl.export.parity.contract import check_contract
from asl.export.parity.diagnosis import diagnose
from asl.export.parity.latency import latencies
from asl.export.parity.memory import peak_memory
from asl.export.passes.int8 import CALIBRATION_CLIPS
from asl.export.passes.metadata import labels
from asl.export.prototypes import DEFAULT
from asl.export.report import timed, to_markdown
from asl.export.requirements import check_installed
from asl.export.selection import select_variant
from asl.export.submission import SUBMISSION
from asl.export.tflite import to_tflite
from asl.export.variants import FIXED, VARIANTS, file_name, variant_of
from asl.files import locked
from asl.recognizer.ensemble import Ensemble
from asl.recognizer.preprocessing.presence import detected_frames
from asl.recognizer.recognizer import Recognizer
from asl.runtime.labels import LABELS
from asl.runtime.litert import load_all, pad_frames

USABLE = ("model.onnx", *map(file_name, VARIANTS), LABELS, SUBMISSION)
REPORTS = ("report.md", "report.json")
CLIPS_A_SIGN = 5
"""Training clips of each sign that embeddings are centred on and prototypes made of."""

VALIDATED_ON = 256
"""Validation clips that the threshold of `unknown` is chosen on."""

SCRATCH = ".export-"  # the folder of files that are not verified yet
TOOLS = (
    "torch", "onnx", "onnxscript", "ai-edge-litert", "ai-edge-quantizer", "onnxruntime", "onnx2tf",
    "tensorflow", "tf-keras",
)  # fmt: skip
Answers = Mapping[str, np.ndarray]  # an output's name to its values, [clips, size]
ROUTE = "ONNX -> onnx2tf, operators in ONNX's axis order -> TFLiteConverter"


def export(
    recognizer: Recognizer,
    directory: str | Path,
    clips: Mapping[str, np.ndarray] | None = None,
    variants: Sequence[str] = ("float32", "float16"),
    *,
    data: tuple[ClipStore, Split] | None = None,
    most: int = 256,
    run: Mapping[str, str] | None = None,
    max_drop: float = 0.005,
    frames: int | None = None,
) -> dict[str, Any]:
    """Write and verify model.onnx, model_<variant>.tflite, labels.json, report.json and report.md.

    Each file is compared with the recognizer on real clips and on edge cases made of them
    (`asl.export.parity`). No file appears in `directory` before all are verified. After a failed
    verification it holds the two reports, which name the failure, and no file of an earlier export.
    A quantized file that fails is kept but rejected: `asl.export.selection`.

    Args:
        recognizer: a `Recognizer` or `Ensemble`; it is not changed.
        directory: for the files; made if absent, other files in it are left alone.
        clips: name to real clip, float32 [n, N, 3] of the recognizer's layout, NaN = not detected;
            where None, clips of `data` that were not trained on.
        variants: of `asl.export.variants.VARIANTS`.
        data: whose validation and test clips each file's accuracy is measured on; int8 takes its
            ranges from its training clips, without data from `clips`.
        most: number of clips taken from `data` at most.
        run: the run that the recognizer comes from, for the files: `id`, `name`, `data`, `split`.
        max_drop: loss of validation accuracy beyond which a file is rejected.
        frames: also write each variant that is not quantized as model_<variant>_n<frames>.tflite:
            it reads exactly so many frames, of which those at the end without any landmark do not
            count. Delegates of phones and LiteRT.js want static shapes.

    Returns:
        the content of report.json.

    Raises:
        UserError: an unknown variant, no clip, or a package that is needed is absent.
        ExportError: the conversion or a verification failed; names the file, the clip and the
            difference.

    Example:
        >>> from asl.export.export import export
        >>> report = export(recognizer, "exports/cnn", data=(store, split))
        >>> report["best"], report["parity"][1]["max_difference"]
    """
    check_installed()
    for variant in variants:
        check_choice("export.variants", variant, VARIANTS)
    part = None
    if clips is None and data is not None:
        part, clips = _clips_of(*data, most)
    if frames is not None and frames < 1:
        raise UserError(f"export.frames={frames}: choose a number from 1 up")
    if not clips:
        raise UserError("export.clips=0: verification needs real clips, choose a number from 1 up")
    directory = Path(directory)
    real = {name: np.asarray(clip, np.float32) for name, clip in clips.items()}
    with _scratch_in(directory) as scratch:
        job = _Job(
            recognizer=copy.deepcopy(recognizer).cpu().float().eval(),
            folder=scratch,
            real=real,
            edge_cases=edge_case_clips(list(real.values()), recognizer.landmarks.layout),
            variants=variants,
            data=data,
            frames=frames,
            report={},
        )
        job.report.update(_first_facts(job), max_drop=max_drop)
        if part:
            job.report["clips"]["part"] = part
        try:
            files = _write_and_verify(job, run)
            fixed_files = _write_fixed(job) if frames else {}
            _measure(job, files, fixed_files)
            _select(job, files, max_drop)
        except ExportError as error:
            job.report["failure"] = str(error)
            _write_reports(job)
            _replace(job.folder, directory, REPORTS)
            raise
        job.report["verified"] = True
        job.report["bytes"] = {
            path.name: path.stat().st_size for path in sorted(job.folder.iterdir())
        }
        _write_reports(job)
        _replace(job.folder, directory, [path.name for path in job.folder.iterdir()])
    return job.report


@dataclass(frozen=True)
class _Job:
    """One export.

    Attributes:
        recognizer: on the CPU, in evaluation mode.
        folder: for the files until they are verified.
        real: name to real clip, float32 [n, N, 3].
        edge_cases: name to clip, made of the real ones.
        variants: to write.
        data: the clips and split that accuracy is measured on.
        frames: that further files read; None for no such files.
        report: the content of report.json, filled in step by step.
    """

    recognizer: Recognizer
    folder: Path
    real: dict[str, np.ndarray]
    edge_cases: dict[str, np.ndarray]
    variants: Sequence[str]
    data: tuple[ClipStore, Split] | None
    frames: int | None
    report: dict[str, Any]

    @property
    def clips(self) -> dict[str, np.ndarray]:
        """All clips that files are compared on."""
        return self.real | self.edge_cases

    def calibration_clips(self) -> list[np.ndarray]:
        """Training clips for the ranges of int8; without data, real clips."""
        return self.training(CALIBRATION_CLIPS).clips

    def training(self, most: int) -> Labelled:
        """So many training clips at most; without data real clips, whose signs are not known."""
        if self.data is None or not len(self.data[1].train):
            clips = list(self.real.values())[:most]
            return Labelled(clips, np.zeros(len(clips), int))
        return _labelled(self.data[0], self.data[1].train, most)

    def validation(self, most: int) -> Labelled | None:
        """So many validation clips at most; None without data of the recognizer's signs."""
        if self.data is None or self.data[0].signs != list(self.recognizer.signs):
            return None
        return _labelled(self.data[0], self.data[1].val, most)


def _labelled(store: ClipStore, rows: np.ndarray, most: int) -> Labelled:
    some = stratified_sample(store, rows, most)
    return Labelled([store.read(int(row)) for row in some], store.sign[some])


def _clips_of(store: ClipStore, split: Split, most: int) -> tuple[str, dict[str, np.ndarray]]:
    """Clips that were not trained on: the part of the split that they are from; name to clip."""
    part, rows = select_verification_clips(store, split, most)
    return part, {f"{store.clips['path'][row]} (clip {row})": store.read(row) for row in rows}


def _first_facts(job: _Job) -> dict[str, Any]:
    """The content of report.json before anything is converted."""
    versions = {"python": platform.python_version()}
    for tool in TOOLS:
        with contextlib.suppress(PackageNotFoundError):  # only int8 needs the quantizer
            versions[tool] = version(tool)
    return {
        "verified": False,
        "parameters": sum(p.numel() for p in job.recognizer.parameters()),
        "backbone": _network(job.recognizer),
        "signs": len(job.recognizer.signs),
        "clips": {"real": len(job.real), "edge_cases": list(job.edge_cases)},
        "parity": [],
        "not_converted": {},
        "rejected": {},
        "operators": {},
        "accuracy": {},
        "latency": {},
        "memory": {},
        "bytes": {},
        "seconds": {},
        "backend": ROUTE,
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _network(recognizer: Recognizer) -> str:
    """The class of the network, or those of an ensemble's members."""
    if isinstance(recognizer, Ensemble):
        return f"Ensemble of {', '.join(map(_network, recognizer.members))}"
    return type(recognizer.backbone).__name__


def _write_and_verify(job: _Job, run: Mapping[str, str] | None) -> dict[str, Path]:
    """Write labels.json, model.onnx and the variants, and verify them; variant to .tflite."""
    facts = labels(job.recognizer) | _training(job) | {"blend": asdict(DEFAULT)}
    facts |= {"run": dict(run)} if run else {}
    with timed(job.report, "calibration"):
        training = job.training(max(CALIBRATION_CLIPS, CLIPS_A_SIGN * len(job.recognizer.signs)))
        validation = job.validation(VALIDATED_ON)
        accepted = accepted_share(job.data[1]) if job.data else ACCEPTED
        fitted = fit_answers(job.recognizer, training, validation, accepted)
        job.recognizer.answers, rejection = fitted
    if rejection:
        facts["rejection"] = job.report["rejection"] = rejection
    _write_json(job.folder / LABELS, facts)
    with timed(job.report, "torch"):
        reference = answers(torch_describer(job.recognizer), job.clips, "torch")
    onnx = job.folder / "model.onnx"
    with timed(job.report, "onnx"):
        to_onnx(job.recognizer, onnx)
        _verify_onnx(job, onnx, reference)
    with timed(job.report, "tflite"):
        files, not_converted = to_tflite(
            onnx, job.folder, job.variants, facts, job.calibration_clips
        )
    job.report["not_converted"] = not_converted
    for variant, path in files.items():
        with timed(job.report, f"verifying {variant}"):
            _verify_tflite(job, variant, path, reference, job.clips)
    return files


def _training(job: _Job) -> dict[str, Any]:
    """The median length of the training clips, for the windows of `asl spot`."""
    if job.data is None or not len(job.data[1].train):
        return {}
    store, split = job.data
    return {"training": {"median_frames": float(np.median(store.frames[split.train]))}}


def _write_fixed(job: _Job) -> dict[str, Path]:
    """Write and verify the files that read a fixed number of frames; variant to .tflite.

    The recognizer's answers that they are compared with are those to the clips without padding.
    """
    assert job.frames is not None
    clips = {name: clip for name, clip in job.clips.items() if len(clip) <= job.frames}
    if not job.real.keys() & clips:
        raise UserError(f"export.frames={job.frames}: every real clip to verify with is longer")
    exact = [variant for variant in job.variants if not VARIANTS[variant].quantized]
    facts = json.loads((job.folder / LABELS).read_text(encoding="utf-8"))
    facts["inputs"] = [job.frames, *facts["inputs"][1:]]
    ends = {
        name: clip[: int(detected_frames(torch.from_numpy(clip)))] for name, clip in clips.items()
    }
    reference = answers(torch_describer(job.recognizer), ends, "torch")
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        onnx = Path(scratch) / "model.onnx"
        with timed(job.report, f"{job.frames} frames"):
            to_onnx(job.recognizer, onnx, job.frames)
            files, _ = to_tflite(onnx, job.folder, exact, facts, frames=job.frames)
    for variant, path in files.items():
        with timed(job.report, f"verifying {variant}"):
            _verify_tflite(job, variant, path, reference, clips)
    return files


def _verify_onnx(job: _Job, path: Path, reference: Answers) -> None:
    """Compare the ONNX file's answers with the recognizer's."""
    outputs = answers(onnx_describer(path), job.clips, "onnx")
    result = _compared("onnx", reference, outputs, job.clips)
    job.report["parity"].append(asdict(result))
    try:
        check_parity(result)
    except ExportError as error:
        exported = ExportedForward(job.recognizer).eval()
        where = diagnose(exported, path, job.clips[result.worst_clip])
        raise ExportError(f"{error} {where}".rstrip()) from error


def _verify_tflite(
    job: _Job,
    variant: str,
    path: Path,
    reference: Answers,
    clips: Mapping[str, np.ndarray],
) -> None:
    """Check a .tflite's contract and parity; a quantized file that fails is rejected."""
    example, frames = next(iter(clips.values())), job.frames if FIXED in variant else None
    padded = pad_frames(example, frames or len(example))
    expected = len(job.recognizer.signs), frames, list(reference)
    operators = check_contract(variant, path, padded, *expected)
    job.report["operators"][variant] = dict(operators.most_common())
    result = _compared(variant, reference, answers(load_all(path), clips, variant), clips)
    job.report["parity"].append(asdict(result))
    try:
        check_parity(result)
    except ExportError as error:
        if not variant_of(variant).quantized:
            raise
        job.report["rejected"][variant] = str(error)


def _compared(
    name: str, reference: Answers, outputs: Answers, clips: Mapping[str, np.ndarray]
) -> ParityResult:
    """A file's answers beside the recognizer's, output by output."""
    others = {output: (reference[output], outputs[output]) for output in reference}
    return compare(name, *others.pop("outputs"), list(clips), others)


def _measure(job: _Job, files: Mapping[str, Path], fixed_files: Mapping[str, Path]) -> None:
    """Record accuracy on data with the recognizer's signs, latency and memory of the files.

    Files of a fixed number of frames are slower or faster, but not more or less accurate.
    """
    if job.data and job.data[0].signs == list(job.recognizer.signs):
        with timed(job.report, "accuracy"):
            job.report["accuracy"] = accuracies(job.recognizer, files, *job.data)
    clips = list(job.real.values())
    with timed(job.report, "speed and memory"):
        for variant, path in files.items():
            job.report["latency"][variant] = latencies(path, clips)
            job.report["memory"][variant] = peak_memory(path, max(clips, key=len))
        for variant, path in fixed_files.items():
            frames = int(variant.partition(FIXED)[2])
            clip = pad_frames(next(clip for clip in clips if len(clip) <= frames), frames)
            job.report["latency"][variant] = latencies(path, [clip])
            job.report["memory"][variant] = peak_memory(path, clip)


def _select(job: _Job, files: Mapping[str, Path], max_drop: float) -> None:
    sizes = {variant: path.stat().st_size for variant, path in files.items()}
    selection = select_variant(sizes, job.report["rejected"], job.report["accuracy"], max_drop)
    job.report.update(selection._asdict())


def _write_reports(job: _Job) -> None:
    _write_json(job.folder / "report.json", job.report)
    (job.folder / "report.md").write_text(to_markdown(job.report), encoding="utf-8")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


@contextlib.contextmanager
def _scratch_in(directory: Path) -> Iterator[Path]:
    """A folder for the files until they are verified; those of killed exports are removed."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = directory / f"{SCRATCH}lock"
    with locked(lock, f"export.dir={directory}: another asl export is at work there"):
        try:
            for left in directory.glob(f"{SCRATCH}*/"):
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=directory) as scratch:
                yield Path(scratch)
        finally:
            lock.unlink(missing_ok=True)


def _replace(folder: Path, directory: Path, names: Sequence[str]) -> None:
    """Delete the files of an earlier export, and move these in.

    The reports go first and come last: a folder with a report holds all that the report names.
    """
    for name in (*REPORTS, *USABLE):
        (directory / name).unlink(missing_ok=True)
    for left in directory.glob(file_name(f"*{FIXED}*")):
        left.unlink()
    for name in sorted(names, key=lambda name: REPORTS.index(name) if name in REPORTS else -1):
        (folder / name).replace(directory / name)
