"""Every network, exported in every variant and verified on real clips: one table.

    python -m benchmarks.export_matrix

Trains each network of `conf/model/` for 15 epochs on blocks 1 and 2 of words15, exports it, and
reads their reports. A quarter of an hour on two cores; results: README.md.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asl import cli
from asl.config.plan import choices
from asl.export.parity.accuracy import TORCH
from asl.export.variants import VARIANTS, file_name
from asl.paths import PROJECT
from asl.tracking.find import find_runs
from asl.tracking.store import open_tracker

DATA = ("data=words15", "split.test=[3]", "seed=0", "trainer.max_epochs=15")
URI = f"sqlite:///{PROJECT / 'mlruns/mlflow.db'}"
HEADER = (
    "model", "file", "largest difference", "same top sign", "accuracy", "macro F1", "MB",
    "ms", "two threads", "first", "peak MB",
)  # fmt: skip


def main() -> None:
    """Train, export, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=choices("model"), help="of conf/model/")
    parser.add_argument("--uri", default=URI, help="of the MLflow store")
    parser.add_argument("--folder", type=Path, default=PROJECT / "exports/matrix")
    parser.add_argument("overrides", nargs="*", default=DATA, help="of every run, as typed")
    chosen = parser.parse_args()
    lines, seconds = [], []
    for model, run_id in _train(chosen.models, chosen.uri, chosen.overrides).items():
        began = time.perf_counter()
        report = _export(run_id, chosen.folder / model, chosen.uri)
        seconds.append(f"{model} {time.perf_counter() - began:.0f}")
        lines += list(_rows(model, report))
    for cells in (HEADER, ["---"] * len(HEADER), *lines):
        print(f"| {' | '.join(cells)} |")
    print(f"\nSeconds of each export: {', '.join(seconds)}.")


def _train(models: Sequence[str], uri: str, overrides: Sequence[str]) -> dict[str, str]:
    """The run of each network."""
    began = time.time() * 1000
    _asl("train", "-m", f"model={','.join(models)}", f"tracking.uri={uri}", *overrides)
    runs = find_runs(open_tracker({"uri": uri, "experiment": "asl"}))
    new = [run for run in runs if run.is_training and run.started >= began]
    run_ids = {run.params["model"]: run.run_id for run in new}
    return {model: run_ids[model] for model in models}


def _export(run_id: str, folder: Path, uri: str) -> dict[str, Any]:
    variants = f"export.variants=[{','.join(VARIANTS)}]"
    where = (f"export.dir={folder}", f"tracking.uri={uri}", "export.register=null")
    _asl("export", f"run={run_id}", variants, *where)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def _asl(*arguments: str) -> None:
    if status := cli.run(arguments):
        raise SystemExit(status)


def _rows(model: str, report: dict[str, Any]) -> Iterator[Sequence[str]]:
    """PyTorch's accuracy on the test clips, then each file's."""
    files = report["accuracy"]["test"]["files"]
    yield model, "PyTorch", "", "", *_figures(files[TORCH]), *[""] * 5
    for parity in report["parity"]:
        variant = parity["name"]
        if variant not in report["latency"]:
            continue
        latency, size = report["latency"][variant]["median"], report["bytes"][file_name(variant)]
        times = latency["median_ms"], latency["two_threads"]["median_ms"], latency["first_ms"]
        peak = report["memory"][variant]
        yield (
            model,
            variant + ("" if variant not in report["rejected"] else ", rejected"),
            f"{parity['max_difference']:.1e}",
            f"{parity['same_top'] * parity['clips']:.0f} of {parity['clips']}",
            *_figures(files[variant]),
            f"{size / 1e6:.2f}",
            *(f"{ms:.2f}" for ms in times),
            "" if peak is None else f"{peak / 1e6:.1f}",
        )
    for variant, why in report["not_converted"].items():
        yield model, variant, f"not converted: {why}", *[""] * (len(HEADER) - 3)


def _figures(measured: dict[str, float]) -> tuple[str, str]:
    return f"{measured['accuracy']:.4f}", f"{measured['f1']:.4f}"


if __name__ == "__main__":
    main()
