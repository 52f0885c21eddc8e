"""Every network, exported in every variant and verified on real clips: one table.

    python -m benchmarks.export_matrix

Trains each network of `conf/model/` for 15 epochs on blocks 1 and 2 of words15, exports it, and
reads what the reports say. A quarter of an hour on two cores; results: README.md.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asl import cli
from asl.tracking.store import open_tracker
from asl.export.backend.tflite import VARIANTS
from asl.export.parity.accuracy import TORCH
from asl.paths import CONF, PROJECT
from asl.tracking.find import find_runs

DATA = ("data=words15", "split.test=[3]", "seed=0", "trainer.max_epochs=15")
NETWORKS = tuple(sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
URI = f"sqlite:///{PROJECT / 'mlruns/mlflow.db'}"
HEADER = (
    "model", "file", "largest difference", "same top sign", "accuracy", "macro F1", "MB",
    "ms", "two threads", "first", "peak MB",
)  # fmt: skip


def main() -> None:
    """Train, export, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=NETWORKS, help="of conf/model/")
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
    made = find_runs(open_tracker({"uri": uri, "experiment": "asl"}))
    new = [run for run in made if run.is_training and run.started >= began]
    runs = {run.params["model"]: run.run_id for run in new}
    return {model: runs[model] for model in models}


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
    for hop in report["hops"]:
        variant = hop["name"]
        if variant not in report["latency"]:
            continue
        took, size = (
            report["latency"][variant]["median"],
            report["bytes"][f"model_{variant}.tflite"],
        )
        times = took["median_ms"], took["two_threads"]["median_ms"], took["first_ms"]
        peak = report["memory"][variant]
        yield (
            model,
            variant + ("" if variant not in report["rejected"] else ", not offered"),
            f"{hop['largest']:.1e}",
            f"{hop['same_top'] * hop['clips']:.0f} of {hop['clips']}",
            *_figures(files[variant]),
            f"{size / 1e6:.2f}",
            *(f"{ms:.2f}" for ms in times),
            "" if peak is None else f"{peak / 1e6:.1f}",
        )
    for variant, why in report["not_made"].items():
        yield model, variant, f"not made: {why}", *[""] * (len(HEADER) - 3)


def _figures(found: dict[str, float]) -> tuple[str, str]:
    return f"{found['accuracy']:.4f}", f"{found['f1']:.4f}"


if __name__ == "__main__":
    main()
