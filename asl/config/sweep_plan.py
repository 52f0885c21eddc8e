"""From a config of `asl sweep` to a plan of plain values, checked before the first trial."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from asl.clips.folds import deal_signers
from asl.clips.split import NOT_INDEPENDENT, SIGNER, Split
from asl.clips.splits import groups_of
from asl.clips.store import ClipStore
from asl.config.compose import compose, plain
from asl.config.keys import UnknownKeyError
from asl.config.overrides import (
    RENAMED_CHOICES,
    RENAMED_KEYS,
    Override,
    format_override,
    format_value,
    parse_overrides,
    with_current_names,
)
from asl.config.plan import run_plan
from asl.errors import UserError, check_choice, first_line
from asl.paths import CONF
from asl.runs.data import check_trainable, make_split, open_store
from asl.runs.plan import NOT_A_CHOICE, RunPlan, variation
from asl.sweeps.plan import Repetition, SweepPlan, clips_digest
from asl.sweeps.progress import log_line
from asl.sweeps.samplers import check_fit, make_pruner, make_sampler
from asl.sweeps.space import Choice, Parameter, Space, Values, parse, warnings
from asl.sweeps.study import Identity, StudyAddress, quiet_optuna
from asl.targets import TARGET, current_path, current_value

# Keys that the sweep sets itself, or that no trial differs by.
_NOT_A_TRIALS = ("sweep", "status", "tracking", "hydra", "test", "resume")
# What clips there are is in the fingerprint of the packed ones.
_IN_FINGERPRINT = ("data.source", "data.refuse_odd")
_NOT_IN_IDENTITY = (*_NOT_A_TRIALS, *NOT_A_CHOICE, *_IN_FINGERPRINT, "data.workers")
_SAME_FOR_ALL = (
    "data", "data.root", "data.store", "data.name", "data.dtype", "data.keep", "data.on_problem",
    "data.refuse_odd", "data.columns", "split", "split.by", "monitor", "test",
)  # fmt: skip
_SHOWN = ("sampler", "pruner", "second_objective", "folds", "seeds", "max_failures")


def sweep_plan(cfg: DictConfig) -> tuple[SweepPlan, ClipStore, Split]:
    """The plan of a sweep, and the clips and the split that its trials share.

    Raises:
        UserError: the config is not sound, or one of the trials could not start.
    """
    quiet_optuna()
    _rename_keys(cfg)
    base = run_plan(cfg)
    store = open_store(base.data)
    split = make_split(base.split, store)
    check_trainable(store, split)
    sweep = plain(cfg.sweep)
    _check_fixed(sweep["fixed"])
    typed = [o for o in parse_overrides(cfg.hydra.overrides.task) if not o.below(_NOT_A_TRIALS)]
    overrides = (
        *_search_path(cfg),
        *with_current_names(sweep["fixed"]),
        *(override.text for override in typed),
    )
    space = _space(sweep["space"], typed)
    second_objective = sweep["second_objective"]
    for note in _notes(space, sweep["sampler"], sweep["pruner"], second_objective):
        log_line(f"note: {note}")
    repetitions = _repetitions(sweep, base.seed, store, split)
    first = _check_trials(space, overrides, _own_folders(cfg))
    first = variation(first, seed=repetitions[0].seed, val=repetitions[0].val)
    sampler = (sweep["sampler"], sweep["sampler_options"], sweep["seed"])
    epochs = first.trainer["max_epochs"] * len(repetitions)
    pruner = (sweep["pruner"], sweep["pruner_options"], epochs)
    make_sampler(*sampler)  # to check their options
    make_pruner(*pruner)
    choice = cfg.hydra.runtime.choices["sweep"]
    plan = SweepPlan(
        address=StudyAddress(sweep["storage"], sweep["name"] or f"{choice}-{base.data.name}"),
        identity=_identity(space, first, repetitions, second_objective, clips_digest(store, split)),
        space=space,
        total=_total(sweep["n_trials"], space, sweep["sampler"]),
        sampler=sampler,
        pruner=pruner,
        monitor=base.monitor,
        overrides=overrides,
        data=base.data,
        split=base.split,
        make_plan=trial_plan,
        format_override=format_override,
        tracking=base.tracking,
        current_identity=current_identity,
        second_objective=second_objective,
        repetitions=repetitions,
        final_seeds=tuple(range(base.seed, base.seed + sweep["final_seeds"])),
        max_failures=sweep["max_failures"],
        workers=sweep["workers"],
        launcher=sweep["launcher"],
        launcher_options=sweep["launcher_options"],
        params={
            "sweep": choice,
            "data": base.data.name,
            "monitor": base.monitor,
            **{key: sweep[key] for key in _SHOWN},
            **{f"space.{key}": node for key, node in space.as_json().items()},
        },
        validation=_validation(sweep["folds"], split),
    )
    return plan, store, split


def trial_plan(overrides: tuple[str, ...], test: bool) -> RunPlan:
    """The plan of `asl train` with these overrides."""
    return run_plan(compose("train", [*overrides, format_override("test", test)]))


# --- the space ----------------------------------------------------------------------------------


def _space(described: Mapping[str, Any], typed: Sequence[Override]) -> Space:
    """The space, in which a key that was typed has one value."""
    current = _current_space(described)
    for key, node in current.items():
        if _is_same_for_all(key) or key.partition(".")[0] in ("tracking", "hydra", "sweep"):
            raise UserError(f"sweep.space.{key}: is the same for all trials of a sweep")
        if described.get(key) != node:
            log_line(f"note: sweep.space has old names; they are now {key}: {node}")
    keys = {override.key: override.value for override in typed}
    return parse(current).pinned({key: keys[key] for key in current if key in keys})


def _check_fixed(fixed: Sequence[str]) -> None:
    """Raises UserError for keys that must have one value in the whole sweep."""
    for override in parse_overrides(fixed):
        if _is_same_for_all(override.key):
            raise UserError(
                f"sweep.fixed: {override.text} applies to the whole sweep; type it instead"
            )


def _is_same_for_all(key: str) -> bool:
    return key in _SAME_FOR_ALL or key.startswith("data.source")


def _notes(space: Space, sampler: str, pruner: str, second_objective: str | None) -> list[str]:
    """What the user may not expect of this search, a sentence each.

    Raises:
        UserError: it cannot be done, or what the second objective needs is not installed.
    """
    notes = check_fit(sampler, pruner, space, objectives=2 if second_objective else 1)
    if second_objective:
        from asl.export.requirements import check_installed

        check_installed()
    return [*warnings(space), *notes]


def _total(n_trials: int | None, space: Space, sampler: str) -> int:
    if sampler == "grid":
        points = len(space.grid())
        return min(n_trials or points, points)
    if n_trials is None:
        raise UserError("sweep.n_trials=null: should be a number, as sweep.sampler is no grid")
    return n_trials


def _repetitions(
    sweep: Mapping[str, Any], seed: int, store: ClipStore, split: Split
) -> tuple[Repetition, ...]:
    """The runs of a trial, over validation folds and seeds."""
    if not len(split.val):
        raise UserError("split.val=none: a sweep needs validation clips to rank its trials")
    folds: list[tuple[str, ...] | None] = [None]
    if (count := sweep["folds"]) > 1:
        groups = groups_of(split.by, store.clip_signers, store.columns)
        groups = groups[[*split.train, *split.val]]
        signers = len(set(groups))
        if split.kind == "random" or count > signers:
            what = (
                f"split has {signers} training {_of(split)}"
                if signers > 1
                else f"split has one {split.by}"
            )
            raise UserError(
                f"sweep.folds={count}: {what}; sweep.seeds={count} averages over seeds instead"
            )
        folds = [tuple(map(str, fold)) for fold in deal_signers(groups, count)]
    seeds: list[int | None] = [None]
    if sweep["seeds"] > 1:
        seeds = [seed + number for number in range(sweep["seeds"])]
    return tuple(_repetition(seed, fold) for seed in seeds for fold in folds)


def _validation(folds: int, split: Split) -> str:
    """The validation of a trial, in words."""
    if folds == 1:
        return split.val_protocol
    independent = split.by == SIGNER or (len(split.test) and split.test_signer_independent)
    mixed = "" if independent else f" {NOT_INDEPENDENT}"
    return f"{folds} groups of training {_of(split)}, each in turn{mixed}"


def _of(split: Split) -> str:
    return "signers" if split.by == SIGNER else f"values of {split.by}"


def _repetition(seed: int | None, val: tuple[str, ...] | None) -> Repetition:
    values = {"split.val": val, "seed": seed}
    overrides = [format_override(k, value) for k, value in values.items() if value is not None]
    return Repetition(seed, val, tuple(overrides))


# --- the trials ---------------------------------------------------------------------------------


def _check_trials(space: Space, overrides: tuple[str, ...], folders: Sequence[Path]) -> RunPlan:
    """Compose trials with every choice and both ends of every range; the first one's plan.

    Args:
        space: what varies.
        overrides: of every trial.
        folders: with config groups of the user.

    Raises:
        UserError: one of them could not start.
    """
    for parameter in space.parameters:
        _check_group(parameter, folders)
    plans = []
    for values in space.samples():
        drawn = [format_override(*item) for item in values.items()]
        try:
            plans.append(trial_plan((*overrides, *drawn), False))
        except (HydraException, UnknownKeyError):
            _check_keys(overrides, values, folders)
            raise
        except UserError as error:
            raise UserError(f"sweep.space: with {' '.join(drawn)}, {error}") from None
    return plans[0]


def _check_group(parameter: Parameter, folders: Sequence[Path]) -> None:
    choices = _group_choices(parameter.key, folders)
    where = f"sweep.space.{parameter.key}"
    if not choices:
        return
    if not isinstance(parameter, Choice):
        raise UserError(f"{where}: is a group; give it choices of {', '.join(choices)}")
    for choice in parameter.choices:
        check_choice(where, choice, choices)


def _check_keys(overrides: tuple[str, ...], values: Values, folders: Sequence[Path]) -> None:
    """Raises UserError that names the key which does not exist beside a trial's groups."""
    groups = {key: value for key, value in values.items() if _group_choices(key, folders)}
    try:
        cfg = compose("train", [*overrides, *(format_override(*item) for item in groups.items())])
    except (HydraException, UnknownKeyError) as error:  # what was typed is composed already
        raise UserError(f"sweep.fixed: {first_line(error)}") from None
    for key in values.keys() - groups.keys():
        parent, _, leaf = key.rpartition(".")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        if isinstance(node, DictConfig) and leaf in node:
            continue
        group = key.partition(".")[0]
        if group in groups:
            raise UserError(
                f"sweep.space.{key}: there is no such key with {group}={groups[group]}; "
                f"say `when: {{{group}: …}}` with the choices that have it"
            )
        keys = [str(name) for name in (node if isinstance(node, DictConfig) else cfg)]
        raise UserError(f"sweep.space.{key}: there is no such key; choose from {', '.join(keys)}")


def _group_choices(key: str, folders: Sequence[Path]) -> list[str]:
    """The choices of a config group; empty where the key is none."""
    return sorted(
        {path.stem for folder in (CONF, *folders) for path in (folder / key).glob("*.yaml")}
    )


def _own_folders(cfg: DictConfig) -> list[Path]:
    """The folders of `--config-dir`, with searches and config groups of the user."""
    sources = cfg.hydra.runtime.config_sources
    folders = [Path(source.path).resolve() for source in sources if source.schema == "file"]
    return [folder for folder in folders if folder != CONF]


def _search_path(cfg: DictConfig) -> list[str]:
    """The override by which trials find the config groups of the user, in any process."""
    folders = [
        f"file://{folder}"
        for folder in _own_folders(cfg)
        if any(child.is_dir() and child.name != "sweep" for child in folder.iterdir())
    ]
    return [f"hydra.searchpath={format_value(folders)}"] if folders else []


# --- identity, also of studies that an older version began ---------------------------------------


def _identity(
    space: Space,
    first: RunPlan,
    repetitions: Sequence[Repetition],
    second_objective: str | None,
    clips: str,
) -> dict[str, Any]:
    """All that must be equal for results to belong to one study; `first` is a trial's plan."""
    objective = {
        "monitor": first.monitor,
        "parts": [" ".join(repetition.overrides) for repetition in repetitions],
        **({"second_objective": second_objective} if second_objective else {}),
    }
    return {
        "space": space.as_json(),
        "objective": objective,
        "data": clips,
        "settings": _flat(first.config),
    }


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """All values that a trial's result depends on, by full key."""
    settings: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            settings |= _flat(value, f"{key}.")
        elif not any(key == other or key.startswith(f"{other}.") for other in _NOT_IN_IDENTITY):
            settings[key] = value
    return settings


def current_identity(identity: Identity) -> dict[str, Any]:
    """A study's identity with the names that this version has for keys, choices and classes."""
    current = dict(identity)
    if "space" in current:
        current["space"] = _current_space(current["space"])
    if "against" in current.get("objective", {}):
        objective = dict(current["objective"])
        objective["second_objective"] = objective.pop("against")
        current["objective"] = objective
    settings: dict[str, Any] = {}
    for key, value in current.get("settings", {}).items():
        group, _, option = key.rpartition(".")
        if option == TARGET:
            value = current_path(value)
        elif f"{group}.{TARGET}" in current["settings"]:
            value = current_value(current["settings"][f"{group}.{TARGET}"], option, value)
        if key == "split.val" and isinstance(value, list):
            value = [str(signer) for signer in value]  # 3 and "3" are one signer
        settings[RENAMED_KEYS.get(key, key)] = value
    return {**current, "settings": settings} if settings else current


def _current_space(described: Mapping[str, Any]) -> dict[str, Any]:
    """A space, as its file or a study describes it, with the names of this version."""
    current: dict[str, Any] = {}
    for key, node in described.items():
        if isinstance(node, Mapping):
            node = dict(node)
            if "choices" in node:
                node["choices"] = _current_choices(key, node["choices"])
            if isinstance(node.get("when"), Mapping):
                node["when"] = {
                    RENAMED_KEYS.get(other, other): _current_choices(other, allowed)
                    for other, allowed in node["when"].items()
                }
        current[RENAMED_KEYS.get(key, key)] = node
    return current


def _current_choices(group: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_current_choices(group, item) for item in value]
    return RENAMED_CHOICES.get(group, {}).get(value, value) if isinstance(value, str) else value


def _rename_keys(cfg: DictConfig) -> None:
    """Rename old keys in a search file of the user; typed ones are renamed already."""
    for old, new in RENAMED_KEYS.items():
        group, _, name = old.rpartition(".")
        if group == "sweep" and name in cfg.sweep:
            log_line(f"note: {old} is now {new}")
            with open_dict(cfg):
                OmegaConf.update(cfg, new, cfg.sweep.pop(name))
