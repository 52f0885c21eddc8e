"""What a sweep says at its end: the table of its trials, and what each parameter mattered."""

import warnings

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from asl.sweeps.claim import END
from asl.sweeps.lines import ended

# A parameter matters as far as the best quarter's values of it differ from all trials' values.
_QUARTER = 0.25
FEWEST = 20  # complete trials for that: Optuna wants five in the quarter


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """A row a trial that counts or crashed, the best first."""
    rows = []
    best_first = 1 if study.directions[0] is optuna.study.StudyDirection.MINIMIZE else -1
    for trial in ended(study):
        if trial.state is TrialState.FAIL and END not in trial.user_attrs:
            continue  # another one did the same
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


def printed(table: pd.DataFrame, most: int | None = None) -> str:
    """A table of trials as a terminal shows it, its first rows."""
    shown = table.head(most if most is not None else len(table)).dropna(axis=1, how="all")
    text = shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}")
    left = len(table) - len(shown)
    return f"{text}\n… {left} more in trials.csv, in MLflow" if left else text


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter matters for a good value, as shares of 1, the largest first.

    By PED-ANOVA (Watanabe et al. 2023), which takes conditional parameters as well, and with two
    objectives asks for the Pareto front. Empty where fewer than `FEWEST` trials are complete, or
    nothing varies.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    varied = {k for t in complete for k, drawn in t.distributions.items() if not drawn.single()}
    if len(complete) < FEWEST or not varied:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a choice that was drawn once
        found = get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=_QUARTER),
            params=sorted(varied),
        )
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def said_importances(study: optuna.Study) -> str:
    """The importances in a line, or why there are none."""
    found = importances(study)
    if found:
        return "importance: " + ", ".join(f"{key} {share:.2f}" for key, share in found.items())
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return f"importance: {len(complete)} complete trials are too few, {FEWEST} say something"
