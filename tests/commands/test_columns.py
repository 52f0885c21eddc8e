"""Columns of one's own clips, from `clips.yaml` to the reports, and splits that go by them."""

import numpy as np
import pandas as pd
import pytest

from asl.errors import UserError
from asl.runs.load import load_run, training_split
from asl.runs.train import resume
from asl.tracking.find import download, find_runs
from asl.tracking.store import open_tracker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def views(workbench, tmp_path_factory):
    """Overrides for clips by three signers in three views."""
    folder = tmp_path_factory.mktemp("views")
    rng = np.random.default_rng(0)
    grid = [(sign, signer, view) for sign in range(4) for signer in range(3) for view in "abc"] * 2
    signs, signers, names = map(np.array, zip(*grid, strict=True))
    clips = rng.normal(size=(len(grid), 8, 20, 3)).astype(np.float32) + signs[:, None, None, None]
    np.savez(folder / "a.npz", X=clips, sign=signs, participant_id=signers, view=names)
    (folder / "clips.yaml").write_text("layout: kinect20\nfile: a.npz\n")
    return [
        "data=npz",
        f"data.root={folder}",
        "data.name=views",
        f"data.store={folder}/store",
        "landmarks=kinect20",
        "model=cnn",
        "model.hidden=8",
        "trainer=smoke",
    ]


@pytest.fixture(scope="module")
def runs(workbench):
    return open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})


def test_a_cross_validation_by_view_says_that_it_mixes_signers(workbench, views, runs, capsys):
    capsys.readouterr()
    assert workbench("crossval", *views, "split=leave_one_signer_out", "split.by=view") == 0
    printed = capsys.readouterr().out
    protocol = "leave_one_signer_out by=view 3 folds × 1 seeds (not signer-independent)"
    assert f"test ({protocol})" in printed
    assert "view=a" in printed
    found = find_runs(runs, data="views")
    (parent,) = [run for run in found if run.tags["kind"] == "crossval"]
    assert parent.split == protocol
    assert not parent.test_signer_independent
    assert parent.params["split.by"] == "view"
    children = [run for run in found if run.is_training]
    assert {child.split for child in children} == {
        f"leave_one_signer_out by=view test=[{view}] (not signer-independent)" for view in "abc"
    }
    assert all(child.split_by == "view" for child in children)
    by_column = pd.read_csv(download(runs, parent.run_id, "by_column.csv"))
    clips = pd.read_parquet(download(runs, parent.run_id, "out_of_fold.parquet"))
    right = (clips["predicted"] == clips["sign"]).groupby(clips["view"]).mean()
    assert by_column["value"].tolist() == ["a", "b", "c"]
    assert by_column["accuracy"].tolist() == pytest.approx(right.tolist())


def test_evaluation_and_comparison_are_by_view_too(workbench, views, runs, tmp_path, capsys):
    for seed in ("7", "8"):
        assert workbench("train", *views, "split=leave_one_signer_out", f"seed={seed}") == 0
    one, other = (r.name for r in find_runs(runs) if r.data == "views" and r.split_by == "signer")
    capsys.readouterr()
    assert workbench("evaluate", f"run={one}", f"evaluate.dir={tmp_path}/one") == 0
    assert "by view (95 % intervals over clips):" in capsys.readouterr().out
    assert workbench("compare", one, other, f"compare.dir={tmp_path}") == 0
    assert f"against {one}, by view</h2>" in (tmp_path / "compare.html").read_text()


def test_a_run_by_view_is_not_resumed_on_other_views(workbench, views, runs):
    split = ["split=leave_one_signer_out", "split.by=view", "seed=9"]
    assert workbench("train", *views, *split) == 0
    (run,) = [r for r in find_runs(runs) if r.params.get("seed") == "9"]
    loaded = load_run(run.name, runs)
    store, split = loaded.clips()
    assert split.by_digest == run.tags["split.by.digest"]
    assert training_split(loaded, store) is not None
    changed = np.roll(store.columns["view"], 1)
    store.columns["view"][:] = changed
    assert training_split(loaded, store) is None
    runs.client.set_terminated(run.run_id, "FAILED")
    with pytest.raises(UserError, match="view has changed since; start the run anew"):
        resume(run.run_id, runs, store=store)


def test_an_unknown_column_is_one_sentence(workbench, views, capsys):
    capsys.readouterr()
    assert workbench("train", *views, "split.by=session") == 2
    assert "split.by=session: choose from signer, view\n" in capsys.readouterr().err
    assert workbench("train", *views, "data.columns=[session]") == 2
    assert "data.columns=session: choose from view\n" in capsys.readouterr().err
