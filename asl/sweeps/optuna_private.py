"""What the sweeps use of Optuna beyond its public API, in one place.

`Study.optimize` does all of this, but ends after so many more trials instead of at a total
(optuna#3518), so the sweeps ask for trials themselves.
"""

from typing import Any

import optuna
from optuna.storages._heartbeat import BaseHeartbeatThread, get_heartbeat_thread


def storage_of(study: optuna.Study) -> Any:
    """The storage that a study was opened in, to open its sibling studies."""
    return study._storage


def heartbeat(study: optuna.Study, trial: optuna.Trial) -> BaseHeartbeatThread:
    """A thread that records that the trial's worker is alive, as `Study.optimize` runs one.

    It runs for the length of a `with` block.
    """
    return get_heartbeat_thread(trial._trial_id, study._storage)


def record_heartbeat(study: optuna.Study, trial: optuna.Trial) -> None:
    """Record one heartbeat: a worker killed while values are drawn has no thread yet."""
    storage_of(study).record_heartbeat(trial._trial_id)


def stale_trials(study: optuna.Study) -> set[int]:
    """Numbers of the running trials without a recent heartbeat.

    The public `optuna.storages.fail_stale_trials` finds the same ones, but also fails them, which
    a look at a study's progress must not.
    """
    stale = set(storage_of(study)._get_stale_trial_ids(study._study_id))
    trials = study.get_trials(deepcopy=False)
    return {trial.number for trial in trials if trial._trial_id in stale}
