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

PIPE_WIDTH = 200


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
    from asl.export.parity.choice import compared

    runs = tracker(cfg.tracking)
    run, recognizer, trained = trained_run(cfg, runs)
    name = model_name(cfg, run)
    store = open_store(cfg.get("data") or trained.data)
    split = make_split(trained.split, store)
    _, rows = compared(store, split, cfg.export.clips)
    directory = Path(cfg.export.dir) if cfg.export.dir else PROJECT / "exports" / run.name
    clips = [store.read(row) for row in rows]
    report = export(
        recognizer,
        directory,
        clips=clips,
        clip_names=[f"{store.clips['path'][row]} (clip {row})" for row in rows],
        variants=list(cfg.export.variants),
        run=provenance(run),
        data=(store, split),
        max_drop=cfg.export.max_drop,
    )
    runs.client.log_artifacts(run.run_id, str(directory), "export")
    _print_summary(report)
    ship(runs, run, directory, report, clips[0], name, force=cfg.export.champion == "force")
    print(f"export: {directory}")


def _print_summary(report: dict[str, Any]) -> None:
    from asl.export.parity.accuracy import TORCH
    from asl.export.report import conclusions, name_of, protocols

    parts = report["accuracy"]
    table = Table(box=None, pad_edge=False)
    headings = ["file", "MB", "largest difference", "same top sign"]
    headings += [f"{name_of(part, found)} accuracy, F1" for part, found in parts.items()]
    for heading in (*headings, "ms a clip", "peak MB"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    if parts:
        table.add_row("PyTorch", "", "", "", *_figures(parts, TORCH))
    for hop in report["hops"]:
        variant = hop["name"]
        latency, peak = report["latency"].get(variant), report["memory"].get(variant)
        name = f"model_{variant}.tflite" if latency else "model.onnx"
        table.add_row(
            name,
            f"{report['bytes'][name] / 1e6:.2f}",
            f"{hop['largest']:.1e}",
            f"{hop['same_top']:.1%} of {hop['clips']}",
            *_figures(parts, variant),
            f"{latency['median']['median_ms']:.2f}" if latency else "",
            f"{peak / 1e6:.1f}" if peak is not None else "",
        )
    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)
    for line in (*protocols(report), *conclusions(report)):
        print(line)


def _figures(parts: dict[str, Any], name: str) -> list[str]:
    """Accuracy and macro F1 of one file on each part; nothing of model.onnx."""
    found = [part["files"].get(name) for part in parts.values()]
    return [
        f"{figures['accuracy']:.4f}, {figures['f1']:.4f}" if figures else "" for figures in found
    ]
