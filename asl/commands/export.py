"""asl export: the best run, or a named one, becomes verified ONNX and TFLite files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from asl.commands.hydra import run_with_hydra
from asl.commands.trained import trained_run
from asl.config import PROJECT


def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when a verification failed."""
    from asl.export import ExportError

    try:
        run_with_hydra(_export, "export", arguments)
    except ExportError as error:
        print(f"asl export: {error}")
        return 1
    return 0


def _export(cfg: DictConfig) -> None:
    from asl.commands.parts import make_split, open_store, tracker
    from asl.commands.ship import model_name, provenance, ship
    from asl.export.export import export

    runs = tracker(cfg.tracking)
    run, recognizer, trained = trained_run(cfg, runs)
    name = model_name(cfg, run)
    store = open_store(cfg.get("data") or trained.data)
    split = make_split(trained.split, store)
    # Clips that the run did not train on, where there are any.
    rows = next(rows for rows in (split.val, split.test, split.train) if len(rows))
    rows = rows[: cfg.export.clips]
    directory = Path(cfg.export.dir) if cfg.export.dir else PROJECT / "exports" / run.name
    clips = [store.read(row) for row in rows]
    report = export(
        recognizer,
        directory,
        clips=clips,
        clip_names=[f"{store.clips['path'][row]} (clip {row})" for row in rows],
        variants=list(cfg.export.variants),
        run=provenance(run),
    )
    runs.client.log_artifacts(run.run_id, str(directory), "export")
    _print_summary(report)
    ship(runs, run, directory, report, clips[0], name, force=cfg.export.champion == "force")
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
