"""asl export: the best run, or a named one, becomes verified ONNX and TFLite files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from asl.commands.hydra import run_with_hydra
from asl.config import PROJECT

if TYPE_CHECKING:
    from asl.tracking.find import FoundRun
    from asl.tracking.store import Tracker


def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when a verification failed."""
    from asl.export import ExportError

    try:
        run_with_hydra(_export, "export", arguments)
    except ExportError as error:
        print(f"asl export: {error}")
        return 1
    return 0


def chosen_run(cfg: DictConfig, tracker: "Tracker") -> "FoundRun":
    """The run that `run=` names; `best` is that by cfg.metric within `data=` and `split=`."""
    from asl.tracking.find import best_run, find_run

    if cfg.run != "best":
        return find_run(tracker, cfg.run)
    choices = HydraConfig.get().runtime.choices
    return best_run(tracker, cfg.metric, choices.get("data"), choices.get("split"))


def _export(cfg: DictConfig) -> None:
    from asl.commands.parts import make_split, open_store, tracker
    from asl.export.export import export
    from asl.tracking.find import download, run_config
    from asl.training.checkpoint import load_recognizer

    runs = tracker(cfg.tracking)
    run = chosen_run(cfg, runs)
    trained = OmegaConf.create(run_config(runs, run.run_id))
    assert isinstance(trained, DictConfig)
    recognizer = load_recognizer(download(runs, run.run_id, "checkpoints/best.ckpt"))
    store = open_store(cfg.get("data") or trained.data)
    split = make_split(trained.split, store)
    # Clips that the run did not train on, where there are any.
    rows = next(rows for rows in (split.val, split.test, split.train) if len(rows))
    rows = rows[: cfg.export.clips]
    directory = Path(cfg.export.dir) if cfg.export.dir else PROJECT / "exports" / run.name
    report = export(
        recognizer,
        directory,
        clips=[store.read(row) for row in rows],
        clip_names=[f"{store.clips['path'][row]} (clip {row})" for row in rows],
        variants=list(cfg.export.variants),
    )
    runs.client.log_artifacts(run.run_id, str(directory), "export")
    _print_summary(report)
    print(f"export: {directory}")


def _print_summary(report: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("file", "MB", "largest difference", "same top sign", "ms a clip"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for hop in report["hops"]:
        latency = report["latency"].get(hop["name"])
        name = f"model_{hop['name']}.tflite" if latency else "model.onnx"
        table.add_row(
            name,
            f"{report['bytes'][name] / 1e6:.2f}",
            f"{hop['largest']:.1e}",
            f"{hop['same_top']:.1%} of {hop['clips']}",
            f"{latency['median']['median_ms']:.2f}" if latency else "",
        )
    Console().print(table)
