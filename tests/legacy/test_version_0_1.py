"""What version 0.1 recorded is understood: checkpoints, run configs, groups of runs, overrides."""

import json
from pathlib import Path

import pytest
import yaml

from asl.config.callbacks import multirun_digests
from asl.config.compose import compose
from asl.config.overrides import RENAMED_CHOICES, RENAMED_KEYS, with_current_names
from asl.config.plan import choices, plan, run_plan
from asl.recognizer.build import build_recognizer
from asl.runs.crossval import group_digests
from asl.runs.plan import plan_of_config
from asl.training.checkpoint import current_weight

RECORDED = Path(__file__).parent / "version_0_1"


def read(name: str):
    return json.loads((RECORDED / name).read_text())


@pytest.mark.parametrize("network", ["bigru", "cnn", "conv_transformer", "ensemble"])
def test_a_checkpoint_s_recognizer_is_built_with_the_weights_it_had(network):
    description = read(f"spec_{network}.json")
    recognizer = build_recognizer(description["spec"], description["signs"])
    shapes = {f"recognizer.{k}": list(v.shape) for k, v in recognizer.state_dict().items()}
    recorded = read(f"weights_{network}.json")
    assert shapes == {current_weight(name): shape for name, shape in recorded.items()}


@pytest.mark.parametrize("network", ["bigru", "cnn", "conv_transformer"])
def test_a_run_s_config_is_a_plan(network):
    config = yaml.safe_load((RECORDED / f"config_{network}.yaml").read_text())
    recorded = plan_of_config(config, {"model": network}, tracking={})
    assert recorded.data.name == "words15"
    assert recorded.split.keywords["test"] == [3]
    assert recorded.data.bucket_by_length == config["data"]["like_length"]
    assert recorded.regularization.grace_epochs == config["regularization"]["settle"]
    optimizer, _ = recorded.optimizer(
        parameters=build_recognizer(recorded.recognizer, ["a", "b"]).parameters(), steps=3
    )
    assert optimizer.param_groups


@pytest.mark.parametrize("name", ["crossval", "crossval_auto", "crossval_standard"])
def test_an_unfinished_cross_validation_is_found_again(name):
    recorded = read(f"{name}.json")
    _, fingerprint, folds, seeds = recorded["identity"]
    chosen = run_plan(compose("crossval", recorded["overrides"]))
    assert recorded["digest"] in group_digests(chosen, fingerprint, folds, seeds)


def test_an_unfinished_multirun_is_found_again(capsys):
    recorded = read("multirun.json")
    current = with_current_names(recorded["identity"])
    assert current != recorded["identity"]
    assert recorded["digest"] in multirun_digests(current)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *(
            (f"{group}={old}", f"{group}={new}")
            for group, names in RENAMED_CHOICES.items()
            for old, new in names.items()
        ),
        *((f"{old}=0", f"{new}=0") for old, new in RENAMED_KEYS.items()),
        ("scaler=usual,standard", "scaler=auto,standard"),
        ("+experiment=remedied_all", "+experiment=fix_all"),
    ],
)
def test_an_old_spelling_is_understood_and_one_line_names_the_new_one(old, new, capsys):
    assert with_current_names([old]) == [new]
    assert capsys.readouterr().err == f"note: {old} is now {new}\n"


def test_every_new_spelling_is_a_choice():
    for group, names in RENAMED_CHOICES.items():
        assert set(names.values()) <= set(choices(group)), group


def test_an_old_spelling_composes(capsys):
    chosen = plan("scaler=usual", "handedness=one", "data.like_length=true")
    assert chosen.params["scaler"] == "auto"
    assert chosen.params["handedness"] == "mirror_left"
    assert chosen.data.bucket_by_length
