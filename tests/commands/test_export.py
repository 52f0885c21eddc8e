"""From a run to a file that names signs, by the commands alone."""

import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from asl.tracking.find import find_run
from asl.tracking.store import open_tracker


def test_an_export_is_whole_and_logged_to_its_run(exported, workbench, trained):
    names = {path.name for path in exported.iterdir()}
    wanted = {
        "model.onnx",
        "model_float32.tflite",
        "model_float16.tflite",
        "labels.json",
        "report.json",
        "report.md",
        "submission.zip",
    }
    assert wanted == names
    assert json.loads((exported / "report.json").read_text())["verified"]
    store = open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})
    run = find_run(store, trained)
    logged = {artifact.path for artifact in store.client.list_artifacts(run.run_id, "export")}
    assert {f"export/{name}" for name in wanted} == logged


def test_files_are_as_accurate_as_the_recognizer(exported):
    report = json.loads((exported / "report.json").read_text())
    assert report["clips"]["part"] == "validation and test"
    for part in ("val", "test"):
        found = report["accuracy"][part]
        assert found["signer_independent"]
        assert found["files"]["float32"] == found["files"]["torch"]
    assert report["best"] == "float16"
    assert "Accuracy" in (exported / "report.md").read_text()


@pytest.mark.parametrize("frames", [1, 2, 3, 30, 400])
def test_the_genuine_competition_file_gets_probabilities(exported, shared_data, frames):
    from asl.clips.sources.gislr import read_clip

    path = shared_data / "gislr_sample" / "train_landmark_files" / "22343" / "239181.parquet"
    genuine = read_clip(path)
    interpreter = Interpreter(str(exported / "model_float32.tflite"))
    recognise = interpreter.get_signature_runner("serving_default")
    for clip in (np.resize(genuine, (frames, 543, 3)), np.full((frames, 543, 3), np.nan)):
        outputs = recognise(inputs=clip.astype(np.float32))["outputs"]
        assert np.isfinite(outputs).all()
        assert outputs.sum() == pytest.approx(1, abs=1e-5)


def test_predict_names_signs_of_a_clip(exported, workbench, capsys):
    clip = next((workbench.folder / "raw").rglob("*.parquet"))
    capsys.readouterr()
    from asl.cli import run

    assert run(["predict", str(exported / "model_float16.tflite"), str(clip), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["clip"] == str(clip)
    probabilities = [p["probability"] for p in found["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_export_of_a_run_whose_data_is_elsewhere_now(workbench, trained, tmp_path, capsys):
    missing = [f"data.root={tmp_path}/nowhere", f"data.store={tmp_path}/nowhere"]
    status = workbench("export", f"run={trained}", "data=gislr", *missing)
    assert status == 2
    assert "nowhere" in capsys.readouterr().err


def test_best_is_chosen_by_validation_unless_a_metric_is_named(workbench, trained):
    from asl.tracking.find import best_run, find_runs

    store = open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})
    assert workbench("train", "model=cnn", "model.hidden=8") == 0
    runs = find_runs(store, data="synthetic", split="signer_holdout")
    newest = max(runs, key=lambda r: r.started)
    runs = [r for r in runs if r.comparable == newest.comparable]  # other tests leave runs, too
    values = {r.run_id: r.metrics for r in runs if r.is_training and "val/f1" in r.metrics}
    by_validation = best_run(store, None, "synthetic", None)
    assert by_validation.metrics["val/f1"] == max(m["val/f1"] for m in values.values())
    by_loss = best_run(store, "val/loss", "synthetic", None)
    assert by_loss.metrics["val/loss"] == min(m["val/loss"] for m in values.values())
