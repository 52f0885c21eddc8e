"""Comparisons of cross-validations."""

import numpy as np
import pandas as pd
import pytest

from asl.evaluation.crossval import comparison


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
