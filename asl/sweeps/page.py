"""A study as one interactive page that needs no network: plotly's script is in it."""

import html

import optuna
from optuna import visualization
from optuna.trial import TrialState
from plotly import graph_objects as go
from plotly.offline import get_plotlyjs

from asl.sweeps.pictures import objective_names, varying
from asl.sweeps.report import importances


def interactive_page(study: optuna.Study, text: str) -> str:
    """The page as HTML, some five megabytes, nearly all of them plotly's.

    Args:
        study: what is drawn of it is what can be drawn so far.
        text: to stand above the figures as it is.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    drawn = []
    what = objective_names(study)
    if len(complete) > 1:
        first = _first if len(what) > 1 else None
        drawn.append(
            visualization.plot_optimization_history(study, target=first, target_name=what[0])
        )
        if varied := sorted(varying(complete)):
            drawn += [
                plot(study, varied, target=first, target_name=what[0])
                for plot in (visualization.plot_parallel_coordinate, visualization.plot_slice)
            ]
    if found := importances(study):  # Optuna's own figure weighs two objectives one by one
        bars = go.Bar(x=list(found.values()), y=list(found), orientation="h")
        drawn.append(go.Figure(bars, {"title": "Importance", "yaxis": {"autorange": "reversed"}}))
    if pruned:
        drawn.append(visualization.plot_intermediate_values(study))
    if len(what) > 1 and complete:
        drawn.append(visualization.plot_pareto_front(study, target_names=what))
    name = html.escape(study.study_name)
    figures = [figure.to_html(full_html=False, include_plotlyjs=False) for figure in drawn]
    return "\n".join(
        [
            f"<!DOCTYPE html><html><head><meta charset='utf-8'><title>{name}</title>",
            f"<script>{get_plotlyjs()}</script></head>",
            "<body style='font-family: sans-serif'>",
            f"<h1>{name}</h1><pre>{html.escape(text)}</pre>",
            *figures,
            "</body></html>",
        ]
    )


def _first(trial: optuna.trial.FrozenTrial) -> float:
    value: float = trial.values[0]
    return value
