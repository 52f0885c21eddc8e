"""What there is to do in a sweep: the command's config as a task of plain values.

The task is all that a worker is told. It is made once, and checked before the first trial.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from asl.clips.splits import Split, deal_signers
from asl.clips.store import ClipStore
from asl.commands.sweep_checks import check_trials, notes, own_folders
from asl.commands.train import NOT_A_CHOICE
from asl.commands.trials import Task, say, typed
from asl.errors import UserError
from asl.sweeps.methods import make_pruner, make_sampler
from asl.sweeps.space import Space, parse
from asl.sweeps.study import Direction, Place

# What a sweep decides itself, or that says nothing of a trial.
_NOT_A_TRIALS = ("sweep", "status", "tracking", "hydra", "test", "resume")
_UNDECISIVE = tuple(
    f"{key.rstrip('.')}." for key in (*_NOT_A_TRIALS, *NOT_A_CHOICE, "data.source", "data.workers")
)
_ONE_DATA_SET = ("data", "data.root", "data.store", "data.name", "split", "monitor", "test")


def make_task(cfg: DictConfig, store: ClipStore, split: Split) -> Task:
    """The sweep as plain values; its folders and its run are not known yet.

    Raises:
        UserError: it is not sound, or one of its trials would not start.
    """
    sweep = cast("dict[str, Any]", OmegaConf.to_container(cfg.sweep, resolve=True))
    overrides = (*_own_groups(), *sweep["fixed"], *_typed_overrides())
    space = _space(sweep["space"])
    for sentence in notes(space, sweep["sampler"], sweep["pruner"], sweep["second_objective"]):
        say(f"note: {sentence}")
    parts = _parts(cfg, store, split)
    base = check_trials(space, overrides, parts)
    points = space.grid() if sweep["sampler"] == "grid" else []
    sampler = (sweep["sampler"], sweep["sampler_options"], sweep["seed"])
    epochs = base["trainer"]["max_epochs"] * len(parts)
    pruner = (sweep["pruner"], sweep["pruner_options"], epochs)
    make_sampler(*sampler)  # now, for their options may be wrong
    make_pruner(*pruner)
    better: Direction = "minimize" if cfg.monitor.endswith("loss") else "maximize"
    name = sweep["name"] or f"{HydraConfig.get().runtime.choices['sweep']}-{cfg.data.name}"
    second_objective = sweep["second_objective"]
    return Task(
        place=Place(sweep["storage"], name),
        identity={
            "space": {node.pop("key"): node for node in space.as_json()},
            "objective": _objective(cfg.monitor, parts, second_objective),
            "data": store.fingerprint,
            "settings": _settings(base),
        },
        label="",
        space=space,
        total=_total(sweep["n_trials"], points),
        points=points,
        directions=(better, "minimize") if second_objective else (better,),
        second_objective=second_objective,
        sampler=sampler,
        pruner=pruner,
        overrides=overrides,
        parts=parts,
        test=False,
        monitor=cfg.monitor,
        tracking=cast("dict[str, Any]", OmegaConf.to_container(cfg.tracking, resolve=True)),
        parent="",
        locks=Path(),
        log=Path(),
        max_failures=sweep["max_failures"],
        final_seeds=tuple(range(cfg.seed, cfg.seed + sweep["final_seeds"])),
    )


def _own_groups() -> list[str]:
    """Where groups of the person's own lie (`--config-dir`), for whoever composes a trial."""
    places = [f"file://{folder}" for folder in own_folders() if _has_groups(folder)]
    return [f"hydra.searchpath={typed(places)}"] if places else []


def _has_groups(folder: Path) -> bool:
    return any(child.is_dir() and child.name != "sweep" for child in folder.iterdir())


def _typed_overrides() -> list[str]:
    """What was typed that is a trial's matter."""
    kept = []
    for override in HydraConfig.get().overrides.task:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0]
        if key.partition(".")[0] not in _NOT_A_TRIALS:
            kept.append(override)
    return kept


def _space(described: dict[str, Any]) -> Space:
    """The space, in which what was typed has one value."""
    for key in described:
        if key in _ONE_DATA_SET or key.partition(".")[0] in ("tracking", "hydra", "sweep"):
            raise UserError(f"sweep.space.{key}: is the same for all trials of a sweep")
    parse(described)
    for override in _typed_overrides():
        key, _, text = override.lstrip("+").partition("=")
        if key in described:
            given = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
            when = {"when": described[key]["when"]} if "when" in described[key] else {}
            described[key] = {"choices": [cast("dict[str, Any]", given)["value"]], **when}
    return parse(_without_the_impossible(described))


def _without_the_impossible(described: dict[str, Any]) -> dict[str, Any]:
    """Conditions name values that are left; what has none of them is left out."""
    left: dict[str, Any] = {}
    for key, node in described.items():
        conditions = {}
        for other, allowed in (node.get("when") or {}).items():
            allowed = allowed if isinstance(allowed, list) else [allowed]
            choices = described[other].get("choices", []) if other in described else allowed
            conditions[other] = [value for value in allowed if value in choices]
        if all(conditions.values()):
            left[key] = {**node, **({"when": conditions} if conditions else {})}
    return left


def _total(asked: int | None, points: Sequence[Any]) -> int:
    if asked is None and not points:
        raise UserError("sweep.n_trials=null: should be a number, as sweep.sampler is no grid")
    if not points:
        return cast("int", asked)
    return min(asked or len(points), len(points))


def _parts(cfg: DictConfig, store: ClipStore, split: Split) -> tuple[tuple[str, ...], ...]:
    """Overrides of the runs of which a trial consists, over validation folds and seeds."""
    if not len(split.val):
        raise UserError("split.val=none: a sweep goes by validation clips, and there are none")
    folds: list[tuple[str, ...]] = [()]
    if cfg.sweep.folds > 1:
        rest = store.clip_signers[[*split.train, *split.val]]
        count = len(set(rest))
        if "signer" not in str(cfg.split._target_) or cfg.sweep.folds > count:
            what = f"split has {count} training signers" if count > 1 else "split has one signer"
            raise UserError(
                f"sweep.folds={cfg.sweep.folds}: {what}; sweep.seeds={cfg.sweep.folds} averages "
                "over seeds instead"
            )
        dealt = deal_signers(rest, cfg.sweep.folds)
        folds = [(f"split.val={typed([str(signer) for signer in fold])}",) for fold in dealt]
    seeds: list[tuple[str, ...]] = [()]
    if cfg.sweep.seeds > 1:
        seeds = [(f"seed={cfg.seed + number}",) for number in range(cfg.sweep.seeds)]
    return tuple((*fold, *seed) for seed in seeds for fold in folds)


def _objective(
    monitor: str, parts: tuple[tuple[str, ...], ...], second_objective: str | None
) -> dict[str, Any]:
    first = {"monitor": monitor, "parts": [" ".join(part) for part in parts]}
    return {**first, "second_objective": second_objective} if second_objective else first


def _settings(trial: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """What decides a trial's result, by full key."""
    settings: dict[str, Any] = {}
    for name, value in trial.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            settings |= _settings(value, f"{key}.")
        elif not f"{key}.".startswith(_UNDECISIVE):
            settings[key] = value
    return settings
