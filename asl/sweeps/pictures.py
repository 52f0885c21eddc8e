"""Pictures of a study: how it came to its best value, and what mattered for it."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from asl.sweeps.report import importances

_POINT, _LINE, _PALE = "#4878a8", "#c0504d", "#b8cce0"
_COLOURS = "viridis"
_ABSENT = -0.12  # height on an axis, [0, 1], of trials that have no such parameter
_COLUMNS = 4  # of slices
_LONG = 14  # letters of a choice that are shown


def pictures(study: optuna.Study) -> dict[str, Figure]:
    """What can be drawn of a study so far, by name.

    `history`, `parallel` and `slices` need two complete trials, `importance` some more,
    `epochs` one that was pruned, and `front` a second objective.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    title = f"{study.study_name}: {len(complete)} complete, {len(pruned)} pruned trials"
    what = objective_names(study)
    upwards = study.directions[0] is StudyDirection.MAXIMIZE
    drawn = {}
    if len(complete) > 1:
        drawn["history"] = history(complete, pruned, upwards, what[0], title)
        if varied := varying(complete):
            drawn["parallel"] = parallel_coordinates(complete, varied, upwards, what[0], title)
            drawn["slices"] = slices(complete, varied, what[0], title)
    if mattering := importances(study):
        drawn["importance"] = importance_bars(mattering, title)
    if pruned:
        drawn["epochs"] = epochs(complete, pruned, what[0], title)
    if len(what) > 1 and complete:
        drawn["front"] = front(complete, study.best_trials, what, title)
    return drawn


def objective_names(study: optuna.Study) -> list[str]:
    """What each value of a trial is."""
    count = len(study.directions)
    unnamed = ["value", *(f"value_{number}" for number in range(2, count + 1))]
    return study.metric_names or unnamed


def varying(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """By key, where each parameter comes from that has more than one value to choose from."""
    known = {key: drawn for trial in trials for key, drawn in trial.distributions.items()}
    return {key: drawn for key, drawn in known.items() if not drawn.single()}


def history(
    complete: Sequence[FrozenTrial],
    pruned: Sequence[FrozenTrial],
    upwards: bool,
    what: str,
    title: str,
) -> Figure:
    """Draw each trial's value, and the best of all up to it as a line."""
    figure = _figure(7, 3.6, title)
    axes = figure.subplots()
    numbers = [trial.number for trial in complete]
    values = np.array([trial.values[0] for trial in complete])
    best = np.maximum.accumulate(values) if upwards else np.minimum.accumulate(values)
    axes.step(numbers, best, where="post", color=_LINE, linewidth=1.2, label="best so far")
    axes.scatter(numbers, values, s=16, color=_POINT, label="complete")
    last = [(trial.number, trial.value) for trial in pruned if trial.value is not None]
    if last:
        places, reached = zip(*last, strict=True)
        axes.scatter(places, reached, s=16, marker="x", color="grey", label="pruned, last")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="trial", ylabel=what)
    axes.legend(frameon=False, fontsize=8)
    return figure


def importance_bars(mattering: dict[str, float], title: str) -> Figure:
    """Draw how much each parameter matters, as shares of their sum."""
    figure = _figure(6, 1.2 + 0.3 * len(mattering), title)
    axes = figure.subplots()
    places = range(len(mattering))
    bars = axes.barh(places, list(mattering.values()), color=_POINT)
    axes.bar_label(bars, labels=[f"{v:.2f}" for v in mattering.values()], padding=3, fontsize=8)
    axes.set_yticks(places, list(mattering))
    axes.set(xlim=(0, 1.1 * max(mattering.values())))
    axes.set_xlabel("importance (PED-ANOVA, best quarter)")
    axes.invert_yaxis()
    return figure


def parallel_coordinates(
    complete: Sequence[FrozenTrial],
    varied: dict[str, BaseDistribution],
    upwards: bool,
    what: str,
    title: str,
) -> Figure:
    """Draw a line a trial through the values of its parameters to its own, the best on top.

    A trial without a conditional parameter passes below that one's axis.
    """
    figure = _figure(3 + 1.3 * len(varied), 4.6, title)
    axes = figure.subplots()
    values = np.array([trial.values[0] for trial in complete])
    colour = Normalize(values.min(), values.max())
    heights = np.stack(  # [trials, parameters + 1]
        [*(_heights(complete, key, varied[key]) for key in varied), colour(values)], axis=1
    )
    map_ = mpl.colormaps[_COLOURS if upwards else f"{_COLOURS}_r"]
    for row in np.argsort(values if upwards else -values):
        axes.plot(heights[row], color=map_(colour(values[row])), linewidth=1.1, alpha=0.75)
    for place, key in enumerate(varied):
        _axis(axes, place, _ticks(complete, key, varied[key]))
        if (heights[:, place] < 0).any():
            axes.text(place - 0.04, _ABSENT, "without", ha="right", va="center", fontsize=6)
    ends = [(0.0, f"{values.min():.4g}"), (1.0, f"{values.max():.4g}")]
    _axis(axes, len(varied), ends)
    axes.set_xticks(range(len(varied) + 1), [*varied, what], rotation=20, ha="right", fontsize=8)
    axes.set(xlim=(-0.5, len(varied) + 0.3), ylim=(-0.18, 1.05), yticks=[])
    axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
    return figure


def slices(
    complete: Sequence[FrozenTrial],
    varied: dict[str, BaseDistribution],
    what: str,
    title: str,
) -> Figure:
    """Draw the trials' values against each parameter, those that have it; later ones darker."""
    columns = min(_COLUMNS, len(varied))
    lines = -(-len(varied) // columns)
    figure = _figure(1 + 2.9 * columns, 0.6 + 2.6 * lines, title)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    last = complete[-1].number
    for axes in grid.flat[len(varied) :]:
        axes.remove()
    for axes, (key, drawn) in zip(grid.flat, varied.items(), strict=False):
        having = [trial for trial in complete if key in trial.params]
        numbers = np.array([trial.number for trial in having])
        values = [trial.values[0] for trial in having]
        places: Any = [trial.params[key] for trial in having]
        if isinstance(drawn, CategoricalDistribution):
            aside = 0.3 * ((numbers * 0.618) % 1 - 0.5)  # so that like ones do not hide each other
            places = np.array([drawn.choices.index(place) for place in places]) + aside
            axes.set_xlim(-0.5, len(drawn.choices) - 0.5)
            names = [_short(choice) for choice in drawn.choices]
            axes.set_xticks(range(len(names)), names, fontsize=8, rotation=30 * (len(names) > 3))
        elif getattr(drawn, "log", False):
            axes.set_xscale("log")
        axes.scatter(places, values, c=numbers, cmap="Blues", vmin=-last / 2, vmax=last, s=16)
        axes.set_xlabel(key, fontsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel(what)
    return figure


def epochs(
    complete: Sequence[FrozenTrial], pruned: Sequence[FrozenTrial], what: str, title: str
) -> Figure:
    """Draw what trials reported, epoch after epoch, and where they were given up."""
    figure = _figure(7, 3.8, title)
    axes = figure.subplots()
    for trial in complete:
        steps, values = _reported(trial)
        axes.plot(steps, values, color=_PALE, linewidth=1)
    for trial in pruned:
        steps, values = _reported(trial)
        axes.plot(steps, values, color=_LINE, linewidth=0.8, alpha=0.5)
        axes.plot(steps[-1:], values[-1:], "x", color=_LINE, markersize=5)
    axes.plot([], [], color=_PALE, label="complete")
    axes.plot([], [], color=_LINE, marker="x", linewidth=0.8, label="pruned")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=what)
    axes.legend(frameon=False, fontsize=8)
    return figure


def front(
    complete: Sequence[FrozenTrial], best: Sequence[FrozenTrial], what: Sequence[str], title: str
) -> Figure:
    """Draw the second objective against the first, and those trials that none beats in both."""
    figure = _figure(6, 4, title)
    axes = figure.subplots()
    axes.scatter(
        [trial.values[1] for trial in complete],
        [trial.values[0] for trial in complete],
        s=16,
        color=_PALE,
    )
    ordered = sorted((trial.values[1], trial.values[0], trial.number) for trial in best)
    cost, value, _ = zip(*ordered, strict=True)
    axes.plot(
        cost,
        value,
        "o-",
        color=_LINE,
        markersize=4,
        linewidth=0.8,
        label="no other is better in both",
    )
    for x, y, number in ordered:
        axes.annotate(str(number), (x, y), (4, -8), textcoords="offset points", fontsize=7)
    axes.set(xlabel=what[1], ylabel=what[0])
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _figure(width: float, height: float, title: str) -> Figure:
    # Not pyplot's: nothing to close.
    figure = Figure(figsize=(min(width, 24), height), layout="constrained")
    figure.suptitle(title, fontsize=9, x=0.01, ha="left", wrap=True)
    return figure


def _heights(trials: Sequence[FrozenTrial], key: str, drawn: BaseDistribution) -> np.ndarray:
    """Where each trial crosses a parameter's axis, [trials]."""
    return np.array(
        [_height(drawn, t.params[key]) if key in t.params else _ABSENT for t in trials], dtype=float
    )


def _height(drawn: Any, value: Any) -> float:
    if isinstance(drawn, CategoricalDistribution):
        return drawn.choices.index(value) / (len(drawn.choices) - 1)
    low, high = drawn.low, drawn.high
    if drawn.log:
        low, high, value = np.log([low, high, value])
    return float((value - low) / (high - low))


def _ticks(
    trials: Sequence[FrozenTrial], key: str, drawn: BaseDistribution
) -> list[tuple[float, str]]:
    if isinstance(drawn, CategoricalDistribution):
        return [(_height(drawn, choice), _short(choice)) for choice in drawn.choices]
    ends = (drawn.low, drawn.high)  # type: ignore[attr-defined]
    return [(float(place), f"{end:.4g}") for place, end in enumerate(ends)]


def _axis(axes: Axes, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    axes.plot([place, place], [0, 1], color="black", linewidth=0.8, zorder=3)
    for height, label in ticks:
        axes.text(
            place - 0.04,
            height,
            label,
            ha="right",
            va="center",
            fontsize=7,
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
        )


def _reported(trial: FrozenTrial) -> tuple[list[int], list[float]]:
    steps = sorted(trial.intermediate_values)
    return [step + 1 for step in steps], [trial.intermediate_values[step] for step in steps]


def _short(choice: Any) -> str:
    text = str(choice).translate(str.maketrans("", "", '{}"'))  # a mapping is kept as its JSON
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
