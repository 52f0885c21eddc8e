"""asl sweep: trials until there are as many as asked for, then the best values tried on the test.

A trial is `asl train` with some more overrides, and never looks at the test clips. The study is
Optuna's, in a database that any number of workers share; where trials were interrupted, the same
command does them again with the same values.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from asl.commands.hydra import run_with_hydra
from asl.config import CONF, PROJECT
from asl.errors import UserError, unknown

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.commands.trials import Task
    from asl.sweeps.jobs import Jobs
    from asl.sweeps.processes import Processes
    from asl.sweeps.space import Parameter, Space, Values
    from asl.tracking.find import FoundRun
    from asl.tracking.run import TrackedRun
    from asl.tracking.store import Tracker

# What a sweep decides itself, or that says nothing of a trial.
_NOT_A_TRIALS = ("sweep", "tracking", "hydra", "test", "resume")
_ONE_DATA_SET = ("data", "data.root", "data.store", "data.name", "split", "monitor", "test")
_SHOWN = 10  # trials in the table at the end


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_with_hydra(_sweep, "sweep", arguments)


def _sweep(cfg: DictConfig) -> None:
    from asl.commands.parts import make_split, open_store, tracker
    from asl.commands.trials import open_study, say
    from asl.config import check
    from asl.sweeps.methods import quieten
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
    say(f"sweep {task.place.name} ({parent.id}), study in {task.place.said}")
    say(f"validation: {_validation(cfg, split)}; what trials print: {task.log}")
    status = "FAILED"
    try:
        _run(task, study, cfg.sweep)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        say(f"stopped; go on with: {shlex.join(_command())}")
        raise
    finally:
        _conclude(cfg, task, study, parent, runs)
        end_parent(parent, status)


# --- what there is to do ------------------------------------------------------------------------


def _task(cfg: DictConfig, store: "ClipStore", split: "Split") -> "Task":
    """The sweep as plain values, checked before the first trial; its folders are not known yet."""
    from asl.commands.trials import Task, say
    from asl.sweeps.methods import fitting, make_pruner, make_sampler
    from asl.sweeps.space import warnings
    from asl.sweeps.study import Direction, Place

    sweep = cast("dict[str, Any]", OmegaConf.to_container(cfg.sweep, resolve=True))
    overrides = (*sweep["fixed"], *_typed_overrides())
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
    folder = CONF / parameter.key
    if not folder.is_dir():
        return
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if not parameter.choices:
        raise UserError(
            f"sweep.space.{parameter.key}: is a group; give it choices of {', '.join(known)}"
        )
    for choice in parameter.choices:
        if choice not in known:
            raise unknown(f"sweep.space.{parameter.key}", choice, known)


def _check_keys(overrides: Sequence[str], values: "Values") -> None:
    """Say which key is not there beside a trial's choices of groups."""
    from asl.commands.trials import composed_trial, overrides_of

    groups = {key: value for key, value in values.items() if (CONF / key).is_dir()}
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
    """Tells of trials as they end, and then of the final ones."""

    def __init__(self, task: "Task", study: "optuna.Study") -> None:
        from asl.commands.trials import say
        from asl.sweeps.report import Lines
        from asl.sweeps.study import finished

        self._task, self._study, self._say = task, study, say
        self._lines = Lines(study, task.total, say)
        self._final: Lines | None = None
        if done := len(finished(study)):
            say(f"{done} of {task.total} trials are finished already")

    def __call__(self) -> None:
        """Tell what there is to tell."""
        from asl.commands.trials import final_task, open_study
        from asl.sweeps.report import Lines

        self._lines()
        if not self._final and (final := final_task(self._task, self._study)):
            self._say(f"the best values once more, with {final.total} seeds, tested once each")
            self._final = Lines(open_study(final), final.total, self._say)
        if self._final:
            self._final()


def _run(task: "Task", study: "optuna.Study", sweep: DictConfig) -> None:
    """Do a task's trials; raises UserError where too many crashed."""
    from datetime import datetime

    from asl.commands.trials import final_task, open_study, work_on
    from asl.sweeps.claim import crashed, is_over

    began = datetime.now()
    tell = _Teller(task, study)
    stages = [(task, study)]
    deaths = 0
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
    return Jobs(cluster, options, sweep.workers, work_on, (task,), task.log.with_suffix(""))


# --- what came of it ----------------------------------------------------------------------------


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


def _conclude(
    cfg: DictConfig, task: "Task", study: "optuna.Study", parent: "TrackedRun", runs: "Tracker"
) -> None:
    """Record how the sweep stands, and say it."""
    from optuna.trial import TrialState

    from asl.commands.trials import OVERRIDES
    from asl.sweeps.report import trial_table
    from asl.sweeps.study import best_trial
    from asl.tracking.sweep import bury, children, record_sweep, runs_of_trial

    trials = study.get_trials(deepcopy=False)
    if not any(trial.state is TrialState.RUNNING for trial in trials):
        for run in children(runs, parent.id):
            bury(runs, run)
    table = trial_table(study)
    states = list(table["state"]) if len(table) else []
    metrics = {
        f"trials_{state.lower()}": float(states.count(state))
        for state in ("COMPLETE", "PRUNED", "FAILED")
    }
    tags: dict[str, Any] = {"sweep.n_trials": task.total}
    best = best_trial(study)
    if best is None:
        record_sweep(parent, table, metrics, tags)
        return
    own = runs_of_trial(runs, parent.id, str(best.number))
    final = _final_runs(runs, parent.id, best.number)
    winner = _winner(final or own, task)
    metrics |= {"best_value": best.values[0], task.monitor: best.values[0], **_over_seeds(final)}
    tags |= {"best_trial": best.number, "best_overrides": " ".join(best.user_attrs[OVERRIDES])}
    if winner:
        tags["best_child"] = winner.run_id
    record_sweep(parent, table, metrics, tags)
    if task.against:
        table = _front(task, study, parent, runs)
    _say_end(task, table, metrics, parent, winner, tags["best_overrides"])


def _front(
    task: "Task", study: "optuna.Study", parent: "TrackedRun", runs: "Tracker"
) -> "pd.DataFrame":
    """The trials that none other beats in both objectives; kept as front.csv."""
    from asl.sweeps.front import front_table
    from asl.tracking.record import record_table
    from asl.tracking.sweep import TRIAL, children

    labels = {run.tags.get(TRIAL, ""): run.run_id for run in children(runs, parent.id)}
    table = front_table(study, {int(x): run_id for x, run_id in labels.items() if x.isdecimal()})
    if task.against == "size":
        table = table.astype({"size": int})
    record_table(parent, table, "front.csv")
    return table


def _final_runs(runs: "Tracker", parent: str, best: int) -> "list[FoundRun]":
    from asl.tracking.sweep import TRIAL, children

    return [
        run
        for run in children(runs, parent)
        if run.tags.get(TRIAL, "").startswith(f"final-{best}-") and run.status == "FINISHED"
    ]


def _winner(found: "Sequence[FoundRun]", task: "Task") -> "FoundRun | None":
    """The run to export: by its validation, never by its test."""
    measured = [run for run in found if run.status == "FINISHED" and task.monitor in run.metrics]
    sign = 1 if task.directions[0] == "minimize" else -1
    return min(measured, key=lambda run: sign * run.metrics[task.monitor], default=None)


def _over_seeds(final: "Sequence[FoundRun]") -> dict[str, float]:
    """Mean and deviation of each test metric of the best values' runs."""
    figures: dict[str, float] = {}
    for name in sorted({name for run in final for name in run.metrics if name.startswith("test/")}):
        values = [run.metrics[name] for run in final if name in run.metrics]
        figures[name] = fmean(values)
        if len(values) > 1:
            figures[f"{name}_std_seeds"] = stdev(values)
    return figures


def _say_end(
    task: "Task",
    table: Any,
    metrics: dict[str, float],
    parent: "TrackedRun",
    winner: "FoundRun | None",
    best: str,
) -> None:
    if task.against:
        print(f"no other trial is better in {task.monitor} and in {task.against}:")
    most = len(table) if task.against else _SHOWN
    shown = table.head(most).dropna(axis=1, how="all")
    print(shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}"))
    if len(table) > most:
        print(f"… {len(table) - most} more in trials.csv, in MLflow")
    which = "most accurate" if task.against else "best"
    print(f"{which}: {task.monitor} {metrics['best_value']:.4f} with {best}")
    if "test/accuracy" in metrics:
        spread = metrics.get("test/accuracy_std_seeds")
        deviation = f" ± {spread:.4f} over seeds" if spread is not None else ""
        print(
            f"test: accuracy {metrics['test/accuracy']:.4f}{deviation}, f1 {metrics['test/f1']:.4f}"
        )
    how = f"  (asl export run={winner.run_id})" if winner else ""
    print(f"sweep: {task.place.name}  id: {parent.id}{how}")


def _validation(cfg: DictConfig, split: "Split") -> str:
    if cfg.sweep.folds > 1:
        return f"{cfg.sweep.folds} groups of training signers, each in turn"
    return split.val_protocol


def _command() -> list[str]:
    from asl.sweeps.study import without_password

    return ["asl", *(without_password(word) for word in sys.argv[1:])]
