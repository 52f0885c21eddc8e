"""What a person relies on when a run is trained, interrupted, resumed, repeated or failing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asl.tracking.find import download, find_run, find_runs
from asl.tracking.store import open_tracker
from asl.training.module import SignClassifier


@pytest.fixture
def store(workbench):
    return open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})


def last(store, status="FINISHED"):
    runs = [run for run in find_runs(store) if run.is_training and run.status == status]
    return max(runs, key=lambda run: store.client.get_run(run.run_id).info.start_time)


def test_a_run_records_what_it_was_and_what_came_of_it(trained, store):
    run = find_run(store, trained)
    assert run.status == "FINISHED"
    assert run.params["model"] == "gru"
    assert run.params["model.hidden"] == "8"
    assert run.params["seed"] == "3"
    for key in ("optimizer.lr", "data.batch_size", "trainer.max_epochs"):  # not typed
        assert float(run.params[key]) > 0
    assert len(run.params) < 30  # what was chosen, not every leaf
    for split in ("train", "val", "test"):
        names = ("loss", "accuracy", "accuracy_top5", "precision", "recall", "f1")
        assert {f"{split}/{name}" for name in names} <= set(run.metrics)
    assert run.metrics["parameters"] > 0
    assert run.tags["split"].startswith("signer_holdout")
    assert run.tags["val_protocol"]
    assert len(run.tags["data.fingerprint"]) >= 16
    history = store.client.get_metric_history(run.run_id, "train/loss")
    assert [point.step for point in history] == [1, 2]
    rates = ("optimizer/lr", "optimizer/gradient_norm", "speed/epoch_seconds")
    assert all(run.metrics[name] > 0 for name in (*rates, "speed/clips_per_second"))


def test_a_validation_curve_has_a_point_an_epoch_and_the_kept_epoch_stands_apart(trained, store):
    run = find_run(store, trained)
    curve = store.client.get_metric_history(run.run_id, "curve/val/f1")
    assert [point.step for point in curve] == [1, 2]
    kept = curve[int(run.metrics["epochs_kept"]) - 1]
    assert kept.value == pytest.approx(run.metrics["val/f1"])
    for name in ("val/f1", "test/f1"):
        assert [p.step for p in store.client.get_metric_history(run.run_id, name)] == [0]


def test_mlflow_shows_the_model_its_clips_and_a_description(trained, store):
    run = store.client.get_run(find_run(store, trained).run_id)
    contexts = {each.tags[0].value: each.dataset for each in run.inputs.dataset_inputs}
    assert contexts.keys() == {"training", "validation", "test"}
    assert len({dataset.digest for dataset in contexts.values()}) == 3
    profile = json.loads(contexts["test"].profile)
    assert profile["clips"] == 12
    assert profile["protocol"] == run.data.tags["split"]
    assert "mlflow_tensorspec" in json.loads(contexts["test"].schema)

    (model,) = store.client.search_logged_models(
        [run.info.experiment_id], f"name = '{trained}-checkpoint'"
    )
    assert model.source_run_id == run.info.run_id
    measured = {metric.key: metric for metric in model.metrics}
    assert measured["test/f1"].value == run.data.metrics["test/f1"]
    assert measured["test/f1"].dataset_digest == contexts["test"].digest
    assert measured["val/f1"].dataset_digest == contexts["validation"].digest

    description = run.data.tags["mlflow.note.content"]
    assert "gru" in description
    assert f"| test | {run.data.metrics['test/accuracy']:.4f}" in description


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_runs_tables_agree_with_its_metrics(trained, store, split):
    run = find_run(store, trained)
    counts = pd.read_csv(download(store, run.run_id, f"{split}/confusion.csv"), index_col=0)
    accuracy = counts.to_numpy().trace() / counts.to_numpy().sum()
    assert run.metrics[f"{split}/accuracy"] == pytest.approx(accuracy)
    signers = pd.read_csv(download(store, run.run_id, f"{split}/per_signer.csv"))
    by_clip = (signers["accuracy"] * signers["clips"]).sum() / signers["clips"].sum()
    assert by_clip == pytest.approx(accuracy)
    signs = pd.read_csv(download(store, run.run_id, f"{split}/per_sign.csv"))
    assert signs["clips"].sum() == counts.to_numpy().sum()
    for name in ("confusion.png", "per_signer.png"):
        assert download(store, run.run_id, f"{split}/{name}").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics(workbench, store):
    found = []
    for seed in (5, 5, 6):
        assert workbench("train", "model=cnn", "model.hidden=8", f"seed={seed}") == 0
        found.append(last(store).metrics)
    same = [name for name in found[0] if not name.startswith(("fit_seconds", "speed/"))]
    assert {n: found[0][n] for n in same} == {n: found[1][n] for n in same}
    assert found[0]["train/loss"] != found[2]["train/loss"]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(workbench, store, monkeypatch):
    arguments = ["model=gru", "model.hidden=8", "seed=7", "trainer.max_epochs=4"]
    assert workbench("train", *arguments) == 0
    undisturbed = last(store).metrics

    def pull_the_plug(self, batch, number):
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return step(self, batch, number)

    step = SignClassifier.training_step
    with monkeypatch.context() as patch:
        patch.setattr(SignClassifier, "training_step", pull_the_plug)
        with pytest.raises(SystemExit):
            workbench("train", *arguments)
    interrupted = last(store, "KILLED")
    assert workbench("train", f"resume={interrupted.run_id}") == 0
    resumed = find_run(store, interrupted.run_id)
    assert resumed.status == "FINISHED"
    names = [n for n in undisturbed if n != "fit_seconds" and not n.startswith("speed/")]
    assert {n: resumed.metrics[n] for n in names} == {n: undisturbed[n] for n in names}
    steps = [p.step for p in store.client.get_metric_history(resumed.run_id, "train/loss")]
    assert steps == [1, 2, 3, 4]


def test_a_resumed_run_keeps_its_choices(workbench, trained, capsys):
    assert workbench("train", f"resume={trained}") == 2
    assert "finished" in capsys.readouterr().err


def test_a_failed_run_says_so_with_its_traceback(workbench, store, monkeypatch):
    def fail(self, batch, number):
        raise RuntimeError("a fault of the network")

    monkeypatch.setattr(SignClassifier, "training_step", fail)
    with pytest.raises(RuntimeError):
        workbench("train")
    run = last(store, "FAILED")
    assert "a fault of the network" in download(store, run.run_id, "traceback.txt").read_text()


def test_a_run_that_diverges_fails_with_the_epoch_and_a_hint(workbench, store, capsys):
    assert workbench("train", "model=cnn", "optimizer.lr=1e30", "optimizer.warmup=0") == 2
    assert "diverged in epoch" in capsys.readouterr().err
    failed = last(store, "FAILED").run_id
    assert "lower optimizer.lr" in download(store, failed, "traceback.txt").read_text()


def test_one_sign_alone_is_one_sentence(workbench, tmp_path, capsys):
    clips = np.random.default_rng(0).random((8, 6, 20, 3))
    np.savez(tmp_path / "mine.npz", X=clips, sign=np.zeros(8, int), participant_id=[1, 2, 3, 4] * 2)
    (tmp_path / "clips.yaml").write_text("{layout: kinect20, file: mine.npz}")
    data = ["data=npz", f"data.root={tmp_path}", f"data.store={tmp_path}/store"]
    for command in ("train", "crossval"):
        assert workbench(command, *data, "landmarks=kinect20", "split=leave_one_signer_out") == 2
        assert "the clips are all of the sign 0" in capsys.readouterr().err


def test_without_validation_the_last_epoch_is_kept(workbench, store):
    assert workbench("train", "split.val=none", "model=cnn", "model.hidden=8") == 0
    run = last(store)
    assert run.metrics["epochs_kept"] == 2
    assert "val/f1" not in run.metrics
    assert "test/f1" in run.metrics


@pytest.mark.slow
def test_of_equally_good_epochs_the_latest_is_kept(workbench, store):
    still = ["optimizer.lr=1e-12", "optimizer.final_lr=0", "trainer.max_epochs=3"]
    assert workbench("train", *still, "model=transformer", "model.hidden=8", "model.heads=2") == 0
    run = last(store)
    history = [p.value for p in store.client.get_metric_history(run.run_id, "curve/val/f1")]
    assert len(set(history)) == 1  # nothing was learned
    assert run.metrics["epochs_kept"] == 3


@pytest.mark.slow
def test_a_multirun_is_a_parent_with_a_child_for_each_job(workbench, store, capsys):
    before = {run.run_id for run in find_runs(store)}
    assert workbench("train", "-m", "model=lstm,cnn", "model.hidden=8", "scaler=standard,clip") == 0
    children = [run for run in workbench.runs(capsys) if run["run_id"] not in before]
    parents = workbench.runs(capsys, "--kind", "multirun")
    (parent,) = [run for run in parents if run["run_id"] not in before]
    assert parent["name"].startswith("compare-model-scaler-synthetic-")
    assert len(children) == 4
    assert {*parent["params"]["model"].split(", ")} == {"lstm", "cnn"}
    chosen = {(run["params"]["model"], run["params"]["scaler"]) for run in children}
    assert chosen == {(m, s) for m in ("lstm", "cnn") for s in ("standard", "clip")}
    for child in children:
        tags = find_run(store, child["run_id"]).tags
        assert tags["mlflow.parentRunId"] == parent["run_id"]
    best = max(children, key=lambda run: run["metrics"]["val/f1"])
    assert parent["metrics"]["val/f1"] == best["metrics"]["val/f1"]
    recorded = store.client.get_run(parent["run_id"])
    assert recorded.inputs.dataset_inputs[0].dataset.name == "synthetic"
    assert all(child["name"] in recorded.data.tags["mlflow.note.content"] for child in children)


@pytest.mark.slow
def test_runs_that_differ_in_the_seed_alone_have_their_means_above_them(workbench, store):
    assert workbench("train", "-m", "model=lstm", "model.hidden=8", "seed=21,22") == 0
    seeds = [run for run in find_runs(store) if run.params.get("seed") in ("21", "22")]
    parent = find_run(store, seeds[0].tags["mlflow.parentRunId"])
    for name in ("test/f1", "val/accuracy"):
        values = [run.metrics[name] for run in seeds]
        assert parent.metrics[name] == pytest.approx(sum(values) / 2)
        assert f"{name}_std_seeds" in parent.metrics
    curve = store.client.get_metric_history(parent.run_id, "curve/val/f1 plus sd")
    assert [point.step for point in curve] == [1, 2]


def test_runs_are_listed_best_first(workbench, trained, capsys):
    runs = workbench.runs(capsys, "--metric", "val/loss")
    losses = [run["metrics"]["val/loss"] for run in runs if "val/loss" in run["metrics"]]
    assert losses == sorted(losses)
    keys = {"run_id", "name", "status", "data", "split", "params", "metrics"}
    assert all(set(run) == keys for run in runs)


def test_random_splits_are_flagged_wherever_their_numbers_stand(workbench, capsys):
    assert workbench("train", "split=random", "model=cnn", "model.hidden=8") == 0
    assert "not signer-independent" in capsys.readouterr().out
    assert workbench("runs", "--split", "random") == 0
    printed = capsys.readouterr().out
    assert "random" in printed
    assert "not signer-independent" in printed


def test_nothing_is_left_in_the_working_directory(workbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = workbench.folder / "mlruns" / "work"
    before = list(work.glob("*"))
    assert workbench("train", "model=cnn", "model.hidden=8") == 0
    assert list(tmp_path.iterdir()) == []
    assert list(work.glob("*")) == before


def test_config_artifact_is_the_whole_config(trained, store):
    run = find_run(store, trained)
    environment = json.loads(download(store, run.run_id, "environment.json").read_text())
    assert "torch" in environment["packages"]
    assert "hidden: 8" in download(store, run.run_id, "config.yaml").read_text()


@pytest.mark.slow
def test_data_parallel_processes_make_one_run_measured_on_every_clip(workbench, store):
    before = {run.run_id for run in find_runs(store)}
    trainer = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    command = [Path(sys.executable).with_name("asl"), "train", *trainer, "trainer.max_epochs=1"]
    done = subprocess.run(
        [*command, *workbench.data, workbench.tracking], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (run,) = [run for run in find_runs(store) if run.run_id not in before]
    counts = pd.read_csv(download(store, run.run_id, "test/confusion.csv"), index_col=0)
    assert counts.to_numpy().sum() == 4 * 3  # signs × clips of the one test signer


def test_a_servers_password_reaches_no_run_and_no_message(trained, store, capsys):
    from asl.cli import run as asl

    run = find_run(store, trained)
    assert "tracking" not in download(store, run.run_id, "config.yaml").read_text()
    assert "tracking." not in run.tags["command"]
    assert asl(["runs", "tracking.uri=nonsense://me:secret@host/db"]) == 2
    assert "secret" not in capsys.readouterr().err


def multirun_after(store, before):
    new = [run for run in find_runs(store) if run.run_id not in before]
    (parent,) = [run for run in new if run.tags["kind"] == "multirun"]
    return parent, [run for run in new if run.is_training]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("a fault"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_multirun_has_an_end_however_its_jobs_end(
    workbench, store, monkeypatch, capsys, error, status
):
    step = SignClassifier.training_step

    def fall(self, batch, number):
        if "Recurrent" in type(self.recognizer.backbone).__name__:
            raise error
        return step(self, batch, number)

    before = {run.run_id for run in find_runs(store)}
    monkeypatch.setattr(SignClassifier, "training_step", fall)
    with pytest.raises((RuntimeError, SystemExit)):
        workbench("train", "-m", "model=cnn,gru", "model.hidden=8", "trainer.max_epochs=1")
    parent, jobs = multirun_after(store, before)
    assert (parent.status, {job.status for job in jobs}) == (status, {"FINISHED", status})
    (finished,) = [job for job in jobs if job.status == "FINISHED"]
    assert parent.tags["best_child"] == finished.run_id
    assert finished.name in capsys.readouterr().out
    assert "ASL_PARENT_RUN" not in os.environ


KILLED_MULTIRUN = """
import os, sys
from asl.tracking.group import group_run
from asl.tracking.store import open_tracker
tracker = open_tracker({"uri": sys.argv[1], "experiment": "asl"})
group = group_run(tracker, "multirun", "m", {})
group.__enter__()
os._exit(1)
"""


@pytest.mark.slow
def test_a_killed_multirun_is_ended_by_the_next_one_a_running_one_is_not(workbench, store, capsys):
    from asl.tracking.group import group_run

    before = {run.run_id for run in find_runs(store)}
    uri = workbench.tracking.partition("=")[2]
    subprocess.run([sys.executable, "-c", KILLED_MULTIRUN, uri])
    (killed,) = {run.run_id for run in find_runs(store)} - before
    with group_run(store, "multirun", "running", {}) as running:
        assert workbench("train", "-m", "model=cnn", "model.hidden=8", "trainer.max_epochs=1") == 0
        assert f"{find_run(store, killed).name} had been killed" in capsys.readouterr().err
        statuses = {r.run_id: r.status for r in find_runs(store) if r.run_id not in before}
    assert (statuses.pop(killed), statuses.pop(running.id)) == ("KILLED", "RUNNING")
    assert set(statuses.values()) == {"FINISHED"}


def test_a_live_run_is_not_resumed_by_a_second_command(workbench, trained, store, capsys):
    from asl.tracking.run import tracked_run

    with tracked_run(store, "alive", {"kind": "train"}) as run:
        other = find_run(store, trained)
        store.client.log_artifact(run.id, download(store, other.run_id, "config.yaml"))
        store.client.set_tag(run.id, "data.fingerprint", other.tags["data.fingerprint"])
        assert workbench("train", f"resume={run.id}") == 2
        assert "another process is at work on this run" in capsys.readouterr().err
        assert find_run(store, run.id).status == "RUNNING"
    assert find_run(store, run.id).status == "FINISHED"


# --- terminated ---------------------------------------------------------------------------------

ASL = [sys.executable, "-c", "import sys; sys.argv[0] = 'asl'; from asl.cli import main; main()"]
SMALL = ["model=cnn", "model.hidden=8", "trainer=smoke"]
LONG = [*SMALL, "trainer.max_epochs=100000", "trainer.enable_progress_bar=true"]


def terminated(workbench, until: str, *arguments: str) -> int:
    """The exit status of a command that gets SIGTERM when it has printed something."""
    command = [*ASL, *arguments, *workbench.data, workbench.tracking]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=-3, text=True) as process:
        for line in process.stderr:
            if until in line:
                process.terminate()
                break
        process.stderr.read()
    return process.returncode


@pytest.mark.slow
def test_a_terminated_training_exits_with_143_and_resumes(workbench, store):
    assert terminated(workbench, "epoch 2/", "train", *LONG) == 143
    run = last(store, "KILLED")
    assert workbench("train", f"resume={run.run_id}", "trainer.max_epochs=4") == 0
    assert find_run(store, run.run_id).status == "FINISHED"


@pytest.mark.slow
def test_a_terminated_multirun_exits_with_143(workbench, store):
    assert terminated(workbench, "epoch 2/", "train", "-m", *LONG, "seed=1,2") == 143
    assert not [run.name for run in find_runs(store) if run.status == "RUNNING"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminated_crossval_exits_with_143_and_goes_on(workbench, store, workers):
    """Of two runs at once, too, neither stays RUNNING."""
    kfold = ["split=signer_kfold", "split.folds=2", *SMALL, f"workers={workers}", f"seed={workers}"]
    until = "runs at once" if workers > 1 else "run cnn"
    assert terminated(workbench, until, "crossval", *kfold) == 143
    assert not [run.name for run in find_runs(store) if run.status == "RUNNING"]
    assert workbench("crossval", *kfold, *workbench.data) == 0
