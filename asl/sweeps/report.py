"""Tables and importances of a study."""

import warnings
from collections.abc import Sequence

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from asl.sweeps.progress import ended_trials
from asl.sweeps.queue import RUN, was_interrupted

# A parameter matters as far as its values in the best quarter differ from those in all trials.
_QUARTER = 0.25
MIN_TRIALS = 20  # complete ones: the evaluator needs five in the quarter


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """A row for each trial that counts or crashed, the best first."""
    rows = []
    best_first = 1 if study.directions[0] is StudyDirection.MINIMIZE else -1
    for trial in ended_trials(study):
        if was_interrupted(trial):
            continue  # its retry has the row
        duration = trial.duration.total_seconds() if trial.duration else float("nan")
        values = trial.values or [trial.value if trial.state is TrialState.PRUNED else None]
        names = ["value", *(f"value_{number}" for number in range(2, len(values) + 1))]
        rows.append(
            {
                "trial": trial.number,
                "state": "FAILED" if trial.state is TrialState.FAIL else trial.state.name,
                **dict(zip(names, values, strict=True)),
                "seconds": round(duration, 1),
                **trial.params,
                "_order": (
                    trial.state is not TrialState.COMPLETE,
                    best_first * (values[0] if values[0] is not None else 0.0),
                    trial.number,
                ),
            }
        )
    rows.sort(key=lambda row: row.pop("_order"))
    return pd.DataFrame(rows)


def front_table(study: optuna.Study) -> pd.DataFrame:
    """The Pareto front: a row for each trial that no other beats in both objectives.

    Returns:
        `trial`, a column for each objective, `run`, which is the id of the trial's first run, and
        the trial's values; the best by the first objective first.
    """
    names = objective_names(study)
    maximize = study.directions[0] is StudyDirection.MAXIMIZE
    best = sorted(study.best_trials, key=lambda trial: trial.values[0], reverse=maximize)
    rows = [
        {
            "trial": trial.number,
            **dict(zip(names, trial.values, strict=True)),
            "run": trial.user_attrs.get(RUN, ""),
            **trial.params,
        }
        for trial in best
    ]
    table = pd.DataFrame(rows)
    return table.astype({"size": int}) if rows and "size" in names else table


def format_table(table: pd.DataFrame, most: int | None = None) -> str:
    """The first rows of a table of trials, as a terminal shows them."""
    shown = table.head(most if most is not None else len(table)).dropna(axis=1, how="all")
    text = shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}")
    left = len(table) - len(shown)
    return f"{text}\n… {left} more in trials.csv, in MLflow" if left else text


def objective_names(study: optuna.Study) -> list[str]:
    """The metric of each value of a trial."""
    count = len(study.directions)
    return study.metric_names or ["value", *(f"value_{n}" for n in range(2, count + 1))]


def varied_keys(trials: Sequence[FrozenTrial]) -> list[str]:
    """The parameters that have more than one value to choose from, sorted."""
    return sorted({k for t in trials for k, drawn in t.distributions.items() if not drawn.single()})


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter matters for a good value, as shares of 1, the largest first.

    By PED-ANOVA (Watanabe et al. 2023), which handles conditional parameters, and with two
    objectives asks for the Pareto front. Empty where fewer than `MIN_TRIALS` trials are complete,
    or nothing varies.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    keys = varied_keys(complete)
    if len(complete) < MIN_TRIALS or not keys:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_QUARTER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a choice that was drawn once
        shares = get_param_importances(study, evaluator=evaluator, params=keys)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def format_importances(study: optuna.Study) -> str:
    """The importances in a line, or why there are none."""
    shares = importances(study)
    if shares:
        return "importance: " + ", ".join(f"{key} {share:.2f}" for key, share in shares.items())
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) >= MIN_TRIALS:
        return "importance: no parameter varies"
    return f"importance: {len(complete)} complete trials are too few, {MIN_TRIALS} are needed"
