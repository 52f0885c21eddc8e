"""A sweep at a terminal: a table that is kept up to date until the sweep ends."""

from types import TracebackType

import optuna
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from asl.sweeps.lines import described, readable
from asl.sweeps.status import elapsed, ended_rows, said_best, standing

_SECONDS = 2  # between looks at the study
_ENDED = 8  # trials that are shown when they have ended


class Screen:
    """What runs, what ended last, what is best, and how long it takes.

    The study is read in a thread of its own, as the trials may be done in this one.
    """

    def __init__(self, console: Console) -> None:
        self._study: optuna.Study | None = None
        self._total = 0
        self._live = Live(
            get_renderable=self._drawn,
            console=console,
            refresh_per_second=1 / _SECONDS,
            transient=True,
        )

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, study: optuna.Study, total: int) -> None:
        """Show this study from now on."""
        self._study, self._total = study, total

    def _drawn(self) -> RenderableType:
        return drawn(self._study, self._total) if self._study else Text("")


def drawn(study: optuna.Study, total: int) -> RenderableType:
    """How a study stands, for a terminal of any width."""
    now = standing(study, total)
    what = (study.metric_names or ["value"])[0]
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column(what, no_wrap=True)
    table.add_column("values", no_wrap=True, overflow="ellipsis")
    for trial in now.running:
        reported = trial.intermediate_values
        last = f"{reported[max(reported)]:.4f}, epoch {max(reported) + 1}, " if reported else ""
        table.add_row(
            str(trial.number),
            f"{last}{readable(elapsed(trial))}",
            described(trial.params),
            style="bold",
        )
    for row in ended_rows(now, _ENDED):
        best = now.best is not None and row[0] == str(now.best.number)
        table.add_row(*row, style="green" if best else "")
    lines: list[RenderableType] = [Text(f"{study.study_name}  {now}")]
    if now.best:
        lines.append(
            Text(said_best(study, now.best), style="green", no_wrap=True, overflow="ellipsis")
        )
    return Group(*lines, table)
