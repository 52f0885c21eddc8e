"""A trial: the training runs of drawn values, each as `asl train` with more overrides makes it."""

import contextlib
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna

from asl.addresses import without_passwords
from asl.clips.store import ClipStore
from asl.paths import as_file_name
from asl.runs.data import make_split, open_store
from asl.runs.plan import RunPlan, digest, variation
from asl.runs.train import TrainedRun, resume, train
from asl.sweeps.plan import SweepPlan, clips_digest, final_plan, goal_of, open_study
from asl.sweeps.queue import OVERRIDES, RUN, Attempt, Worker
from asl.sweeps.study import REFUSED
from asl.sweeps.worker import Outcome, work
from asl.tracking import sweep as tags
from asl.tracking.find import download
from asl.tracking.found import FoundRun
from asl.tracking.group import mark_killed
from asl.tracking.store import Tracker, open_tracker
from asl.training.checkpoint import load_recognizer
from asl.training.divergence import Diverged
from asl.training.fit import AfterEpoch, Pruned


def run_worker(
    number: int, plan: SweepPlan, after_trial: Callable[[], None] = lambda: None
) -> None:
    """Run trials of a sweep beside other workers, then the final runs, until none is left.

    It runs none where the clips are others than those that the sweep began with.

    Args:
        number: of this worker.
        plan: of the sweep.
        after_trial: called when a trial has ended, and while waiting for those of others.
    """
    tracker = open_tracker(plan.tracking)
    worker = Worker(tracker.work)
    log = log_file(tracker.work, plan.address.name)
    stage: SweepPlan | None = plan
    try:
        with printing_to(log):
            store = _same_clips(plan, open_study(plan, tracker.work, number))
        while stage and store:
            study = open_study(stage, tracker.work, number)
            trials = TrialRunner(stage, study, tracker, log, store)
            work(study, goal_of(stage, study), worker, trials, stage.max_failures, after_trial)
            stage = final_plan(stage, study)
    finally:
        worker.leave()


def _same_clips(plan: SweepPlan, study: optuna.Study) -> ClipStore | None:
    """The sweep's clips; None, and the reason in the study, where they are others now."""
    store = open_store(plan.data)
    if clips_digest(store, make_split(plan.split, store)) == plan.identity["data"]:
        return store
    reason = (
        f"data.store={plan.data.store}: the clips have changed since the sweep began, so a worker "
        "did not take part; with another sweep.name= the same command begins one on the new clips"
    )
    print(reason, file=sys.stderr)
    study.set_user_attr(REFUSED, reason)
    return None


def log_file(folder: Path, sweep: str) -> Path:
    """Where a sweep's runs print on this machine; others may share the folder."""
    return folder / f"sweep-{as_file_name(sweep)}-{socket.gethostname()}.log"


@contextlib.contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Append what is printed to a file; the terminal has a line a trial."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", buffering=1, encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


@dataclass
class TrialRunner:
    """Runs one trial after the other, with the clips open.

    Attributes:
        plan: of the sweep.
        study: the trials are of.
        tracker: where runs are kept.
        log: what runs print.
        store: the clips of all trials.
    """

    plan: SweepPlan
    study: optuna.Study
    tracker: Tracker
    log: Path
    store: ClipStore

    def __call__(self, attempt: Attempt) -> Outcome:
        """Train the runs of a trial, or resume those of an interrupted attempt."""
        with printing_to(self.log):
            try:
                return self._run_trial(attempt)
            except Exception:
                print(without_passwords(traceback.format_exc()), file=sys.stderr)
                raise

    def _run_trial(self, attempt: Attempt) -> Outcome:
        overrides = [self.plan.format_override(*item) for item in attempt.values.items()]
        attempt.trial.set_user_attr(OVERRIDES, overrides)
        plan = self.plan.make_plan((*self.plan.overrides, *overrides), self.plan.test)
        values: list[float] = []
        for number in range(len(self.plan.repetitions)):
            try:
                outcome = self._run_repetition(attempt, number, plan, overrides, values)
            except Diverged as reason:  # says as much of the values as a bad metric would
                return Outcome(pruned=str(reason))
            if outcome.pruned:
                return outcome
            values += outcome.values
        if self.plan.second_objective:
            costs = self._costs(attempt, plan)
            return Outcome((fmean(values), costs[self.plan.second_objective]))
        return Outcome((fmean(values),))

    def _run_repetition(
        self,
        attempt: Attempt,
        number: int,
        trial_plan: RunPlan,
        overrides: Sequence[str],
        values: Sequence[float],
    ) -> Outcome:
        """One of a trial's runs, given the values of the repetitions before it."""
        repetition = self.plan.repetitions[number]
        plan = variation(trial_plan, seed=repetition.seed, val=repetition.val)
        label = self._label(attempt.trial.number)
        options: dict[str, Any] = {
            "store": self.store,
            "after_epoch": self._report(attempt, number, plan, values),
            "draw": plan.test,
        }

        def on_start(run_id: str) -> None:
            attempt.trial.set_user_attr(f"{RUN}.{number}" if number else RUN, run_id)

        found = self._interrupted_run(attempt, number)
        if found:
            tags.mark(self.tracker, found.run_id, trial=label)
            on_start(found.run_id)
        if found and found.status == "FINISHED":  # killed before the study was told the value
            pruned = found.tags.get("pruned")
            run = TrainedRun(found.run_id, found.name, found.metrics, pruned=pruned)
        elif found and any(self.tracker.folder(found.run_id).glob("last-*.ckpt")):
            run = resume(found.run_id, self.tracker, **options)
        else:
            if found:
                mark_killed(self.tracker, found)
                tags.mark(self.tracker, found.run_id, trial=f"{label}, lost")
            texts = [*self.plan.overrides, *overrides, *repetition.overrides]
            run_tags = {
                tags.SWEEP: self.plan.address.name,
                tags.TRIAL: label,
                tags.PART: str(number),
                tags.OVERRIDES: " ".join(texts),
            }
            run = train(
                plan,
                self.tracker,
                parent=self.plan.parent,
                tags=run_tags,
                on_start=on_start,
                **options,
            )
        state = "PRUNED" if run.pruned else "FINAL" if plan.test else "COMPLETE"
        tags.mark(self.tracker, run.run_id, state=state)
        return Outcome(pruned=run.pruned) if run.pruned else Outcome((run.metrics[plan.monitor],))

    def _interrupted_run(self, attempt: Attempt, number: int) -> FoundRun | None:
        """The run of this repetition in which an earlier attempt was killed."""
        for earlier in attempt.retry_of:
            for run in tags.runs_of_trial(self.tracker, self.plan.parent, self._label(earlier)):
                if run.tags.get(tags.PART) == str(number):
                    return run
        return None

    def _report(
        self, attempt: Attempt, number: int, plan: RunPlan, values: Sequence[float]
    ) -> AfterEpoch | None:
        """Reports each epoch's value to the study, and prunes the trial where its pruner says so.

        A retry first gets the epochs of the interrupted attempt. No trial is pruned before the
        last grace period of its regularization has ended, and none with two objectives.
        """
        if self.plan.second_objective:
            return None
        epochs, trial = plan.trainer["max_epochs"], attempt.trial
        trials = {t.number: t for t in self.study.get_trials(deepcopy=False)}
        reported: set[int] = set(trials[trial.number].intermediate_values)

        def report(step: int, value: float) -> None:
            if step not in reported:
                trial.report(value, step)
                reported.add(step)

        for earlier in attempt.retry_of[:1]:
            for step, value in trials[earlier].intermediate_values.items():
                report(step, value)

        def after_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            report(number * epochs + epoch, fmean([*values, metrics[plan.monitor]]))
            grace = any(plan.regularization.in_grace_period(e) for e in range(epoch, epochs))
            if not grace and trial.should_prune():
                count = len(self.plan.repetitions)
                run = f"run {number + 1} of {count}, " if count > 1 else ""
                raise Pruned(
                    f"{self.plan.pruner[0]} after {run}epoch {epoch + 1}: "
                    f"{plan.monitor} {metrics[plan.monitor]:.4f}"
                )

        return after_epoch

    def _costs(self, attempt: Attempt, plan: RunPlan) -> dict[str, float]:
        """Size and latency of a trial's exported file.

        An export takes longer than many a trial, and weights change neither figure: of the trials
        with one architecture, the first is exported for all.
        """
        from asl.export import cost

        label = self._label(attempt.trial.number)
        run = tags.runs_of_trial(self.tracker, self.plan.parent, label)[0]
        key = f"cost.{self._architecture(attempt)}"
        costs: dict[str, float] = self.study.user_attrs.get(key, {})
        if not costs:
            store = self.store
            rows = sorted(make_split(plan.split, store).val, key=lambda row: store.frames[row])
            checkpoint = download(self.tracker, run.run_id, "checkpoints/best.ckpt")
            costs = cost.cost(load_recognizer(checkpoint), store.read(rows[len(rows) // 2]))
            self.study.set_user_attr(key, costs)
        tags.record_costs(self.tracker, run.run_id, costs)
        return costs

    def _architecture(self, attempt: Attempt) -> str:
        """A digest of all that a recognizer is built of, but for what only training uses.

        Trials with the same one are exported to files of the same operators and the same size.
        """
        overrides = [
            self.plan.format_override(key, value)
            for key, value in attempt.values.items()
            if key.partition(".")[0] != "regularization"
        ]
        return digest(self.plan.make_plan((*self.plan.overrides, *overrides), False).recognizer)

    def _label(self, number: int) -> str:
        return f"{self.plan.label}{number}"
