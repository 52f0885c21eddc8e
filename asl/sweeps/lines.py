"""What a sweep says of its trials as they end: a line for each."""

import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from asl.sweeps.claim import END, SURPLUS
from asl.sweeps.study import best_trial, finished
from asl.sweeps.worker import ERROR, WHY


class Lines:
    """One line for each trial that ends, whoever did it."""

    def __init__(self, study: optuna.Study, total: int, say: Callable[[str], None]) -> None:
        self._study, self._total, self._say = study, total, say
        self._told = {trial.number for trial in ended(study)}
        self._at_start = self._done = len(finished(study))
        self._began = time.perf_counter()

    def __call__(self) -> None:
        """Tell of the trials that have ended since the last call."""
        fresh = [trial for trial in ended(self._study) if trial.number not in self._told]
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


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have come to an end, but for those that were too many."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=states)
    return [trial for trial in trials if trial.user_attrs.get(END) != SURPLUS]
