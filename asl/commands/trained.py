"""A tracked run opened again: its recognizer and the config that it was trained with."""

from typing import TYPE_CHECKING, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from pathlib import Path

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
