"""asl sweep: trials until there are as many as asked for, then the best values tried on the test.

A trial is `asl train` with some more overrides, and never looks at the test clips. The study is
Optuna's, in a database that any number of workers share; where trials were interrupted, the same
command does them again with the same values.
"""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from asl.commands.hydra import run_with_hydra
from asl.config import CONF, PROJECT
from asl.errors import UserError, unknown

if TYPE_CHECKING:
    import optuna

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.commands.sweep_page import Page
    from asl.commands.trials import Task
    from asl.sweeps.jobs import Jobs
    from asl.sweeps.processes import Processes
    from asl.sweeps.screen import Screen
    from asl.sweeps.space import Parameter, Space, Values
    from asl.tracking.run import TrackedRun
    from asl.tracking.store import Tracker

# What a sweep decides itself, or that says nothing of a trial.
_NOT_A_TRIALS = ("sweep", "status", "tracking", "hydra", "test", "resume")
_ONE_DATA_SET = ("data", "data.root", "data.store", "data.name", "split", "monitor", "test")
_ADDRESSES = "ASL_SWEEP_ADDRESSES"  # in a job's environment: they may hold passwords


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if {"-m", "--multirun"} & set(arguments):
        raise UserError(
            "-m: a sweep is many runs already; give a key of its space choices, "
            "or have `asl train -m` run a grid"
        )
    run_with_hydra(_status_or_sweep, "sweep", arguments)


def _status_or_sweep(cfg: DictConfig) -> None:
    from asl.commands.sweep_status import show_status

    if cfg.status is None:
        _sweep(cfg)
    else:
        show_status(str(cfg.status), cfg.sweep.storage)


def _sweep(cfg: DictConfig) -> None:
    from asl.commands.parts import make_split, open_store, tracker
    from asl.commands.sweep_page import Page
    from asl.commands.trials import open_study, say
    from asl.config import check
    from asl.sweeps.methods import quieten
    from asl.sweeps.study import COMMAND
    from asl.tracking.sweep import end_parent

    quieten()
    check(cfg)
    store = open_store(cfg.data)
    split = make_split(cfg.split, store)
    task = _task(cfg, store, split)
    runs = tracker(cfg.tracking)
    log = runs.work / f"sweep-{task.place.name}.log"
    task = replace(task, locks=runs.work, log=log)
    study = open_study(task)
    parent = _parent(cfg, task, study, store, split, runs)
    task = replace(task, parent=parent.id)
    page = Page(task, study, parent, runs)
    study.set_user_attr(COMMAND, shlex.join(_command()))
    say(f"sweep {task.place.name} ({parent.id}), study in {task.place.said}")
    say(f"validation: {_validation(cfg, split)}; what trials print: {task.log}")
    status = "FAILED"
    try:
        _run(task, study, cfg.sweep, page)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        say(f"stopped; go on with: {shlex.join(_command())}")
        raise
    finally:
        try:
            page.conclude()
        finally:
            end_parent(parent, status)


# --- what there is to do ------------------------------------------------------------------------


def _task(cfg: DictConfig, store: "ClipStore", split: "Split") -> "Task":
    """The sweep as plain values, checked before the first trial; its folders are not known yet."""
    from asl.commands.trials import Task, say
    from asl.sweeps.methods import fitting, make_pruner, make_sampler
    from asl.sweeps.space import warnings
    from asl.sweeps.study import Direction, Place

    sweep = cast("dict[str, Any]", OmegaConf.to_container(cfg.sweep, resolve=True))
    overrides = (*_own_groups(), *sweep["fixed"], *_typed_overrides())
    space = _space(sweep["space"])
    against = sweep["against"]
    fits = fitting(sweep["sampler"], sweep["pruner"], space, objectives=2 if against else 1)
    if against:
        from asl.export.export import check_installed

        check_installed()
    for sentence in (*warnings(space), *fits):
        say(f"note: {sentence}")
    parts = _parts(cfg, store, split)
    base = _check_trials(space, overrides, parts)
    points = space.grid() if sweep["sampler"] == "grid" else []
    sampler = (sweep["sampler"], sweep["sampler_options"], sweep["seed"])
    epochs = base["trainer"]["max_epochs"] * len(parts)
    pruner = (sweep["pruner"], sweep["pruner_options"], epochs)
    make_sampler(*sampler)
    make_pruner(*pruner)
    better: Direction = "minimize" if cfg.monitor.endswith("loss") else "maximize"
    name = sweep["name"] or f"{HydraConfig.get().runtime.choices['sweep']}-{cfg.data.name}"
    return Task(
        place=Place(sweep["storage"], name),
        identity={
            "space": {node.pop("key"): node for node in space.as_json()},
            "objective": {
                "monitor": cfg.monitor,
                "parts": [" ".join(part) for part in parts],
                **({"against": against} if against else {}),
            },
            "data": store.fingerprint,
            "settings": _flat(base),
        },
        label="",
        space=space,
        total=_total(sweep["n_trials"], points),
        points=points,
        directions=(better, "minimize") if against else (better,),
        against=against,
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
    from asl.commands.trials import typed

    places = [f"file://{folder}" for folder in _own_folders() if _has_groups(folder)]
    return [f"hydra.searchpath={typed(places)}"] if places else []


def _own_folders() -> list[Path]:
    sources = HydraConfig.get().runtime.config_sources
    folders = [Path(source.path).resolve() for source in sources if source.schema == "file"]
    return [folder for folder in folders if folder != CONF]


def _has_groups(folder: Path) -> bool:
    return any(child.is_dir() and child.name != "sweep" for child in folder.iterdir())


def _choices(key: str) -> list[str]:
    """Of a group; empty where the key is none."""
    folders = [folder / key for folder in (CONF, *_own_folders())]
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def _typed_overrides() -> list[str]:
    """What was typed that is a trial's matter."""
    kept = []
    for override in HydraConfig.get().overrides.task:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0]
        if key.partition(".")[0] not in _NOT_A_TRIALS:
            kept.append(override)
    return kept


def _space(described: dict[str, Any]) -> "Space":
    """The space, in which what was typed has one value."""
    from asl.sweeps.space import parse

    for key in described:
        if key in _ONE_DATA_SET or key.partition(".")[0] in ("tracking", "hydra", "sweep"):
            raise UserError(f"sweep.space.{key}: is the same for all trials of a sweep")
    parse(described)
    for override in _typed_overrides():
        key, _, text = override.lstrip("+").partition("=")
        if key in described:
            typed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
            when = {"when": described[key]["when"]} if "when" in described[key] else {}
            described[key] = {"choices": [cast("dict[str, Any]", typed)["value"]], **when}
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


def _parts(cfg: DictConfig, store: "ClipStore", split: "Split") -> tuple[tuple[str, ...], ...]:
    """Overrides of the runs of which a trial consists, over validation folds and seeds."""
    from asl.clips.splits import deal_signers
    from asl.commands.trials import typed

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


def _check_trials(
    space: "Space", overrides: Sequence[str], parts: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    """Compose trials with every choice and both ends of every range; the first one's config.

    Raises:
        UserError: one would not start.
    """
    from asl.commands.trials import composed_trial, initialized, overrides_of
    from asl.config import check

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


def _check_group(parameter: "Parameter") -> None:
    known = _choices(parameter.key)
    if known and not parameter.choices:
        raise UserError(
            f"sweep.space.{parameter.key}: is a group; give it choices of {', '.join(known)}"
        )
    for choice in parameter.choices:
        if known and choice not in known:
            raise unknown(f"sweep.space.{parameter.key}", choice, known)


def _check_keys(overrides: Sequence[str], values: "Values") -> None:
    """Say which key is not there beside a trial's choices of groups."""
    from asl.commands.trials import composed_trial, overrides_of

    groups = {key: value for key, value in values.items() if _choices(key)}
    cfg, _ = composed_trial([*overrides, *overrides_of(groups)], test=False)
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


def _flat(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """What decides a trial's result, by full key."""
    from asl.commands.train import NOT_A_CHOICE

    flat: dict[str, Any] = {}
    for name, value in plain.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{key}.")
        elif not f"{key}.".startswith((*(f"{n}." for n in _NOT_A_TRIALS), *_away(NOT_A_CHOICE))):
            flat[key] = value
    return flat


def _away(keys: Sequence[str]) -> list[str]:
    return [f"{key.rstrip('.')}." for key in (*keys, "data.source", "data.workers")]


# --- doing it -----------------------------------------------------------------------------------


class _Teller:
    """Tells of trials as they end, and then of the final ones: on a screen, or a line each."""

    def __init__(
        self, task: "Task", study: "optuna.Study", page: "Page", screen: "Screen | None"
    ) -> None:
        from asl.commands.trials import say
        from asl.sweeps.report import Lines
        from asl.sweeps.study import finished

        self._task, self._study, self._page, self._screen = task, study, page, screen
        self._say = say
        self._lines: list[Lines] = []
        self._in_final = False
        if done := len(finished(study)):
            say(f"{done} of {task.total} trials are finished already")
        self._show(study, task.total)

    def __call__(self) -> None:
        """Tell what there is to tell."""
        from asl.commands.trials import final_task, open_study

        for lines in self._lines:
            lines()
        if not self._in_final and (final := final_task(self._task, self._study)):
            self._say(f"the best values once more, with {final.total} seeds, tested once each")
            self._show(open_study(final), final.total)
            self._in_final = True
        self._page.refresh()

    def _show(self, study: "optuna.Study", total: int) -> None:
        from asl.sweeps.report import Lines

        if self._screen:
            self._screen.show(study, total)
        else:
            self._lines.append(Lines(study, total, self._say))


def _run(task: "Task", study: "optuna.Study", sweep: DictConfig, page: "Page") -> None:
    """Do a task's trials; raises UserError where too many crashed."""
    from datetime import datetime

    from asl.commands.trials import final_task, open_study, work_on
    from asl.sweeps.claim import crashed, is_over

    began = datetime.now()
    stages = [(task, study)]
    deaths = 0
    with _screen() as screen:
        tell = _Teller(task, study, page, screen)
        if sweep.workers > 1 or sweep.launcher != "local":
            deaths = _run_beside(task, sweep, tell)
        else:
            work_on(0, task, tell)
        tell()
    if final := final_task(task, study):
        stages.append((final, open_study(final)))
    if not all(is_over(opened, stage.plan) for stage, opened in stages):
        failed = sum(len(crashed(opened, began)) for _, opened in stages)
        raise UserError(
            f"sweep.max_failures={task.max_failures}: {failed} trials crashed"
            + (f" and {deaths} workers died" if deaths else "")
            + f"; runs have a traceback.txt, and {task.log} has what was printed"
        )


def _screen() -> "contextlib.AbstractContextManager[Screen | None]":
    """A table at a terminal; a log gets lines."""
    if not sys.stderr.isatty():
        return contextlib.nullcontext()
    from rich.console import Console

    from asl.sweeps.screen import Screen

    return Screen(Console(file=sys.stderr))  # not what stderr is while a trial prints


def _run_beside(task: "Task", sweep: DictConfig, tell: _Teller) -> int:
    """Do them in processes of this machine or jobs of a cluster; how many of these died."""
    from asl.commands.trials import say

    workers = _launched(task, sweep)
    say(f"{sweep.workers} workers")
    try:
        while workers.running() and workers.deaths <= task.max_failures:
            workers.wait(0.5)
            tell()
    finally:
        workers.stop()
    return workers.deaths


def _launched(task: "Task", sweep: DictConfig) -> "Processes | Jobs":
    from asl.commands.trials import work_on
    from asl.sweeps.processes import Processes

    if sweep.launcher == "local":
        return Processes(sweep.workers, work_on, (task,), task.log)
    from asl.sweeps.jobs import Jobs

    options = cast("dict[str, Any]", OmegaConf.to_container(sweep.launcher_options, resolve=True))
    cluster: Literal["slurm", "local"] = "slurm" if sweep.launcher == "slurm" else "local"
    os.environ[_ADDRESSES] = json.dumps([task.place.url, task.tracking["uri"]])
    anywhere = replace(
        task, place=replace(task.place, url=""), tracking={**task.tracking, "uri": ""}
    )
    folder = task.log.with_suffix("")
    return Jobs(cluster, options, sweep.workers, _work_in_job, (anywhere,), folder)


def _work_in_job(number: int, task: "Task") -> None:
    """A job's part: its arguments lie in a file that others may read, its environment does not."""
    from asl.commands.trials import work_on

    if _ADDRESSES not in os.environ:
        raise UserError(f"{_ADDRESSES}: the cluster does not pass the environment on to its jobs")
    url, uri = json.loads(os.environ[_ADDRESSES])
    work_on(
        number,
        replace(task, place=replace(task.place, url=url), tracking={**task.tracking, "uri": uri}),
    )


# --- its run in MLflow --------------------------------------------------------------------------


def _parent(
    cfg: DictConfig,
    task: "Task",
    study: "optuna.Study",
    store: "ClipStore",
    split: "Split",
    runs: "Tracker",
) -> "TrackedRun":
    """The sweep's run in MLflow, the same for all processes."""
    from filelock import FileLock

    from asl.tracking.record import provenance_tags
    from asl.tracking.sweep import forget_parent, open_parent

    sweep = cast("dict[str, Any]", OmegaConf.to_container(cfg.sweep, resolve=True))
    shown = ("sampler", "pruner", "against", "folds", "seeds", "max_failures")
    params = {
        "sweep": HydraConfig.get().runtime.choices["sweep"],
        "data": cfg.data.name,
        "monitor": task.monitor,
        **{key: sweep[key] for key in shown},
        **{f"space.{node.pop('key')}": node for node in task.space.as_json()},
    }
    tags = {
        "data": cfg.data.name,
        "data.fingerprint": store.fingerprint,
        "split": split.protocol,
        "signer_independent": str(split.signer_independent).lower(),
        "val_protocol": _validation(cfg, split),
        "study": task.place.name,
        "storage": task.place.said,
        **provenance_tags(PROJECT),
    }
    key = f"parent.{runs.experiment_id}"
    with FileLock(task.locks / "sweep-studies.lock"):
        known = study.user_attrs.get(key)
        parent = open_parent(runs, task.place.name, tags, params, known)
        if parent.id != known and study.user_attrs.get(key) == known:
            study.set_user_attr(key, parent.id)
        first = study.user_attrs[key]
        if first != parent.id:  # another machine was first
            forget_parent(parent)
            parent = open_parent(runs, task.place.name, tags, params, first)
    return parent


def _validation(cfg: DictConfig, split: "Split") -> str:
    if cfg.sweep.folds > 1:
        return f"{cfg.sweep.folds} groups of training signers, each in turn"
    return split.val_protocol


def _command() -> list[str]:
    from asl.sweeps.study import without_password

    return ["asl", *(without_password(word) for word in sys.argv[1:])]
