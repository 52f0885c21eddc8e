"""Before a sweep's first trial: would every one of its trials start?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from asl.commands.trials import composed_trial, initialized, overrides_of
from asl.config import CONF, check
from asl.errors import UserError, unknown
from asl.sweeps.methods import fitting
from asl.sweeps.space import Parameter, Space, Values, warnings


def notes(space: Space, sampler: str, pruner: str, second_objective: str | None) -> list[str]:
    """What a person may not expect of this search, a sentence each.

    Raises:
        UserError: the methods can do nothing with the space, or what measures files is not there.
    """
    fits = fitting(sampler, pruner, space, objectives=2 if second_objective else 1)
    if second_objective:
        from asl.export.requirements import check_installed

        check_installed()
    return [*warnings(space), *fits]


def check_trials(
    space: Space, overrides: Sequence[str], parts: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    """Compose trials with every choice and both ends of every range; the first one's config.

    Raises:
        UserError: one would not start.
    """
    for parameter in space.parameters:
        _check_group(parameter)
    first: dict[str, Any] = {}
    with initialized():
        for values in space.samples():
            own = overrides_of(values)
            try:
                trial, _ = composed_trial([*overrides, *own, *parts[0]], test=False)
            except HydraException:
                _check_keys(overrides, values)
                raise
            try:
                check(trial)
            except UserError as error:
                raise UserError(f"sweep.space: with {' '.join(own)}, {error}") from None
            first = first or cast("dict[str, Any]", OmegaConf.to_container(trial, resolve=True))
    return first


def _check_group(parameter: Parameter) -> None:
    known = _choices(parameter.key)
    if known and not parameter.choices:
        raise UserError(
            f"sweep.space.{parameter.key}: is a group; give it choices of {', '.join(known)}"
        )
    for choice in parameter.choices:
        if known and choice not in known:
            raise unknown(f"sweep.space.{parameter.key}", choice, known)


def _check_keys(overrides: Sequence[str], values: Values) -> None:
    """Say which key is not there beside a trial's choices of groups."""
    groups = {key: value for key, value in values.items() if _choices(key)}
    try:
        cfg, _ = composed_trial([*overrides, *overrides_of(groups)], test=False)
    except HydraException as error:  # what was typed is composed already
        raise UserError(f"sweep.fixed: {str(error).splitlines()[0]}") from None
    for key in values.keys() - groups.keys():
        _check_key(cfg, key, groups)


def _check_key(cfg: DictConfig, key: str, groups: dict[str, Any]) -> None:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if isinstance(node, DictConfig) and leaf in node:
        return
    group = key.partition(".")[0]
    if group in groups:
        raise UserError(
            f"sweep.space.{key}: there is no such key with {group}={groups[group]}; "
            f"say `when: {{{group}: …}}` with the choices that have it"
        )
    known = [str(name) for name in node] if isinstance(node, DictConfig) else [str(k) for k in cfg]
    raise UserError(f"sweep.space.{key}: there is no such key; choose from {', '.join(known)}")


def _choices(key: str) -> list[str]:
    """Of a group; empty where the key is none."""
    folders = [folder / key for folder in (CONF, *own_folders())]
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def own_folders() -> list[Path]:
    """The folders of `--config-dir`, with searches and groups of the person's own."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [Path(source.path).resolve() for source in sources if source.schema == "file"]
    return [folder for folder in folders if folder != CONF]
