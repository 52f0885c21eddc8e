"""From the predictions of every fold's test clips to a cross-validation's figures."""

import numpy as np
import pandas as pd

from asl.training.evaluation import Predictions, metrics

# Of a table of predictions: a row a clip and run.
COLUMNS = ("fold", "seed", "clip", "signer", "sign", "predicted", "scores")


def fold_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each fold and seed.

    Args:
        clips: out-of-fold predictions, see `COLUMNS`; `clips.attrs["signs"]` names the signs.
    """
    rows = []
    for (fold, seed), part in clips.groupby(["fold", "seed"]):
        signers = ",".join(sorted(part["signer"].unique()))
        measured = metrics(_predictions(part, clips.attrs["signs"]), "")
        rows.append(
            {"fold": fold, "signers": signers, "seed": seed, "clips": len(part), **measured}
        )
    return pd.DataFrame(rows)


def signer_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Each signer's clips and accuracy when nobody had trained on them, the hardest first."""
    correct = clips["predicted"] == clips["sign"]
    by_seed = correct.groupby([clips["signer"], clips["seed"]]).agg(["mean", "size"])
    table = by_seed.groupby("signer").agg(
        clips=("size", "first"), accuracy=("mean", "mean"), deviation=("mean", _deviation)
    )
    return table.reset_index().sort_values("accuracy", kind="stable").reset_index(drop=True)


def summary(clips: pd.DataFrame, folds: pd.DataFrame) -> dict[str, float]:
    """Mean of each metric over folds and seeds, its deviations, and the pooled accuracy.

    A deviation over folds is that of the folds' means over seeds, and the other way round; with
    one fold or seed there is none.
    """
    figures: dict[str, float] = {}
    names = [name for name in folds.columns if name not in ("fold", "signers", "seed", "clips")]
    for name in names:
        figures[f"test/{name}"] = float(folds[name].mean())
        for over, other in (("folds", "fold"), ("seeds", "seed")):
            means = folds.groupby(other)[name].mean()
            if len(means) > 1:
                figures[f"test/{name}_std_{over}"] = float(means.std())
    figures["test/pooled_accuracy"] = float((clips["predicted"] == clips["sign"]).mean())
    return figures


def _deviation(values: pd.Series) -> float:
    return float(values.std()) if len(values) > 1 else 0.0


def _predictions(clips: pd.DataFrame, signs: list[str]) -> Predictions:
    label = {sign: number for number, sign in enumerate(signs)}
    return Predictions(
        scores=np.stack(clips["scores"].to_list()).astype(np.float32),
        signs=np.array([label[sign] for sign in clips["sign"]]),
        signers=clips["signer"].to_numpy(str),
        index=np.arange(len(clips)),
        names=signs,
    )
