"""What asl export ends with: submission.zip, and a version of a registered model."""

import json
import shutil

import numpy as np
import pytest

from asl.commands.export import print_published
from asl.runs.export import best_file, publish
from asl.runtime.litert import load
from asl.tracking.find import find_run
from asl.tracking.store import open_tracker


@pytest.fixture
def store(workbench):
    return open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})


def test_an_export_is_a_version_of_its_data_sets_model(exported, trained, store):
    run = find_run(store, trained)
    versions = store.client.search_model_versions("name='asl-synthetic'")
    version = next(each for each in versions if each.run_id == run.run_id)
    assert version.tags["variant"] == "float16"
    assert float(version.tags["val/f1"]) == pytest.approx(run.metrics["val/f1"], abs=1e-6)


def test_each_file_is_a_model_of_its_run_with_its_metrics(exported, trained, store):
    run, report = find_run(store, trained), json.loads((exported / "report.json").read_text())
    models = store.client.search_logged_models(
        [store.experiment_id], f"source_run_id = '{run.run_id}'"
    )
    kinds = {model.model_type: {m.key: m for m in model.metrics} for model in models}
    assert {"checkpoint", "float32", "float16"} <= kinds.keys()
    accuracy = kinds["float16"]["float16/test/accuracy"]
    assert accuracy.value == report["accuracy"]["test"]["files"]["float16"]["accuracy"]
    assert accuracy.dataset_name == "synthetic"
    size = (exported / "model_float16.tflite").stat().st_size
    assert kinds["float16"]["float16/megabytes"].value == pytest.approx(size / 1e6)
    assert run.metrics["test/accuracy"] == kinds["checkpoint"]["test/accuracy"].value


def test_files_name_their_run(exported, trained, store):
    run = find_run(store, trained)
    assert json.loads((exported / "labels.json").read_text())["run"] == {
        "id": run.run_id,
        "name": trained,
        "data": "synthetic",
        "data.fingerprint": run.tags["data.fingerprint"],
        "split": run.split,
        "val_protocol": run.tags["val_protocol"],
    }
    for path in exported.glob("*.tflite"):
        assert f"Trained on synthetic, {run.split}.".encode() in path.read_bytes()


def test_once_more_the_same_is_no_better(exported, trained, store, capsys):
    run, report = find_run(store, trained), json.loads((exported / "report.json").read_text())
    clip = np.zeros((3, 543, 3), np.float32)
    for _ in range(2):
        published = publish(store, run, exported, report, clip, name="again", force=False)
        print_published(published)
    submission, first, _, second = capsys.readouterr().out.splitlines()
    assert submission.startswith(f"submission: {exported / 'submission.zip'} (model_")
    assert first == "registered: models:/again/1, the champion now: there was none"
    assert second.startswith("registered: models:/again/2, not the champion: val/f1 ")
    assert second.endswith(f"; it stays version 1 ({trained})")

    print_published(publish(store, run, exported, report, clip, name=None, force=False))
    assert "registered" not in capsys.readouterr().out


def test_the_file_that_the_report_prefers(exported):
    report = json.loads((exported / "report.json").read_text())
    chosen = best_file(exported, report | {"best": "float32"})
    assert chosen == exported / "model_float32.tflite"
    assert load(chosen)
    assert best_file(exported / "nowhere", report) is None


@pytest.mark.parametrize(
    ("mistake", "choices"),
    [
        ("export.champion=always", "choose from better, force"),
        ("export.register=a/b", "choose a name of letters, digits and . _ + -"),
    ],
)
def test_mistakes_are_said_before_the_work(workbench, trained, tmp_path, capsys, mistake, choices):
    capsys.readouterr()
    assert workbench("export", f"run={trained}", f"export.dir={tmp_path}/files", mistake) == 2
    assert capsys.readouterr().err == f"asl export: {mistake}: {choices}\n"
    assert not (tmp_path / "files").exists()


@pytest.mark.slow
def test_only_what_the_export_wrote_is_uploaded(workbench, trained, store, tmp_path):
    folder = tmp_path / "home"
    (folder / ".export-killed").mkdir(parents=True)
    for name in ("kaggle.json", ".ssh", ".export-killed/model.onnx", "model_int8.tflite"):
        (folder / name).write_text("secret")
    run = find_run(store, trained)
    uploaded = store.artifacts / run.run_id / "artifacts" / "export"
    shutil.rmtree(uploaded, ignore_errors=True)

    options = [f"export.dir={folder}", "export.variants=[float32]", "export.register=null"]
    assert workbench("export", f"run={trained}", *options) == 0

    files = {path.name for path in uploaded.rglob("*")}
    reports = {"labels.json", "report.json", "report.md", "submission.zip"}
    assert files == {"model.onnx", "model_float32.tflite", *reports}
    assert {path.name: path.read_bytes() for path in uploaded.iterdir()} == {
        name: (folder / name).read_bytes() for name in files
    }
    assert (folder / "kaggle.json").read_text() == "secret"
