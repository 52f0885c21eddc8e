"""The Pareto front of a sweep with two objectives: trials that none other beats in both."""

from collections.abc import Mapping

import optuna
import pandas as pd


def front_table(study: optuna.Study, runs: Mapping[int, str]) -> pd.DataFrame:
    """A row for each trial of the front, the most accurate first.

    Args:
        study: of several objectives.
        runs: id of a trial's first run, by the trial's number.

    Returns:
        `trial`, a column for each objective, `run`, and the trial's values.
    """
    names = study.metric_names or [f"value_{n + 1}" for n in range(len(study.directions))]
    upwards = study.directions[0] is optuna.study.StudyDirection.MAXIMIZE
    best = sorted(study.best_trials, key=lambda trial: trial.values[0], reverse=upwards)
    return pd.DataFrame(
        {
            "trial": trial.number,
            **dict(zip(names, trial.values, strict=True)),
            "run": runs.get(trial.number, ""),
            **trial.params,
        }
        for trial in best
    )
