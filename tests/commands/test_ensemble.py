"""Several runs become one recognizer, by the command; and what may not become one."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from asl.cli import run

FAST = ["trainer=smoke", "model.hidden=8"]
SPLIT = ["split.test=[3]", "split.val=[2]"]  # so signers 1 and 4 are trained on


@pytest.fixture(scope="module")
def workbench(workbench, tmp_path_factory):
    """One of its own: others ask for the best run of theirs."""
    return type(workbench)(tmp_path_factory.mktemp("ensembles"))


def of(workbench):
    from asl.tracking.store import open_tracker

    return open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})


def newest(workbench):
    from asl.tracking.find import find_runs

    return max(find_runs(of(workbench)), key=lambda found: found.started)


def train(workbench, *arguments):
    assert workbench("train", *FAST, *workbench.data, *arguments) == 0
    return newest(workbench)


@pytest.fixture(scope="module")
def members(workbench):
    """Runs that differ in network, scaler, landmarks and features, on one split."""
    return [
        train(workbench, "model=lstm", "scaler=standard", "landmarks=hands", *SPLIT),
        train(workbench, "model=cnn", "scaler=body", "landmarks=gislr118", "seed=1", *SPLIT),
    ]


@pytest.fixture(scope="module")
def ensemble(workbench, members):
    # The name of one, the id of the other.
    assert workbench("ensemble", f"runs=[{members[0].name},{members[1].run_id}]") == 0
    return newest(workbench)


def test_the_run_tells_of_its_members_and_of_the_split(ensemble, members):
    assert ensemble.status == "FINISHED"
    assert ensemble.tags["kind"] == "ensemble"
    assert ensemble.tags["members"] == ",".join(member.run_id for member in members)
    assert ensemble.params["members"] == ", ".join(member.name for member in members)
    for tag in ("data", "data.fingerprint", "split", "val_protocol", "signer_independent"):
        assert ensemble.tags[tag] == members[0].tags[tag]
    counted = [member.metrics["parameters"] for member in members]
    assert ensemble.metrics["parameters"] == sum(counted)
    assert {"val/f1", "val/accuracy", "test/f1", "test/loss"} <= ensemble.metrics.keys()


def test_it_leaves_what_a_trained_run_leaves_of_its_splits(workbench, ensemble, members):
    client = of(workbench).client

    def left(found):
        parts = ("val", "test", "checkpoints")
        return {a.path for part in parts for a in client.list_artifacts(found.run_id, part)}

    assert left(ensemble) == left(members[0])
    assert "checkpoints/best.ckpt" in left(ensemble)


def test_its_scores_are_the_mean_of_its_members(workbench, ensemble, members):
    from asl.tracking.find import download

    store = of(workbench)
    for part in ("val", "test"):
        path = f"{part}/predictions.parquet"
        one, two, both = (
            pd.read_parquet(download(store, found.run_id, path)) for found in (*members, ensemble)
        )
        assert list(one["clip"]) == list(two["clip"]) == list(both["clip"])
        scores = [np.stack(table["scores"]) for table in (one, two, both)]
        np.testing.assert_allclose(scores[2], (scores[0] + scores[1]) / 2, atol=1e-6)


def test_its_checkpoint_is_one_file_that_opens_as_the_members_together(
    workbench, ensemble, members
):
    from asl.tracking.find import download
    from asl.training.checkpoint import load_recognizer

    one, two, both = (
        load_recognizer(download(of(workbench), found.run_id, "checkpoints/best.ckpt"))
        for found in (*members, ensemble)
    )
    clip = torch.rand(9, 543, 3)
    wanted = (one.recognise(clip) * two.recognise(clip)).sqrt()  # what a mean of logits comes to
    torch.testing.assert_close(both.recognise(clip), wanted / wanted.sum())


def accuracy(printed: str) -> str:
    return re.search(r"accuracy (\d\.\d+)", printed).group(1)


def test_evaluate_measures_it_as_the_command_did(workbench, ensemble, capsys):
    capsys.readouterr()
    assert workbench("evaluate", f"run={ensemble.name}") == 0
    assert float(accuracy(capsys.readouterr().out)) == pytest.approx(
        ensemble.metrics["test/accuracy"], abs=1e-4
    )


@pytest.mark.slow
def test_it_exports_as_one_verified_file_that_measures_alike(workbench, ensemble, tmp_path, capsys):
    exported = tmp_path / "exported"
    assert workbench("export", f"run={ensemble.name}", f"export.dir={exported}") == 0
    report = json.loads((exported / "report.json").read_text())
    assert report["verified"]
    assert report["backbone"] == "Ensemble of Recurrent, Cnn"
    assert [each["name"] for each in report["parity"]] == ["onnx", "float32", "float16"]
    labels = json.loads((exported / "labels.json").read_text())
    assert labels["inputs"] == ["frames", 543, 3]
    scalers = [member["scaler"]["class"] for member in labels["members"]]
    assert scalers == ["StatisticsScaler", "BodySize"]
    assert [member["landmarks"]["name"] for member in labels["members"]] == ["hands", "gislr118"]
    model = f"model={exported}/model_float16.tflite"
    capsys.readouterr()
    assert workbench("evaluate", model, *workbench.data, "split=signer_holdout", *SPLIT) == 0
    assert float(accuracy(capsys.readouterr().out)) == pytest.approx(
        ensemble.metrics["test/accuracy"], abs=1e-4
    )


def test_the_best_run_may_be_an_ensemble(workbench, ensemble):
    from asl.tracking.find import best_run

    store = of(workbench)
    store.client.log_metric(ensemble.run_id, "val/f1", 1.5)
    assert best_run(store, None, "synthetic", None).run_id == ensemble.run_id


# --- never a leak unseen ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere(workbench):
    """A run that tested on signer 1 and so has seen 3, and stopped by 2's clips as the others."""
    return train(workbench, "model=gru", "split.test=[1]", "split.val=[2]")


def mistake(capsys, status: int) -> str:
    printed = capsys.readouterr().err
    assert status == 2, printed
    assert len(printed.strip().splitlines()) == 1, printed
    return printed


def test_members_of_different_splits_need_a_split_that_no_member_has_seen(
    workbench, members, elsewhere, capsys
):
    both = f"runs=[{members[0].name},{elsewhere.name}]"
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", both))
    assert "different splits" in printed
    assert "test=[3]" in printed
    assert "test=[1]" in printed
    assert "split=" in printed

    split = ["split=signer_holdout", "split.val=[2]"]
    printed = mistake(capsys, workbench("ensemble", both, *split, "split.test=[3]"))
    assert elsewhere.name in printed
    assert "has seen signers 3 of the test clips" in printed
    printed = mistake(capsys, workbench("ensemble", both, *split, "split.test=[1]"))
    assert members[0].name in printed
    assert "signers 1 of the test" in printed


def test_what_chose_a_members_epoch_is_no_test(workbench, members, capsys):
    both = f"runs=[{members[0].name},{members[1].name}]"
    capsys.readouterr()
    split = ["split=signer_holdout", "split.test=[2]", "split.val=[3]"]
    printed = mistake(capsys, workbench("ensemble", both, *split))
    assert "has seen signers 2 of the test clips" in printed


def test_what_a_member_was_trained_on_is_no_validation(workbench, members, capsys):
    both = f"runs=[{members[0].name},{members[1].name}]"
    capsys.readouterr()
    split = ["split=signer_holdout", "split.test=[3]"]
    printed = mistake(capsys, workbench("ensemble", both, *split, "split.val=[1]"))
    assert "has seen signers 1 of the val clips" in printed
    assert workbench("ensemble", both, *split, "split.val=none") == 0
    found = newest(workbench)
    assert "test/f1" in found.metrics
    assert "val/f1" not in found.metrics


def test_a_random_split_is_seen_clip_by_clip(workbench, members, capsys):
    both = f"runs=[{members[0].name},{members[1].name}]"
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", both, "split=random"))
    assert re.search(r"has seen \d+ clips of the test", printed)


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ("[]", ["two runs or more"]),
        ("null", ["two runs or more"]),
        ("[{0}]", ["runs=[{0}]", "two runs or more"]),
        ("{0}", ["runs=[{0}]", "two runs or more"]),
        ("[{0},{1},{0}]", ["{0} is there twice"]),
        ("[{0},nonsense]", ["runs=nonsense", "there is no such run", "choose from"]),
    ],
)
def test_a_mistake_is_one_sentence(runs, words, workbench, members, capsys):
    names = [member.name for member in members]
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", "runs=" + runs.format(*names)))
    for word in words:
        assert word.format(*names) in printed


def test_one_run_by_name_and_by_id_is_there_twice(workbench, members, capsys):
    capsys.readouterr()
    status = workbench("ensemble", f"runs=[{members[0].name},{members[0].run_id}]")
    assert "twice" in mistake(capsys, status)


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [("train", "KILLED", "KILLED"), ("crossval", "FINISHED", "is no recognizer")],
)
def test_what_is_no_finished_recognizer_is_refused(kind, status, words, workbench, members, capsys):
    store = of(workbench)
    tags = {"kind": kind, "data": "synthetic"}
    begun = store.client.create_run(store.experiment_id, tags=tags, run_name=f"{kind}-{status}")
    store.client.set_terminated(begun.info.run_id, status)
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", f"runs=[{members[0].name},{kind}-{status}]"))
    assert f"{kind}-{status}" in printed
    assert words in printed


def test_an_ensemble_is_not_resumed(workbench, ensemble, capsys):
    capsys.readouterr()
    printed = mistake(capsys, workbench("train", f"resume={ensemble.name}"))
    assert f"resume={ensemble.name}: there is no such training run" in printed


def test_other_signs_are_refused(workbench, members, tmp_path, capsys):
    data = ["data=synthetic", f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store"]
    small = ["data.source.signs=3", "data.source.signers=4", "data.source.clips_per_sign=2"]
    other = train(workbench, *data, *small, "model=cnn", *SPLIT)
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", f"runs=[{members[0].name},{other.name}]"))
    assert "other signs" in printed
    assert other.name in printed


def test_another_layout_is_refused(workbench, members, tmp_path, capsys):
    skeletons = np.random.default_rng(0).random((8, 6, 20, 3))
    signers = np.repeat([1, 2], 4)
    np.savez(tmp_path / "mine.npz", X=skeletons, sign=np.arange(8) % 2, participant_id=signers)
    (tmp_path / "clips.yaml").write_text("{layout: kinect20, file: mine.npz, signs: [a, b]}")
    data = ["data=npz", f"data.root={tmp_path}", f"data.store={tmp_path}/store"]
    split = ["split.test=[2]", "split.val=none"]
    assert workbench("train", *FAST, *data, *split, "model=cnn", "landmarks=kinect20") == 0
    kinect = newest(workbench).name
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", f"runs=[{members[0].name},{kinect}]"))
    for word in (members[0].name, kinect, "layout", "kinect20", "mediapipe_holistic"):
        assert word in printed


def test_clips_that_have_changed_are_refused(workbench, members, tmp_path, capsys):
    data = ["data=synthetic", f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store"]
    same = ["data.source.signs=4", "data.source.signers=4", "data.source.clips_per_sign=2"]
    names = ",".join(member.name for member in members)
    assert run(["prepare", *data, *same]) == 0
    capsys.readouterr()
    printed = mistake(capsys, workbench("ensemble", f"runs=[{names}]", *data, *same))
    assert "trained on other clips" in printed
