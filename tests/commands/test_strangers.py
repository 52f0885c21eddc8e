"""Runs and checkpoints of strangers: nothing that they name is run or used as a path."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

import asl
from asl.cli import run
from asl.errors import UserError
from asl.tracking.find import find_run
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
