"""TPE with a pruner against random search at equal compute.

    python -m benchmarks.tpe_against_random

Both search the space of `sweep=tpe`, three times each with another seed of the sampler. Compute is
counted in epochs of training, pruned trials' included. Random search has so many trials; TPE gets
more trials until it has spent as many epochs. A sweep that is finished already is not done again.
The curves are what the best trial so far has reached on the validation signer; results:
experiments/README.md.
"""

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from asl.cli import run
from asl.paths import PROJECT

FOLDER = PROJECT / "experiments"
STORAGE = f"sqlite:///{PROJECT / 'mlruns/optuna.db'}"
SEEDS = (0, 1, 2)
METHODS = {
    "random": ("sweep.sampler=random", "sweep.pruner=none"),
    "tpe": (),
}
MORE = 6  # trials that TPE gets at a time
DATA = ("data=words15", "split.test=[3]", "split.val=[2]", "model=bigru", "trainer.max_epochs=20")
Curve = tuple[np.ndarray, np.ndarray]  # epochs spent, best value so far; both [trials]


def main() -> None:
    """Search, print a table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24, help="of each random search")
    parser.add_argument("--workers", type=int, default=2, help="of each sweep")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the picture")
    parser.add_argument("--storage", default=STORAGE, help="of the studies")
    parser.add_argument("overrides", nargs="*", default=DATA, help="of every sweep, as typed")
    chosen = parser.parse_args()
    settings = (*chosen.overrides, f"sweep.workers={chosen.workers}")
    curves: dict[str, list[Curve]] = {method: [] for method in METHODS}
    for seed in SEEDS:
        trials = _search("random", seed, chosen.trials, chosen.storage, settings)
        budget, count = _spent(trials), chosen.trials
        curves["random"].append(_curve(trials))
        while _spent(trials := _search("tpe", seed, count, chosen.storage, settings)) < budget:
            count += MORE
        curves["tpe"].append(_curve(trials))
    budget = min(epochs[-1] for drawn in curves.values() for epochs, _ in drawn)
    print(_table(curves, budget))
    picture = chosen.folder / "tpe_against_random.png"
    _draw(curves, budget).savefig(picture, dpi=120)
    print(f"picture: {picture}")


def _search(
    method: str, seed: int, count: int, storage: str, settings: Sequence[str]
) -> list[FrozenTrial]:
    """The ended trials of a sweep, in the order in which they ended."""
    name = f"against-{method}-{seed}"
    status = run(
        ["sweep", "sweep=tpe", *settings, f"sweep.name={name}", f"sweep.n_trials={count}",
         f"sweep.seed={seed}", f"sweep.storage={storage}", "sweep.final_seeds=0", *METHODS[method]]
    )  # fmt: skip
    if status:
        raise SystemExit(status)
    study = optuna.load_study(study_name=name, storage=storage)
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return sorted(ended, key=lambda trial: trial.datetime_complete or datetime.min)


def _spent(trials: Sequence[FrozenTrial]) -> int:
    return sum(len(trial.intermediate_values) for trial in trials)


def _curve(trials: Sequence[FrozenTrial]) -> Curve:
    values = [t.value if t.state is TrialState.COMPLETE else -np.inf for t in trials]
    epochs = np.cumsum([len(trial.intermediate_values) for trial in trials])
    return epochs, np.maximum.accumulate(np.array(values, float))


def _at(curve: Curve, epochs: float) -> float:
    """The best value when so many epochs were spent; NaN before the first trial ended."""
    place = np.searchsorted(curve[0], epochs, side="right") - 1
    return float(curve[1][place]) if place >= 0 else np.nan


def _table(curves: dict[str, list[Curve]], budget: int) -> str:
    lines = ["| epochs spent | " + " | ".join(curves) + " |", "|---|" + "---|" * len(curves)]
    for share in (0.25, 0.5, 0.75, 1.0):
        reached = [[_at(curve, share * budget) for curve in drawn] for drawn in curves.values()]
        cells = (f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" for values in reached)
        lines.append(f"| {share * budget:.0f} | " + " | ".join(cells) + " |")
    trials = (
        f"{method}: {', '.join(str(sum(epochs <= budget)) for epochs, _ in drawn)} trials"
        for method, drawn in curves.items()
    )
    return "\n".join([*lines, "", f"Within {budget} epochs {'; '.join(trials)}."])


def _draw(curves: dict[str, list[Curve]], budget: int) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    grid = range(budget + 1)
    for (method, drawn), colour in zip(curves.items(), ("#4878a8", "#c0504d"), strict=True):
        reached = np.array([[_at(curve, epochs) for epochs in grid] for curve in drawn])
        axes.plot(grid, reached.T, color=colour, alpha=0.3, linewidth=1)
        axes.plot(grid, reached.mean(0), color=colour, linewidth=2, label=f"{method}, mean")
    axes.set(xlabel="epochs spent", ylabel="best value so far (validation)")
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main()
