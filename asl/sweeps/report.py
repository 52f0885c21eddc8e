"""What a sweep says while it runs, and at its end."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from asl.sweeps.claim import END, SURPLUS
from asl.sweeps.study import best_trial, finished
from asl.sweeps.worker import ERROR, WHY

# A parameter matters as far as the best quarter's values of it differ from all trials' values.
_QUARTER = 0.25
FEWEST = 20  # complete trials for that: Optuna wants five in the quarter


class Lines:
    """One line for each trial that ends, whoever did it."""

    def __init__(self, study: optuna.Study, total: int, say: Callable[[str], None]) -> None:
        self._study, self._total, self._say = study, total, say
        self._told = {trial.number for trial in _ended(study)}
        self._at_start = self._done = len(finished(study))
        self._began = time.perf_counter()

    def __call__(self) -> None:
        """Tell of the trials that have ended since the last call."""
        fresh = [trial for trial in _ended(self._study) if trial.number not in self._told]
        for trial in sorted(fresh, key=lambda trial: trial.datetime_complete or 0):  # type: ignore[arg-type,return-value]
            self._told.add(trial.number)
            self._done += trial.state is not TrialState.FAIL
            self._say(self._line(trial))

    def _line(self, trial: FrozenTrial) -> str:
        done, best = self._done, best_trial(self._study)
        here = done - self._at_start
        spent = time.perf_counter() - self._began
        left = f"{readable(spent / here * (self._total - done))} left" if here else "…"
        parts = [
            f"{done:>4} of {self._total}",
            f"trial {trial.number}: {result(trial)}",
            f"best {best.values[0]:.4f} (trial {best.number})" if best else "",
            described(trial.params),
            f"({left})",
        ]
        return "  ".join(filter(None, parts))


def readable(seconds: float) -> str:
    """A duration, `40 s` or `3 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def described(values: dict[str, Any]) -> str:
    """A trial's values in one line."""
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
    )


def result(trial: FrozenTrial) -> str:
    """What came of a trial."""
    if trial.state is TrialState.COMPLETE:
        return ", ".join(f"{value:.4f}" for value in trial.values)
    if trial.state is TrialState.PRUNED:
        return f"PRUNED, {trial.user_attrs.get(WHY, '')}"
    if END in trial.user_attrs:
        return f"FAILED, {trial.user_attrs.get(ERROR, '')}"
    return "interrupted, to be done again"


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """A row a trial that counts or crashed, the best first."""
    rows = []
    best_first = 1 if study.directions[0] is optuna.study.StudyDirection.MINIMIZE else -1
    for trial in _ended(study):
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


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=ended)
    return [trial for trial in trials if trial.user_attrs.get(END) != SURPLUS]
