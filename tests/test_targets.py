import subprocess
import sys
import types
from functools import partial

import pytest
import yaml

from asl.errors import UserError
from asl.paths import CONF
from asl.recognizer.backbones.cnn import Cnn
from asl.targets import CLASSES, FUNCTIONS, PLACES, PLUGINS, TARGET, allow_plugins, factory, locate

EVERY_PLACE = sorted({*CLASSES, *FUNCTIONS})
SPAWN = "setuptools._distutils.spawn.spawn"


@pytest.fixture
def plugin(monkeypatch):
    """A module `stranger.room` that defines a class and imports `subprocess.run`."""
    module = types.ModuleType("stranger.room")
    exec("from subprocess import run\nclass Network: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "stranger", types.ModuleType("stranger"))
    monkeypatch.setitem(sys.modules, "stranger.room", module)
    monkeypatch.setenv(PLUGINS, "")
    return module


@pytest.mark.parametrize(
    "path",
    [
        SPAWN,
        "subprocess.run",
        "builtins.exec",
        "eval",
        "",
        "torch.load",
        "asl.clips.sources.gislr.write_clip",
        "asl.commands.ui.main",
        "asl.fetch.web.fetch",
        "asl.fetch.unzip.unzip",
        "asl.fetch.originals.Path",
        "asl.recognizer.backbonesX.Cnn",
        "asl.recognizer.preprocessing.scalers.torch.load",
        "asl.training.optimizer.AdamW",
        "asl.clips.splits.np.load",
    ],
)
def test_what_no_place_allows(path):
    for place in EVERY_PLACE:
        with pytest.raises(UserError, match=r"^_target_=.*(not allowed|there is no such)"):
            locate(path, place)


def test_a_module_that_is_not_allowed_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="not allowed"):
        locate("evil.Network", "model")
    assert "evil" not in sys.modules


def test_a_class_of_another_place():
    with pytest.raises(
        UserError, match=r"^head._target_=asl\.recognizer\.backbones\.cnn\.Cnn: is not"
    ):
        factory({TARGET: "asl.recognizer.backbones.cnn.Cnn"}, "head")


@pytest.mark.parametrize("node", [{}, None, [], "asl.recognizer.backbones.cnn.Cnn"])
def test_what_names_no_class(node):
    with pytest.raises(UserError, match="model: names no class"):
        factory(node, "model")


def targets(node, group):
    if isinstance(node, dict):
        if TARGET in node:
            yield PLACES.get(group, group), node[TARGET]
        for value in node.values():
            yield from targets(value, group)


def test_all_that_the_configs_name_is_allowed():
    named = set()
    for path in CONF.glob("*/**/*.yaml"):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        named |= set(targets(config, path.relative_to(CONF).parts[0]))
    assert {place for place, _ in named} == set(EVERY_PLACE)
    assert all(callable(locate(path, place)) for place, path in named)


def test_a_moved_class():
    assert locate("asl.recognizer.cnn.Cnn", "model") is Cnn


def test_a_package_that_the_user_names(plugin):
    with pytest.raises(UserError, match="not allowed here"):
        locate("stranger.room.Network", "model")
    allow_plugins(["stranger"])
    assert locate("stranger.room.Network", "model") is plugin.Network
    assert isinstance(factory({TARGET: "stranger.room.Network"}, "head"), partial)
    with pytest.raises(UserError, match="not allowed here"):
        locate("stranger.room.run", "model")  # subprocess's, which the package only imports
    with pytest.raises(UserError, match="not allowed here"):
        locate("strangers.Network", "model")


def test_processes_inherit_the_named_packages(plugin):
    allow_plugins(["stranger"])
    script = "from asl.targets import _plugins; print(_plugins())"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "['stranger']\n"
