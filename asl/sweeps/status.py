"""How a study stands, for whoever asks while it runs or long after."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from asl.sweeps.claim import AGAIN, END, SURPLUS
from asl.sweeps.lines import described, readable, result
from asl.sweeps.study import best_trial

SAID = ("complete", "pruned", "failed", "interrupted", "running")


@dataclass(frozen=True)
class Standing:
    """How a study stands.

    Attributes:
        total: trials that it is to come to, or None where it does not say.
        trials: all but those that were too many.
        silent: numbers of the running ones whose workers have not been heard of for long.
        best: the best so far.
    """

    total: int | None
    trials: list[FrozenTrial]
    silent: frozenset[int]
    best: FrozenTrial | None

    def of(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states; a failed one is there until it is done again."""
        found = [trial for trial in self.trials if trial.state in states]
        return [trial for trial in found if not self._is_done_again(trial)]

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that count."""
        return self.of(TrialState.COMPLETE, TrialState.PRUNED)

    @property
    def running(self) -> list[FrozenTrial]:
        """The trials that somebody does, or did until he was killed."""
        return self.of(TrialState.RUNNING)

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the finished trials and by as many workers as there are now."""
        spent = [trial.duration.total_seconds() for trial in self.finished if trial.duration]
        if not spent or self.total is None:
            return None
        mean = fmean(spent)
        at_work = [trial for trial in self.running if trial.number not in self.silent]
        begun = sum(min(mean, elapsed(trial)) for trial in at_work)
        left = mean * (self.total - len(spent)) - begun
        return max(0.0, left) / max(1, len(at_work))

    def __str__(self) -> str:
        found = Counter(_said(trial) for trial in self.of(*TrialState))
        counts = [f"{found[said]} {said}" for said in SAID if found[said]]
        done = f"{len(self.finished)} of {self.total or '?'} trials"
        parts = [f"{done}: {', '.join(counts)}" if counts else done]
        if (left := self.seconds_left) and self.total != len(self.finished):
            parts.append(f"about {readable(left)} left" + " for one worker" * (not self.running))
        return "; ".join(parts)

    def _is_done_again(self, trial: FrozenTrial) -> bool:
        if trial.state is not TrialState.FAIL or END in trial.user_attrs:
            return False
        return any(other.user_attrs.get(AGAIN) == trial.number for other in self.trials)


def _said(trial: FrozenTrial) -> str:
    if trial.state is TrialState.FAIL:
        return "failed" if END in trial.user_attrs else "interrupted"
    return trial.state.name.lower()


def standing(study: optuna.Study, total: int | None) -> Standing:
    """How the study stands now; nothing is written."""
    trials = study.get_trials(deepcopy=False)
    stale = set(study._storage._get_stale_trial_ids(study._study_id))  # type: ignore[attr-defined]
    return Standing(
        total,
        [trial for trial in trials if trial.user_attrs.get(END) != SURPLUS],
        frozenset(trial.number for trial in trials if trial._trial_id in stale),
        best_trial(study),
    )


def said_best(study: optuna.Study, best: FrozenTrial) -> str:
    """The best trial in a line."""
    what = (study.metric_names or ["value"])[0]
    return f"best {what} {best.values[0]:.4f}, trial {best.number}: {described(best.params)}"


def running_table(now: Standing, run: str) -> Table:
    """A row for each trial that runs.

    Args:
        now: how the study stands.
        run: the name under which a trial has the id of its run.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("trial", "run id", "epochs", "last value", "since", ""):
        table.add_column(heading, justify="left" if heading in ("run id", "") else "right")
    for trial in now.running:
        reported = trial.intermediate_values
        ids = [value for name, value in trial.user_attrs.items() if name.partition(".")[0] == run]
        note = "silent: its worker is dead, or cut off" if trial.number in now.silent else ""
        table.add_row(
            str(trial.number),
            ids[-1] if ids else "",
            str(max(reported) + 1) if reported else "",
            f"{reported[max(reported)]:.4f}" if reported else "",
            readable(elapsed(trial)),
            note or described(trial.params),
        )
    return table


def ended_rows(now: Standing, most: int) -> list[tuple[str, str, str]]:
    """Number, outcome and values of the trials that ended last, the last one first."""
    ended = now.of(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    ended.sort(key=lambda trial: trial.datetime_complete or datetime.min, reverse=True)
    return [(str(t.number), result(t), described(t.params)) for t in ended[:most]]


def elapsed(trial: FrozenTrial) -> float:
    """Seconds since a running trial began."""
    return (datetime.now() - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0
