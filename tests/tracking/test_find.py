"""Which run is the best, and which runs are averaged: only those whose numbers compare."""

import math

import pytest

from asl.config.compose import compose
from asl.config.plan import best_among
from asl.errors import UserError
from asl.tracking.averages import averages
from asl.tracking.find import best_run, find_run, find_runs
from asl.tracking.multirun import record_jobs

DAGGER = {
    "val_protocol": "20% of the training signers' clips (not signer-independent)",
    "val_signer_independent": "false",
}


@pytest.mark.parametrize(
    ("tags", "rows"),
    [
        (DAGGER, 2),
        ({"val_protocol": "signers [3]"}, 1),
        ({"split": "signer_holdout test=[3]"}, 1),
        ({"monitor": "val/loss"}, 2),
        ({"data.fingerprint": "g"}, 2),
        ({"val_protocol": "the test clips", "signer_independent": "false"}, 2),
        ({"split": "signer_holdout by=view test=[1]", "split.by": "view"}, 2),
        ({"split.by": "view", "split.by.digest": "of another view"}, 2),
    ],
)
def test_best_is_of_the_newest_runs_protocol(add, tracker, capsys, tags, rows):
    add("other", {"val/f1": 0.9}, **tags)
    add("good", {"val/f1": 0.8})
    add("newest", {"val/f1": 0.7})
    assert best_run(tracker, None, None, None).name.startswith("good-")
    assert "run=best: of 2 on mine" in capsys.readouterr().err
    assert len(averages(find_runs(tracker))) == rows


@pytest.mark.parametrize("metric", ["val/loss", "test/ece", "test/ece_calibrated", "tflite/size"])
def test_of_losses_errors_and_sizes_the_smallest_is_the_best(add, tracker, metric):
    for value in (0.2, 0.1, 0.3):
        add(str(value), {metric: value})
    assert best_run(tracker, metric, None, None).metrics[metric] == 0.1
    assert [run.metrics[metric] for run in find_runs(tracker, metric)] == [0.1, 0.2, 0.3]


def test_a_run_that_diverged_is_never_the_best(add, tracker):
    parent = add("multirun", {}, kind="multirun")
    add("diverged", {"val/loss": math.nan, "val/f1": 0.9}, parent.id)
    with pytest.raises(UserError, match="no finished run"):
        best_run(tracker, "val/loss", None, None)
    good = add("good", {"val/loss": 0.5, "val/f1": 0.8}, parent.id)
    for metric in ("val/loss", "val/f1"):
        assert best_run(tracker, metric, None, None).run_id == good.id
        assert good.name in record_jobs(tracker, parent, metric)
    assert find_runs(tracker, "val/loss")[0].run_id == good.id


def test_the_best_run_on_own_clips_is_looked_for_by_the_name_of_the_data_set():
    own = compose("export", ["data=npy", "data.name=mine"])
    assert best_among(own)["data"] == "mine"
    assert best_among(compose("export", ["data=words15"]))["data"] == "words15"
    assert best_among(compose("evaluate", []))["data"] is None


def test_the_best_run_of_a_split_by_another_column_is_looked_for_by_that_column():
    assert best_among(compose("export", ["run=best", "split=signer_kfold"]))["split"] == (
        "signer_kfold"
    )
    by_view = compose("export", ["run=best", "split=signer_kfold", "split.by=view"])
    assert best_among(by_view)["split"] == "signer_kfold by=view"


def test_a_multirun_over_protocols_has_no_best(add, tracker):
    parent = add("multirun", {}, kind="multirun")
    for val in ("signers [2]", "signers [3]"):
        add("job", {"val/f1": 0.5}, parent.id, val_protocol=val)
    assert "no best of 2" in record_jobs(tracker, parent, "val/f1")


def test_a_multirun_has_its_jobs_parameters(add, tracker):
    parent = add("multirun", {}, kind="multirun")
    add("one", {"val/f1": 0.5}, parent.id, params={"model": "cnn", "scaler": "auto"})
    add("two", {"val/f1": 0.6}, parent.id, params={"model": "bigru", "scaler": "auto"})
    record_jobs(tracker, parent, "val/f1")
    params = find_run(tracker, parent.id).params
    assert set(params["model"].split(", ")) == {"bigru", "cnn"}
    assert params["scaler"] == "auto"


def test_averages_say_what_they_are_of(add, tracker):
    add("one", {"val/f1": 0.5}, params={"seed": 0})
    add("two", {"val/f1": 0.7}, params={"seed": 1}, split="signer_holdout test=[3]")
    add("dagger", {"val/f1": 0.9}, **DAGGER)
    found = {each.choices["validation"]: each for each in averages(find_runs(tracker))}
    honest, dagger = found["other signers"], found["training signers"]
    assert honest.metrics["val/f1"][0] == pytest.approx(0.6)
    assert honest.tests == {"signer_holdout test=[1]": 1, "signer_holdout test=[3]": 1}
    assert (dagger.runs, dagger.val_signer_independent) == (1, False)


def test_a_training_that_was_repeated_counts_once(add, tracker):
    for f1 in (0.1, 0.3):
        add("again", {"test/f1": f1}, params={"seed": 0})
    add("other", {"test/f1": 0.5}, params={"seed": 1})
    (average,) = averages(find_runs(tracker))
    assert average.runs == 2
    assert average.metrics["test/f1"][0] == pytest.approx(0.4)  # of the newer one
