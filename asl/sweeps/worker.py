"""One worker: takes trials until the study is finished, and tells what came of each."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import optuna
from optuna.storages._heartbeat import get_heartbeat_thread  # what Study.optimize uses
from optuna.trial import TrialState

from asl.sweeps.claim import (
    CRASHED,
    END,
    Attempt,
    Plan,
    Worker,
    crashed,
    is_over,
    next_attempt,
    wait_a_little,
)

ERROR = "error"  # what a crashed trial died of
WHY = "why"  # a trial was pruned


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: a value for each objective, or why it was pruned."""

    values: tuple[float, ...] = ()
    pruned: str | None = None


Objective = Callable[[Attempt], Outcome]


def work(
    study: optuna.Study,
    plan: Plan,
    worker: Worker,
    objective: Objective,
    max_failures: int,
    after_trial: Callable[[], None] = lambda: None,
) -> None:
    """Do trials until the study has its total, or too many crashed.

    Args:
        study: to take them from.
        plan: what it is to come to.
        worker: this process.
        objective: does a trial.
        max_failures: crashed trials, of any worker since this one began, after which it stops.
        after_trial: called when one has ended, and while waiting for those of others.

    Raises:
        KeyboardInterrupt: on Ctrl-C; the trial is put down as interrupted before.
    """
    began = datetime.now()
    while not is_over(study, plan) and len(crashed(study, began)) < max_failures:
        attempt = next_attempt(study, plan, worker)
        if attempt is None:
            wait_a_little()
        else:
            with get_heartbeat_thread(attempt.trial._trial_id, study._storage):
                _do(study, attempt, objective)
        after_trial()


def _do(study: optuna.Study, attempt: Attempt, objective: Objective) -> None:
    trial = attempt.trial
    try:
        outcome = objective(attempt)
        if any(math.isnan(value) for value in outcome.values):
            raise ArithmeticError(f"the objective is {outcome.values}")
    except (KeyboardInterrupt, SystemExit):  # Lightning makes the latter of the former
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise KeyboardInterrupt from None
    except Exception as error:
        trial.set_user_attr(
            ERROR, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        )
        trial.set_user_attr(END, CRASHED)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return
    if outcome.pruned:
        trial.set_user_attr(WHY, outcome.pruned)
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    else:
        study.tell(trial, list(outcome.values), skip_if_finished=True)
