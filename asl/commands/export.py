"""asl export: the best run, or a named one, becomes verified ONNX and TFLite files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from asl.commands.tables import console, plain_table
from asl.config.compose import run_command
from asl.config.plan import chosen_run, chosen_tracker, export_arguments
from asl.terminal import printable

if TYPE_CHECKING:
    from asl.runs.export import Published


def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when a verification failed."""
    from asl.export import ExportError

    try:
        run_command("export", arguments, _export)
    except ExportError as error:
        print(f"asl export: {error}")
        return 1
    return 0


def _export(cfg: DictConfig) -> None:
    from asl.runs.export import export_run

    tracker = chosen_tracker(cfg)
    exported = export_run(chosen_run(cfg, tracker), tracker, **export_arguments(cfg))
    _print_table(exported.report)
    if exported.published:
        print_published(exported.published)
    print(f"export: {exported.directory}")


def _print_table(report: dict[str, Any]) -> None:
    from asl.export.report import conclusions, name_of, protocols

    parts = report["accuracy"]
    headings = ["MB", "largest difference", "same top sign"]
    headings += [f"{name_of(part, figures)} accuracy, F1" for part, figures in parts.items()]
    table = plain_table("file", numbers=[*headings, "ms a clip", "peak MB"])
    if parts:
        table.add_row("PyTorch", "", "", "", *_accuracies(parts, "torch"))
    for parity in report["parity"]:
        table.add_row(*_file_row(report, parity))
    console().print(table)
    for line in (*protocols(report), *conclusions(report)):
        print(printable(line))


def _file_row(report: dict[str, Any], parity: dict[str, Any]) -> list[str]:
    """A file's size, agreement with the recognizer, accuracy, latency and memory."""
    variant = parity["name"]
    latency, peak = report["latency"].get(variant), report["memory"].get(variant)
    name = f"model_{variant}.tflite" if latency else "model.onnx"
    return [
        name,
        f"{report['bytes'][name] / 1e6:.2f}",
        f"{parity['max_difference']:.1e}",
        f"{parity['same_top']:.1%} of {parity['clips']}",
        *_accuracies(report["accuracy"], variant),
        f"{latency['median']['median_ms']:.2f}" if latency else "",
        f"{peak / 1e6:.1f}" if peak is not None else "",
    ]


def _accuracies(parts: dict[str, Any], name: str) -> list[str]:
    """Accuracy and macro F1 of one file on each part; model.onnx has none."""
    files = [part["files"].get(name) for part in parts.values()]
    return [f"{file['accuracy']:.4f}, {file['f1']:.4f}" if file else "" for file in files]


def print_published(published: "Published") -> None:
    """Print what became of the best file."""
    print(f"submission: {published.submission}")
    if version := published.registered:
        status = "the champion now" if version.champion else "not the champion"
        print(f"registered: models:/{version.name}/{version.version}, {status}: {version.why}")
