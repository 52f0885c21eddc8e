"""Exporting a run: verified files, a submission, and a version of a registered model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError, check_choice, disk_failure
from asl.export.requirements import check_installed
from asl.export.submission import SUBMISSION, write_submission
from asl.paths import PROJECT, as_file_name
from asl.runs.data import check_layout, make_split, open_store, outputs_of_signs
from asl.runs.load import LoadedRun
from asl.runs.plan import DataPlan
from asl.tracking.found import PROTOCOL, FoundRun
from asl.tracking.models import record_model
from asl.tracking.record import record_export
from asl.tracking.registry import Registered, check_name
from asl.tracking.registry import register as register_version
from asl.tracking.run import closed_run
from asl.tracking.store import Tracker

CHAMPION = ("better", "force")
PREFERRED = ("float16", "float32")


@dataclass(frozen=True)
class Published:
    """What became of an export's best file.

    Attributes:
        submission: a sentence on submission.zip.
        registered: the new version of the registered model; None where it became none.
    """

    submission: str
    registered: Registered | None


@dataclass(frozen=True)
class ExportedRun:
    """The verified files of a run.

    Attributes:
        directory: that holds them.
        report: the content of report.json.
        published: None where the report offers no file.
    """

    directory: Path
    report: dict[str, Any]
    published: Published | None


def export_run(
    loaded: LoadedRun,
    tracker: Tracker,
    *,
    variants: Sequence[str],
    clips: int,
    max_drop: float,
    register: str | None,
    champion: str,
    frames: int | None = None,
    directory: Path | None = None,
    data: DataPlan | None = None,
) -> ExportedRun:
    """Export a run's recognizer to verified ONNX and TFLite files, and publish the best one.

    Args:
        loaded: the run.
        tracker: the MLflow store that has it.
        variants: of `asl.export.variants.VARIANTS`.
        clips: at most so many real clips are compared.
        max_drop: of accuracy on the validation clips, beyond which a file is rejected.
        register: name of the registered model, `{data}` being the run's data set; None: none.
        champion: `better` if the version becomes champion only by better validation, or `force`.
        frames: also write files that read exactly so many.
        directory: for the files; exports/<run name> where None.
        data: the clips to compare on; those of the run's training where None.

    Raises:
        UserError: an unknown choice, clips of another layout or of other signs than the run's, or
            packages for exporting are absent.
        ExportError: the conversion or a verification failed.
    """
    check_choice("export.champion", champion, CHAMPION)
    check_installed()
    from asl.export.export import REPORTS, export  # needs those packages

    name = model_name(register, loaded.run.data)
    store = open_store(data or loaded.data)
    check_layout(f"run={loaded.run.name}", loaded.recognizer.landmarks.layout.name, store)
    outputs_of_signs(f"run={loaded.run.name}", loaded.recognizer.signs, store)
    split = make_split(loaded.split, store)
    directory = directory or PROJECT / "exports" / as_file_name(loaded.run.name)
    report = export(
        loaded.recognizer,
        directory,
        variants=list(variants),
        data=(store, split),
        most=clips,
        run=provenance(loaded.run),
        max_drop=max_drop,
        frames=frames,
    )
    written = [directory / name for name in (*report["bytes"], *REPORTS)]  # beside files of others
    forced = champion == "force"
    with _recording(directory):
        record_export(tracker, loaded.run.run_id, written)
        run = closed_run(tracker, loaded.run.run_id, loaded.run.name)
        for variant, metrics in file_metrics(report).items():
            record_model(run, variant, metrics, store.name, store, split)
        published = publish(tracker, loaded.run, directory, report, store.read(0), name, forced)
    return ExportedRun(directory, report, published)


@contextmanager
def _recording(directory: Path) -> Iterator[None]:
    """Turns a disk error while recording into a UserError that names the verified files."""
    try:
        yield
    except Exception as error:
        failure = disk_failure(error)
        if failure is None:
            raise
        whole = ", ".join(path.name for path in sorted(directory.glob("model*")))
        raise UserError(
            f"{directory}: {whole} are whole and verified, but could not be recorded under the run "
            f"({failure}); the same command tries again"
        ) from error


def file_metrics(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Accuracy, size and speed of each .tflite of a report, as metrics; by variant."""
    files = {}
    for variant, latency in report["latency"].items():
        metrics = {
            f"{variant}/{part}/{name}": value
            for part, figures in report["accuracy"].items()
            for name, value in figures["files"].get(variant, {}).items()
        }
        metrics[f"{variant}/megabytes"] = report["bytes"][f"model_{variant}.tflite"] / 1e6
        metrics[f"{variant}/milliseconds"] = latency["median"]["median_ms"]
        files[variant] = metrics
    return files


def provenance(run: FoundRun) -> dict[str, str]:
    """What a file says of the run that it comes from."""
    protocol = {key: run.tags[key] for key in PROTOCOL if key in run.tags}
    return {"id": run.run_id, "name": run.name} | protocol


def model_name(template: str | None, data: str) -> str | None:
    """The registered model that an export becomes a version of; None where it becomes none.

    Raises:
        UserError: it cannot be a model's name.
    """
    if template is None:
        return None
    name = template.replace("{data}", re.sub(r"[^\w.+-]", "-", data))
    check_name(name)
    return name


def publish(
    tracker: Tracker,
    run: FoundRun,
    directory: Path,
    report: dict[str, Any],
    example: np.ndarray,
    name: str | None,
    force: bool,
) -> Published | None:
    """Make the best file a submission and a version of a registered model.

    Args:
        tracker: the store.
        run: that was exported.
        directory: of the verified files.
        report: report.json.
        example: a clip, float32 [n, N, 3].
        name: of the registered model; None for none.
        force: whether the version becomes its champion in any case.
    """
    best = best_file(directory, report)
    if best is None:
        return None
    submission = write_submission(best, directory)
    if (directory / SUBMISSION).is_file():
        record_export(tracker, run.run_id, [directory / SUBMISSION])
    registered = register_version(tracker, run, name, best, example, force) if name else None
    return Published(submission, registered)


def best_file(directory: Path, report: dict[str, Any]) -> Path | None:
    """The .tflite that the report calls best, else float16's, else another; None without any.

    Where the report offers none, none is published.
    """
    if "best" in report and report["best"] is None:
        return None
    variants = [report.get("best"), *PREFERRED, *report["latency"]]
    files = [directory / f"model_{variant}.tflite" for variant in variants]
    return next((file for file in files if file.is_file()), None)
