"""Sweeps end to end: no trial lost, none run twice, none that sees the test clips."""

import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from asl.cli import run
from asl.sweeps import run as sweeping
from asl.training.module import SignClassifier

START = "import sys; from asl.cli import main; sys.argv = ['asl', *sys.argv[1:]]; main()"
SMALL = ["model=cnn", "model.hidden=8", "trainer=smoke"]
CONDITIONAL = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "regularization": {"choices": ["none", "light"]},
    "regularization.dropout": {"choices": [0.1, 0.2], "when": {"regularization": "light"}},
}
RATE = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


class Sweeps:
    """Runs sweeps over small generated clips; each test's have a name of their own."""

    def __init__(self, folder, workbench):
        self.folder, self.data, self.tracking = folder, workbench.data, workbench.tracking
        self.name = folder.name

    def arguments(self, space, *more, **settings):
        (self.folder / "sweep").mkdir(exist_ok=True)
        node = {
            "name": self.name,
            "n_trials": 2,
            "sampler": "random",
            "pruner": "none",
            "final_seeds": 0,
            "space": space,
            **settings,
        }
        described = {"defaults": ["base/settings@_here_", "_self_"], **node}
        (self.folder / "sweep/mine.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
        return [
            *("sweep", "--config-dir", str(self.folder), "sweep=mine"),
            *self.data,
            *SMALL,
            self.tracking,
            f"sweep.storage=sqlite:///{self.folder}/optuna.db",
            *more,
        ]

    def __call__(self, space, *more, **settings):
        return run(self.arguments(space, *more, **settings))

    @property
    def tracker(self):
        from asl.tracking.store import open_tracker

        return open_tracker({"uri": self.tracking.partition("=")[2], "experiment": "asl"})

    def runs(self, name=None):
        from asl.tracking.find import children, find_runs

        (parent,) = [
            found
            for found in find_runs(self.tracker)
            if found.tags["kind"] == "sweep" and found.tags["sweep"] == (name or self.name)
        ]
        return parent, children(self.tracker, parent.run_id)[::-1]

    def trials(self, name=None):
        import optuna

        storage = f"sqlite:///{self.folder}/optuna.db"
        return optuna.load_study(study_name=name or self.name, storage=storage).get_trials()


@pytest.fixture
def sweeps(workbench, tmp_path):
    return Sweeps(tmp_path, workbench)


@pytest.fixture(scope="module")
def finished(workbench, tmp_path_factory):
    """A sweep of two trials and a final run that has come to its end."""
    sweeps = Sweeps(tmp_path_factory.mktemp("finished"), workbench)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert sweeps(CONDITIONAL, final_seeds=1) == 0
    sweeps.printed = (out.getvalue(), err.getvalue())
    return sweeps


def test_a_sweep_end_to_end(finished):
    out, err = finished.printed
    assert "2 of 2" in err
    assert "asl export run=" in out
    parent, children = finished.runs()
    assert parent.status == "FINISHED"
    trials, (final,) = children[:2], children[2:]
    assert [child.tags["sweep.trial"] for child in trials] == ["0", "1"]
    assert all(child.tags["sweep.state"] == "COMPLETE" for child in trials)
    assert all(child.tags["mlflow.parentRunId"] == parent.run_id for child in children)
    assert not any(name.startswith("test/") for child in trials for name in child.metrics)
    values = [trial.value for trial in finished.trials()]
    assert values == [pytest.approx(child.metrics["val/f1"]) for child in trials]
    assert parent.metrics["best_value"] == pytest.approx(max(values))
    assert final.tags["sweep.state"] == "FINAL"
    assert parent.metrics["test/accuracy"] == final.metrics["test/accuracy"]
    assert f"test ({final.tags['split']}): accuracy" in out
    assert parent.tags["best_child"] == final.run_id


def test_the_same_command_has_nothing_left_to_do(finished):
    assert finished(CONDITIONAL, final_seeds=1) == 0
    assert len(finished.runs()[1]) == 3


def test_a_trial_can_be_repeated_by_hand(finished):
    from asl.tracking.find import find_runs

    _, children = finished.runs()
    overrides = children[1].tags["sweep.overrides"].split(" ")
    assert run(["train", *overrides, "test=false", finished.tracking]) == 0
    again = max(find_runs(finished.tracker), key=lambda found: found.started)
    assert again.metrics["val/loss"] == children[1].metrics["val/loss"]


def test_the_same_name_for_another_search_is_refused(finished, capsys):
    other = {"model.layers": {"low": 1, "high": 2}}
    assert finished(other, final_seeds=1) == 2
    assert f"sweep.name={finished.name}" in capsys.readouterr().err
    assert finished(CONDITIONAL, "data.batch_size=7", final_seeds=1) == 2
    assert "data.batch_size=64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "more", "words"),
    [
        ({"model.hiden": {"choices": [8]}}, [], ["space.model.hiden", "no such key", "hidden"]),
        (
            {"model": {"choices": ["cnn", "gruu"]}},
            ["~model"],
            ["space.model=gruu", "choose from", "gru"],
        ),
        (
            {"model": {"choices": ["cnn", "gru"]}, "model.kernel": {"choices": [3, 5]}},
            ["~model"],
            ["space.model.kernel", "model=gru", "when"],
        ),
        ({"model": {"low": 1, "high": 2}}, ["~model"], ["space.model", "group"]),
        ({"model.layers": {"low": 0, "high": 3}}, [], ["model.layers=0", "greater than"]),
        ({"split": {"choices": ["random"]}}, [], ["space.split", "all trials"]),
        (RATE, ["sweep.n_trials=0"], ["sweep.n_trials=0", "greater than 0"]),
        (RATE, ["sweep.sampler=grid"], ["sampler=grid", "continuous"]),
        (RATE, ["sweep.fixed=['trainer.max_epoch=1']"], ["sweep.fixed", "trainer.max_epoch"]),
        (RATE, ["sweep.fixed=['data.dtype=float16']"], ["sweep.fixed", "type it instead"]),
        ({"data.keep": {"choices": ["all"]}}, [], ["space.data.keep", "same for all trials"]),
        (RATE, ["sweep.folds=9"], ["sweep.folds=9", "sweep.seeds"]),
        (
            RATE,
            ["sweep.second_objective=size", "sweep.pruner=median"],
            ["sweep.pruner=median", "choose none"],
        ),
        (RATE, ["sweep.second_objective=size", "sweep.sampler=gp"], ["sweep.sampler=gp", "nsga2"]),
        (RATE, ["split.val=none"], ["split.val=none", "validation"]),
    ],
)
def test_a_fault_is_one_sentence_before_the_first_trial(sweeps, capsys, space, more, words):
    arguments = sweeps.arguments(space, *[word for word in more if word != "~model"])
    if "~model" in more:
        arguments.remove("model=cnn")
    assert run(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    for word in words:
        assert word in line


def test_what_is_typed_is_pinned_and_a_linear_range_is_warned_of(sweeps, capsys, monkeypatch):
    from asl.sweeps import run as sweeping

    space = {
        "optimizer.lr": {"low": 1e-5, "high": 1e-1},
        "model": {"choices": ["cnn", "gru"]},
        "model.kernel": {"choices": [3, 5], "when": {"model": "cnn"}},
        "model.pool": {"choices": ["max"], "when": {"model": "gru"}},
    }
    monkeypatch.setattr(sweeping, "run_trials", lambda *_: None)
    assert sweeps(space, "optimizer.lr=0.001", sampler="grid", n_trials=1) == 0
    assert "log: true" not in capsys.readouterr().err
    params = sweeps.runs()[0].params
    varied = {name for name in params if name.startswith("space.")}
    assert varied == {"space.optimizer.lr", "space.model", "space.model.kernel"}
    assert "(0.001,)" in params["space.optimizer.lr"]
    assert sweeps(space, "sweep.name=other", sampler="random", n_trials=1) == 0
    assert "sweep.space.optimizer.lr: a linear range" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_sweep_prints_how_to_resume_and_resumes_the_same_run(
    sweeps, capsys, monkeypatch
):
    step, began = SignClassifier.training_step, []

    def interrupt(self, batch, number):
        if self.current_epoch == 1 and len(began) == 1:
            raise KeyboardInterrupt
        if self.current_epoch == 1:
            began.append(1)
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(SignClassifier, "training_step", interrupt)
        assert sweeps(RATE, "trainer.limit_train_batches=1") == 130
    assert "resume with: " in capsys.readouterr().err
    parent, children = sweeps.runs()
    assert [parent.status, *(child.status for child in children)] == [
        "KILLED",
        "FINISHED",
        "KILLED",
    ]
    lost = [trial.params for trial in sweeps.trials()]
    assert sweeps(RATE, "trainer.limit_train_batches=1") == 0
    parent, after = sweeps.runs()
    assert [run.status for run in (parent, *after)] == ["FINISHED"] * 3
    assert [run.run_id for run in after] == [run.run_id for run in children]
    done = [trial for trial in sweeps.trials() if trial.state.name == "COMPLETE"]
    assert len(done) == 2
    assert lost[1] in [trial.params for trial in done]
    assert [int(run.metrics["epochs"]) for run in after] == [2, 2]


def test_a_crash_is_a_failed_run_and_the_sweep_continues(sweeps, monkeypatch):
    from asl.tracking.find import download

    step, calls = SignClassifier.training_step, []

    def crash_once(self, batch, number):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("no good")
        return step(self, batch, number)

    monkeypatch.setattr(SignClassifier, "training_step", crash_once)
    assert sweeps(RATE, n_trials=1) == 0
    parent, children = sweeps.runs()
    assert [child.status for child in children] == ["FAILED", "FINISHED"]
    text = download(sweeps.tracker, children[0].run_id, "traceback.txt").read_text()
    assert "no good" in text
    assert parent.metrics["trials_failed"] == 1


def test_a_trial_that_diverges_is_pruned_and_no_crash(sweeps):
    rates = {"optimizer.lr": {"choices": [1e30]}}
    chosen = ["optimizer.warmup=0", "trainer.max_epochs=2"]
    assert sweeps(rates, *chosen, n_trials=1, max_failures=1) == 0
    (trial,) = sweeps.trials()
    assert trial.state.name == "PRUNED"
    assert "diverged in epoch" in trial.user_attrs["why"]
    assert [child.status for child in sweeps.runs()[1]] == ["FAILED"]


@pytest.fixture
def own_clips(sweeps, workbench):
    """Clips that a test may change, as the sweep's."""
    assert run(["prepare", *workbench.data]) == 0
    raw = shutil.copytree(workbench.folder / "raw", sweeps.folder / "raw")
    sweeps.data = ["data=gislr", f"data.root={raw}", f"data.store={sweeps.folder}/store"]
    return raw


def remove_a_clip(raw):
    next(raw.glob("train_landmark_files/*/*.parquet")).unlink()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_worker_that_starts_after_the_clips_changed_refuses(
    sweeps, own_clips, workers, monkeypatch, capsys
):
    opened = sweeping.open_parent
    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "open_parent", lambda *a: remove_a_clip(own_clips) or opened(*a))
        assert sweeps(RATE, f"sweep.workers={workers}", n_trials=workers) == 2
    *_, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"asl sweep: data.store={sweeps.folder}/store: the clips have chang")
    parent, children = sweeps.runs()
    assert (parent.status, children, sweeps.trials()) == ("FAILED", [], [])
    assert sweeps(RATE, n_trials=1) == 2
    assert "another data; give this one another name" in capsys.readouterr().err


def test_all_trials_of_a_worker_are_of_the_clips_that_it_opened(sweeps, own_clips, monkeypatch):
    step = SignClassifier.training_step

    def change_clips(self, batch, number):
        monkeypatch.setattr(SignClassifier, "training_step", step)
        remove_a_clip(own_clips)
        return step(self, batch, number)

    monkeypatch.setattr(SignClassifier, "training_step", change_clips)
    sizes = {"data.batch_size": {"choices": [5, 7]}}
    assert sweeps(sizes, "trainer.max_epochs=1", sampler="grid") == 0
    _, (first, second) = sweeps.runs()
    assert first.params["data.batch_size"] != second.params["data.batch_size"]
    assert first.tags["data.fingerprint"] == second.tags["data.fingerprint"]


@pytest.mark.slow
def test_too_many_crashes_end_it(sweeps, monkeypatch, capsys):
    monkeypatch.setattr(SignClassifier, "training_step", lambda *_: 1 / 0)
    assert sweeps(RATE, max_failures=2) == 2
    assert "sweep.max_failures=2: 2 trials crashed" in capsys.readouterr().err
    assert sweeps.runs()[0].status == "FAILED"


def test_a_pruned_trial_records_why_and_is_not_pruned_in_its_grace_period(sweeps):
    """All trials are below the threshold; the second has a grace period until its third epoch."""
    space = {"regularization.late_dropout": {"choices": [0.0, 0.5]}}
    late = ["regularization.late_start=1", "regularization.grace_epochs=1", "trainer.max_epochs=4"]
    threshold = {"sampler": "grid", "pruner": "threshold", "pruner_options": {"lower": 2.0}}
    assert sweeps(space, *late, **threshold) == 0
    _, children = sweeps.runs()
    for pruned, epoch in zip(children, (1, 3), strict=True):
        assert pruned.tags["sweep.state"] == "PRUNED"
        assert f"threshold after epoch {epoch}: val/f1" in pruned.tags["pruned"]
        assert pruned.status == "FINISHED"
        assert not pruned.is_recognizer
    assert [len(trial.intermediate_values) for trial in sweeps.trials()] == [1, 3]


def test_a_trial_over_folds_validates_on_every_training_signer_and_on_no_other(sweeps):
    assert sweeps(RATE, "sweep.folds=3", n_trials=1) == 0
    _, children = sweeps.runs()
    (tested,) = {child.tags["split"] for child in children}
    validated = {child.tags["val_protocol"] for child in children}
    assert len(validated) == 3
    assert not any(tested.partition("test=")[2] in protocol for protocol in validated)
    mean = sum(child.metrics["val/f1"] for child in children) / 3
    assert sweeps.trials()[0].value == pytest.approx(mean)


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice", ["quick", "tpe", "tpe_pareto", "architectures", "notebook_questions"]
)
def test_every_ready_made_search_is_sound(choice, monkeypatch, sweeps):
    """Everything but the trials themselves is done: all of them could start."""
    from asl.sweeps import run as sweeping

    monkeypatch.setattr(sweeping, "run_trials", lambda *_: None)
    storage = f"sweep.storage=sqlite:///{sweeps.folder}/optuna.db"
    assert run(["sweep", f"sweep={choice}", *sweeps.data, sweeps.tracking, storage]) == 0
    assert not sweeps.trials(f"{choice}-synthetic")


DEPTHS = {"model.layers": {"choices": [1, 2]}, "regularization.dropout": {"choices": [0.0, 0.5]}}
SMALLEST = {"against": "size", "sampler": "grid"}  # the name of second_objective in version 0.1


@pytest.mark.slow
def test_two_objectives_give_a_pareto_front_whose_most_accurate_trial_is_tested(
    sweeps, capsys, monkeypatch
):
    from asl.export import cost
    from asl.tracking.find import download

    exported = []

    def measure(recognizer, clip):
        exported.append(sum(p.numel() for p in recognizer.parameters()))
        return {"size": 4.0 * exported[-1], "latency": 1.0}

    monkeypatch.setattr(cost, "cost", measure)
    assert sweeps(DEPTHS, n_trials=4, final_seeds=1, **SMALLEST) == 0
    assert len(exported) == 2  # dropout is not in the file
    trials = sweeps.trials()
    assert {trial.values[1] for trial in trials} == {4.0 * count for count in exported}
    beaten = [
        any(
            o.values[0] >= t.values[0] and o.values[1] <= t.values[1] and o.values != t.values
            for o in trials
        )
        for t in trials
    ]
    parent, children = sweeps.runs()
    front = pd.read_csv(download(sweeps.tracker, parent.run_id, "front.csv"))
    assert sorted(front.trial) == [t.number for t, b in zip(trials, beaten, strict=True) if not b]
    by_trial = {child.tags["sweep.trial"]: child for child in children}
    printed = capsys.readouterr().out
    for row in front.itertuples():
        assert row.run == by_trial[str(row.trial)].run_id
        assert row.run in printed
        assert row.size == by_trial[str(row.trial)].metrics["tflite/size"]
    assert parent.metrics["best_value"] == max(trial.values[0] for trial in trials)
    assert f"final-{front.trial[0]}-0" in by_trial
    assert sweeps(DEPTHS, n_trials=4) == 2
    assert f"sweep.name={sweeps.name}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trials_size_is_that_of_its_exported_file(sweeps, tmp_path):
    assert sweeps(DEPTHS, "sweep.second_objective=size", n_trials=1, sampler="nsga2") == 0
    _, (trial,) = sweeps.runs()
    arguments = [f"run={trial.run_id}", f"export.dir={tmp_path}/files", sweeps.tracking]
    assert run(["export", *arguments]) == 0
    size = (tmp_path / "files/model_float16.tflite").stat().st_size
    # The export's also names the run that it comes from.
    assert 0 <= size - trial.metrics["tflite/size"] < 1_000
    assert sweeps.trials()[0].values[1] == trial.metrics["tflite/size"]
    assert 0 < trial.metrics["tflite/latency"] < 100


@pytest.mark.slow
def test_jobs_of_a_cluster_share_a_sweep(sweeps):
    """Through submitit, which has an executor for machines without a cluster."""
    assert sweeps(RATE, "sweep.workers=2", "sweep.launcher=submitit_local", n_trials=4) == 0
    parent, children = sweeps.runs()
    assert parent.status == "FINISHED"
    assert [child.status for child in children] == ["FINISHED"] * 4
    assert len({trial.user_attrs["worker"] for trial in sweeps.trials()}) == 2


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_loses_no_trial_and_leaves_none_running(sweeps):
    arguments = sweeps.arguments(
        RATE, "trainer.max_epochs=25", "sweep.workers=2", n_trials=6, pruner="median"
    )
    moments, known = random.Random(0), []
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for line in process.stderr:
            if line.startswith("2 workers"):
                break
        before = len(sweeps.trials())
        while len(sweeps.trials()) == before and process.poll() is None:
            time.sleep(0.1)
        time.sleep(moments.uniform(0, 4))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        known += [trial.params for trial in sweeps.trials() if trial.params]
    assert run(arguments) == 0
    done = [t.params for t in sweeps.trials() if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(done) == 6
    assert all(params in done for params in known)
    parent, children = sweeps.runs()
    assert parent.status == "FINISHED"
    assert not [child for child in children if child.status == "RUNNING"]
    states = [child.tags.get("sweep.state") for child in children if child.status == "FINISHED"]
    assert len(states) == 6
    assert set(states) <= {"COMPLETE", "PRUNED"}
