"""A search space is checked before the first trial; what it draws is what it says."""

import optuna
import pytest

from asl.errors import UserError
from asl.sweeps.samplers import check_fit, make_pruner, make_sampler
from asl.sweeps.space import parse, warnings

CONDITIONAL = {
    "model": {"choices": ["lstm", "transformer"]},
    "model.heads": {"choices": [2, 4], "when": {"model": "transformer"}},
    "model.layers": {"low": 1, "high": 3},
}


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({}, ["sweep.space", "empty"]),
        ({"lr": 3}, ["sweep.space.lr=3", "choices", "low"]),
        ({"lr": {"low": 1}}, ["sweep.space.lr", "high"]),
        ({"lr": {"low": 2, "high": 1}}, ["sweep.space.lr", "from 2 to 1", "reversed"]),
        ({"lr": {"low": 1, "high": 1}}, ["sweep.space.lr", "from 1 to 1", "empty"]),
        ({"lr": {"low": 0, "high": 1, "log": True}}, ["sweep.space.lr.low=0", "log: true"]),
        ({"lr": {"low": 1, "high": 9, "log": True, "step": 2}}, ["lr.step=2", "log: true"]),
        ({"lr": {"low": 1, "high": 9, "step": 0}}, ["lr.step=0", "greater than 0"]),
        ({"lr": {"low": 1, "high": 9, "step": 20}}, ["lr.step=20", "longer", "1 to 9"]),
        ({"lr": {"low": 1, "high": 9, "step": 0.5}}, ["lr.step=0.5", "whole", "low: 1.0"]),
        ({"lr": {"low": "a", "high": 9}}, ["lr.low=a", "number"]),
        ({"lr": {"low": 1, "high": float("inf")}}, ["lr.high=inf", "finite"]),
        ({"lr": {"low": 1, "hihg": 9}}, ["hihg", "choose from choices, low, high"]),
        ({"lr": {"choices": []}}, ["lr.choices=[]", "at least one"]),
        ({"lr": {"choices": [1, 1]}}, ["lr.choices", "twice"]),
        ({"lr": {"choices": [1], "low": 1}}, ["lr", "has choices", "low"]),
        (
            {"a": {"choices": [1]}, "b": {"choices": [1], "when": {"c": 1}}},
            ["sweep.space.b.when=c", "choose from a"],
        ),
        (
            {"a": {"choices": [1, 2]}, "b": {"choices": [1], "when": {"a": 3}}},
            ["sweep.space.b.when.a=3", "choose from 1, 2"],
        ),
        (
            {"a": {"low": 1, "high": 2}, "b": {"choices": [1], "when": {"a": 1}}},
            ["sweep.space.b.when", "a has a range"],
        ),
        (
            {
                "a": {"choices": [1], "when": {"b": 1}},
                "b": {"choices": [1], "when": {"a": 1}},
            },
            ["a, b", "circle"],
        ),
    ],
)
def test_a_fault_is_one_sentence_that_names_key_and_value(described, words):
    with pytest.raises(UserError) as error:
        parse(described)
    assert len(str(error.value).splitlines()) == 1
    for word in words:
        assert word in str(error.value)


def test_all_faults_come_at_once():
    with pytest.raises(UserError) as error:
        parse({"a": {"low": 2, "high": 1}, "b": {"choices": []}})
    assert len(str(error.value).splitlines()) == 2


def test_a_linear_range_over_three_decades_is_warned_of():
    (sentence,) = warnings(parse({"lr": {"low": 1e-5, "high": 1e-2}}))
    assert "sweep.space.lr" in sentence
    assert "log: true" in sentence
    assert not warnings(parse({"lr": {"low": 1e-5, "high": 1e-2, "log": True}}))
    assert not warnings(parse({"lr": {"low": 1e-4, "high": 1e-2}}))


def test_a_grid_has_every_point_once_and_conditions_hold_in_it():
    points = parse(CONDITIONAL).grid()
    assert len(points) == 3 * (1 + 2)
    assert all(("model.heads" in point) == (point["model"] == "transformer") for point in points)
    steps = parse({"a": {"low": 0.1, "high": 0.5, "step": 0.2}}).grid()
    assert [point["a"] for point in steps] == [0.1, 0.3, 0.5]


def test_no_grid_over_a_continuous_range():
    space = parse({"lr": {"low": 1e-4, "high": 1e-2, "log": True}})
    with pytest.raises(UserError, match=r"sampler=grid: sweep\.space\.lr has a continuous range"):
        check_fit("grid", "none", space, objectives=1)


def test_samples_have_every_choice_and_both_ends():
    seen: dict = {}
    for values in parse(CONDITIONAL).samples():
        assert ("model.heads" in values) == (values["model"] == "transformer")
        for key, value in values.items():
            seen.setdefault(key, set()).add(value)
    assert seen == {
        "model": {"lstm", "transformer"},
        "model.heads": {2, 4},
        "model.layers": {1, 3},
    }


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "gp", "nsga2"])
def test_every_sampler_draws_within_the_space(sampler):
    described = {
        **CONDITIONAL,
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "width": {"low": 32, "high": 128, "step": 32},
        "share": {"low": 0.0, "high": 0.5},
        "terms": {"choices": [["position"], ["position", "lag1"], None]},
    }
    space = parse(described)
    check_fit(sampler, "none", space, objectives=1)
    options = {"n_startup_trials": 3} if sampler in ("tpe", "cmaes", "gp") else {}
    study = optuna.create_study(sampler=make_sampler(sampler, options, seed=0))
    drawn = []
    for _ in range(8):
        trial = study.ask()
        drawn.append(space.draw(trial))
        study.tell(trial, drawn[-1]["lr"])
    for values in drawn:
        assert ("model.heads" in values) == (values["model"] == "transformer")
        assert isinstance(values["model.layers"], int)
        assert values["width"] in (32, 64, 96, 128)
        assert 1e-4 <= values["lr"] <= 1e-2
        assert values["terms"] in (["position"], ["position", "lag1"], None)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_sampler_of_two_objectives_comes_nearer_to_the_front_than_chance(sampler):
    """Of x² and (x - 1)² the front is x in 0..1; other dimensions only stand in the way."""
    ranges = {key: {"low": -4.0, "high": 4.0} for key in "xyz"}
    space = parse(ranges)
    kept = {}
    for name in (sampler, "random"):
        study = optuna.create_study(
            directions=["minimize"] * 2, sampler=make_sampler(name, {}, seed=0)
        )
        away = []
        for _ in range(80):
            trial = study.ask()
            x, y, z = space.draw(trial).values()
            away.append(abs(y) + abs(z))
            study.tell(trial, [x**2 + away[-1], (x - 1) ** 2 + away[-1]])
        kept[name] = sorted(away[40:])[20]
    assert kept[sampler] < kept["random"]


def test_what_a_sampler_cannot_do_is_said():
    space = parse(CONDITIONAL)
    choices = parse({"model": {"choices": ["lstm", "gru"]}})
    with pytest.raises(UserError, match="sampler=cmaes: the space has choices alone"):
        check_fit("cmaes", "none", choices, objectives=1)
    assert "at random" in check_fit("cmaes", "none", space, objectives=1)[0]
    assert check_fit("gp", "none", choices, objectives=1)
    assert not check_fit("tpe", "none", space, objectives=1)
    with pytest.raises(UserError, match="pruner=median: Optuna prunes no trial of two objectives"):
        check_fit("tpe", "median", space, objectives=2)
    with pytest.raises(UserError, match="one objective; choose from nsga2"):
        check_fit("gp", "none", space, objectives=2)
    with pytest.raises(UserError, match=r"sampler_options\.n_start=3: tpe has no such option"):
        make_sampler("tpe", {"n_start": 3}, seed=0)


def test_a_pruners_options_are_checked():
    with pytest.raises(UserError, match=r"pruner_options\.patient=3: median has no such option"):
        make_pruner("median", {"patient": 3}, epochs=10)
    with pytest.raises(UserError, match="lower"):
        make_pruner("threshold", {}, epochs=10)
    for name in ("none", "median", "hyperband", "halving", "patient"):
        make_pruner(name, {}, epochs=10)
