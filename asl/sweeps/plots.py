"""Figures of a study by Optuna: as pictures, and as one interactive page that works offline."""

import html
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import optuna
from matplotlib.figure import Figure
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState
from plotly import graph_objects as go
from plotly.offline import get_plotlyjs

from asl.sweeps.report import importances, objective_names, varied_keys


def study_figures(study: optuna.Study) -> dict[str, Figure]:
    """Every figure that can be drawn of a study so far, by name.

    `history`, `parallel` and `slices` need two complete trials, `importance` some more,
    `epochs` one that was pruned, and `front` a second objective.
    """
    figures = {}
    # Optuna draws with pyplot, and sets a style that other figures of this process should not have.
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a figure with nothing to put into a legend, say
        for name, draw in _plots(study, visualization.matplotlib).items():
            axes = draw()
            figures[name] = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
        if shares := importances(study):
            figures["importance"], axes = plt.subplots(figsize=(6, 1.2 + 0.3 * len(shares)))
            axes.bar_label(axes.barh(list(shares), list(shares.values())), fmt="%.2f")
            axes.set_xlabel("importance (PED-ANOVA, best quarter)")
            axes.invert_yaxis()
        if "epochs" in figures and (legend := figures["epochs"].axes[0].get_legend()):
            legend.remove()  # it lists every trial
        if parallel := figures.get("parallel"):
            parallel.set_size_inches(min(24, 3 + 1.3 * len(parallel.axes)), 4.8)
        for name, figure in figures.items():
            figure.set_layout_engine("none" if name == "slices" else "tight")
            plt.close(figure)
    return figures


def interactive_page(study: optuna.Study, text: str) -> str:
    """The same figures as HTML, some five megabytes, nearly all of them plotly's script.

    Args:
        study: what can be drawn of it so far is drawn.
        text: shown above the figures, preformatted.
    """
    figures = [draw() for draw in _plots(study, visualization).values()]
    if shares := importances(study):
        bars = go.Bar(x=list(shares.values()), y=list(shares), orientation="h")
        layout = {"title": "Importance", "yaxis": {"autorange": "reversed"}}
        figures.append(go.Figure(bars, layout))
    name = html.escape(study.study_name)
    return "\n".join(
        [
            f"<!DOCTYPE html><html><head><meta charset='utf-8'><title>{name}</title>",
            f"<script>{get_plotlyjs()}</script></head>",
            "<body style='font-family: sans-serif'>",
            f"<h1>{name}</h1><pre>{html.escape(text)}</pre>",
            *(figure.to_html(full_html=False, include_plotlyjs=False) for figure in figures),
            "</body></html>",
        ]
    )


def _plots(study: optuna.Study, library: ModuleType) -> dict[str, Callable[[], Any]]:
    """What Optuna can draw of a study so far; both of its plotting libraries have one interface.

    The importance is not among them: of two objectives Optuna draws each by itself.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    names = objective_names(study)
    target: dict[str, Any] = {"target_name": names[0]}
    if len(names) > 1:
        target["target"] = _first_value
    plots: dict[str, Callable[[], Any]] = {}
    if len(complete) > 1:
        plots["history"] = lambda: library.plot_optimization_history(study, **target)
        if keys := varied_keys(complete):
            plots["parallel"] = lambda: library.plot_parallel_coordinate(study, keys, **target)
            plots["slices"] = lambda: library.plot_slice(study, keys, **target)
    if study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)):
        plots["epochs"] = lambda: library.plot_intermediate_values(study)
    if len(names) > 1 and complete:
        plots["front"] = lambda: library.plot_pareto_front(study, target_names=names)
    return plots


def _first_value(trial: FrozenTrial) -> float:
    value: float = trial.values[0]
    return value
