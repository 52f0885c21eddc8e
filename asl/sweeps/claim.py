"""Whose turn is it? Every trial is done by one worker, none is lost, and none is one too many.

Workers share nothing but the storage, so what they do is safe in any order: each acts, then looks
whether another one was first. A trial that another worker's made superfluous is put away as
surplus. What is still to do follows from the trials alone, whatever was killed when.
"""

import contextlib
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from asl.sweeps.space import Space, Values, storable

# What a trial says of itself, beside Optuna's state.
WORKER = "worker"  # host:lock of the process that does it
GIVEN = "given"  # values that it was given before anything was drawn
POINT = "point"  # number of its point in a grid
AGAIN = "again"  # number of the trial that it does again, because that one's worker died
END = "end"  # why a FAIL failed: CRASHED or SURPLUS; without it, it was interrupted
CRASHED = "crashed"
SURPLUS = "surplus"

_UNNAMED_SECONDS = 30  # in which a worker that took a trial says who it is


@dataclass
class Worker:
    """This process; its lock is free as soon as it is dead, however it died."""

    locks: Path
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        self.locks.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._file(self.name))
        self._lock.acquire()

    def leave(self) -> None:
        """Give the lock back."""
        self._lock.release()
        self._file(self.name).unlink(missing_ok=True)

    def is_dead(self, name: str) -> bool:
        """Whether another worker of this machine is no more; False for other machines'.

        Machines may have one host name and share no folder: who never had a lock here is another's.
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
        """Clear up after a worker that was killed."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.locks / f"sweep-worker-{name.partition(':')[2]}.lock"


@dataclass(frozen=True)
class Plan:
    """What a study is to come to.

    Attributes:
        space: what is drawn.
        total: trials to finish, complete or pruned.
        points: of a grid, given one after the other; empty where values are drawn.
    """

    space: Space
    total: int
    points: Sequence[Values] = ()


@dataclass(frozen=True)
class Attempt:
    """A trial that is this worker's to do.

    Attributes:
        trial: Optuna's.
        values: by key of the config.
        before: numbers of the trials whose workers died doing the same, the last one first.
    """

    trial: optuna.Trial
    values: Values
    before: tuple[int, ...]


def next_attempt(study: optuna.Study, plan: Plan, worker: Worker) -> Attempt | None:
    """Take the next trial; None where there is none at present. See `is_over`."""
    end_the_dead(study, worker)
    while True:
        trials = study.get_trials(deepcopy=False)
        waiting = any(trial.state is TrialState.WAITING for trial in trials)
        if not waiting and not _ask_again(study, trials, plan):
            if len(_alive(trials)) + len(_owed(trials)) >= plan.total:
                return None
            if plan.points and not _give_point(study, plan.points, trials):
                return None
        trial = None
        try:
            with _undisturbed():  # or nobody would know whose the trial is
                trial = study.ask()
                study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
                trial.set_user_attr(WORKER, worker.name)
            if not _superfluous(trial, study.get_trials(deepcopy=False), plan):
                values = plan.space.draw(trial)
                before = _before(trial.number, study.get_trials(deepcopy=False))
                return Attempt(trial, values, before)
            trial.set_user_attr(END, SURPLUS)
            study.tell(trial, state=TrialState.FAIL)
        except BaseException:
            if trial:
                study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and termination take effect when what is done inside is done."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [(n, signal.signal(n, lambda number, _: came.append(number))) for n in numbers]
    try:
        yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
        for first in came[:1]:
            signal.raise_signal(first)


def is_over(study: optuna.Study, plan: Plan) -> bool:
    """Whether nothing is left to do, by this worker or by any other that may yet die."""
    trials = study.get_trials(deepcopy=False)
    done = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(done) >= plan.total:
        return True
    if not plan.points or _next_point(plan.points, trials) is not None:
        return False
    return len(_alive(trials)) == len(done) and not _owed(trials)


def end_the_dead(study: optuna.Study, worker: Worker) -> list[int]:
    """Mark the trials FAIL whose workers died; their numbers."""
    fail_stale_trials(study)
    dead = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if _is_dead(trial, worker)
    ]
    for trial in dead:
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        worker.forget(trial.user_attrs.get(WORKER, ""))
    return [trial.number for trial in dead]


def crashed(study: optuna.Study, since: datetime) -> list[FrozenTrial]:
    """Trials that ended with an error of their own."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return [
        trial
        for trial in failed
        if trial.user_attrs.get(END) == CRASHED
        and trial.datetime_complete
        and trial.datetime_complete >= since
    ]


def _is_dead(trial: FrozenTrial, worker: Worker) -> bool:
    name = trial.user_attrs.get(WORKER)
    if name:
        return worker.is_dead(name)
    age = datetime.now() - (trial.datetime_start or datetime.now())
    return age > timedelta(seconds=_UNNAMED_SECONDS)


def _alive(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that are finished, or may be."""
    return [trial for trial in trials if trial.state is not TrialState.FAIL]


def _wanted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.user_attrs.get(END) != SURPLUS]


def _owed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Interrupted ones that had values and that nobody has taken up yet."""
    taken_up = {trial.user_attrs.get(AGAIN) for trial in _wanted(trials)}
    return [
        trial
        for trial in trials
        if trial.state is TrialState.FAIL
        and END not in trial.user_attrs
        and trial.number not in taken_up
        and (trial.params or trial.user_attrs.get(GIVEN))
    ]


def _ask_again(study: optuna.Study, trials: Sequence[FrozenTrial], plan: Plan) -> bool:
    """Put what was interrupted in the queue; whether there was any."""
    room = plan.total - len(_alive(trials))
    owed = _owed(trials)[: max(0, room)]
    for trial in owed:
        given = {**trial.user_attrs.get(GIVEN, {}), **trial.params}
        kept = {POINT: trial.user_attrs[POINT]} if POINT in trial.user_attrs else {}
        study.enqueue_trial(given, user_attrs={GIVEN: given, AGAIN: trial.number, **kept})
    return bool(owed)


def _next_point(points: Sequence[Values], trials: Sequence[FrozenTrial]) -> int | None:
    """Number of the first point of the grid that the study does not have."""
    known = {trial.user_attrs.get(POINT) for trial in _wanted(trials)}
    return next((number for number in range(len(points)) if number not in known), None)


def _give_point(
    study: optuna.Study, points: Sequence[Values], trials: Sequence[FrozenTrial]
) -> bool:
    number = _next_point(points, trials)
    if number is None:
        return False
    given = {key: storable(value) for key, value in points[number].items()}
    study.enqueue_trial(given, user_attrs={GIVEN: given, POINT: number})
    return True


def _superfluous(trial: optuna.Trial, trials: Sequence[FrozenTrial], plan: Plan) -> bool:
    """Whether enough trials were there before this one, or one that does the same.

    Were more than `plan.total` trials ever finished, the last of them would have found as many
    before it, for a finished trial never fails.
    """
    earlier = _wanted([other for other in trials if other.number < trial.number])
    attrs = trial.user_attrs
    if AGAIN in attrs:
        taken_up = any(other.user_attrs.get(AGAIN) == attrs[AGAIN] for other in earlier)
        return taken_up or len(_alive(earlier)) >= plan.total
    # What is owed goes before anything new.
    if len(_alive(earlier)) + len(_owed(trials)) >= plan.total:
        return True
    if not plan.points:
        return False
    return POINT not in attrs or any(
        other.user_attrs.get(POINT) == attrs[POINT] for other in earlier
    )


def _before(number: int, trials: Sequence[FrozenTrial]) -> tuple[int, ...]:
    again: Mapping[int, Any] = {trial.number: trial.user_attrs.get(AGAIN) for trial in trials}
    chain = []
    while (number := again.get(number)) is not None:  # type: ignore[assignment]
        chain.append(number)
    return tuple(chain)


def wait_a_little() -> None:
    """Pause before looking again whether others' trials have ended."""
    time.sleep(0.5)
