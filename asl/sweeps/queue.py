"""The trial queue: claim a trial, retry interrupted ones, drop duplicates, stop at the total.

Workers share nothing but the storage, so every step is safe in any order: each acts, then checks
whether another one was first. A trial that became superfluous that way is failed as a duplicate.
What is left to do follows from the trials alone, whatever was killed at whatever time.
"""

import contextlib
import secrets
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from asl.sweeps.optuna_private import record_heartbeat
from asl.sweeps.space import Space, Values, storable

# User attributes of a trial, beside Optuna's state; studies hold these strings.
WORKER = "worker"  # HOST:LOCK of the process that runs it
GIVEN = "given"  # values that were fixed before anything was drawn
POINT = "point"  # number of its point in a grid
RETRY_OF = "again"  # number of the interrupted trial that it repeats
END = "end"  # why a FAIL failed: CRASHED or DUPLICATE; without it, it was interrupted
ERROR = "error"  # of a crashed trial
WHY = "why"  # it was pruned
OVERRIDES = "overrides"  # its values as overrides of `asl train`
RUN = "run_id"  # of its run; with .1, .2, … appended, of further ones
CRASHED = "crashed"
DUPLICATE = "surplus"

_UNNAMED_SECONDS = 30  # within which a worker that claimed a trial sets WORKER


@dataclass
class Worker:
    """This process; its file lock becomes free when it ends, however it ends."""

    locks: Path
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        self.locks.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._file(self.name))
        self._lock.acquire()

    def leave(self) -> None:
        """Release the lock."""
        self._lock.release()
        self._file(self.name).unlink(missing_ok=True)

    def is_dead(self, name: str) -> bool:
        """Whether another worker of this machine has ended; False for other machines' workers.

        Machines may share a host name and no folder: a worker without a lock file here is another
        machine's.
        """
        here = name.partition(":")[0] == self.name.partition(":")[0] and self._file(name).exists()
        if name == self.name or not here:
            return False
        try:
            with FileLock(self._file(name), blocking=False):
                return True
        except Timeout:
            return False

    def forget(self, name: str) -> None:
        """Remove the lock file of a worker that was killed."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.locks / f"sweep-worker-{name.partition(':')[2]}.lock"


@dataclass(frozen=True)
class Goal:
    """What a study should contain.

    Attributes:
        space: what is drawn.
        total: number of trials to finish, complete or pruned.
        points: of a grid, queued one after the other; empty where values are drawn.
    """

    space: Space
    total: int
    points: Sequence[Values] = ()


@dataclass(frozen=True)
class Attempt:
    """A claimed trial.

    Attributes:
        trial: Optuna's.
        values: by key of the config.
        retry_of: numbers of the interrupted trials with the same values, the last one first.
    """

    trial: optuna.Trial
    values: Values
    retry_of: tuple[int, ...]


def next_attempt(study: optuna.Study, goal: Goal, worker: Worker) -> Attempt | None:
    """Claim the next trial; None where there is none at present. See `is_over`."""
    fail_stale_trials(study, worker)
    while True:
        trials = study.get_trials(deepcopy=False)
        waiting = any(trial.state is TrialState.WAITING for trial in trials)
        if not waiting and not _enqueue_retries(study, trials, goal):
            if len(_active(trials)) + len(_retryable(trials)) >= goal.total:
                return None
            if goal.points and not _enqueue_point(study, goal.points, trials):
                return None
        trial = None
        try:
            with defer_signals():  # a trial without WORKER could not be told dead at once
                trial = study.ask()
                record_heartbeat(study, trial)
                trial.set_user_attr(WORKER, worker.name)
            if not _is_duplicate(trial, study.get_trials(deepcopy=False), goal):
                values = goal.space.draw(trial)
                retry_of = _retry_chain(trial.number, study.get_trials(deepcopy=False))
                return Attempt(trial, values, retry_of)
            trial.set_user_attr(END, DUPLICATE)
            study.tell(trial, state=TrialState.FAIL)
        except BaseException:
            if trial:
                study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect at the end of the block."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [(n, signal.signal(n, lambda number, _: received.append(number))) for n in numbers]
    try:
        yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
        for first in received[:1]:
            signal.raise_signal(first)


def is_over(study: optuna.Study, goal: Goal) -> bool:
    """Whether nothing is left to do, for this worker or after the death of any other."""
    trials = study.get_trials(deepcopy=False)
    done = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(done) >= goal.total:
        return True
    if not goal.points or _next_point(goal.points, trials) is not None:
        return False
    return len(_active(trials)) == len(done) and not _retryable(trials)


def fail_stale_trials(study: optuna.Study, worker: Worker) -> list[int]:
    """Mark the trials of dead workers FAIL, and return their numbers.

    A worker of this machine is known to be dead by its lock, another one by its heartbeat.
    """
    with contextlib.suppress(UpdateFinishedTrialError):  # another worker was first
        optuna.storages.fail_stale_trials(study)
    dead = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if _has_dead_worker(trial, worker)
    ]
    for trial in dead:
        with contextlib.suppress(UpdateFinishedTrialError):  # `tell` looks before, not while
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        worker.forget(trial.user_attrs.get(WORKER, ""))
    return [trial.number for trial in dead]


def crashed(study: optuna.Study, since: datetime) -> list[FrozenTrial]:
    """Trials that ended with an error of their own."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        if trial.user_attrs.get(END) == CRASHED
        and trial.datetime_complete
        and trial.datetime_complete >= since
    ]


def was_interrupted(trial: FrozenTrial) -> bool:
    """Whether a trial ended neither by itself nor as a duplicate, and is to be run again."""
    return trial.state is TrialState.FAIL and END not in trial.user_attrs


def without_duplicates(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials without those that were dropped as duplicates."""
    return [trial for trial in trials if trial.user_attrs.get(END) != DUPLICATE]


def _has_dead_worker(trial: FrozenTrial, worker: Worker) -> bool:
    name = trial.user_attrs.get(WORKER)
    if name:
        return worker.is_dead(name)
    age = datetime.now() - (trial.datetime_start or datetime.now())
    return age > timedelta(seconds=_UNNAMED_SECONDS)


def _active(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that have finished or can still finish: all but the failed ones."""
    return [trial for trial in trials if trial.state is not TrialState.FAIL]


def _retryable(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The interrupted trials that have parameter values and no retry yet."""
    retried = {trial.user_attrs.get(RETRY_OF) for trial in without_duplicates(trials)}
    return [
        trial
        for trial in trials
        if was_interrupted(trial)
        and trial.number not in retried
        and (trial.params or trial.user_attrs.get(GIVEN))
    ]


def _enqueue_retries(study: optuna.Study, trials: Sequence[FrozenTrial], goal: Goal) -> bool:
    """Queue the interrupted trials again, and return whether there were any."""
    room = goal.total - len(_active(trials))
    retries = _retryable(trials)[: max(0, room)]
    for trial in retries:
        given = {**trial.user_attrs.get(GIVEN, {}), **trial.params}
        point = {POINT: trial.user_attrs[POINT]} if POINT in trial.user_attrs else {}
        study.enqueue_trial(given, user_attrs={GIVEN: given, RETRY_OF: trial.number, **point})
    return bool(retries)


def _next_point(points: Sequence[Values], trials: Sequence[FrozenTrial]) -> int | None:
    """Number of the first point of the grid that the study does not have."""
    present = {trial.user_attrs.get(POINT) for trial in without_duplicates(trials)}
    return next((number for number in range(len(points)) if number not in present), None)


def _enqueue_point(
    study: optuna.Study, points: Sequence[Values], trials: Sequence[FrozenTrial]
) -> bool:
    number = _next_point(points, trials)
    if number is None:
        return False
    given = {key: storable(value) for key, value in points[number].items()}
    study.enqueue_trial(given, user_attrs={GIVEN: given, POINT: number})
    return True


def _is_duplicate(trial: optuna.Trial, trials: Sequence[FrozenTrial], goal: Goal) -> bool:
    """Whether earlier trials reach the total without this one, or do the same as it.

    More than `goal.total` trials can't finish: the last of them would have found as many before
    it, as a finished trial never fails.
    """
    earlier = without_duplicates([other for other in trials if other.number < trial.number])
    attrs = trial.user_attrs
    if RETRY_OF in attrs:
        retried = any(other.user_attrs.get(RETRY_OF) == attrs[RETRY_OF] for other in earlier)
        return retried or len(_active(earlier)) >= goal.total
    # Retries come before anything new.
    if len(_active(earlier)) + len(_retryable(trials)) >= goal.total:
        return True
    if not goal.points:
        return False
    return POINT not in attrs or any(
        other.user_attrs.get(POINT) == attrs[POINT] for other in earlier
    )


def _retry_chain(number: int, trials: Sequence[FrozenTrial]) -> tuple[int, ...]:
    retry_of: Mapping[int, Any] = {t.number: t.user_attrs.get(RETRY_OF) for t in trials}
    chain = []
    while (number := retry_of.get(number)) is not None:  # type: ignore[assignment]
        chain.append(number)
    return tuple(chain)
