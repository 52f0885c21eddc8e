"""A sweep from its plan to its end: the study, the workers, and the sweep's run in MLflow."""

import json
import os
import shlex
import sys
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import optuna

from asl.addresses import without_passwords
from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.sweeps.launchers.jobs import Jobs
from asl.sweeps.launchers.processes import Processes
from asl.sweeps.plan import SweepPlan, final_plan, goal_of, open_study
from asl.sweeps.progress import Screen, TrialLines, log_line
from asl.sweeps.queue import crashed, is_over
from asl.sweeps.record import SweepRecord, open_parent
from asl.sweeps.study import COMMAND, REFUSED, finished
from asl.sweeps.trial import log_file, run_worker
from asl.tracking.store import Tracker, open_tracker
from asl.tracking.sweep import end_parent, sweep_lock

_POLL_SECONDS = 0.5
_ADDRESSES = "ASL_SWEEP_ADDRESSES"  # in a job's environment: they may hold passwords


def run_sweep(plan: SweepPlan, store: ClipStore, split: Split, command: str) -> None:
    """Run trials until the study has its total, then train and test its best values; print them.

    An interrupted sweep resumes with the same plan: its finished trials count, interrupted ones
    are run again with the same values.

    Args:
        plan: of the sweep.
        store: its clips.
        split: of the clips.
        command: by which the user resumes it.

    Raises:
        UserError: there is another study of this name, or too many trials crashed.
    """
    tracker = open_tracker(plan.tracking)
    with sweep_lock(tracker, plan.address.name):
        _run_sweep(plan, store, split, command, tracker)


def _run_sweep(
    plan: SweepPlan, store: ClipStore, split: Split, command: str, tracker: Tracker
) -> None:
    study = open_study(plan, tracker.work)
    parent = open_parent(plan, study, store, split, tracker)
    plan = replace(plan, parent=parent.id)
    record = SweepRecord(plan, study, parent, tracker)
    study.set_user_attr(COMMAND, command)
    study.set_user_attr(REFUSED, "")
    log_line(f"sweep {plan.address.name} ({parent.id}), study in {plan.address.redacted_url}")
    log = log_file(tracker.work, plan.address.name)
    log_line(f"validation: {plan.validation}; output of the trials: {log}")
    status = "FAILED"
    try:
        run_trials(plan, study, tracker, record)
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        log_line(f"interrupted; resume with: {command}")
        raise
    finally:
        try:
            if results := record.finish():  # also of a sweep that is interrupted or fails
                print(results)
        finally:
            end_parent(parent, status)


def typed_command() -> str:
    """The command line as the user typed it, without passwords."""
    return shlex.join(["asl", *(without_passwords(word) for word in sys.argv[1:])])


def run_trials(plan: SweepPlan, study: optuna.Study, tracker: Tracker, record: SweepRecord) -> None:
    """Run the trials of a plan and its final runs; raises UserError where too many crashed."""
    began = datetime.now()
    deaths = 0
    screen = Screen() if sys.stderr.isatty() else None
    if done := len(finished(study)):
        log_line(f"{done} of {plan.total} trials are finished already")
    stages = [(plan, study)]
    lines = [TrialLines(study, plan.total)]

    def report() -> None:
        for print_ended in [] if screen else lines:
            print_ended()
        if len(stages) == 1 and (final := final_plan(plan, study)):
            log_line(f"training the best values with {final.total} seeds, each tested once")
            stages.append((final, open_study(final, tracker.work)))
            lines.append(TrialLines(stages[-1][1], final.total))
        if screen:
            screen.study = (stages[-1][1], stages[-1][0].total)
        record.refresh()

    with screen or nullcontext():
        report()
        if plan.workers > 1 or plan.launcher != "local":
            workers = launch(plan, tracker)
            log_line(f"{plan.workers} workers")
            try:
                while workers.running() and workers.deaths <= plan.max_failures:
                    workers.wait(_POLL_SECONDS)
                    report()
            finally:
                workers.stop()
            deaths = workers.deaths
        else:
            run_worker(0, plan, report)
        report()
    refused = study.user_attrs[REFUSED]
    if all(is_over(opened, goal_of(stage, opened)) for stage, opened in stages):
        if refused:
            log_line(f"note: {refused}")
        return
    failed = sum(len(crashed(opened, began)) for _, opened in stages)
    log = log_file(tracker.work, plan.address.name)
    raise UserError(refused or _too_many_failures(plan, failed, deaths, log))


def _too_many_failures(plan: SweepPlan, failed: int, deaths: int, log: Path) -> str:
    workers = f" and {deaths} workers died" if deaths else ""
    return (
        f"sweep.max_failures={plan.max_failures}: {failed} trials crashed{workers}; "
        f"runs have a traceback.txt, and {log} has what was printed"
    )


def launch(plan: SweepPlan, tracker: Tracker) -> Processes | Jobs:
    """Start the workers of a plan as processes of this machine, or as jobs of a cluster."""
    log = log_file(tracker.work, plan.address.name)
    if plan.launcher == "local":
        return Processes(plan.workers, run_worker, (plan,), log)
    os.environ[_ADDRESSES] = json.dumps([plan.address.url, plan.tracking["uri"]])
    redacted = _with_addresses(plan, "", "")
    cluster: Literal["slurm", "local"] = "slurm" if plan.launcher == "slurm" else "local"
    folder = log.with_suffix("")
    return Jobs(cluster, plan.launcher_options, plan.workers, _run_job, (redacted,), folder)


def _run_job(number: int, plan: SweepPlan) -> None:
    """A job's arguments are in a file that others may read; its environment is not."""
    if _ADDRESSES not in os.environ:
        raise UserError(f"{_ADDRESSES}: the cluster does not pass the environment on to its jobs")
    run_worker(number, _with_addresses(plan, *json.loads(os.environ[_ADDRESSES])))


def _with_addresses(plan: SweepPlan, url: str, uri: str) -> SweepPlan:
    address = replace(plan.address, url=url)
    return replace(plan, address=address, tracking={**plan.tracking, "uri": uri})
