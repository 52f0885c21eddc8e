"""Figures and tables of studies with conditional parameters, pruned trials, two objectives."""

import json
import math
import warnings

import optuna
import pytest
from matplotlib.collections import LineCollection
from optuna.trial import TrialState

from asl.sweeps.plots import interactive_page, study_figures
from asl.sweeps.report import (
    MIN_TRIALS,
    format_importances,
    format_table,
    importances,
    trial_table,
)


def value(trial):
    """The learning rate decides; the batch size nothing; what heads there are, a little."""
    model = trial.suggest_categorical("model", ["bigru", "transformer", "cnn"])
    rate = trial.suggest_float("optimizer.lr", 1e-4, 1e-2, log=True)
    trial.suggest_int("data.batch_size", 16, 64, step=16)
    trial.suggest_categorical("early_stopping", [None, json.dumps({"patience": 3})])
    trial.suggest_categorical("seed", [0])
    heads = trial.suggest_categorical("model.heads", [2, 4]) if model == "transformer" else 0
    if model == "cnn":
        trial.suggest_categorical("model.kernel", [3, 5])
    return 0.9 - 0.2 * (math.log10(rate) + 3) ** 2 + 0.001 * heads


def study_of(trials, prune=False, two=False):
    def objective(trial):
        reached = value(trial)
        for epoch in range(4 if prune else 0):
            trial.report(reached * (epoch + 1) / 4, epoch)
            if trial.number % 3 == 2 and epoch == 2:
                raise optuna.TrialPruned
        return (reached, trial.params["data.batch_size"]) if two else reached

    study = optuna.create_study(
        directions=["maximize", "minimize"] if two else ["maximize"],
        sampler=optuna.samplers.RandomSampler(seed=0),
        study_name="a study",
    )
    study.set_metric_names(["val/f1", "size"] if two else ["val/f1"])
    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize(
    ("made", "names"),
    [
        ({"trials": 0}, set()),
        ({"trials": 1}, set()),
        ({"trials": 2}, {"history", "parallel", "slices"}),
        (
            {"trials": 36, "prune": True},
            {"history", "parallel", "slices", "importance", "epochs"},
        ),
        ({"trials": 24, "two": True}, {"history", "parallel", "slices", "importance", "front"}),
    ],
)
def test_what_can_be_drawn_is_drawn(made, names, tmp_path):
    study = study_of(**made)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        drawn = study_figures(study)
        for name, figure in drawn.items():
            figure.savefig(tmp_path / f"{name}.png")
    assert set(drawn) == names
    page = interactive_page(study, "<text>")
    assert page.count("Plotly.newPlot(") == len(names)
    assert "&lt;text&gt;" in page


def test_every_trial_is_in_the_parallel_coordinates_whatever_it_is_without():
    study = study_of(24)
    assert {"model.heads", "model.kernel"} <= {key for t in study.trials for key in t.params}
    axes = study_figures(study)["parallel"].axes[0]
    (lines,) = (drawn for drawn in axes.collections if isinstance(drawn, LineCollection))
    assert [len(line) for line in lines.get_segments()] == [7] * 24  # the value, 6 parameters
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "model.heads" in labels
    assert "seed" not in labels  # it does not vary


def test_what_matters_is_found_and_too_few_trials_say_so():
    found = importances(study_of(100))
    assert next(iter(found)) == "optimizer.lr"
    assert sum(found.values()) == pytest.approx(1)
    assert "seed" not in found
    assert format_importances(study_of(100)).startswith("importance: optimizer.lr 0.")
    assert importances(study_of(MIN_TRIALS - 1)) == {}
    assert f"{MIN_TRIALS - 1} complete trials are too few" in format_importances(
        study_of(MIN_TRIALS - 1)
    )


def test_parameters_of_one_value_have_no_importance():
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("lr", 0.1, 0.1), n_trials=MIN_TRIALS)
    assert format_importances(study) == "importance: no parameter varies"


def test_a_long_table_says_how_much_is_left():
    table = trial_table(study_of(12))
    assert format_table(table, 10).endswith("… 2 more in trials.csv, in MLflow")
    assert "more" not in format_table(table)


def test_a_study_with_failures_alone_has_a_page():
    study = optuna.create_study()
    study.tell(study.ask(), state=TrialState.FAIL)
    assert study_figures(study) == {}
    assert "newPlot(" not in interactive_page(study, "").split("</script></head>")[1]
