"""The end of asl export: submission.zip, and a version of a registered model."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from asl.errors import unknown

if TYPE_CHECKING:
    import numpy as np

    from asl.tracking.find import FoundRun
    from asl.tracking.store import Tracker

CHAMPION = ("better", "force")
PREFERRED = ("float16", "float32")


def provenance(run: "FoundRun") -> dict[str, str]:
    """What a file says of the run that it comes from."""
    from asl.tracking.registry import PROTOCOL

    protocol = {key: run.tags[key] for key in PROTOCOL if key in run.tags}
    return {"id": run.run_id, "name": run.name} | protocol


def model_name(cfg: DictConfig, run: "FoundRun") -> str | None:
    """The registered model that an export becomes a version of; None where it becomes none.

    Raises:
        UserError: export.register is no name, or export.champion no choice.
    """
    from asl.tracking.registry import check_name

    if cfg.export.champion not in CHAMPION:
        raise unknown("export.champion", cfg.export.champion, CHAMPION)
    if cfg.export.register is None:
        return None
    name = str(cfg.export.register).replace("{data}", re.sub(r"[^\w.+-]", "-", run.data))
    check_name(name)
    return name


def ship(
    runs: "Tracker",
    run: "FoundRun",
    directory: Path,
    report: dict[str, Any],
    clip: "np.ndarray",
    name: str | None,
    force: bool,
) -> None:
    """Make the best file a submission and a version of a registered model, and say so.

    Args:
        runs: the store.
        run: that was exported.
        directory: of the verified files.
        report: report.json.
        clip: an example, float32 [n, N, 3].
        name: of the registered model; None for none.
        force: whether the version becomes its champion in any case.
    """
    from asl.export.submission import SUBMISSION, write_submission
    from asl.tracking.registry import register

    best = best_file(directory, report)
    if best is None:
        return
    print(f"submission: {write_submission(best, directory)}")
    if (directory / SUBMISSION).is_file():
        runs.client.log_artifact(run.run_id, str(directory / SUBMISSION), "export")
    if name is None:
        return
    made = register(runs, run, name, best, clip, force)
    place = "the champion now" if made.champion else "not the champion"
    print(f"registered: models:/{name}/{made.version}, {place}: {made.why}")


def best_file(directory: Path, report: dict[str, Any]) -> Path | None:
    """The .tflite that the report calls best, else float16's, else another; None without any.

    Where the report offers none, none is shipped.
    """
    if "best" in report and report["best"] is None:
        return None
    variants = [report.get("best"), *PREFERRED, *report["latency"]]
    files = [directory / f"model_{variant}.tflite" for variant in variants]
    return next((file for file in files if file.is_file()), None)
