"""Runs and checkpoints of strangers: nothing that they name is run or used as a path."""

import importlib
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import asl
from asl.cli import run
from asl.clips.packing_progress import summarise
from asl.clips.sources.base import Problem
from asl.commands.tables import console
from asl.errors import UserError
from asl.paths import as_file_name
from asl.runtime.predict import Prediction
from asl.sweeps.progress import log_line
from asl.tracking.find import download, find_run
from asl.tracking.lock import LOCK_TAG, lock_name, run_lock
from asl.tracking.store import open_tracker

SPAWN = "setuptools._distutils.spawn.spawn"
PARTS = ["scaler", "features", "model", "head", "handedness"]


@pytest.fixture
def received(workbench, trained, tmp_path):
    """A copy of the store with the trained run, as somebody would send it."""
    shutil.copytree(workbench.folder / "mlruns", tmp_path / "mlruns")
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    tracker = open_tracker({"uri": uri})
    found = find_run(tracker, trained)
    return Received(tmp_path, uri, tracker, found, tracker.artifacts / found.run_id / "artifacts")


class Received:
    def __init__(self, folder, uri, tracker, found, artifacts) -> None:
        self.folder, self.uri, self.tracker, self.artifacts = folder, uri, tracker, artifacts
        self.run, self.marker = found, folder / "marker"
        self.touch = {"_target_": SPAWN, "cmd": ["touch", str(self.marker)]}
        self.checkpoint = artifacts / "checkpoints" / "best.ckpt"

    def config(self, **changes) -> None:
        path = self.artifacts / "config.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))

    def spec(self, **changes) -> None:
        content = torch.load(self.checkpoint, weights_only=True)
        content["recognizer"]["spec"] |= changes
        torch.save(content, self.checkpoint)

    def refused(self, capsys, command: str, *arguments: str) -> str:
        """The one sentence of a command that has run nothing."""
        status = run([command, *arguments, f"tracking.uri={self.uri}"])
        err = capsys.readouterr().err
        assert status == 2
        assert not self.marker.exists()
        return err.splitlines()[-1]


@pytest.mark.parametrize("part", PARTS)
def test_a_checkpoint_whose_spec_names_a_function(received, capsys, part):
    received.spec(**{part: received.touch})
    sentence = received.refused(
        capsys, "evaluate", f"run={received.run.name}", f"evaluate.dir={received.folder}/out"
    )
    assert f"{part}._target_={SPAWN}: is not allowed here" in sentence
    with pytest.raises(UserError, match="is not allowed here"):
        asl.load_recognizer(received.checkpoint)
    assert not received.marker.exists()


def test_a_checkpoint_of_an_ensemble_whose_member_names_a_function(received):
    content = torch.load(received.checkpoint, weights_only=True)
    spec = content["recognizer"]["spec"]
    content["recognizer"]["spec"] = {"members": [spec, spec | {"head": received.touch}]}
    torch.save(content, received.checkpoint)
    with pytest.raises(UserError, match=r"head._target_=.* is not allowed here"):
        asl.load_recognizer(received.checkpoint)
    assert not received.marker.exists()


class Touch:
    """Unpickling it touches a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_checkpoint_with_a_pickle(received):
    torch.save(Touch(received.marker), received.checkpoint)
    with pytest.raises(UserError, match="not a checkpoint of this workbench"):
        asl.load_recognizer(received.checkpoint)
    assert not received.marker.exists()
    torch.load(received.checkpoint, weights_only=False)
    assert received.marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"signs": 3},
        {"spec": []},
        {"spec": {"members": [{}]}},
        {"spec": {"members": []}},
        {"spec": {"landmarks": {"name": "none such"}}},
    ],
)
def test_a_checkpoint_with_an_odd_description(received, change):
    content = torch.load(received.checkpoint, weights_only=True)
    content["recognizer"] |= change
    torch.save(content, received.checkpoint)
    with pytest.raises(UserError, match="checkpoint="):
        asl.load_recognizer(received.checkpoint)


COMMANDS = {
    "evaluate": ["run={run}", "evaluate.dir={folder}/out"],
    "export": ["run={run}", "export.dir={folder}/out"],
    "ensemble": ["runs=[{run},{run}]"],
    "train": ["resume={run}"],
}


@pytest.mark.parametrize(
    ("command", "place"),
    [
        *[(command, place) for command in COMMANDS for place in ("split", "data.source")],
        ("train", "optimizer"),
        ("train", "augment.mirror"),
    ],
)
def test_a_run_whose_config_names_a_function(received, capsys, command, place):
    group, _, key = place.partition(".")
    config = yaml.safe_load((received.artifacts / "config.yaml").read_text())
    received.config(**{group: config[group] | {key: received.touch} if key else received.touch})
    status = "KILLED" if command == "train" else "FINISHED"
    received.tracker.client.update_run(received.run.run_id, status=status)
    arguments = [
        text.format(run=received.run.name, folder=received.folder) for text in COMMANDS[command]
    ]
    sentence = received.refused(capsys, command, *arguments)
    assert f"_target_={SPAWN}: is not allowed here" in sentence
    assert received.run.name in sentence


@pytest.mark.parametrize(
    "text", ["[]", "a: [", "split: {}", "null", "!!python/object/apply:os.system [touch {marker}]"]
)
def test_a_run_whose_config_is_none(received, capsys, text):
    text = text.replace("{marker}", str(received.marker))
    (received.artifacts / "config.yaml").write_text(text)
    received.refused(capsys, "evaluate", f"run={received.run.name}")


def test_a_package_is_named_on_the_command_line_only(received, capsys):
    received.config(split=received.touch, plugins=["setuptools"])
    received.refused(capsys, "evaluate", f"run={received.run.name}")


def test_a_typed_target(workbench, capsys):
    assert workbench("train", f"model._target_={SPAWN}") == 2
    assert f"model._target_={SPAWN}: is not allowed here" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_of_a_package_of_the_user(workbench, capsys, tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from asl.recognizer.backbones.cnn import Cnn\nclass Mine(Cnn): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ASL_PLUGINS", "")
    network = ["model=cnn", "model.hidden=8", "model._target_=my_networks.Mine"]
    assert workbench("train", "plugins=[my_networks]", *network, "seed=17") == 0
    name = next(r["name"] for r in workbench.runs(capsys) if r["params"]["seed"] == "17")
    assert workbench("evaluate", f"run={name}", "plugins=[my_networks]") == 0
    monkeypatch.setenv("ASL_PLUGINS", "")
    assert workbench("evaluate", f"run={name}") == 2
    assert "model._target_=my_networks.Mine: is not allowed here" in capsys.readouterr().err


# --- names, tags and ids that are paths ---------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../up", "/absolute", "..", "", "a/b", "C:\\\\x", "x" * 300, "ß" * 300]
)
def test_a_name_is_one_part_of_a_path(tmp_path, name):
    path = tmp_path / as_file_name(name)
    path.mkdir()
    assert path.resolve().parent == tmp_path.resolve()


def test_a_usual_name_stays():
    assert as_file_name("gru-auto-synthetic-s3-2654") == "gru-auto-synthetic-s3-2654"


def test_a_run_whose_name_is_a_path(received, monkeypatch):
    project = received.folder / "project"
    project.mkdir()
    monkeypatch.setattr("asl.runs.evaluate.PROJECT", project)
    received.tracker.client.set_tag(received.run.run_id, "mlflow.runName", "../../../home")
    before = set(received.folder.iterdir())
    assert run(["evaluate", f"run={received.run.run_id}", f"tracking.uri={received.uri}"]) == 0
    (folder,) = (project / "data" / "evaluations").iterdir()
    assert folder.name == "-..-..-home-synthetic-test"
    assert set(received.folder.iterdir()) == before


def test_an_export_of_a_run_whose_name_is_a_path(received, capsys, monkeypatch):
    folders = []

    def export(recognizer, directory, **_):
        folders.append(directory)
        raise UserError("stopped")

    monkeypatch.setattr(importlib.import_module("asl.export.export"), "export", export)
    monkeypatch.setattr("asl.runs.export.PROJECT", received.folder / "project")
    received.tracker.client.set_tag(received.run.run_id, "mlflow.runName", "../../../home")
    assert "stopped" in received.refused(capsys, "export", f"run={received.run.run_id}")
    assert folders == [received.folder / "project" / "exports" / "-..-..-home"]


@pytest.mark.parametrize("path", ["../../../../secret", "/etc/passwd", "x/../../../../secret"])
def test_a_tag_that_leads_out_of_a_runs_artifacts(received, path):
    (received.folder / "secret").write_text("secret")
    with pytest.raises(UserError, match="no path of an artifact"):
        download(received.tracker, received.run.run_id, path)


@pytest.mark.parametrize("run_id", ["../../home", "/home", "..", ""])
def test_an_id_of_a_run_that_is_a_path(received, run_id):
    with pytest.raises(UserError, match="no id of a run"):
        received.tracker.folder(run_id)
    with pytest.raises(UserError, match="no id of a run"):
        download(received.tracker, run_id, "config.yaml")


def test_a_tag_that_names_another_file_as_the_lock(received):
    (received.folder / "secret").write_text("secret")
    path = "../../../secret"
    received.tracker.client.set_tag(received.run.run_id, LOCK_TAG, path)
    found = received.tracker.client.get_run(received.run.run_id)
    assert lock_name(found).isalnum()
    with run_lock(received.tracker.work / "locks", lock_name(found)):
        pass
    assert (received.folder / "secret").read_text() == "secret"


# --- names that look like markup ----------------------------------------------------------------


def test_names_in_the_table_of_runs(received, odd_names, capsys):
    name = " ".join(odd_names)
    received.tracker.client.set_tag(received.run.run_id, "mlflow.runName", name)
    received.tracker.client.set_tag(received.run.run_id, "split", "signer_holdout test=[ben]")
    assert run(["runs", f"tracking.uri={received.uri}"]) == 0
    table = capsys.readouterr().out
    assert "test=[ben]" in table
    assert all(name in table for name in odd_names)


ESCAPE = "\x1b[2J\x1b]0;title\x07\u202e"


def test_escape_sequences_in_names_of_runs(received, capsys):
    tracker, run_id = received.tracker, received.run.run_id
    for key in ("mlflow.runName", "data", "split", "val_protocol"):
        tracker.client.set_tag(run_id, key, f"{key}{ESCAPE}")
    tracking = f"tracking.uri={received.uri}"
    found = find_run(tracker, run_id)
    assert ESCAPE in found.name
    commands = [
        ["runs"], ["runs", "--mean"], ["train", f"resume={found.name}"],
        ["retrain", f"run={found.name}"], ["evaluate", "run=none such\x1b[2J"],
    ]  # fmt: skip
    for command in commands:
        run([*command, tracking])
        printed = "".join(capsys.readouterr())
        assert "[2J" in printed
        assert "\x1b" not in printed
        assert "\u202e" not in printed


def test_escape_sequences_in_names_of_signs_and_studies(odd_store, capsys):
    reason = Problem("a.npy", "is of the sign '\x1b[2J'"), Problem("b.npy", "\x1b[2J")
    summarise(odd_store, [], list(reason), False, 1.0, print)
    log_line("trial 1: \x1b[2J")
    console().print(f"a {ESCAPE} line")
    printed = "".join(capsys.readouterr())
    assert "[2J" in printed
    assert "\x1b" not in printed


def test_names_in_the_lines_of_predictions(odd_names, capsys, monkeypatch):
    signs = [(name, 0.5) for name in [*odd_names, "two\nlines\x1b[2J"]]
    predictions = {"[/b].npy": Prediction(signs)}
    monkeypatch.setattr("asl.commands.predict.predict", lambda *_, **__: (predictions, {}))
    assert run(["predict", "model.tflite", "--top", "3", "[/b].npy"]) == 0  # options anywhere
    (line,) = capsys.readouterr().out.splitlines()
    assert all(name in line for name in ["[/b].npy", *odd_names])
    assert "two lines [2J" in line
