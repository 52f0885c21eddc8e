import json
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from asl.cli import run as asl
from asl.errors import UserError
from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import write_tflite
from asl.runtime.litert import load
from asl.tracking.find import find_run
from asl.tracking.found import FoundRun
from asl.tracking.registry import Registered, register, registered_file
from asl.tracking.run import create_run
from asl.tracking.store import open_tracker

PROTOCOL = {
    "data": "words15",
    "data.fingerprint": "7be3",
    "split": "signer_holdout test=[3]",
    "val_protocol": "signers [2]",
}
SIGNS = ["again", "bird", "cat"]


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlruns')}/mlflow.db"


@pytest.fixture(scope="module")
def store(uri, tmp_path_factory):
    return open_tracker({"uri": uri, "experiment": "asl"})


@pytest.fixture
def finished(store) -> Callable[..., FoundRun]:
    """Makes a finished run with these metrics, and protocol."""

    def make(metrics: dict[str, float], **tags: str) -> FoundRun:
        run_id = create_run(store, "cnn", {"kind": "train", **PROTOCOL, **tags}).info.run_id
        for name, value in metrics.items():
            store.client.log_metric(run_id, name, value)
        store.client.set_terminated(run_id)
        return find_run(store, run_id)

    return make


@pytest.fixture(scope="module")
def tflite(tiny_tflite, tmp_path_factory):
    path = tiny_tflite(tmp_path_factory.mktemp("exported") / "model_float16.tflite")
    labels = {"signs": SIGNS, "layout": "mediapipe_holistic", "inputs": ["frames", 543, 3]}
    labels["landmarks"] = {"name": "all", "rows": [0]}
    write_tflite(parse(path.read_bytes()), path, labels)
    return path


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return np.random.default_rng(0).random((9, 543, 3), dtype=np.float32)


@pytest.fixture
def name(request) -> str:
    """The test's own registered model."""
    return re.sub(r"[^\w.]+", "-", request.node.name)


@pytest.fixture
def registered(store, tflite, clip, name) -> Callable[..., Registered]:
    """Registers the file for a run."""

    def make(run: FoundRun, force: bool = False) -> Registered:
        return register(store, run, name, tflite, clip, force)

    return make


def champion(store, name: str) -> str:
    return str(store.client.get_model_version_by_alias(name, "champion").version)


def test_the_champion_is_the_best_by_validation(store, finished, registered, name):
    first = registered(finished({"val/f1": 0.9, "test/f1": 0.8}))
    assert (first.version, first.champion, first.why) == ("1", True, "there was none")

    # Better on the test, by which nothing may be chosen.
    worse = registered(finished({"val/f1": 0.85, "test/f1": 0.95}))
    assert not worse.champion
    assert worse.why.startswith("val/f1 0.8500 against 0.9000; it stays version 1 (cnn-")
    assert champion(store, name) == "1"

    assert not registered(finished({"val/f1": 0.9})).champion  # as good is not better
    better = registered(finished({"val/f1": 0.95}))
    assert better.champion
    assert champion(store, name) == better.version == "4"


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("data", "isl30"),
        ("data.fingerprint", "fewer-clips"),
        ("split", "signer_holdout test=[1]"),
        ("val_protocol", "20 % of the training signers' clips"),
    ],
)
def test_numbers_of_another_protocol_move_nothing_but_by_force(
    store, finished, registered, name, key, other
):
    registered(finished({"val/f1": 0.5}))
    run = finished({"val/f1": 0.99}, **{key: other})
    stays = registered(run)
    assert not stays.champion
    assert stays.why.startswith("no number compares: the ")
    assert f" was {other}, there {PROTOCOL[key]}; it stays version 1 (cnn-" in stays.why
    forced = registered(run, force=True)
    assert forced.champion
    assert forced.why.startswith("by force, instead of version 1 (cnn-")
    assert champion(store, name) == "3"


def test_a_final_model_becomes_champion_by_its_cross_validation(finished, registered):
    everybody = {"split": "all_signers test=none", "val_protocol": "none"}
    folds = everybody | {"retrain.split": "leave_one_signer_out 3 folds × 1 seeds"}
    assert registered(finished({"val/f1": 0.99})).champion
    final = registered(finished({"crossval/f1": 0.8}, **folds))
    assert final.champion
    assert final.why.startswith("crossval/f1 0.8000, and the other was tested less; before it")
    assert not registered(finished({"val/f1": 1.0})).champion
    assert not registered(finished({"crossval/f1": 0.7}, **folds)).champion
    assert registered(finished({"crossval/f1": 0.9}, **folds)).champion
    other = registered(finished({"crossval/f1": 1.0}, **folds | {"retrain.split": "signer_kfold"}))
    assert "the cross-validation was signer_kfold" in other.why
    assert not other.champion


def test_validation_on_training_signers_is_named_where_it_decides(finished, registered):
    shared = {"val_signer_independent": "false", "val_protocol": "20% (not signer-independent)"}
    registered(finished({"val/f1": 0.5}, **shared))
    for value in (0.4, 0.6):
        assert (
            "(of signers that are trained on)"
            in registered(finished({"val/f1": value}, **shared)).why
        )


def test_without_validation_the_test_decides_as_for_the_best_run(finished, registered):
    assert registered(finished({"test/f1": 0.8})).champion
    assert registered(finished({"test/f1": 0.9})).champion
    assert "no val/f1 or test/f1 of both" in registered(finished({})).why


def test_a_version_says_what_it_is(store, finished, registered, tflite):
    run = finished({"val/f1": 0.9, "test/accuracy": 0.875})
    made = registered(run)
    version = store.client.get_model_version(made.name, made.version)
    assert version.run_id == run.run_id
    expected = {"run": run.name, "variant": "float16", "test/accuracy": "0.875000", **PROTOCOL}
    assert expected.items() <= version.tags.items()
    for address in (f"models:/{made.name}@champion", f"models:/{made.name}/1"):
        assert registered_file(store, address).read_bytes() == tflite.read_bytes()


def test_predict_takes_a_registered_model(uri, finished, registered, name, tmp_path, clip, capsys):
    np.save(tmp_path / "clip.npy", clip)
    registered(finished({"val/f1": 0.9}))
    capsys.readouterr()
    arguments = [str(tmp_path / "clip.npy"), "--json", f"tracking.uri={uri}"]
    assert asl(["predict", f"models:/{name}@champion", *arguments]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert {entry["sign"] for entry in found["predictions"]} == set(SIGNS)


def test_the_code_of_a_registered_model_is_not_run(
    uri, store, finished, registered, tmp_path, clip, capsys
):
    """MLflow would import it; a stranger may have written it."""
    made = registered(finished({"val/f1": 0.9}))
    address, marker = f"models:/{made.name}/1", tmp_path / "marker"
    served = list(registered_file(store, address).parents[1].glob("*.py"))
    assert served
    for path in served:
        path.write_text(f"open({str(marker)!r}, 'w')")
    np.save(tmp_path / "clip.npy", clip)
    assert asl(["predict", address, str(tmp_path / "clip.npy"), f"tracking.uri={uri}"]) == 0
    assert not marker.exists()


def test_mistakes_name_the_choices(uri, store, finished, registered, name, capsys):
    run = finished({"val/f1": 0.9})
    registered(run)
    registered(run)
    store.client.create_registered_model("empty")
    choices = f"choose from models:/{name}@champion, models:/{name}/1, models:/{name}/2"
    for address, wanted in {
        "models:/nobody@champion": f"there is no registered model nobody; choose from.* {name}",
        f"models:/{name}@best": f"{name} has no best; {choices}",
        f"models:/{name}/7": f"{name} has no version 7; {choices}",
        f"models:/{name}": f"{name} has versions; {choices}",
        "models:/empty@champion": "empty has no versions; `asl export` registers one",
    }.items():
        with pytest.raises(UserError, match=wanted):
            registered_file(store, address)
    store.client.create_model_version("empty", "/tmp/elsewhere")
    with pytest.raises(UserError, match="version 1 is not of `asl export`"):
        registered_file(store, "models:/empty/1")

    capsys.readouterr()
    assert asl(["predict", "models:/nobody/1", "clip.npy", f"tracking.uri={uri}"]) == 2
    assert capsys.readouterr().err.startswith("asl predict: models:/nobody/1: there is no")


def test_a_name_that_no_store_takes(store, finished, tflite, clip):
    with pytest.raises(UserError, match=r"export\.register=a/b: choose a name of letters"):
        register(store, finished({}), "a/b", tflite, clip)


def test_the_model_opens_without_the_workbench(store, finished, registered, tflite, clip):
    """What is registered needs MLflow, LiteRT and NumPy."""
    made = registered(finished({"val/f1": 0.9}))
    folder = registered_file(store, f"models:/{made.name}/1").parents[1]
    wanted = load(tflite)(clip)
    script = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['asl', 'torch', 'tensorflow'])\n"
        "import json, mlflow, numpy as np\n"
        "clip = np.random.default_rng(0).random((9, 543, 3), dtype=np.float32)\n"
        f"print(json.dumps(mlflow.pyfunc.load_model({str(folder)!r}).predict(clip)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    answer = json.loads(run.stdout.splitlines()[-1])
    assert [entry["sign"] for entry in answer] == [SIGNS[i] for i in np.argsort(-wanted)]
    np.testing.assert_allclose([entry["probability"] for entry in answer], sorted(wanted)[::-1])
    requirements = (folder / "requirements.txt").read_text().split()
    names = {requirement.partition("==")[0] for requirement in requirements}
    assert names == {"mlflow", "ai-edge-litert", "numpy"}
