"""What a person relies on in a cross-validation: nothing peeks, nothing is lost, figures add up."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from asl.cli import run

SMALL = ["model=cnn", "model.hidden=8", "trainer=smoke"]
START = "import sys; from asl.cli import main; sys.argv = ['asl', *sys.argv[1:]]; main()"


def tracked(folder):
    from asl.commands.parts import tracker

    return tracker({"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "asl"})


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


def test_killed_it_goes_on_and_does_nothing_twice(workbench, tmp_path):
    arguments = [
        *workbench.data,
        *SMALL,
        "workers=2",
        f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", START, "crossval", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stderr:
        if "1 of 4" in line:
            break
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    parent, children = parent_and_children(tmp_path)
    before = {child.run_id for child in children if child.status == "FINISHED"}
    assert parent.status == "RUNNING"
    assert before
    assert run(["crossval", *arguments]) == 0
    parent, children = parent_and_children(tmp_path)
    after = [child for child in children if child.status == "FINISHED"]
    assert parent.status == "FINISHED"
    assert before <= {child.run_id for child in after}
    assert sorted(child.params["split.fold"] for child in after) == ["0", "1", "2", "3"]
    assert not [child for child in children if child.status == "RUNNING"]


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
def test_nothing_that_is_chosen_looks_at_the_test_signer(workbench, tmp_path, scaler):
    from asl.clips.synthetic import write_clip

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


def test_what_has_no_folds_is_said_with_what_has(workbench, capsys):
    assert workbench("crossval", "split=random") == 2
    assert "choose from leave_one_signer_out, signer_kfold" in capsys.readouterr().err
