"""The table of `asl runs`: like runs together, the columns and the order that a person asks for."""

import pytest

from asl.cli import run as asl
from asl.tracking.averages import averages
from asl.tracking.find import find_runs
from asl.tracking.table import like_with_like

RANDOM = {
    "split": "random 20 %",
    "split.kind": "random",
    "signer_independent": "false",
}


@pytest.fixture
def shown(uri, request, capsys):
    """The printed rows of `asl runs` with these options."""

    def shown(*options):
        tracking = [f"tracking.uri={uri}", f"tracking.experiment={request.node.name}"]
        status = asl(["runs", *options, *tracking])
        return status, capsys.readouterr()

    return shown


def test_a_random_split_does_not_lead_the_table(add, tracker):
    add("random", {"test/f1": 1.0}, **RANDOM)
    add("good", {"test/f1": 0.8})
    add("better", {"test/f1": 0.9})
    add("other", {"test/f1": 0.99}, data="another set")
    ordered = [run.name.partition("-")[0] for run in like_with_like(find_runs(tracker))]
    assert ordered == ["other", "better", "good", "random"]


def test_runs_without_a_test_are_below_those_with_one(add, tracker):
    add("final", {}, **{"split": "all_signers test=none", "split.kind": "all_signers"})
    add("random", {"test/f1": 1.0}, **RANDOM)
    ordered = [run.name.partition("-")[0] for run in like_with_like(find_runs(tracker))]
    assert ordered == ["random", "final"]


def test_columns_and_order_are_chosen(add, shown):
    add("small", {"test/f1": 0.9, "parameters": 1000}, params={"model": "cnn", "lr": 0.1})
    add("large", {"test/f1": 0.8, "parameters": 2_500_000}, params={"model": "lstm", "lr": 0.02})

    def rows(*options):
        status, printed = shown(*options)
        assert status == 0
        return [line.split()[0].partition("-")[0] for line in printed.out.splitlines()[-2:]]

    assert rows("--columns", "model,test/f1") == ["small", "large"]
    assert rows("--sort", "lr") == ["large", "small"]
    assert rows("--sort", "started") == ["large", "small"]
    assert rows("--sort", "parameters") == ["small", "large"]
    _, printed = shown("--columns", "model,parameters,started")
    assert "2,500,000" in printed.out
    assert "lstm" in printed.out
    assert "signer_holdout" not in printed.out
    status, printed = shown("--sort", "nonsense")
    assert status == 2
    assert "column=nonsense: choose from started, status, data, split, lr, model" in printed.err


def test_averages_are_sorted_by_their_mean_and_marked(add, tracker, shown):
    add("lucky", {"test/f1": 0.9}, params={"model": "a", "seed": 0})
    add("lucky", {"test/f1": 0.1}, params={"model": "a", "seed": 1})
    add("steady", {"test/f1": 0.7}, params={"model": "b", "seed": 0}, **RANDOM)
    found = averages(find_runs(tracker))
    assert [each.metrics["test/f1"][0] for each in found] == pytest.approx([0.7, 0.5])
    _, printed = shown("--mean")
    assert "0.7000 " in printed.out
    assert "0.7000 ±" not in printed.out
    assert "† not signer-independent" in printed.out


def test_averages_are_limited_after_they_are_made_and_have_an_order_of_their_own(add, shown):
    add("good", {"test/f1": 0.9}, params={"model": "a", "seed": 0})
    add("bad", {"test/f1": 0.1}, params={"model": "a", "seed": 1})
    add("optimistic", {"test/f1": 0.8}, params={"model": "b", "seed": 0}, **RANDOM)
    _, printed = shown("--mean", "--limit", "1")
    assert "0.5000 ±" in printed.out  # of both seeds, and not behind the random split
    for option in (["--sort", "test/f1"], ["--columns", "model"]):
        status, printed = shown("--mean", *option)
        assert status == 2
        assert "leave out --sort, --columns" in printed.err


def test_what_no_run_fits_is_said_with_what_there_is(add, shown):
    add("good", {"test/f1": 0.9})
    for option in (["--data", "others"], ["--kind", "nonsense"], ["--since", "2100-01-01"]):
        status, printed = shown(*option)
        assert status == 0
        assert "none of 1 runs fits; data sets: mine; kinds: train" in printed.out
        assert shown(*option, "--json")[1].out.strip() == "[]"
    status, printed = shown("--limit", "0")
    assert status == 2
    assert "--limit=0: choose 1 or more" in printed.err
