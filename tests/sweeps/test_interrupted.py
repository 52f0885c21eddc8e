"""Ctrl-C at any moment leaves no trial that seems to run."""

import signal

import optuna
import pytest

from asl.sweeps.progress import progress_of
from asl.sweeps.queue import WORKER, Goal, Worker, next_attempt
from asl.sweeps.space import parse
from asl.sweeps.study import StudyAddress, join_study

SPACE = parse({"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}})


class Interrupting(optuna.samplers.RandomSampler):
    """A sampler in whose work the interrupt comes: of all values at once, or of one."""

    def __init__(self, moment):
        super().__init__(seed=0)
        self.moment = moment

    def infer_relative_search_space(self, study, trial):
        if self.moment == "relative":
            signal.raise_signal(signal.SIGINT)
        return super().infer_relative_search_space(study, trial)

    def sample_independent(self, study, trial, name, distribution):
        if self.moment == name:
            signal.raise_signal(signal.SIGINT)
        return super().sample_independent(study, trial, name, distribution)


@pytest.fixture(autouse=True)
def heeded():
    """Ctrl-C raises, also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", ["relative", "x", "y"])
def test_interrupted_while_values_are_drawn_the_trial_does_not_seem_to_run(tmp_path, moment):
    address = StudyAddress(f"sqlite:///{tmp_path}/optuna.db", "study")
    study = join_study(address, ("maximize",), {}, tmp_path)
    worker = Worker(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    study.sampler = Interrupting(moment)
    with pytest.raises(KeyboardInterrupt):
        next_attempt(study, Goal(SPACE, 3), worker)
    (trial,) = study.trials
    assert trial.state.name == "FAIL"
    assert trial.user_attrs[WORKER] == worker.name
    assert signal.getsignal(signal.SIGINT) is before
    assert str(progress_of(study, 3)) == "0 of 3 trials: 1 interrupted"
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    attempt = next_attempt(study, Goal(SPACE, 3), worker)
    assert trial.params.items() <= attempt.values.items()
    worker.leave()
