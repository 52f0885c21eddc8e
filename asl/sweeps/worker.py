"""One worker: claims trials until the study is finished, and records the result of each."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import optuna
from optuna.trial import TrialState

from asl.addresses import without_passwords
from asl.errors import first_line
from asl.sweeps.optuna_private import heartbeat
from asl.sweeps.queue import (
    CRASHED,
    END,
    ERROR,
    WHY,
    Attempt,
    Goal,
    Worker,
    crashed,
    is_over,
    next_attempt,
)

_POLL_SECONDS = 0.5  # while all that is left is run by others


@dataclass(frozen=True)
class Outcome:
    """The result of a trial: a value for each objective, or why it was pruned."""

    values: tuple[float, ...] = ()
    pruned: str | None = None


Objective = Callable[[Attempt], Outcome]


def work(
    study: optuna.Study,
    goal: Goal,
    worker: Worker,
    objective: Objective,
    max_failures: int,
    after_trial: Callable[[], None] = lambda: None,
) -> None:
    """Run trials until the study has its total, or too many crashed.

    Args:
        study: where trials are claimed.
        goal: when it is finished.
        worker: this process.
        objective: runs a trial.
        max_failures: crashed trials, of any worker since this one began, after which it stops.
        after_trial: called when a trial has ended, and while waiting for those of others.

    Raises:
        KeyboardInterrupt: on Ctrl-C; the trial is recorded as interrupted before.
    """
    began = datetime.now()
    while not is_over(study, goal) and len(crashed(study, began)) < max_failures:
        attempt = next_attempt(study, goal, worker)
        if attempt is None:
            time.sleep(_POLL_SECONDS)
        else:
            with heartbeat(study, attempt.trial):
                _run_trial(study, attempt, objective)
        after_trial()


def _run_trial(study: optuna.Study, attempt: Attempt, objective: Objective) -> None:
    trial = attempt.trial
    try:
        outcome = objective(attempt)
        if any(math.isnan(value) for value in outcome.values):
            raise ArithmeticError(f"the objective is {outcome.values}")
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the former into the latter
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise KeyboardInterrupt from None
    except Exception as error:
        what = without_passwords(first_line(error))
        trial.set_user_attr(ERROR, f"{type(error).__name__}: {what}")
        trial.set_user_attr(END, CRASHED)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return
    if outcome.pruned:
        trial.set_user_attr(WHY, outcome.pruned)
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    else:
        study.tell(trial, list(outcome.values), skip_if_finished=True)
