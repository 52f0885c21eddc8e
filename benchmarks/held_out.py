"""Logits and embeddings of clips of signers, and of signs, that networks were not trained on.

Networks are the folds of a cross-validation, found again where they are finished; their outputs are
kept in files, so that an interrupted benchmark goes on where it was.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.export.calibration import summarise
from asl.export.parity.clips import stratified_sample
from asl.recognizer.layers.unit import unit
from asl.recognizer.recognizer import Recognizer
from asl.runs.crossval import crossval, group_digests
from asl.runs.data import make_split, open_store
from asl.runs.load import load_run
from asl.runs.plan import RunPlan, variation
from asl.runs.train import train
from asl.tracking.crossval import folds_of
from asl.tracking.store import Tracker, open_tracker
from benchmarks.command import plain_options

CENTRED_ON = 100
"""Training clips that embeddings are centred on, as an export does it."""


@dataclass(frozen=True)
class Network:
    """One trained network.

    Attributes:
        run_id: of its run.
        recognizer: in evaluation mode.
        store: the clips.
        split: which of them it was trained on.
    """

    run_id: str
    recognizer: Recognizer
    store: ClipStore
    split: Split


@dataclass(frozen=True)
class Embedded:
    """The logits and embeddings of clips.

    Attributes:
        logits: `[clips, signs]`.
        embeddings: `[clips, width]`, of length 1.
        lengths: `[clips]`, of the centred summaries that embeddings are made of.
    """

    logits: np.ndarray
    embeddings: np.ndarray
    lengths: np.ndarray

    def of(self, rows: np.ndarray) -> "Embedded":
        """That of some clips."""
        return Embedded(self.logits[rows], self.embeddings[rows], self.lengths[rows])

    def probabilities(self, signs: np.ndarray | None = None) -> np.ndarray:
        """The softmax of some signs' logits, or of all."""
        logits = self.logits if signs is None else self.logits[:, signs]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def chosen(name: str, about: str | None, hidden: int | None = None) -> argparse.Namespace:
    """The options of `python -m benchmarks.NAME`, and the store of what they train.

    Args:
        name: of the benchmark.
        about: what `--help` says.
        hidden: how many signs are left out by default; None where none can be.
    """
    parser = plain_options(name, about)
    parser.add_argument("--uri", help="of the MLflow store; in the folder where not given")
    if hidden is not None:
        text = "signs left out"
        parser.add_argument("--hidden", type=int, default=hidden, metavar="N", help=text)
    parser.add_argument("--folds", type=int, metavar="N", help="the first so many alone")
    parser.add_argument("overrides", nargs="+", help="of the networks, as typed")
    options = parser.parse_args()
    options.folder = options.folder / "held_out"  # the benchmarks share what they trained
    options.folder.mkdir(parents=True, exist_ok=True)
    uri = options.uri or f"sqlite:///{options.folder}/mlflow.db"
    options.tracker = open_tracker({"uri": uri, "experiment": "held_out"})
    return options


def hidden_signs(store: ClipStore, count: int) -> tuple[np.ndarray, list[str]]:
    """So many signs, the same each time: their indices and names."""
    new = np.sort(np.random.default_rng(0).permutation(len(store.signs))[:count])
    return new, [store.signs[sign] for sign in new]


def networks(plan: RunPlan, tracker: Tracker, folds: int | None = None) -> Iterator[Network]:
    """The network of each fold of the plan's split, or of the first so many."""
    numbers = None if folds is None else range(folds)
    parent = crossval(plan, tracker, folds=numbers, workers=1, reuse=True).run_id
    for fold in sorted(folds_of(tracker, parent), key=lambda fold: fold.fold):
        loaded = load_run(fold.run_id, tracker)
        yield Network(fold.run_id, loaded.recognizer, *loaded.clips())


def networks_without(
    plan: RunPlan,
    tracker: Tracker,
    hidden: Sequence[str],
    folder: Path,
    folds: int | None = None,
) -> Iterator[Network]:
    """The same networks trained without any clip of some signs, which keep a place in the logits.

    Args:
        plan: its split has folds.
        tracker: for the runs.
        hidden: the signs.
        folder: where the ids of finished runs are kept.
        folds: the first so many alone; all where None.
    """
    store = open_store(plan.data)
    for fold in range(folds or make_split(plan.split, store).folds or 1):
        varied = variation(plan, fold=fold)
        split = _without(varied.split, hidden)
        digest, _ = group_digests(plan, store.fingerprint, [fold], [plan.seed])
        finished = folder / f"{digest}-without-{len(hidden)}.run"
        if not finished.is_file():
            run = train(replace(varied, split=split), tracker, store=store, draw=False)
            finished.write_text(run.run_id, encoding="utf-8")
        run_id = finished.read_text(encoding="utf-8")
        recognizer = load_run(run_id, tracker).recognizer
        yield Network(run_id, recognizer, store, make_split(split, store))


def _without(split: Callable[..., Split], hidden: Sequence[str]) -> Callable[..., Split]:
    def without(signs: np.ndarray, signers: np.ndarray, columns: Mapping[str, np.ndarray]) -> Split:
        made = split(signs=signs, signers=signers, columns=columns)
        known = ~np.isin(signs, hidden)
        kept = {part: getattr(made, part) for part in ("train", "val")}
        return replace(made, **{part: rows[known[rows]] for part, rows in kept.items()})

    return without


def embed(
    network: Network, folder: Path, name: str, clips: Callable[[], Iterator[np.ndarray]]
) -> Embedded:
    """The logits and embeddings of clips; read from a file where they were computed before.

    Args:
        network: it.
        folder: of the files.
        name: of the clips.
        clips: reads them.
    """
    file = folder / f"{network.run_id}-{name}.npz"
    if not file.is_file():
        logits, summaries = summarise(network.recognizer, list(clips()))
        centred = summaries - _centre(network)
        temporary = file.with_suffix(".tmp.npz")
        np.savez(
            temporary,
            logits=logits.numpy(),
            embeddings=unit(centred).numpy(),
            lengths=centred.norm(dim=1).numpy(),
        )
        temporary.replace(file)
    with np.load(file) as arrays:
        return Embedded(arrays["logits"], arrays["embeddings"], arrays["lengths"])


def read(store: ClipStore, rows: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    """Reads these rows of a store."""
    return lambda: (store.read(int(row)) for row in rows)


def _centre(network: Network) -> torch.Tensor:
    rows = stratified_sample(network.store, network.split.train, CENTRED_ON)
    return summarise(network.recognizer, list(read(network.store, rows)())).summaries.mean(0)
