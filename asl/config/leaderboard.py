"""Which recognizers `asl leaderboard` measures on which data sets: conf/ says."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from asl.config.compose import compose
from asl.config.overrides import parse_overrides
from asl.config.plan import choices, run_plan
from asl.errors import UserError, check_choice
from asl.evaluation.baselines import BASELINES
from asl.paths import raw_data
from asl.runs.leaderboard import Entry
from asl.runs.plan import RunPlan

PLAIN = "features=positions"
"""What a baseline compares: landmarks, scaled and resampled."""

_NO_RESULT = ("tracking", "workers", "leaderboard", "hydra")  # keys by which no figure differs


def recognizers(settings: Mapping[str, Any]) -> list[Entry]:
    """Every network and baseline on every data set that conf/leaderboard.yaml names.

    Raises:
        UserError: there is none of such a name, or no public data set is here.
    """
    models = _chosen(settings, "models", choices("model"), choices("model"))
    here = [name for name in choices("download") if Path(raw_data(name)).exists()]
    sets = _chosen(settings, "sets", choices("data"), here)
    baselines = _chosen(settings, "baselines", list(BASELINES), [])
    if not sets:
        raise UserError("sets: no public data set is here; `asl download data=words15` fetches one")
    options = settings["settings"]
    tracking = settings["tracking"]

    def entry(data: str, name: str, override: str, baseline: bool) -> Entry:
        make = partial(crossval_plan, f"data={data}", override, *options, tracking=tracking)
        return Entry(data, name, make, baseline)

    return [
        each
        for data in sets
        for each in (
            *(entry(data, name, f"model={name}", False) for name in models),
            *(entry(data, name, PLAIN, True) for name in baselines),
        )
    ]


def crossval_plan(*overrides: str, tracking: Mapping[str, str]) -> RunPlan:
    """The plan of the runs of `asl crossval` with these overrides, recorded in this store."""
    cfg = compose("crossval", overrides)
    if cfg.split.get("val") == "test":
        raise UserError("split.val=test: a leaderboard is of clips by which no epoch was chosen")
    return replace(run_plan(cfg), tracking=dict(tracking))


def measured_command(cfg: DictConfig) -> str:
    """The command as it was typed, without what changes no figure."""
    typed = parse_overrides(cfg.hydra.overrides.task)
    return shlex.join(["asl", "leaderboard", *(o.text for o in typed if not o.below(_NO_RESULT))])


def _chosen(
    settings: Mapping[str, Any], key: str, known: Sequence[str], default: Sequence[str]
) -> list[str]:
    """The names under a key; raises UserError for one that is not known."""
    names = list(default if settings[key] is None else settings[key])
    for name in names:
        check_choice(key, name, known)
    return names
