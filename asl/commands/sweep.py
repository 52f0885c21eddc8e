"""asl sweep: trials until there are as many as asked for, then the best values tried on the test.

A trial is `asl train` with some more overrides, and never looks at the test clips. The study is
Optuna's, in a database that any number of workers share; where trials were interrupted, the same
command does them again with the same values. What there is to do is made of the config in
`sweep_task`, checked in `sweep_checks`, done here by this process or by workers, each as in
`trials`, and shown in MLflow by `sweep_page`.
"""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

from omegaconf import DictConfig, OmegaConf

from asl.commands.hydra import run_with_hydra
from asl.errors import UserError

if TYPE_CHECKING:
    import optuna

    from asl.commands.sweep_page import Page
    from asl.commands.trials import Task
    from asl.sweeps.jobs import Jobs
    from asl.sweeps.processes import Processes
    from asl.sweeps.screen import Screen

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
    from asl.commands.sweep_page import Page, parent_run, validation
    from asl.commands.sweep_task import make_task
    from asl.commands.trials import log_of, open_study, say
    from asl.config import check
    from asl.sweeps.methods import quieten
    from asl.sweeps.study import COMMAND
    from asl.tracking.sweep import end_parent

    quieten()
    check(cfg)
    store = open_store(cfg.data)
    split = make_split(cfg.split, store)
    task = make_task(cfg, store, split)
    runs = tracker(cfg.tracking)
    task = replace(task, locks=runs.work, log=log_of(runs.work, task.place.name))
    study = open_study(task)
    parent = parent_run(cfg, task, study, store, split, runs)
    task = replace(task, parent=parent.id)
    page = Page(task, study, parent, runs)
    study.set_user_attr(COMMAND, shlex.join(_command()))
    say(f"sweep {task.place.name} ({parent.id}), study in {task.place.said}")
    say(f"validation: {validation(cfg, split)}; what trials print: {task.log}")
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


def _command() -> list[str]:
    from asl.sweeps.study import without_password

    return ["asl", *(without_password(word) for word in sys.argv[1:])]


# --- doing it -----------------------------------------------------------------------------------


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


def _run_beside(task: "Task", sweep: DictConfig, tell: "_Teller") -> int:
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
    from asl.commands.trials import log_of, work_on

    if _ADDRESSES not in os.environ:
        raise UserError(f"{_ADDRESSES}: the cluster does not pass the environment on to its jobs")
    url, uri = json.loads(os.environ[_ADDRESSES])
    here = replace(
        task,
        place=replace(task.place, url=url),
        tracking={**task.tracking, "uri": uri},
        log=log_of(task.log.parent, task.place.name),
    )
    work_on(number, here)


# --- telling of it ------------------------------------------------------------------------------


def _screen() -> "contextlib.AbstractContextManager[Screen | None]":
    """A table at a terminal; a log gets lines."""
    if not sys.stderr.isatty():
        return contextlib.nullcontext()
    from rich.console import Console

    from asl.sweeps.screen import Screen

    return Screen(Console(file=sys.stderr))  # not what stderr is while a trial prints


class _Teller:
    """Tells of trials as they end, and then of the final ones: on a screen, or a line each."""

    def __init__(
        self, task: "Task", study: "optuna.Study", page: "Page", screen: "Screen | None"
    ) -> None:
        from asl.commands.trials import say
        from asl.sweeps.lines import Lines
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
        from asl.sweeps.lines import Lines

        if self._screen:
            self._screen.show(study, total)
        else:
            self._lines.append(Lines(study, total, self._say))
