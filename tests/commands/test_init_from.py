"""Training that starts from another run's network: what is copied, frozen and refused."""

import pytest
import torch

from asl.runs.load import load_run
from asl.tracking.find import find_runs
from asl.tracking.store import open_tracker

CNN = ["model=cnn", "model.hidden=8", "split=signer_holdout", "split.test=[3]"]


@pytest.fixture(scope="module")
def tracker(workbench):
    return open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})


@pytest.fixture(scope="module")
def source(workbench, tracker):
    assert workbench("train", *CNN, "seed=70") == 0
    (run,) = [run for run in find_runs(tracker) if run.params.get("seed") == "70"]
    return run


@pytest.fixture
def fine_tuned(workbench, tracker, source):
    def train(*arguments, seed=71):
        assert workbench("train", f"init_from={source.run_id}", f"seed={seed}", *arguments) == 0
        newest = max(find_runs(tracker), key=lambda run: run.started)
        assert newest.params["init_from"] == source.run_id
        return load_run(newest.run_id, tracker).recognizer

    return train


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_a_frozen_network_stays_and_the_head_is_trained(fine_tuned, source, tracker, capsys):
    start = load_run(source.run_id, tracker).recognizer
    tuned = fine_tuned(*CNN, "frozen_epochs=2")
    assert f"init_from: network and head of {source.name}" in capsys.readouterr().err
    assert same(tuned.backbone, start.backbone)  # batch normalisation's statistics as well
    assert not same(tuned.head, start.head)
    assert not same(fine_tuned(*CNN, "frozen_epochs=1", seed=72).backbone, start.backbone)


def test_training_starts_where_the_run_ended(fine_tuned, source, tracker):
    start = load_run(source.run_id, tracker).recognizer
    tuned = fine_tuned(*CNN, "optimizer.lr=1e-9", "regularization=none", seed=73)
    for one, other in zip(tuned.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_other_signs_get_a_new_head(fine_tuned, tmp_path, capsys):
    other = [
        "data=synthetic",
        f"data.root={tmp_path}/raw",
        f"data.store={tmp_path}/store",
        "data.source.signs=3",
        "data.source.signers=4",
        "data.source.clips_per_sign=3",
    ]
    tuned = fine_tuned(*CNN, *other, "frozen_epochs=1", seed=74)
    assert len(tuned.signs) == 3
    assert "the head is new (3 of its signs are here)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*CNN[:-1], "split.test=[1]"], ["it has seen of the test", "hold"]),
        (
            ["model=gru", "split.test=[3]"],
            ["its network is another one", "model=cnn model.hidden=8"],
        ),
        ([*CNN, "features=positions"], ["its features differ: terms="]),
        ([*CNN, "scaler=clip"], ["its scaler differ"]),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments, words, workbench, source, capsys):
    assert workbench("train", f"init_from={source.run_id}", *arguments) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("asl train: ")]
    assert all(word in line for word in words)


def test_an_unknown_run_or_nothing_to_freeze_is_one_sentence(workbench, capsys):
    assert workbench("train", *CNN, "init_from=nonsense") == 2
    assert "there is no such run" in capsys.readouterr().err
    assert workbench("train", *CNN, "frozen_epochs=2") == 2
    assert "frozen_epochs=2: needs init_from=RUN" in capsys.readouterr().err
