"""The progress of a study: as counts, as one line a trial, and as a live table at a terminal."""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from asl.sweeps.optuna_private import stale_trials
from asl.sweeps.queue import END, ERROR, RETRY_OF, RUN, WHY, was_interrupted, without_duplicates
from asl.sweeps.study import best_trial, finished
from asl.terminal import printable

_STATES = ("complete", "pruned", "failed", "interrupted", "running")
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_REFRESH_SECONDS = 2
_SHOWN = 8  # ended trials on the screen


def log_line(line: str) -> None:
    """Print a line on the terminal, not into a log that stdout is redirected to."""
    print(printable(line), file=sys.stderr, flush=True)


# --- counts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """The progress of a study.

    Attributes:
        total: trials that it is to have, or None where it does not say.
        trials: without duplicates.
        stale: numbers of the running ones without a recent heartbeat.
        best: the best so far.
    """

    total: int | None
    trials: list[FrozenTrial]
    stale: set[int]
    best: FrozenTrial | None

    def of(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states; an interrupted one counts until it is retried."""
        retried = {trial.user_attrs.get(RETRY_OF) for trial in self.trials}
        return [
            trial
            for trial in self.trials
            if trial.state in states and not (was_interrupted(trial) and trial.number in retried)
        ]

    @property
    def running(self) -> list[FrozenTrial]:
        """The trials that are running, or whose worker was killed unnoticed."""
        return self.of(TrialState.RUNNING)

    @property
    def ended(self) -> list[FrozenTrial]:
        """The trials that have ended, the last one first."""
        ended = self.of(*_ENDED)
        return sorted(ended, key=lambda t: t.datetime_complete or datetime.min, reverse=True)

    @property
    def finished(self) -> int:
        """How many trials count."""
        return len(self.of(TrialState.COMPLETE, TrialState.PRUNED))

    @property
    def seconds_left(self) -> float | None:
        """An estimate by the mean duration of finished trials and today's number of workers."""
        done = self.of(TrialState.COMPLETE, TrialState.PRUNED)
        durations = [trial.duration.total_seconds() for trial in done if trial.duration]
        if not durations or self.total is None:
            return None
        mean = fmean(durations)
        at_work = [trial for trial in self.running if trial.number not in self.stale]
        begun = sum(min(mean, elapsed(trial)) for trial in at_work)
        left = mean * (self.total - len(durations)) - begun
        return max(0.0, left) / max(1, len(at_work))

    def __str__(self) -> str:
        by_state = Counter(_state(trial) for trial in self.of(*TrialState))
        counts = [f"{by_state[state]} {state}" for state in _STATES if by_state[state]]
        of_all = f"{self.finished} of {self.total or '?'} trials"
        parts = [f"{of_all}: {', '.join(counts)}" if counts else of_all]
        if (left := self.seconds_left) and self.total != self.finished:
            workers = "" if self.running else " for one worker"
            parts.append(f"about {format_duration(left)} left{workers}")
        return "; ".join(parts)


def progress_of(study: optuna.Study, total: int | None) -> Progress:
    """The progress of a study; nothing is written to it."""
    trials = without_duplicates(study.get_trials(deepcopy=False))
    return Progress(total, trials, stale_trials(study), best_trial(study))


def elapsed(trial: FrozenTrial) -> float:
    """Seconds since a running trial began."""
    return (datetime.now() - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0


def _state(trial: FrozenTrial) -> str:
    if trial.state is TrialState.FAIL:
        return "interrupted" if was_interrupted(trial) else "failed"
    return trial.state.name.lower()


# --- text ---------------------------------------------------------------------------------------


def format_duration(seconds: float) -> str:
    """A duration, `40 s` or `3 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def format_values(values: dict[str, Any]) -> str:
    """A trial's values in one line."""
    text = " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
    )
    return printable(text)


def format_result(trial: FrozenTrial) -> str:
    """The result of a trial that has ended."""
    if trial.state is TrialState.COMPLETE:
        return ", ".join(f"{value:.4f}" for value in trial.values)
    if trial.state is TrialState.PRUNED:
        return printable(f"PRUNED, {trial.user_attrs.get(WHY, '')}")
    if END in trial.user_attrs:
        return printable(f"FAILED, {trial.user_attrs.get(ERROR, '')}")
    return "interrupted, to be run again"


def format_best(study: optuna.Study, best: FrozenTrial) -> str:
    """The best trial in a line."""
    metric = (study.metric_names or ["value"])[0]
    return f"best {metric} {best.values[0]:.4f}, trial {best.number}: {format_values(best.params)}"


class TrialLines:
    """Prints one line for each trial that ends, whoever ran it."""

    def __init__(self, study: optuna.Study, total: int) -> None:
        self._study, self._total = study, total
        self._printed = {trial.number for trial in ended_trials(study)}
        self._at_start, self._began = len(finished(study)), time.perf_counter()

    def __call__(self) -> None:
        """Print the trials that have ended since the last call."""
        fresh = [trial for trial in ended_trials(self._study) if trial.number not in self._printed]
        if not fresh:
            return
        best, done = best_trial(self._study), len(finished(self._study))
        pace = (time.perf_counter() - self._began) / max(1, done - self._at_start)
        for trial in sorted(fresh, key=lambda trial: trial.datetime_complete or datetime.min):
            self._printed.add(trial.number)
            parts = [
                f"{done:>4} of {self._total}",
                f"trial {trial.number}: {format_result(trial)}",
                f"best {best.values[0]:.4f} (trial {best.number})" if best else "",
                format_values(trial.params),
                f"({format_duration(pace * (self._total - done))} left)",
            ]
            log_line("  ".join(filter(None, parts)))


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have ended, without duplicates."""
    return without_duplicates(study.get_trials(deepcopy=False, states=_ENDED))


# --- tables -------------------------------------------------------------------------------------


def running_table(progress: Progress) -> Table:
    """A row for each trial that is running."""
    table = Table(box=None, pad_edge=False)
    for heading in ("trial", "run id", "epochs", "last value", "since", ""):
        table.add_column(heading, justify="left" if heading in ("run id", "") else "right")
    for trial in progress.running:
        reported = trial.intermediate_values
        ids = [value for name, value in trial.user_attrs.items() if name.partition(".")[0] == RUN]
        stale = trial.number in progress.stale
        table.add_row(
            str(trial.number),
            ids[-1] if ids else "",
            str(max(reported) + 1) if reported else "",
            f"{reported[max(reported)]:.4f}" if reported else "",
            format_duration(elapsed(trial)),
            "no heartbeat: its worker is dead or offline" if stale else format_values(trial.params),
        )
    return table


def overview(study: optuna.Study, total: int) -> RenderableType:
    """The running and the last trials of a study, and its best one, for any terminal width."""
    progress = progress_of(study, total)
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column((study.metric_names or ["value"])[0], no_wrap=True)
    table.add_column("values", no_wrap=True, overflow="ellipsis")
    for trial in progress.running:
        reported = trial.intermediate_values
        last = f"{reported[max(reported)]:.4f}, epoch {max(reported) + 1}, " if reported else ""
        since = format_duration(elapsed(trial))
        row = (str(trial.number), f"{last}{since}", format_values(trial.params))
        table.add_row(*row, style="bold")
    for trial in progress.ended[:_SHOWN]:
        is_best = progress.best is not None and trial.number == progress.best.number
        row = (str(trial.number), format_result(trial), format_values(trial.params))
        table.add_row(*row, style="green" if is_best else "")
    lines: list[RenderableType] = [Text(f"{study.study_name}  {progress}")]
    if progress.best:
        best = format_best(study, progress.best)
        lines.append(Text(best, style="green", no_wrap=True, overflow="ellipsis"))
    return Group(*lines, table)


class Screen(Live):
    """The overview of a study at a terminal, drawn anew until the sweep ends.

    The study is read in a thread of its own, as trials may run in this one.
    """

    def __init__(self) -> None:
        self.study: tuple[optuna.Study, int] | None = None  # and its total
        super().__init__(
            console=Console(
                file=sys.stderr, markup=False, emoji=False
            ),  # not what stderr is while a trial prints
            get_renderable=lambda: overview(*self.study) if self.study else Text(""),
            refresh_per_second=1 / _REFRESH_SECONDS,
            transient=True,
        )
