"""A tracked run opened again: its recognizer and the config that it was trained with."""

from typing import TYPE_CHECKING, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from asl.recognizer.recognizer import Recognizer
    from asl.tracking.find import FoundRun
    from asl.tracking.store import Tracker


class TrainedRun(NamedTuple):
    """A run, the recognizer of its kept epoch, and its config."""

    run: "FoundRun"
    recognizer: "Recognizer"
    config: DictConfig


def trained_run(cfg: DictConfig, runs: "Tracker") -> TrainedRun:
    """The run that `run=` names; `best` is that by cfg.metric within `data=` and `split=`.

    Raises:
        UserError: there is none, or it kept no checkpoint.
    """
    from asl.tracking.find import best_run, download, find_run, run_config
    from asl.training.checkpoint import load_recognizer

    if cfg.run == "best":
        choices = HydraConfig.get().runtime.choices
        run = best_run(runs, cfg.metric, choices.get("data"), choices.get("split"))
    else:
        run = find_run(runs, cfg.run)
    config = OmegaConf.create(run_config(runs, run.run_id))
    recognizer = load_recognizer(download(runs, run.run_id, "checkpoints/best.ckpt"))
    return TrainedRun(run, recognizer, config)
