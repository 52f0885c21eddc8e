"""A study comes to its total, whatever is interrupted: nothing is lost, nothing counted twice."""

import multiprocessing
import os
import time
from datetime import datetime

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from asl.addresses import without_passwords
from asl.errors import UserError
from asl.sweeps import study as studies
from asl.sweeps.queue import END, Goal, Worker, crashed, fail_stale_trials, is_over, next_attempt
from asl.sweeps.report import trial_table
from asl.sweeps.space import parse
from asl.sweeps.study import StudyAddress, finished, join_study
from asl.sweeps.worker import Outcome, work

SPACE = parse({"x": {"low": 0.0, "high": 1.0}, "kind": {"choices": ["a", "b"]}})
GRID = parse({"kind": {"choices": ["a", "b", "c"]}, "size": {"choices": [1, 2]}})


def opened(folder, name="study", seed=0, identity=None):
    address = StudyAddress(f"sqlite:///{folder}/optuna.db", name)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    return join_study(address, ("maximize",), identity or {}, folder, sampler=sampler)


@pytest.fixture
def worker(tmp_path):
    worker = Worker(tmp_path)
    yield worker
    worker.leave()


def value(attempt):
    return Outcome((attempt.values.get("x", 0.5),))


def do(study, goal, worker, objective=value, max_failures=3):
    work(study, goal, worker, objective, max_failures)


def states(study):
    return [trial.state.name for trial in study.trials]


def test_it_goes_on_to_a_total_and_no_further(tmp_path, worker):
    do(opened(tmp_path), Goal(SPACE, 3), worker)
    do(opened(tmp_path), Goal(SPACE, 3), worker)
    assert len(opened(tmp_path).trials) == 3
    do(opened(tmp_path, seed=1), Goal(SPACE, 5), worker)
    assert states(opened(tmp_path)) == ["COMPLETE"] * 5


def test_an_interrupted_trial_is_done_again_with_the_same_values(tmp_path, worker):
    seen = []

    def interrupted(attempt):
        seen.append(attempt.values)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return value(attempt)

    with pytest.raises(KeyboardInterrupt):
        do(opened(tmp_path), Goal(SPACE, 3), worker, interrupted)
    assert states(opened(tmp_path)) == ["COMPLETE", "FAIL"]
    attempts = []
    do(opened(tmp_path, seed=1), Goal(SPACE, 3), worker, lambda a: attempts.append(a) or value(a))
    assert attempts[0].values == seen[1]
    assert attempts[0].retry_of == (1,)
    assert len(finished(opened(tmp_path))) == 3
    assert len(trial_table(opened(tmp_path))) == 3  # the interrupted attempt is no row of its own


def test_a_worker_that_died_is_noticed_at_once_and_its_trial_done_again(tmp_path, worker):
    study = opened(tmp_path)
    other = Worker(tmp_path)
    lost = next_attempt(study, Goal(SPACE, 2), other)
    assert fail_stale_trials(study, worker) == []  # it lives
    other._lock.release()  # as the system does when a process ends
    assert fail_stale_trials(study, worker) == [lost.trial.number]
    seen = []
    do(study, Goal(SPACE, 2), worker, lambda a: seen.append(a.values) or value(a))
    assert lost.values in seen
    assert len(seen) == 2


def test_a_dead_worker_of_another_machine_is_noticed_by_its_heartbeat(
    tmp_path, worker, monkeypatch
):
    monkeypatch.setattr(studies, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(studies, "DEAD_AFTER_SECONDS", 2)
    study = opened(tmp_path)
    elsewhere = Worker(tmp_path, name="elsewhere:1")
    lost = next_attempt(study, Goal(SPACE, 1), elsewhere)
    study._storage.record_heartbeat(lost.trial._trial_id)
    elsewhere.leave()
    assert fail_stale_trials(study, worker) == []
    time.sleep(3.5)
    seen = []
    do(study, Goal(SPACE, 1), worker, lambda a: seen.append(a.values) or value(a))
    assert seen == [lost.values]


def test_no_worker_takes_a_trial_that_another_one_may_finish(tmp_path, worker):
    study, goal = opened(tmp_path), Goal(SPACE, 2)
    others = Worker(tmp_path)
    first = next_attempt(study, goal, others)
    assert next_attempt(study, goal, others)
    assert next_attempt(study, goal, worker) is None
    assert not is_over(study, goal)
    study.tell(first.trial, state=TrialState.FAIL)  # interrupted
    again = next_attempt(study, goal, worker)
    assert again.values == first.values
    others.leave()


def test_one_trial_too_many_is_put_away(tmp_path, worker):
    """Two workers that both saw room for one more: the later number gives way."""
    study, goal = opened(tmp_path), Goal(SPACE, 1)
    ask = study.ask

    def another_was_faster():
        study.ask = ask
        ask().set_user_attr("worker", "elsewhere:1")
        return ask()

    study.ask = another_was_faster
    assert next_attempt(study, goal, worker) is None
    assert study.trials[1].user_attrs[END] == "surplus"
    study.tell(0, 1.0)
    assert is_over(study, goal)


def test_a_grid_gives_every_point_once_beside_interruptions_and_crashes(tmp_path, worker):
    goal = Goal(GRID, 6, GRID.grid())
    calls = []

    def moody(attempt):
        calls.append(attempt.values)
        if len(calls) == 2:
            raise KeyboardInterrupt
        if attempt.values == {"kind": "c", "size": 1}:
            raise RuntimeError("no such combination")
        return value(attempt)

    with pytest.raises(KeyboardInterrupt):
        do(opened(tmp_path), goal, worker, moody)
    do(opened(tmp_path), goal, worker, moody)
    study = opened(tmp_path)
    assert is_over(study, goal)
    assert calls[1] == calls[2]
    done = [trial.params for trial in finished(study)]
    assert len(done) == 5
    assert all(point in done for point in GRID.grid() if point != {"kind": "c", "size": 1})


def test_crashes_do_not_count_and_too_many_end_it(tmp_path, worker):
    began = datetime.now()

    def crashing(attempt):
        if attempt.trial.number % 2:
            raise RuntimeError("boom\nand more")
        return value(attempt)

    study = opened(tmp_path)
    do(study, Goal(SPACE, 3), worker, crashing)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert [t.user_attrs["error"] for t in crashed(study, began)] == ["RuntimeError: boom"] * 2
    do(study, Goal(SPACE, 99), worker, lambda attempt: 1 / 0, max_failures=3)
    assert states(study)[5:] == ["FAIL"] * 3


def test_a_value_that_is_no_number_is_a_crash(tmp_path, worker):
    study = opened(tmp_path)
    do(study, Goal(SPACE, 1), worker, lambda attempt: Outcome((float("nan"),)), max_failures=1)
    assert study.trials[0].user_attrs[END] == "crashed"


def test_pruned_trials_count(tmp_path, worker):
    def hopeless(attempt):
        attempt.trial.report(0.1, 0)
        return Outcome(pruned="median after epoch 1")

    study = opened(tmp_path)
    do(study, Goal(SPACE, 2), worker, hopeless)
    assert states(study) == ["PRUNED"] * 2
    assert study.trials[0].value == 0.1


def test_the_same_name_with_another_question_is_refused(tmp_path):
    opened(tmp_path, identity={"data": "abc", "settings": {"epochs": 10, "lr": 0.1}})
    opened(tmp_path, identity={"data": "abc", "settings": {"epochs": 10, "lr": 0.1}})
    with pytest.raises(UserError, match=r"sweep\.name=study: .* another settings \(epochs=10\)"):
        opened(tmp_path, identity={"data": "abc", "settings": {"epochs": 20, "lr": 0.1}})
    with pytest.raises(UserError, match="another data; give this one another name"):
        opened(tmp_path, identity={"data": "xyz", "settings": {"epochs": 10, "lr": 0.1}})


def test_passwords_are_not_printed():
    assert without_passwords("postgresql://ann:secret@host/db") == "postgresql://ann:***@host/db"
    with pytest.raises(UserError) as error:
        studies.open_storage("postgresql+nonsense://ann:secret@host/db")
    assert "secret" not in str(error.value)
    with pytest.raises(UserError, match="should be sqlite:///FILE"):
        studies.open_storage("optuna.log")


def _work_and_die(folder, seconds):
    worker = Worker(folder)
    began = time.monotonic()

    def slow(attempt):
        time.sleep(0.05)
        if time.monotonic() - began > seconds:
            os._exit(9)
        return value(attempt)

    work(opened(folder, seed=int(seconds * 100)), Goal(SPACE, 20), worker, slow, 3)


def test_processes_that_die_and_race_come_to_the_exact_total(tmp_path, worker):
    context = multiprocessing.get_context("fork")
    opened(tmp_path)
    others = [context.Process(target=_work_and_die, args=(tmp_path, s)) for s in (0.2, 0.4, 9)]
    for process in others:
        process.start()
    do(opened(tmp_path, seed=7), Goal(SPACE, 20), worker)
    for process in others:
        process.join()
    study = opened(tmp_path)
    assert len(finished(study)) == 20
    done = [trial.params for trial in finished(study)]
    lost = [t for t in study.trials if t.state is TrialState.FAIL and END not in t.user_attrs]
    assert all(trial.params in done for trial in lost)


def test_machines_of_one_name_that_share_nothing_leave_each_other_alone(tmp_path):
    """Containers, say; but on one machine the dead are known at once, and again after a kill."""
    study = opened(tmp_path)
    mine, stranger, killed = (Worker(tmp_path / name) for name in ("a", "b", "a"))
    for other in (stranger, killed):
        assert next_attempt(study, Goal(SPACE, 3), other)
    assert fail_stale_trials(study, mine) == []
    killed._lock.release()
    stranger._lock.release()
    assert mine.is_dead(killed.name)
    assert fail_stale_trials(study, mine) == [1]
    assert states(study) == ["RUNNING", "FAIL"]
    assert len(list((tmp_path / "a").glob("sweep-worker-*"))) == 1


def test_two_workers_may_notice_a_death_at_once(tmp_path, monkeypatch):
    study = opened(tmp_path)
    mine, killed = Worker(tmp_path / "a"), Worker(tmp_path / "a")
    assert next_attempt(study, Goal(SPACE, 3), killed)
    killed._lock.release()
    tell = optuna.Study.tell

    def second(*arguments, **options):
        tell(*arguments, **options)
        raise UpdateFinishedTrialError

    monkeypatch.setattr(optuna.Study, "tell", second)
    assert fail_stale_trials(study, mine) == [0]
    assert states(study) == ["FAIL"]


def test_who_is_killed_while_values_are_drawn_is_missed_on_other_machines_too(
    tmp_path, monkeypatch
):
    class Killed(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            monkeypatch.setattr(optuna.Study, "tell", lambda *a, **k: None)
            raise SystemExit

    study, worker = opened(tmp_path), Worker(tmp_path / "there")
    study.sampler = Killed()
    with pytest.raises(SystemExit):
        next_attempt(study, Goal(SPACE, 3), worker)
    monkeypatch.undo()
    here = Worker(tmp_path / "here")
    monkeypatch.setattr(studies, "DEAD_AFTER_SECONDS", 1)
    study = opened(tmp_path)
    fail_stale_trials(study, here)
    assert states(study) == ["RUNNING"]
    time.sleep(2.1)
    fail_stale_trials(study, here)
    assert states(study) == ["FAIL"]
