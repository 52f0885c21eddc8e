"""Figures of a cross-validation from its out-of-fold predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from asl.clips.columns import broken_down
from asl.clips.names import joined, sorted_names
from asl.clips.split import SIGNER
from asl.evaluation.evaluate import Predictions, metrics

TESTS = ("signers", "test")  # columns of a table of folds that say what a fold was tested on
# Of a table of predictions with one row per clip and run; others are columns of the recordings.
COLUMNS = ("fold", "seed", "clip", "signer", "sign", "predicted", "scores")
NO_METRICS = ("fold", *TESTS, "seed", "clips")  # of a table of folds
FOLDS_SHOWN = 4  # with more folds a comparison has no columns of them


def fold_table(clips: pd.DataFrame, by: str = SIGNER) -> pd.DataFrame:
    """Metrics of each fold and seed.

    Args:
        clips: out-of-fold predictions, see `COLUMNS`; `clips.attrs["signs"]` names the signs.
        by: what folds were kept apart by; where that is a column, `test` names its values.
    """
    rows = []
    for (fold, seed), part in clips.groupby(["fold", "seed"]):
        test = {"signers": joined(sorted(part["signer"].unique()))}
        if by != SIGNER:
            test["test"] = f"{by}={joined(sorted_names(part[by].to_numpy()))}"
        values = metrics(table_predictions(part, clips.attrs["signs"]))
        rows.append({"fold": fold, **test, "seed": seed, "clips": len(part), **values})
    return pd.DataFrame(rows)


def signer_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Each signer's clips and out-of-fold accuracy, by ascending accuracy."""
    table = _group_table(clips, "signer").rename_axis("signer").reset_index()
    return table.sort_values("accuracy", kind="stable").reset_index(drop=True)


def column_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Clips and out-of-fold accuracy of each value of each column that `broken_down` names."""
    columns = {str(name): clips[name].to_numpy() for name in clips if name not in COLUMNS}
    tables = {
        name: _group_table(clips, name).loc[sorted_names(columns[name])]
        for name in broken_down(columns)
    }
    if not tables:
        return pd.DataFrame()
    return pd.concat(tables, names=["column", "value"]).reset_index()


def _group_table(clips: pd.DataFrame, name: str) -> pd.DataFrame:
    """By value of a column: clips, and the accuracy's mean and deviation over seeds."""
    correct = clips["predicted"] == clips["sign"]
    by_seed = correct.groupby([clips[name], clips["seed"]]).agg(["mean", "size"])
    table = by_seed.groupby(level=0).agg(
        clips=("size", "first"), accuracy=("mean", "mean"), deviation=("mean", "std")
    )
    return table.fillna({"deviation": 0.0})  # of one seed


def summary(clips: pd.DataFrame, folds: pd.DataFrame) -> dict[str, float]:
    """Mean of each metric over folds and seeds, its deviations, and the pooled accuracy.

    A deviation over folds is that of the folds' means over seeds, and vice versa; with one fold or
    seed there is none.
    """
    figures: dict[str, float] = {}
    names = [name for name in folds.columns if name not in NO_METRICS]
    for name in names:
        figures[f"test/{name}"] = float(folds[name].mean())
        for over, other in (("folds", "fold"), ("seeds", "seed")):
            means = folds.groupby(other)[name].mean()
            if len(means) > 1:
                figures[f"test/{name}_std_{over}"] = float(means.std())
    figures["test/pooled_accuracy"] = float((clips["predicted"] == clips["sign"]).mean())
    return figures


def comparison(folds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Compares cross-validations on the same clips with the first one.

    A difference is the mean over pairs of runs with the same seed and the same test signers (or
    values of another column), and its error that mean's standard error: what affects both runs of
    a pair, a difficult signer say, cancels out.

    Args:
        folds: a `fold_table` of each.

    Returns:
        One row each: runs, accuracy and f1 (means over folds and seeds), accuracy_std (over seeds,
        of the means over folds), test [SIGNERS] (accuracy of each fold, where there are few),
        difference and difference_error (of the accuracy), pairs. Undefined values are NaN.
    """
    folds = [table.assign(test=_tests(table)) for table in folds]
    tests = list(dict.fromkeys(test for table in folds for test in table["test"]))
    rows = []
    for table in folds:
        by_test = table.groupby("test")["accuracy"].mean()
        by_fold = {f"test [{test}]": by_test.get(test, np.nan) for test in tests}
        rows.append(
            {
                "runs": len(table),
                "accuracy": table["accuracy"].mean(),
                "accuracy_std": table.groupby("seed")["accuracy"].mean().std(),
                "f1": table["f1"].mean(),
                **(by_fold if len(tests) <= FOLDS_SHOWN else {}),
                **_difference(table, folds[0]),
            }
        )
    return pd.DataFrame(rows)


def _tests(folds: pd.DataFrame) -> pd.Series:
    """What each fold was tested on, in words."""
    return folds["test"] if "test" in folds else folds["signers"]


def _difference(one: pd.DataFrame, base: pd.DataFrame) -> dict[str, float]:
    if one is base:
        return {"difference": np.nan, "difference_error": np.nan, "pairs": 0}
    pairs = one.merge(base, on=["test", "seed"], suffixes=("", "_of_base"))
    differences = pairs["accuracy"] - pairs["accuracy_of_base"]
    return {
        "difference": float(differences.mean()),
        "difference_error": float(differences.std()) / max(len(pairs), 1) ** 0.5,
        "pairs": len(pairs),
    }


def table_predictions(clips: pd.DataFrame, signs: list[str]) -> Predictions:
    """A table of predictions, see `COLUMNS`, as arrays."""
    label = {sign: number for number, sign in enumerate(signs)}
    return Predictions(
        scores=np.stack(clips["scores"].to_list()).astype(np.float32),
        signs=np.array([label[sign] for sign in clips["sign"]]),
        signers=clips["signer"].to_numpy(str),
        index=np.arange(len(clips)),
        names=signs,
    )
