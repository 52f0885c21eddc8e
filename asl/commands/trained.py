"""A tracked run opened again: its recognizer, its config, and what it has seen."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from pathlib import Path

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.recognizer.recognizer import Recognizer
    from asl.tracking.find import FoundRun
    from asl.tracking.store import Tracker


class TrainedRun(NamedTuple):
    """A run, the recognizer of its kept epoch, or of an ensemble, and its config."""

    run: "FoundRun"
    recognizer: "Recognizer"
    config: DictConfig


def trained_run(cfg: DictConfig, runs: "Tracker") -> TrainedRun:
    """The run that `run=` names; `best` is that by cfg.metric within `data=` and `split=`.

    Raises:
        UserError: there is none, or it kept no checkpoint.
    """
    from asl.tracking.find import best_run, find_run

    if cfg.run == "best":
        choices = HydraConfig.get().runtime.choices
        run = best_run(runs, cfg.metric, choices.get("data"), choices.get("split"))
    else:
        run = find_run(runs, cfg.run)
    return opened(run, runs)


def opened(run: "FoundRun", runs: "Tracker") -> TrainedRun:
    """What a run left; raises UserError where it kept no checkpoint."""
    from asl.tracking.find import run_config
    from asl.training.checkpoint import load_recognizer

    config = OmegaConf.create(run_config(runs, run.run_id))
    return TrainedRun(run, load_recognizer(kept_checkpoint(run, runs)), config)


def kept_checkpoint(run: "FoundRun", runs: "Tracker") -> "Path":
    """The checkpoint that a run kept; raises UserError where it kept none."""
    from asl.tracking.find import download

    return download(runs, run.run_id, "checkpoints/best.ckpt")


# --- what it has seen ---------------------------------------------------------------------------


def own_split(trained: TrainedRun, store: "ClipStore") -> "Split | None":
    """The split that a run was trained with; None where these are not the clips that it had."""
    from asl.commands.parts import make_split

    if trained.run.tags["data.fingerprint"] != store.fingerprint:
        return None
    return make_split(trained.config.split, store)


def common(one: np.ndarray, other: np.ndarray, names: np.ndarray | None = None) -> np.ndarray:
    """The rows in both, or where there are names those of both, each once."""
    return np.intersect1d(one, other) if names is None else np.intersect1d(names[one], names[other])


def seen(trained: TrainedRun, store: "ClipStore", rows: np.ndarray, part: str) -> list[str] | None:
    """What a run has seen of some clips and their signers when it was trained, in words.

    Args:
        trained: the run.
        store: the clips.
        rows: those in question.
        part: what they are; of validation clips it goes without saying that they chose the epoch.

    Returns:
        None where it cannot be known, as the run had other clips.
    """
    own = own_split(trained, store)
    if own is None:
        return None
    found, signers = [], store.clip_signers
    if len(clips := common(own.train, rows)):
        found.append(f"{len(clips):,} of these {len(rows):,} clips")
    elif len(known := common(own.train, rows, signers)):
        found.append(f"other clips of signers {', '.join(known)}")
    if part != "val" and len(choosing := common(own.val, rows, signers)):
        found.append(f"clips of signers {', '.join(choosing)}, which chose the epoch")
    return found
