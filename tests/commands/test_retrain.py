"""asl retrain and split=all: the final model, trained on every signer."""

import json

import pytest

from asl.tracking.find import find_runs, run_config
from asl.tracking.store import open_tracker

SMALL = ["model=gru", "model.hidden=8", "trainer=smoke", "trainer.max_epochs=3"]


@pytest.fixture(scope="module")
def desk(workbench, tmp_path_factory):
    """Runs a command with an MLflow store of its own; and that store."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlruns')}/mlflow.db"

    def call(command: str, *arguments: str) -> int:
        from asl.cli import run

        return run([command, *arguments, f"tracking.uri={uri}"])

    return call, open_tracker({"uri": uri, "experiment": "asl"})


@pytest.fixture(scope="module")
def crossval(desk, workbench):
    """A finished cross-validation of two folds."""
    call, store = desk
    folds = ["split=signer_kfold", "split.folds=2", "workers=1"]
    assert call("crossval", *workbench.data, *SMALL, *folds) == 0
    return next(run for run in find_runs(store) if run.tags["kind"] == "crossval")


def test_everybody_is_trained_on_for_as_many_epochs_as_the_folds_kept(desk, crossval, capsys):
    call, store = desk
    capsys.readouterr()
    assert call("retrain", f"run={crossval.name}") == 0
    printed = capsys.readouterr().out
    assert f"crossval/accuracy {crossval.metrics['test/accuracy']:.4f}" in printed
    assert crossval.name in printed
    runs = find_runs(store)
    final = next(run for run in runs if run.tags.get("retrain.of") == crossval.name)
    folds = [run for run in runs if "split.fold" in run.params]
    kept = [run.metrics["epochs_kept"] for run in folds]
    assert len(kept) == 2
    assert final.metrics["epochs"] == round(sum(kept) / 2)
    assert final.metrics["crossval/f1"] == crossval.metrics["test/f1"]
    assert not any(name.startswith(("test/", "val/")) for name in final.metrics)
    assert final.tags["split"] == "all_signers test=none"
    assert final.params["model"] == "gru"
    assert run_config(store, final.run_id)["model"]["hidden"] == 8


def test_seed_and_epochs_can_be_typed(desk, crossval):
    call, store = desk
    assert call("retrain", f"run={crossval.run_id}", "epochs=1", "seed=9") == 0
    final = next(run for run in find_runs(store) if run.params.get("seed") == "9")
    assert final.metrics["epochs"] == 1


@pytest.mark.slow
def test_the_final_model_is_exported_and_becomes_champion(desk, crossval, tmp_path, capsys):
    call, store = desk
    measured = next(run for run in find_runs(store) if "split.fold" in run.params)
    files = ["export.variants=[float32]", "export.clips=16", "export.max_drop=1"]
    assert call("export", f"run={measured.name}", f"export.dir={tmp_path}/fold", *files) == 0
    assert call("retrain", f"run={crossval.name}", "epochs=1", "seed=4") == 0
    final = next(run for run in find_runs(store) if run.params.get("seed") == "4")
    capsys.readouterr()
    assert call("export", f"run={final.name}", f"export.dir={tmp_path}/final", *files) == 0
    registered = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("registered:")
    )
    assert "the champion now: crossval/f1" in registered
    report = json.loads((tmp_path / "final" / "report.json").read_text())
    assert report["verified"]
    assert report["clips"]["part"] == "training"


def test_a_run_and_the_best_run_can_be_trained_again(desk, crossval):
    call, store = desk
    fold = next(run for run in find_runs(store) if "split.fold" in run.params)
    assert call("retrain", f"run={fold.name}", "seed=5") == 0
    final = next(run for run in find_runs(store) if run.params.get("seed") == "5")
    assert final.metrics["holdout/accuracy"] == fold.metrics["test/accuracy"]
    assert final.metrics["epochs"] == fold.metrics["epochs_kept"]


def test_what_cannot_be_trained_again_is_one_sentence(desk, crossval, capsys):
    call, _ = desk
    for arguments, words in (
        (["run=nonsense"], "run=nonsense"),
        ([f"run={crossval.name}", "epochs=0"], "epochs=0"),
    ):
        capsys.readouterr()
        assert call("retrain", *arguments) == 2
        printed = capsys.readouterr().err
        assert words in printed
        assert "Traceback" not in printed


@pytest.mark.parametrize("split", [["split=all"], ["split.test=none", "split.val=none"]])
def test_train_with_nobody_held_out(desk, workbench, split):
    call, store = desk
    assert call("train", *workbench.data, *SMALL, *split, "seed=7", "trainer.max_epochs=1") == 0
    run = next(run for run in find_runs(store) if run.params.get("seed") == "7")
    assert run.status == "FINISHED"
    assert run.tags["split"] == "all_signers test=none"
    assert run.tags["val_protocol"] == "none"
    assert run.metrics["epochs_kept"] == 1
