"""Rejection: whether a file can tell that a clip shows none of its signs.

    python -m benchmarks.rejection +experiment=isl30 split=signer_kfold split.val=null

Each network is trained without any clip of some signs and of some signers. To the test signers'
clips of its own signs it should answer; not to their clips of the left-out signs, nor to clips that
are no sign: rest, half a sign, two signs, backwards, noise (`asl.export.no_signs`). Scores are
calibrated and thresholds chosen on the validation signers' clips, where 95 % of the clips of signs
are accepted. AUROC is that of clips of signs against each kind. Below stands what the file's score
accepts at other shares, and conformal sets, whose thresholds are likewise from the validation
signers: how often they hold the true sign of the test signers' clips. It goes on where it was
interrupted; results go to docs/benchmarks.md.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from asl.config.plan import plan
from asl.evaluation.abstention import conformal_sets
from asl.evaluation.calibration import fit_temperature
from asl.evaluation.predictions import Predictions
from asl.export.calibration import ACCEPTED, logistic_regression
from asl.export.no_signs import KINDS, no_signs
from asl.export.parity.clips import stratified_sample
from asl.runs.data import open_store
from benchmarks.held_out import (
    Embedded,
    Network,
    chosen,
    embed,
    hidden_signs,
    networks_without,
    read,
)

MOST = 300
"""Clips of a part that clips without a sign are made of."""

SHARES = (0.95, 0.975, 0.99, 1.0)
"""Shares of the validation clips of signs that a threshold accepts."""


def main() -> None:
    """Train what is missing, score, print a table."""
    options = chosen("rejection", __doc__, hidden=5)
    run_plan = plan(*options.overrides)
    new, names = hidden_signs(open_store(run_plan.data), options.hidden)
    where = options.tracker, names, options.folder, options.folds
    folds, accepted, sets = [], [], []
    for network in networks_without(run_plan, *where):
        features = _features_of(network, new, options.folder)
        folds.append(_measured(features))
        accepted.append(_accepted(features))
        sets.append(_sets(network, new, options.folder))
    _print(folds)
    _print_accepted(accepted)
    _print_sets(sets)


Features = Mapping[str, Mapping[str, np.ndarray]]
"""Part, then kind of clips, to the features `[clips, FEATURES]`."""

Measured = dict[str, tuple[dict[str, float], dict[str, float]]]


def _features_of(network: Network, new: np.ndarray, folder: Path) -> Features:
    """The features of the clips of validation and test signers."""
    known = np.setdiff1d(np.arange(len(network.store.signs)), new)
    prototypes = _prototypes(network, known, folder)
    parts = {part: _clips(network, part, new, folder) for part in ("val", "test")}
    return {
        part: {kind: _features(embedded, known, prototypes) for kind, embedded in kinds.items()}
        for part, kinds in parts.items()
    }


def _measured(features: Features) -> Measured:
    """For each score, AUROC and false acceptance by kind; `sign` among them: true acceptance."""
    measured = {}
    for name, score in _scores(features["val"]).items():
        scored = {kind: score(values) for kind, values in features["test"].items()}
        threshold = np.quantile(score(features["val"]["sign"]), ACCEPTED)
        areas = {kind: _area(scored["sign"], s) for kind, s in scored.items() if kind != "sign"}
        accepted = {kind: float((s <= threshold).mean()) for kind, s in scored.items()}
        measured[name] = areas, accepted
    return measured


def _accepted(features: Features) -> pd.DataFrame:
    """What the file's score accepts of each kind, a row for each of `SHARES`."""
    score = _scores(features["val"])[FILE_SCORE]
    thresholds = np.quantile(score(features["val"]["sign"]), SHARES)
    shares = {
        kind: (score(values)[:, None] <= thresholds).mean(axis=0)
        for kind, values in features["test"].items()
    }
    return pd.DataFrame(shares, index=SHARES)


def _clips(network: Network, part: str, new: np.ndarray, folder: Path) -> dict[str, Embedded]:
    """Logits and embeddings of a part's clips: of signs, of no sign, and of hidden signs."""
    store = network.store
    known, hidden = _rows(network, part, new)
    kinds = {
        "sign": embed(network, folder, f"{part}-sign", read(store, known)),
        "hidden sign": embed(network, folder, f"{part}-hidden", read(store, hidden)),
    }
    some = stratified_sample(store, known, MOST)
    made = no_signs([store.read(int(row)) for row in some], store.sign[some])
    for kind in KINDS:
        kinds[kind] = embed(network, folder, f"{part}-{kind}", partial(iter, made[kind]))
    return kinds


def _rows(network: Network, part: str, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A part's clips of the signs that were learned, and its signers' clips of hidden ones."""
    store, rows = network.store, getattr(network.split, part)
    is_hidden = np.isin(store.sign, new)
    signers = np.unique(store.clip_signers[rows])
    hidden = np.flatnonzero(is_hidden & np.isin(store.clip_signers, signers))
    return rows[~is_hidden[rows]], hidden


def _prototypes(network: Network, known: np.ndarray, folder: Path) -> np.ndarray:
    """The mean embedding of each known sign's training clips, at length 1."""
    store, rows = network.store, network.split.train
    rows = stratified_sample(store, rows, 20 * len(known))
    embeddings = embed(network, folder, "train", read(store, rows)).embeddings
    means = np.stack([embeddings[store.sign[rows] == sign].mean(axis=0) for sign in known])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


# --- scores: higher for clips that are no sign ----------------------------------------------------

Score = Callable[[np.ndarray], np.ndarray]
"""Features `[clips, FEATURES]` to scores `[clips]`."""

FEATURES = ("energy", "top", "length", "nearest")

FILE_SCORE = "energy + length + nearest"
"""The score that an export writes."""


def _features(embedded: Embedded, known: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """`[clips, FEATURES]`, each higher for clips of signs."""
    logits = embedded.logits[:, known]
    highest = logits.max(axis=1)
    energy = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    nearest = (embedded.embeddings @ prototypes.T).max(axis=1)
    return np.stack([energy, highest - energy, np.log(embedded.lengths + 1e-6), nearest], axis=1)


def _scores(val: Mapping[str, np.ndarray]) -> dict[str, Score]:
    """Each feature alone, and logistic regressions on several, fitted to validation clips."""
    scores = {name: _column(place) for place, name in enumerate(FEATURES)}
    made = np.concatenate([val[kind] for kind in KINDS])
    for columns in ((0, 3), (1, 3), (2, 3), (0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 1, 2, 3)):
        name = " + ".join(FEATURES[column] for column in columns)
        scores[name] = _regression(val["sign"], made, columns)
    return scores


def _column(place: int) -> Score:
    return lambda values: -values[:, place]


def _regression(signs: np.ndarray, others: np.ndarray, columns: Sequence[int]) -> Score:
    """The regression that an export fits, on some features."""
    kinds = (torch.from_numpy(values[:, columns]) for values in (signs, others))
    weights, bias = (found.numpy() for found in logistic_regression(*kinds))
    return lambda some: some[:, columns] @ weights + bias


def _area(signs: np.ndarray, others: np.ndarray) -> float:
    """AUROC: how often a clip that is no sign has the higher score, ties counting half."""
    ranks = np.searchsorted(np.sort(signs), others, side="left")
    upper = np.searchsorted(np.sort(signs), others, side="right")
    return float((ranks + upper).mean() / 2 / len(signs))


# --- conformal sets -------------------------------------------------------------------------------


def _sets(network: Network, new: np.ndarray, folder: Path) -> pd.DataFrame:
    """The conformal sets of the test signers' clips of learned signs."""
    store = network.store
    learned = np.setdiff1d(np.arange(len(store.signs)), new)
    names = [store.signs[sign] for sign in learned]
    given = {}
    for part in ("val", "test"):
        rows, _ = _rows(network, part, new)
        embedded = embed(network, folder, f"{part}-sign", read(store, rows))
        signs = np.searchsorted(learned, store.sign[rows])
        logits, signers = embedded.logits[:, learned], store.clip_signers[rows]
        given[part] = Predictions(logits, signs, signers, rows, names)
    temperature = fit_temperature(given["val"].scores, given["val"].signs)
    return conformal_sets(given["test"], given["val"], temperature)


# --- tables ---------------------------------------------------------------------------------------


def _print_sets(sets: Sequence[pd.DataFrame]) -> None:
    print("\n| wanted coverage | on the test signers | lowest of a signer | signs in a set |")
    print("|---|---|---|---|")
    for wanted, rows in pd.concat(sets).groupby("wanted"):
        lowest = rows["lowest_signer"].min()
        figures = rows["coverage"].mean(), lowest, rows["signs"].mean()
        print(f"| {wanted:.2f} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")


def _print_accepted(folds: Sequence[pd.DataFrame]) -> None:
    kinds = ["hidden sign", *KINDS]
    print(f"\n| validation clips accepted | test clips | lowest of a fold | {' | '.join(kinds)} |")
    print("|---" * (len(kinds) + 3) + "|")
    for share in SHARES:
        rows = pd.DataFrame([fold.loc[share] for fold in folds])
        figures = rows["sign"].mean(), rows["sign"].min(), *rows[kinds].mean()
        print(f"| {share} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")


def _print(folds: Sequence[Measured]) -> None:
    kinds = ["hidden sign", *KINDS]
    print(f"| score | true acceptance | {' | '.join(kinds)} | mean |")
    print("|---" * (len(kinds) + 3) + "|")
    for name in folds[0]:
        accepted = np.mean([fold[name][1]["sign"] for fold in folds])
        areas = [np.mean([fold[name][0][kind] for fold in folds]) for kind in kinds]
        false = [np.mean([fold[name][1][kind] for fold in folds]) for kind in kinds]
        figures = [*zip(areas, false, strict=True), (np.mean(areas), np.mean(false))]
        cells = [f"{area:.3f}, {share:.3f}" for area, share in figures]
        print(f"| {name} | {accepted:.3f} | {' | '.join(cells)} |")
    print("\nCells: AUROC, false acceptance.")


if __name__ == "__main__":
    main()
