"""What a person relies on in a cross-validation: nothing peeks, nothing is lost, figures add up."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from asl.cli import run
from asl.config.compose import compose
from asl.config.plan import run_plan
from asl.runs import crossval
from asl.runs.data import open_store
from asl.tracking.find import find_runs
from asl.tracking.run import TrackedRun
from asl.tracking.store import open_tracker

SMALL = ["model=cnn", "model.hidden=8", "trainer=smoke"]
START = "import sys; from asl.cli import main; sys.argv = ['asl', *sys.argv[1:]]; main()"


def tracked(folder):
    from asl.tracking.store import open_tracker

    return open_tracker({"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "asl"})


def parent_and_children(folder):
    from asl.tracking.find import find_runs

    runs = find_runs(tracked(folder))
    (parent,) = [found for found in runs if found.tags["kind"] == "crossval"]
    return parent, [found for found in runs if found.is_training]


@pytest.fixture(scope="module")
def finished(workbench, tmp_path_factory):
    """The runs of a finished cross-validation: 4 signers, 2 seeds, two at once."""
    folder = tmp_path_factory.mktemp("crossval")
    arguments = [*workbench.data, *SMALL, "seeds=2", "workers=2"]
    assert run(["crossval", *arguments, f"tracking.uri=sqlite:///{folder}/mlflow.db"]) == 0
    return folder


def test_the_parent_says_what_its_runs_say_together(finished):
    parent, children = parent_and_children(finished)
    assert parent.status == "FINISHED"
    assert len(children) == 8
    folds = {(c.params["split.fold"], c.params["seed"]): c.metrics for c in children}
    accuracies = np.array(
        [[folds[str(f), str(s)]["test/accuracy"] for f in range(4)] for s in range(2)]
    )
    assert parent.metrics["test/accuracy"] == pytest.approx(accuracies.mean())
    over_folds = accuracies.mean(axis=0).std(ddof=1)
    assert parent.metrics["test/accuracy_std_folds"] == pytest.approx(over_folds)
    over_seeds = accuracies.mean(axis=1).std(ddof=1)
    assert parent.metrics["test/accuracy_std_seeds"] == pytest.approx(over_seeds)


def test_the_parent_draws_a_band_and_describes_itself(finished):
    store = tracked(finished)
    parent, children = parent_and_children(finished)

    def curve(run_id, name):
        return {p.step: p.value for p in store.client.get_metric_history(run_id, name)}

    name = "curve/val/f1"
    curves = [curve(child.run_id, name) for child in children]
    mean, above = curve(parent.run_id, name), curve(parent.run_id, f"{name} plus sd")
    below = curve(parent.run_id, f"{name} minus sd")
    assert set(mean) == set.intersection(*(set(c) for c in curves))
    values = np.array([[c[step] for c in curves] for step in mean])
    assert list(mean.values()) == pytest.approx(values.mean(axis=1))
    assert [above[s] - mean[s] for s in mean] == pytest.approx(values.std(axis=1, ddof=1))
    assert [mean[s] - below[s] for s in mean] == pytest.approx(values.std(axis=1, ddof=1))
    assert (
        f"| accuracy | {parent.metrics['test/accuracy']:.4f}" in parent.tags["mlflow.note.content"]
    )


def test_every_clip_is_predicted_once_a_seed_by_a_run_that_had_not_its_signer(finished):
    from asl.tracking.find import download

    parent, children = parent_and_children(finished)
    clips = pd.read_parquet(download(tracked(finished), parent.run_id, "out_of_fold.parquet"))
    assert len(clips) == 2 * 48
    assert not clips.duplicated(["clip", "seed"]).any()
    for child in children:
        own = clips[clips.fold == int(child.params["split.fold"])]
        assert child.tags["split"] == f"leave_one_signer_out test=[{own.signer.iloc[0]}]"
    pooled = (clips.predicted == clips.sign).mean()
    assert parent.metrics["test/pooled_accuracy"] == pytest.approx(pooled)
    signers = pd.read_csv(download(tracked(finished), parent.run_id, "per_signer.csv"))
    assert signers.clips.sum() == 48
    assert np.average(signers.accuracy, weights=signers.clips) == pytest.approx(pooled)


@pytest.mark.slow
def test_killed_it_goes_on_and_does_nothing_twice(workbench, tmp_path):
    arguments = [
        *workbench.data,
        *SMALL,
        "folds=[0,1,3]",
        f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", START, "crossval", *arguments, "workers=2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "1 of 3" in line:
            break
    process.kill()
    process.communicate(timeout=300)  # until no worker is left that holds its end of the pipe
    parent, children = parent_and_children(tmp_path)
    before = {child.run_id for child in children if child.status == "FINISHED"}
    assert parent.status == "KILLED"
    assert before
    assert len(before) < 3
    assert run(["crossval", *arguments, "workers=1"]) == 0
    parent, children = parent_and_children(tmp_path)
    after = [child for child in children if child.status == "FINISHED"]
    assert parent.status == "FINISHED"
    assert before <= {child.run_id for child in after}
    assert sorted(child.params["split.fold"] for child in after) == ["0", "1", "3"]
    assert not [child for child in children if child.status == "RUNNING"]


def multirun_and_jobs(folder):
    from asl.tracking.find import find_runs

    runs = find_runs(tracked(folder))
    (multirun,) = [found for found in runs if found.tags["kind"] == "multirun"]
    jobs = [found for found in runs if found.tags["kind"] == "crossval"]
    assert all(job.tags["mlflow.parentRunId"] == multirun.run_id for job in jobs)
    jobs.sort(key=lambda job: job.started)
    runs = {job.run_id: {} for job in jobs}
    for child in (found for found in find_runs(tracked(folder)) if found.is_training):
        if child.status == "FINISHED":
            runs[child.tags["mlflow.parentRunId"]][child.params["split.fold"]] = child
    return multirun, [runs[job.run_id] for job in jobs]


@pytest.mark.slow
def test_a_multirun_ends_in_a_comparison_whatever_came_between(
    workbench, tmp_path, monkeypatch, capsys
):
    from asl.runs import data
    from asl.tracking.find import download
    from asl.training.module import SignClassifier

    tracking = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    small = ["model.hidden=8", "trainer=smoke", "trainer.max_epochs=1", "folds=[0,1]"]
    jobs = ["crossval", "-m", *workbench.data, *small, "model=cnn,gru", tracking]
    step, check, checked = SignClassifier.training_step, data.prepare, []

    def dying_of(error):
        def fall(self, batch, number):
            if "Recurrent" in type(self.recognizer.backbone).__name__:
                raise error
            return step(self, batch, number)

        return fall

    monkeypatch.setattr(data, "prepare", lambda *a, **k: checked.append(1) or check(*a, **k))
    monkeypatch.setattr(SignClassifier, "training_step", dying_of(RuntimeError("a fault")))
    with pytest.raises(SystemExit, match="1 of 2 jobs failed"):
        run([*jobs, "workers=1"])
    assert len(checked) == 2  # once a job, not once a run
    multirun, (first, second) = multirun_and_jobs(tmp_path)
    assert (multirun.status, len(first), len(second)) == ("FAILED", 2, 0)

    monkeypatch.setattr(SignClassifier, "training_step", dying_of(KeyboardInterrupt()))
    with pytest.raises(SystemExit):
        run([*jobs, "workers=1"])
    assert "the same command resumes" in capsys.readouterr().err
    assert multirun_and_jobs(tmp_path)[0].status == "KILLED"

    monkeypatch.setattr(SignClassifier, "training_step", step)
    assert run([*jobs, "workers=1"]) == 0
    printed = capsys.readouterr().out
    finished, (again, second) = multirun_and_jobs(tmp_path)
    assert (finished.run_id, finished.status) == (multirun.run_id, "FINISHED")
    assert {r.run_id for r in again.values()} == {r.run_id for r in first.values()}

    store = tracked(tmp_path)
    table = pd.read_csv(download(store, finished.run_id, "comparison.csv"))
    assert list(table["job"]) == ["model=cnn", "model=gru"]
    by_fold = np.array([[j[f].metrics["test/accuracy"] for f in "01"] for j in (again, second)])
    np.testing.assert_allclose(table["accuracy"], by_fold.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(table[["test [1]", "test [2]"]], by_fold, atol=1e-6)
    differences = by_fold[1] - by_fold[0]
    assert table["difference"].isna().tolist() == [True, False]
    assert table["difference"][1] == pytest.approx(differences.mean(), abs=1e-6)
    error = differences.std(ddof=1) / np.sqrt(2)
    assert table["difference_error"][1] == pytest.approx(error, abs=1e-6)
    text = download(store, finished.run_id, "comparison.md").read_text()
    assert text in printed
    assert "| `model=gru` |" in text
    assert str(tmp_path) not in text
    picture = download(store, finished.run_id, "comparison.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_of_one_fold_become_an_ensemble_those_of_several_do_not(finished, capsys):
    parent, children = parent_and_children(finished)
    command = ["ensemble", f"runs=[{parent.name}]", f"tracking.uri=sqlite:///{finished}/mlflow.db"]
    assert run(command) == 2
    assert "trained on the signers that the others are tested on" in capsys.readouterr().err
    assert run([*command, "fold=7"]) == 2
    assert "fold=7: choose from 0, 1, 2, 3" in capsys.readouterr().err
    assert run([*command, "fold=2"]) == 0
    (ensemble,) = ensembles(finished)
    of_fold = {child.run_id for child in children if child.params["split.fold"] == "2"}
    assert set(ensemble.tags["members"].split(",")) == of_fold


def ensembles(folder):
    from asl.tracking.find import find_runs

    return [found for found in find_runs(tracked(folder)) if found.tags["kind"] == "ensemble"]


def weights(folder, *arguments):
    from asl.tracking.find import download, find_runs

    uri = f"tracking.uri=sqlite:///{folder}/mlflow.db"
    assert run(["train", *SMALL, *arguments, uri]) == 0
    (found,) = find_runs(tracked(folder))
    checkpoint = torch.load(
        download(tracked(folder), found.run_id, "checkpoints/best.ckpt"), weights_only=False
    )
    return checkpoint["state_dict"], checkpoint["epoch"]


@pytest.mark.parametrize("scaler", ["clip", "standard"])
@pytest.mark.slow
def test_nothing_that_is_chosen_looks_at_the_test_signer(workbench, tmp_path, scaler):
    from asl.clips.sources.gislr import write_clip

    raw = tmp_path / "raw"
    assert run(["prepare", *workbench.data]) == 0
    shutil.copytree(workbench.folder / "raw", raw)
    chosen = ["split=leave_one_signer_out", "split.fold=0", f"scaler={scaler}"]
    one = weights(tmp_path / "one", *workbench.data, *chosen)
    rng = np.random.default_rng(0)
    for path in sorted((raw / "train_landmark_files/1").glob("*.parquet")):
        write_clip(path, rng.normal(size=(9, 543, 3)).astype(np.float32))
    other = [f"data.root={raw}", f"data.store={tmp_path}/store"]
    rest = [word for word in workbench.data if not word.startswith(("data.root", "data.store"))]
    two = weights(tmp_path / "two", *rest, *other, *chosen)
    assert one[1] == two[1]
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])


def test_one_fold_alone_has_no_deviation(workbench, capsys):
    assert workbench("crossval", *SMALL, "folds=[2]", "workers=1") == 0
    printed = capsys.readouterr().out
    assert "folds=[2] 1 folds × 1 seeds): accuracy" in printed
    assert "±" not in printed


def test_a_fold_that_is_typed_as_of_a_training_is_refused(workbench, capsys):
    assert workbench("crossval", *SMALL, "split.fold=1") == 2
    assert "split.fold=1: each fold is the test once; see folds=" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_clips_that_change_meanwhile_are_not_mixed_in(workbench, tmp_path, workers):
    assert run(["prepare", *workbench.data]) == 0
    raw = shutil.copytree(workbench.folder / "raw", tmp_path / "raw")
    data = ["data=gislr", f"data.root={raw}", f"data.store={tmp_path}/store"]
    uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    plan = run_plan(compose("crossval", [*data, *SMALL, "split=leave_one_signer_out", uri]))
    tracker = open_tracker(plan.tracking)
    jobs = crossval._jobs(plan, [0, 1], [0], [], open_store(plan.data))
    next(raw.glob("train_landmark_files/*/*.parquet")).unlink()
    open_store(plan.data)
    parent = TrackedRun(tracker.client, "", "", tmp_path / "parent")
    for job, outcome in crossval._outcomes(jobs, workers, parent, tracker):
        assert "the clips have changed since the cross-validation began" in outcome
        assert f"fold {job.fold} is not run" in outcome
    assert not find_runs(tracker)


def test_what_has_no_folds_is_said_with_what_has(workbench, capsys):
    assert workbench("crossval", "split=random") == 2
    assert "choose from leave_one_signer_out, signer_kfold" in capsys.readouterr().err
