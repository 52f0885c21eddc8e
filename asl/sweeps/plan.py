"""A sweep as plain values: all that a worker is given, made and checked before the first trial."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optuna

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.runs.plan import DataPlan, RunPlan
from asl.sweeps.queue import OVERRIDES, Goal, is_over
from asl.sweeps.samplers import make_pruner, make_sampler
from asl.sweeps.space import Choice, Space, parse
from asl.sweeps.study import (
    IDENTITY,
    TOTAL,
    Direction,
    Identity,
    StudyAddress,
    best_trial,
    final_name,
    join_study,
)

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Repetition:
    """One of a trial's runs.

    Attributes:
        seed: of the run; the trial's where None.
        val: its validation signers; the trial's where None.
        overrides: the same as overrides of `asl train`.
    """

    seed: int | None = None
    val: tuple[str, ...] | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, picklable.

    Attributes:
        address: of the study.
        identity: by name, all that must be equal for results to belong to one study.
        space: what varies.
        total: trials to finish, complete or pruned.
        sampler: name, options and seed.
        pruner: name, options and the most epochs of a trial.
        monitor: the validation metric that is the objective.
        second_objective: `size` or `latency` of the exported file; None for a single objective.
        overrides: of every trial.
        repetitions: the runs of a trial; the mean of their values counts.
        test: whether runs are tested at their end.
        final_seeds: with which the best values are trained again, and tested.
        max_failures: crashed trials after which a worker gives up.
        data: the clips, the same for all trials; `identity["data"]` says which.
        split: of the clips; a run's may have other validation signers.
        make_plan: the plan of a run, from its overrides and whether it is tested.
        format_override: a key and a value as an override.
        current_identity: spells an identity, maybe an older version's, as this version does.
        tracking: `uri` and `experiment` of the MLflow store.
        parent: id of the sweep's run, which all runs belong under.
        label: before a trial's number in its runs' tags.
        workers: how many.
        launcher: processes on this machine, or jobs of a cluster.
        launcher_options: of submitit's executor.
        params: what the sweep's run shows as its parameters.
        validation: which clips the objective is measured on, in words.
    """

    address: StudyAddress
    identity: Identity
    space: Space
    total: int
    sampler: tuple[str, Options, int]
    pruner: tuple[str, Options, int]
    monitor: str
    overrides: tuple[str, ...]
    data: DataPlan
    split: Callable[..., Split]
    make_plan: Callable[[tuple[str, ...], bool], RunPlan]
    format_override: Callable[[str, object], str]
    tracking: Mapping[str, str]
    current_identity: Callable[[Identity], Identity] = dict
    second_objective: str | None = None
    repetitions: tuple[Repetition, ...] = (Repetition(),)
    test: bool = False
    final_seeds: tuple[int, ...] = ()
    max_failures: int = 1
    parent: str = ""
    label: str = ""
    workers: int = 1
    launcher: Literal["local", "slurm", "submitit_local"] = "local"
    launcher_options: Options = field(default_factory=dict)
    params: Options = field(default_factory=dict)
    validation: str = ""

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Of each objective; the exported file should be small or fast."""
        first: Direction = "minimize" if self.monitor.endswith("loss") else "maximize"
        return (first, "minimize") if self.second_objective else (first,)


def open_study(plan: SweepPlan, locks: Path, worker: int = 0) -> optuna.Study:
    """The study of a plan, for the worker of that number; `locks` is a folder of this machine."""
    name, options, seed = plan.sampler
    names = [plan.monitor, *([plan.second_objective] if plan.second_objective else [])]
    study = join_study(
        plan.address, plan.directions, plan.identity, locks, names, current=plan.current_identity
    )
    if study.user_attrs.get(TOTAL) != plan.total:
        study.set_user_attr(TOTAL, plan.total)
    # Neither parallel workers nor a resumed sweep may draw the same numbers again.
    begun = len(study.get_trials(deepcopy=False))
    study.sampler = make_sampler(name, options, seed + 1000 * worker + begun)
    study.pruner = make_pruner(*plan.pruner)
    return study


def clips_digest(store: ClipStore, split: Split) -> str:
    """What identifies the clips of a sweep, and the column that its split goes by."""
    return f"{store.fingerprint}{split.by_digest}"


def goal_of(plan: SweepPlan, study: optuna.Study) -> Goal:
    """What the study should contain, in the spelling that it was begun with.

    Optuna allows no other names of choices in a study than those of its first trial.
    """
    stored = study.user_attrs[IDENTITY].get("space")
    space = parse(stored) if stored else plan.space
    return Goal(space, plan.total, space.grid() if plan.sampler[0] == "grid" else ())


def final_plan(plan: SweepPlan, study: optuna.Study) -> SweepPlan | None:
    """The small study in which the best values are trained with several seeds, and tested.

    None where that is not asked for, or the study is not finished.
    """
    best = best_trial(study)
    if best is None or not plan.final_seeds or not is_over(study, goal_of(plan, study)):
        return None
    values = tuple(best.user_attrs[OVERRIDES])
    return replace(
        plan,
        address=replace(plan.address, name=final_name(plan.address.name, best.number)),
        identity={
            "overrides": list(values),
            **{name: plan.identity[name] for name in ("data", "settings")},
        },
        label=f"final-{best.number}-",
        space=Space((Choice(key="seed", choices=plan.final_seeds),)),
        total=len(plan.final_seeds),
        second_objective=None,
        sampler=("grid", {}, 0),
        pruner=("none", {}, 1),
        overrides=(*plan.overrides, *values),
        repetitions=(Repetition(),),
        test=True,
        final_seeds=(),
    )
