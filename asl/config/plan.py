"""From overrides to a plan: the one place where a composed config is turned into plain values."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from asl.clips.split import SIGNER, Split
from asl.config.compose import compose, plain
from asl.config.overrides import Override, parse_overrides
from asl.config.schema import PrepareSettings, ShowSettings, checked
from asl.errors import UserError
from asl.paths import CONF, EXPERIMENTS
from asl.runs.plan import NOT_A_CHOICE, DataPlan, RunPlan, data_plan, plan_of_config
from asl.targets import factory

if TYPE_CHECKING:
    from asl.runs.load import LoadedRun
    from asl.tracking.store import Tracker

# Parameters of every run, typed or not: people sort and filter by them.
ALWAYS_SHOWN = ("model.hidden", "optimizer.lr", "data.batch_size", "trainer.max_epochs")
NOT_SHOWN = (("impute", "none"),)  # runs of version 0.1 had no such parameter and averaged alike
# Keys of the commands themselves, which no run differs by.
_COMMAND_KEYS = ("folds", "seeds", "workers", "sweep", "status", "hydra")


def plan(*overrides: str) -> RunPlan:
    """The plan of a training run: what `asl train` with these overrides would do.

    Args:
        overrides: Hydra's, as on the command line: `model=cnn`, `optimizer.lr=0.01`.

    Raises:
        UserError: with every fault of the config, a line each.

    Example:
        >>> import asl
        >>> plan = asl.plan("data=synthetic", "model=cnn", "seed=1")
        >>> plan.name, plan.seed
        ('cnn-auto-synthetic-s1', 1)
    """
    return run_plan(compose("train", overrides))


def run_plan(cfg: DictConfig) -> RunPlan:
    """The plan of a config that conf/train.yaml, or one on top of it, composed."""
    config = {key: value for key, value in checked(cfg).items() if key not in _COMMAND_KEYS}
    return plan_of_config(config, chosen_params(cfg))


def data_plan_of(*overrides: str) -> DataPlan:
    """The clips that `data=…` names; other overrides change values in that group."""
    return data_plan(checked_data(compose("prepare", overrides)))


def checked_data(cfg: DictConfig) -> dict[str, Any]:
    """The `data` group of a config, resolved and checked."""
    return cast("dict[str, Any]", checked(cfg, PrepareSettings)["data"])


def chosen_data(cfg: DictConfig) -> DataPlan | None:
    """The clips of a config's `data` group; None where a command's own default is no data set."""
    if cfg.get("data") is None:
        return None
    return data_plan(plain(cfg.data))


def chosen_split(cfg: DictConfig) -> "partial[Split] | None":
    """The split of a config's `split` group; None where a command's own default is no split."""
    if cfg.get("split") is None:
        return None
    return factory(plain(cfg.split), "split")


def chosen_tracker(cfg: DictConfig) -> "Tracker":
    """The MLflow store of a config's `tracking` group."""
    from asl.tracking.store import open_tracker  # with MLflow, which not every command needs

    return open_tracker(plain(cfg.tracking))


def chosen_run(cfg: DictConfig, tracker: "Tracker") -> "LoadedRun":
    """The run that `run=` names, or the best for `run=best`, loaded.

    Raises:
        UserError: there is no such run, or it kept no checkpoint.
    """
    from asl.runs.load import load_run  # with PyTorch

    return load_run(str(cfg.run), tracker, **best_among(cfg))


def export_settings(*overrides: str) -> dict[str, Any]:
    """The `export` group as arguments of `asl.runs.export.export_run`."""
    return export_arguments(compose("export", overrides))


def export_arguments(cfg: DictConfig) -> dict[str, Any]:
    """A config's `export` group as arguments of `asl.runs.export.export_run`."""
    settings = plain(cfg.export)
    directory = settings.pop("dir")
    return {
        **settings,
        "directory": Path(directory) if directory else None,
        "data": chosen_data(cfg),
    }


def show_arguments(cfg: DictConfig) -> dict[str, Any]:
    """The config of `asl show` as arguments of `asl.runs.show.show`, with the run loaded.

    Raises:
        UserError: no clip is named, a value is unsound, or there is no such run.
    """
    settings = checked(cfg, ShowSettings)
    if settings["clip"] is None:
        raise UserError("show needs a clip: asl show CLIP data=…")
    return {
        "name": str(settings["clip"]),
        "data": chosen_data(cfg),
        "out": Path(settings["out"]) if settings["out"] else None,
        "run": None if cfg.run is None else chosen_run(cfg, chosen_tracker(cfg)),
        "model": Path(settings["tflite"]) if settings["tflite"] else None,
        "every": settings["every"],
    }


def best_among(cfg: DictConfig) -> dict[str, str | None]:
    """What `run=best` is the best of, as arguments of `asl.runs.load.load_run`."""
    split = cfg.hydra.runtime.choices.get("split")
    if cfg.get("split") is not None and (by := cfg.split.get("by", SIGNER)) != SIGNER:
        split = f"{split} by={by}"
    return {"metric": cfg.metric, "data": data_name(cfg), "split": split}


def data_name(cfg: DictConfig) -> str | None:
    """`data.name`, which differs from the choice `data=` for recordings of one's own."""
    return str(cfg.data.name) if cfg.get("data") is not None else None


def chosen_params(cfg: DictConfig) -> dict[str, Any]:
    """What was chosen in a config: the choice in every group, every overridden key, the seed."""
    choices = {
        group: choice
        for group, choice in cfg.hydra.runtime.choices.items()
        if choice and _is_group(group) and (group, choice) not in NOT_SHOWN
    }
    keys = {
        override.key: "removed" if override.removes else OmegaConf.select(cfg, override.key)
        for override in parse_overrides(cfg.hydra.overrides.task)
        if _is_choice(override) and override.key not in choices
    }
    values = {key: OmegaConf.select(cfg, key) for key in ALWAYS_SHOWN}
    shown = {key: value for key, value in values.items() if value is not None}
    return {**choices, "landmarks": cfg.landmarks.name, **shown, **keys, "seed": cfg.seed}


def _is_group(name: str) -> bool:
    """Whether a choice is one of ours, at its own place: not Hydra's, not `augment@…`."""
    return "/" not in name and "@" not in name and name not in ("tracking", "sweep", "export")


def _is_choice(override: Override) -> bool:
    return not override.below((*NOT_A_CHOICE, *_COMMAND_KEYS)) and override.key != "experiment"


def choices(group: str) -> list[str]:
    """The choices in a group of conf/, or the studies of experiments/."""
    folder = EXPERIMENTS if group == "experiment" else CONF / group
    return sorted(path.stem for path in folder.glob("*.yaml"))
