"""Comparisons of cross-validations."""

import numpy as np
import pandas as pd
import pytest

from asl.evaluation.crossval import column_table, comparison, fold_table, summary


def folds(accuracies, signers="12", seeds=(0, 1)):
    """A table of folds; `accuracies` are [seeds, folds]."""
    return pd.DataFrame(
        [
            {"signers": signer, "seed": seed, "accuracy": accuracy, "f1": accuracy / 2}
            for seed, row in zip(seeds, accuracies, strict=True)
            for signer, accuracy in zip(signers, row, strict=True)
        ]
    )


def test_differences_are_paired_over_the_same_test_signers_and_seed():
    base = folds([[0.2, 0.9], [0.3, 0.8]])
    other = folds([[0.7, 0.4, 0.9], [0.6, 0.3, 0.9]], signers="213", seeds=(1, 2))
    table = comparison([base, other])
    pairs = np.array([0.7 - 0.8, 0.4 - 0.3])  # of seed 1: signers 2 and 1
    assert table["pairs"].tolist() == [0, 2]
    assert table["difference"][1] == pytest.approx(pairs.mean())
    assert table["difference_error"][1] == pytest.approx(pairs.std(ddof=1) / np.sqrt(2))
    assert np.isnan(table["difference"][0])


def test_the_deviation_is_over_the_means_of_seeds_and_undefined_for_one_seed():
    table = comparison([folds([[0.2, 0.9], [0.3, 1.0]]), folds([[0.5, 0.7]], seeds=(0,))])
    assert table["accuracy"].tolist() == pytest.approx([0.6, 0.6])
    assert table["accuracy_std"][0] == pytest.approx(np.std([0.55, 0.65], ddof=1))
    assert np.isnan(table["accuracy_std"][1])
    assert table["f1"][0] == pytest.approx(0.3)
    assert table["test [1]"].tolist() == pytest.approx([0.25, 0.5])


def test_many_folds_have_no_columns_and_unpaired_runs_no_difference():
    table = comparison([folds([[0.5] * 5], "12345", (0,)), folds([[0.5]], "6", (0,))])
    assert not table.filter(like="test [").columns.size
    assert np.isnan(table["difference"][1])
    assert table["pairs"][1] == 0


def answers(rows, signs=("no", "yes")):
    """Out-of-fold predictions; `rows` are (fold, seed, clip, signer, view, whether it is right)."""
    table = pd.DataFrame(rows, columns=["fold", "seed", "clip", "signer", "view", "right"])
    table["sign"] = "yes"
    table["predicted"] = np.where(table.pop("right"), "yes", "no")
    table["scores"] = [
        np.array([0.0, 1.0]) if p == "yes" else np.array([1.0, 0.0]) for p in table["predicted"]
    ]
    table.attrs["signs"] = list(signs)
    return table


def test_signers_with_commas_in_their_names_are_told_apart():
    """The first fold of one and of the other has other signers, whose names read alike."""
    one = answers([(0, 0, "a", "x,y", "f", 1), (0, 0, "b", "z", "f", 1), (1, 0, "c", "w", "f", 1)])
    other = answers(
        [(0, 0, "a", "x", "f", 1), (0, 0, "b", "y,z", "f", 0), (1, 0, "c", "w", "f", 1)]
    )
    table = comparison([fold_table(one), fold_table(other)])
    assert table["pairs"].tolist() == [0, 1]  # the fold of w alone
    assert {'test ["x,y",z]', 'test [x,"y,z"]', "test [w]"} <= set(table.columns)


def test_folds_of_another_column_are_paired_by_its_values_and_never_with_folds_of_signers():
    by_view = answers(
        [(0, 0, "a", "1", "front", 1), (0, 0, "b", "2", "front", 1), (1, 0, "c", "1", "side", 0)]
    )
    by_signer = answers(
        [(0, 0, "a", "1", "front", 1), (0, 0, "c", "1", "side", 1), (1, 0, "b", "2", "front", 0)]
    )
    views = fold_table(by_view, "view")
    assert views["test"].tolist() == ["view=front", "view=side"]
    assert views["signers"].tolist() == ["1,2", "1"]
    assert set(summary(by_view, views)) >= {"test/accuracy", "test/pooled_accuracy"}
    table = comparison([views, views.copy(), fold_table(by_signer)])
    assert table["pairs"].tolist() == [0, 2, 0]
    assert table["test [view=front]"].tolist()[:2] == [1.0, 1.0]


def test_out_of_fold_accuracy_by_column_is_the_mean_over_seeds():
    rows = [
        (0, seed, clip, "1", view, right)
        for seed in (0, 1)
        for clip, view, right in (("a", "2", 1), ("b", "10", seed), ("c", "10", 0))
    ]
    table = column_table(answers(rows))
    assert table["column"].tolist() == ["view", "view"]
    assert table["value"].tolist() == ["2", "10"]
    assert table["clips"].tolist() == [1, 2]
    assert table["accuracy"].tolist() == pytest.approx([1.0, 0.25])
    assert table["deviation"].tolist() == pytest.approx([0.0, np.std([0, 0.5], ddof=1)])
    assert column_table(answers(rows).drop(columns="view")).empty
    many = answers([(0, 0, str(n), "1", f"view {n}", 1) for n in range(51)])
    assert column_table(many).empty
