"""A study that version 0.1 began is continued, with the names that it was begun with."""

import typing

import optuna
import pytest

from asl.clips.splits import signer_holdout
from asl.config.overrides import format_override
from asl.config.schema import SweepSettings
from asl.config.sweep_plan import current_identity, trial_plan
from asl.errors import UserError
from asl.runs.plan import DataPlan
from asl.sweeps.plan import SweepPlan, goal_of, open_study
from asl.sweeps.queue import Worker, next_attempt
from asl.sweeps.samplers import PRUNERS, SAMPLERS
from asl.sweeps.space import parse
from asl.sweeps.study import IDENTITY, StudyAddress

STORED = {
    "space": {
        "scaler": {"choices": ["usual", "clip"]},
        "regularization.settle": {"choices": [1, 2], "when": {"scaler": ["usual"]}},
    },
    "objective": {"monitor": "val/f1", "parts": [""], "against": "size"},
    "data": "abc",
    "settings": {
        "scaler._target_": "asl.recognizer.scalers.usual",
        "features._target_": "asl.recognizer.features.Features",
        "features.terms": ["position", "reach"],
        "split.val": [1],
        "regularization.settle": 3,
        "data.like_length": True,
    },
}
CURRENT = {
    "space": {
        "scaler": {"choices": ["auto", "clip"]},
        "regularization.grace_epochs": {"choices": [1, 2], "when": {"scaler": ["auto"]}},
    },
    "objective": {"monitor": "val/f1", "parts": [""], "second_objective": "size"},
    "data": "abc",
    "settings": {
        "scaler._target_": "asl.recognizer.preprocessing.scalers.auto",
        "features._target_": "asl.recognizer.preprocessing.features.Features",
        "features.terms": ["position", "distances"],
        "split.val": ["1"],
        "regularization.grace_epochs": 3,
        "data.bucket_by_length": True,
    },
}


def plan(folder, identity=CURRENT):
    return SweepPlan(
        address=StudyAddress(f"sqlite:///{folder}/optuna.db", "old"),
        identity=identity,
        space=parse(CURRENT["space"]),
        total=4,
        second_objective="size",
        sampler=("grid", {}, 0),
        pruner=("none", {}, 1),
        monitor="val/f1",
        overrides=(),
        data=DataPlan("abc", tuple, "raw", folder / "store"),
        split=signer_holdout,
        make_plan=trial_plan,
        format_override=format_override,
        current_identity=current_identity,
        tracking={},
    )


@pytest.fixture
def old_study(tmp_path):
    """A study of version 0.1 with one finished trial."""
    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/optuna.db",
        study_name="old",
        directions=["maximize", "minimize"],
    )
    study.set_user_attr(IDENTITY, STORED)
    study.enqueue_trial({"scaler": "usual"}, user_attrs={"point": 0})
    trial = study.ask()
    parse(STORED["space"]).draw(trial)
    study.tell(trial, [0.5, 1.0])
    return study


def test_an_identity_is_spelled_as_today():
    assert current_identity(STORED) == CURRENT
    assert current_identity(CURRENT) == CURRENT


def test_its_trials_keep_the_names_of_its_choices_and_can_be_composed(old_study, tmp_path):
    """Optuna refuses a parameter whose choices differ from those of earlier trials."""
    new = plan(tmp_path)
    study = open_study(new, tmp_path)
    assert study.user_attrs[IDENTITY] == STORED
    worker = Worker(tmp_path)
    attempt = next_attempt(study, goal_of(new, study), worker)
    worker.leave()
    assert attempt.values == {"scaler": "usual", "regularization.settle": 2}
    overrides = tuple(format_override(*item) for item in attempt.values.items())
    trial = trial_plan(("data=synthetic", *overrides), False)
    assert trial.regularization.grace_epochs == 2
    assert trial.params["scaler"] == "auto"


def test_another_search_under_its_name_is_refused(old_study, tmp_path):
    other = {**CURRENT, "settings": {**CURRENT["settings"], "regularization.grace_epochs": 5}}
    with pytest.raises(UserError, match=r"another settings \(regularization\.grace_epochs=3\)"):
        open_study(plan(tmp_path, other), tmp_path)


def test_the_samplers_and_pruners_of_the_config_are_those_that_exist():
    fields = SweepSettings.model_fields
    assert set(typing.get_args(fields["sampler"].annotation)) == set(SAMPLERS)
    assert set(typing.get_args(fields["pruner"].annotation)) == set(PRUNERS)
