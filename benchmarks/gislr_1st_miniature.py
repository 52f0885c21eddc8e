"""The learning curve of the winner's recipe in miniature, and what early stopping makes of it.

    python -m benchmarks.gislr_1st_miniature

`+experiment=gislr_1st_miniature` twice for each seed: with its grace period after the late
regularizers start, and with `regularization.grace_epochs=0`. Results: experiments/README.md.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib.figure import Figure

from asl import cli
from asl.paths import PROJECT
from asl.tracking.find import find_runs, run_config
from asl.tracking.found import FoundRun
from asl.tracking.logger import CURVE
from asl.tracking.store import Tracker, open_tracker

FOLDER = PROJECT / "experiments"
URI = f"sqlite:///{PROJECT / 'mlruns/mlflow.db'}"
SETTLED = "8"


def main() -> None:
    """Train, print a table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", default=URI, help="of the MLflow store")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the picture")
    parser.add_argument("overrides", nargs="*", help="of every run, as typed")
    chosen = parser.parse_args()
    runs, began = open_tracker({"uri": chosen.uri, "experiment": "asl"}), time.time() * 1000
    status = cli.run(
        ["train", "-m", "+experiment=gislr_1st_miniature",
         f"regularization.grace_epochs={SETTLED},0",
         "seed=0,1,2", f"tracking.uri={chosen.uri}", *chosen.overrides]
    )  # fmt: skip
    if status:
        raise SystemExit(status)
    made = [run for run in find_runs(runs) if run.is_training and run.started >= began]
    made.sort(
        key=lambda run: (run.params["regularization.grace_epochs"] != SETTLED, run.params["seed"])
    )
    losses = {run.run_id: _losses(runs, run) for run in made}
    start = run_config(runs, made[0].run_id)["regularization"]["late_start"]
    print(_table(made, losses, start))
    picture = chosen.folder / "gislr_1st_miniature.png"
    _draw(made, losses, start).savefig(picture, dpi=120)
    print(f"picture: {picture}")


def _losses(runs: Tracker, run: FoundRun) -> np.ndarray:
    """Validation loss of every epoch, [epochs]."""
    history = runs.client.get_metric_history(run.run_id, f"{CURVE}val/loss")
    return np.array([point.value for point in sorted(history, key=lambda p: p.step)])


def _table(made: list[FoundRun], losses: dict[str, np.ndarray], start: int) -> str:
    lines = [
        "| grace epochs | seed | before | dip | lowest after | epochs | test accuracy |",
        "|---" * 7 + "|",
    ]
    for run in made:
        loss, after = losses[run.run_id], losses[run.run_id][start:]
        dip = (after[:8].max(), after.min()) if len(after) else (np.nan, np.nan)
        figures = (loss[:start].min(), *dip)
        cells = (f"{figure:.3f}" for figure in figures)
        settle, seed = run.params["regularization.grace_epochs"], run.params["seed"]
        lines.append(
            f"| {settle} | {seed} | {' | '.join(cells)} | {len(loss)} "
            f"| {run.metrics['test/accuracy']:.3f} |"
        )
    return "\n".join(lines)


def _draw(made: list[FoundRun], losses: dict[str, np.ndarray], start: int) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in made:
        settles = run.params["regularization.grace_epochs"] == SETTLED
        loss, label = losses[run.run_id], "early stopping waits" if settles else "does not wait"
        axes.plot(
            np.arange(1, len(loss) + 1), loss, color="#4878a8" if settles else "#c0504d",
            linewidth=1.2 if settles else 3, zorder=3 if settles else 2,
            label=label if run.params["seed"] == "0" else None,
        )  # fmt: skip
    axes.axvline(start + 0.5, color="grey", linestyle=":")
    axes.text(start + 0.8, axes.get_ylim()[1] * 0.95, "late dropout and AWP begin", va="top")
    axes.set(xlabel="epoch", ylabel="validation loss")
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
