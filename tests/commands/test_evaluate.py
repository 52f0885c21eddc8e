"""What a person relies on in an evaluation: a run and its file measure alike, and say of whom."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from asl.errors import UserError
from asl.export.parity import scores
from asl.tracking.find import download, find_run
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
