"""What a person relies on in an evaluation: a run and its file measure alike, and say of whom."""

import json
import re
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest

from asl.errors import UserError
from asl.export.parity import scores
from asl.tracking.find import download, find_run, find_runs
from asl.tracking.store import open_tracker


@pytest.fixture(scope="module")
def of_run(workbench, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("of_run")
    assert workbench("evaluate", f"run={trained}", f"evaluate.dir={folder}") == 0
    return folder


def evaluated(workbench, folder, model, *arguments):
    typed = [f"model={model}", "split=signer_holdout", *workbench.data, *arguments]
    assert workbench("evaluate", *typed, f"evaluate.dir={folder}") == 0
    return json.loads((folder / "metrics.json").read_text())


def test_the_kept_epoch_measures_the_same_again(of_run, workbench, trained):
    runs = open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})
    run = find_run(runs, trained)
    again = json.loads((of_run / "metrics.json").read_text())
    assert {"accuracy_top10", "mrr", "ece", "ece_calibrated"} <= set(again)
    for name, value in again.items():
        assert run.metrics[f"test/{name}"] == pytest.approx(value, abs=1e-5)
    assert run.metrics["temperature"] > 0
    for path in of_run.iterdir():
        if path.name not in ("report.txt", "metrics.json"):
            assert download(runs, run.run_id, f"test/{path.name}").stat().st_size


def test_the_report_names_its_folder_last(workbench, trained, tmp_path, capsys):
    folder = tmp_path / "made" / "here"
    assert workbench("evaluate", f"run={trained}", f"evaluate.dir={folder}", "part=val") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"evaluation: {folder}"
    assert (folder / "report.txt").read_text() in printed
    assert "no other validation clips" in printed
    assert not (folder / "reliability_calibrated.csv").exists()


@pytest.mark.slow
def test_clips_and_signers_that_were_trained_on_are_warned_of(
    workbench, trained, of_run, tmp_path, capsys
):
    def said_of(*arguments):
        capsys.readouterr()
        assert workbench("evaluate", f"run={trained}", *arguments) == 0
        printed = capsys.readouterr()
        (line,) = [line for line in printed.out.splitlines() if line.startswith("seen in")]
        warned = [line for line in printed.err.splitlines() if line.startswith("warning")]
        return line.partition(": ")[2], warned

    assert "seen in training: nothing\n" in (of_run / "report.txt").read_text()
    (tested,) = set(pd.read_parquet(of_run / "predictions.parquet")["signer"].astype(str))
    others = ",".join(signer for signer in "1234" if signer != tested)
    said, warned = said_of("split=signer_holdout", f"split.test=[{others}]", "split.val=none")
    assert said.startswith("24 of these 36 clips; clips of signers ")
    assert said.endswith(", which chose the epoch")
    assert warned == [f"warning: seen in training by {trained}: {said}"]
    data = [f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store", "data.source.signs=4"]
    few = ["data.source.signers=4", "data.source.clips_per_sign=1"]
    said, warned = said_of("data=synthetic", *data, *few)
    assert said.startswith("not known, as the run had other clips")
    assert not warned


@pytest.mark.parametrize("variant", ["float32", "float16"])
def test_a_tflite_measures_as_its_run_does(exported, workbench, of_run, tmp_path, variant):
    wanted = json.loads((of_run / "metrics.json").read_text())
    found = evaluated(workbench, tmp_path, exported / f"model_{variant}.tflite")
    for name in ("loss", "accuracy", "accuracy_top5", "f1", "mrr", "ece_calibrated"):
        assert found[name] == pytest.approx(wanted[name], abs=2e-3)
    assert "its run " in (tmp_path / "report.txt").read_text()
    mine, theirs = (pd.read_csv(folder / "by_missing_hands.csv") for folder in (tmp_path, of_run))
    pd.testing.assert_frame_equal(mine, theirs)


def test_a_strangers_file_without_names_is_measured_in_the_data_sets_order(
    exported, workbench, of_run, tmp_path, capsys
):
    whole = (exported / "model_float32.tflite").read_bytes()
    with zipfile.ZipFile(exported / "model_float32.tflite") as archive:
        model_alone = whole[: min(entry.header_offset for entry in archive.infolist())]
    stranger = tmp_path / "stranger.tflite"
    stranger.write_bytes(model_alone)
    found = evaluated(workbench, tmp_path / "out", stranger)
    assert "names no signs" in capsys.readouterr().err
    assert "does not say what it was trained on" in (tmp_path / "out/report.txt").read_text()
    wanted = json.loads((of_run / "metrics.json").read_text())
    assert found["accuracy"] == pytest.approx(wanted["accuracy"])


@pytest.mark.slow
def test_signs_in_another_order_are_put_in_order(exported, workbench, of_run, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes((exported / "model_float32.tflite").read_bytes().partition(b"PK\3\4")[0])
    signs = json.loads((exported / "labels.json").read_text())["signs"]
    (tmp_path / "labels.json").write_text(json.dumps({"signs": signs[::-1]}))
    found = evaluated(workbench, tmp_path / "out", model, "part=train")
    (tmp_path / "labels.json").write_text(json.dumps({"signs": signs}))
    right = evaluated(workbench, tmp_path / "right", model, "part=train")
    backwards, forwards = (
        np.stack(pd.read_parquet(tmp_path / name / "predictions.parquet")["scores"].to_list())
        for name in ("out", "right")
    )
    np.testing.assert_array_equal(backwards, forwards[:, ::-1])
    assert found["loss"] != right["loss"]


def test_several_processes_give_what_one_gives(exported, synthetic_store):
    model, rows = exported / "model_float32.tflite", np.arange(len(synthetic_store))[::-1]
    alone = scores.tflite_outputs(model, synthetic_store, rows)
    together = scores.tflite_outputs(model, synthetic_store, rows, workers=2)
    np.testing.assert_array_equal(alone, together)


def test_a_file_for_other_clips_is_one_sentence(exported, isl30_store):
    with pytest.raises(UserError, match="543"):
        scores.tflite_outputs(exported / "model_float32.tflite", isl30_store, np.arange(3))


@pytest.fixture
def copied(workbench, trained, tmp_path):
    """The raw clips that the run was trained on, copied, with other labels of their signs."""

    def copied(change):
        raw = shutil.copytree(workbench.folder / "raw", tmp_path / "copied")
        path = raw / "sign_to_prediction_index_map.json"
        signs = change(sorted(labels := json.loads(path.read_text()), key=labels.get))
        path.write_text(json.dumps({sign: label for label, sign in enumerate(signs)}))
        return ["data=gislr", f"data.root={raw}", f"data.store={tmp_path}/store"]

    return copied


def test_a_run_is_measured_by_the_names_of_the_signs(copied, workbench, trained, of_run, tmp_path):
    data, folder = copied(lambda signs: signs[::-1]), tmp_path / "out"
    typed = [*data, "split=signer_holdout", f"evaluate.dir={folder}"]
    assert workbench("evaluate", f"run={trained}", *typed) == 0
    ours, theirs = (pd.read_parquet(f / "predictions.parquet") for f in (folder, of_run))
    pd.testing.assert_frame_equal(
        ours.drop(columns="scores"), theirs.drop(columns="scores"), check_like=True
    )
    metrics, wanted = (json.loads((f / "metrics.json").read_text()) for f in (folder, of_run))
    assert metrics == pytest.approx(wanted, abs=1e-3)  # packed in another precision


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_clips_of_other_signs_are_one_sentence(copied, command, workbench, trained, capsys):
    data = copied(lambda signs: [*signs, "goodbye"])
    capsys.readouterr()
    assert workbench(command, f"run={trained}", *data) == 2
    printed = capsys.readouterr().err
    assert f"run={trained}: its signs are not those of gislr" in printed
    assert "these clips alone have goodbye" in printed
    assert "Traceback" not in printed


def test_clips_of_another_layout_are_one_sentence(workbench, trained, tmp_path, capsys):
    clips = np.random.default_rng(0).random((8, 6, 20, 3))
    np.savez(tmp_path / "mine.npz", X=clips, sign=[0, 1] * 4)
    (tmp_path / "clips.yaml").write_text("{layout: kinect20, file: mine.npz, signer: none}")
    data = ["data=npz", f"data.root={tmp_path}", f"data.store={tmp_path}/store"]
    assert workbench("evaluate", f"run={trained}", *data, "split=random") == 2
    assert "reads clips of the layout mediapipe_holistic" in capsys.readouterr().err


@pytest.fixture(scope="module")
def renamed(workbench, trained, tmp_path_factory):
    """Another data set, in which a sign is called goodbye; overrides, and the sign's known name."""
    folder = tmp_path_factory.mktemp("other")
    raw = shutil.copytree(workbench.folder / "raw", folder / "raw")
    path = raw / "sign_to_prediction_index_map.json"
    known = sorted(labels := json.loads(path.read_text()), key=labels.get)[0]
    path.write_text(path.read_text().replace(f'"{known}"', '"goodbye"'))
    clips = pd.read_csv(raw / "train.csv").replace({"sign": {known: "goodbye"}})
    clips.to_csv(raw / "train.csv", index=False)
    return ["data=gislr", "data.name=other", f"data.root={raw}", f"data.store={folder}/s"], known


def test_another_set_is_measured_whole_and_tracked(workbench, trained, renamed, tmp_path, capsys):
    arguments = [f"run={trained}", *renamed[0], f"evaluate.dir={tmp_path}"]
    assert workbench("evaluate", *arguments, "evaluate.unknown_signs=leave_out") == 0
    printed, warned = capsys.readouterr()
    assert re.search(r"warning: seen in training by .* 18 of these 36 clips, by their", warned)
    assert "left out: 12 clips of 1 signs that it does not know (goodbye)" in printed
    assert "test (whole: every clip), 36 clips" in printed
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == 36

    found = workbench.runs(capsys, "--kind", "evaluate", "--data", "other")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert found[0]["metrics"]["test/accuracy"] == metrics["accuracy"]
    assert found[0]["params"]["evaluated"] == trained
    assert not any(run["name"] == found[0]["name"] for run in workbench.runs(capsys))


@pytest.mark.parametrize("file", [False, True])
def test_clips_that_were_trained_on_are_not_signer_independent(
    workbench, trained, exported, tmp_path, file
):
    what = f"model={exported}/model_float32.tflite" if file else f"run={trained}"
    data = workbench.data if file else []
    arguments = [what, *data, "split=whole", f"evaluate.dir={tmp_path}"]
    assert workbench("evaluate", *arguments) == 0
    runs = open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})
    newest = max(
        (run for run in find_runs(runs) if run.tags["kind"] == "evaluate"),
        key=lambda run: run.started,
    )
    assert newest.split == "whole: every clip"
    assert not newest.test_signer_independent


def test_a_sign_with_another_name_is_matched(workbench, trained, renamed, tmp_path):
    data, known = renamed
    spelled = [f"evaluate.signs={{goodbye:{known}}}", f"evaluate.dir={tmp_path}"]
    assert workbench("evaluate", f"run={trained}", *data, *spelled) == 0
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == 48


def test_a_file_is_measured_on_another_set(exported, workbench, renamed, tmp_path, capsys):
    typed = [f"model={exported}/model_float32.tflite", *renamed[0], "split=whole"]
    leave = ["evaluate.unknown_signs=leave_out", f"evaluate.dir={tmp_path}"]
    assert workbench("evaluate", *typed, *leave) == 0
    assert "left out: 12 clips" in capsys.readouterr().out


def test_a_file_without_a_split_is_told_how_to_measure_all_clips(workbench, capsys):
    assert workbench("evaluate", "model=model.tflite", *workbench.data) == 2
    assert "split=whole for all of them" in capsys.readouterr().err
    assert workbench("evaluate", "model=model.tflite", "split=whole") == 2
    assert "data=…" in capsys.readouterr().err
