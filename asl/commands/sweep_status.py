"""asl sweep status=NAME: how a study stands, read from its storage alone."""

import sys

from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 200


def show_status(name: str, url: str) -> None:
    """Print how the study of that name stands, or without a name how all of them do."""
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    if name:
        _show(name, url, console)
    else:
        _list(url, console)


def _show(name: str, url: str, console: Console) -> None:
    from asl.commands.trials import RUN
    from asl.sweeps.status import running_table, said_best, standing
    from asl.sweeps.study import COMMAND, TOTAL, Place, final_studies, find_study

    place = Place(url, name)
    study = find_study(place)
    now = standing(study, study.user_attrs.get(TOTAL))
    print(f"sweep {name}, study in {place.said}")
    print(now)
    if now.best:
        print(said_best(study, now.best))
    if now.running:
        console.print(running_table(now, RUN))
    for final in final_studies(study):
        seeds = standing(final, final.user_attrs.get(TOTAL))
        print(f"{final.study_name}, the best values once more: {seeds}")
        if seeds.running:
            console.print(running_table(seeds, RUN))
    if COMMAND in study.user_attrs:
        print(f"goes on with: {study.user_attrs[COMMAND]}")


def _list(url: str, console: Console) -> None:
    import optuna

    from asl.sweeps.status import standing
    from asl.sweeps.study import TOTAL, open_storage, study_names, without_password

    storage = open_storage(url, make=False)
    names = study_names(storage)
    if not names:
        print(f"no studies in {without_password(url)} yet; `asl sweep` makes one")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("study", "trials", "objective", "best"):
        table.add_column(heading, overflow="fold")
    for name in names:
        study = optuna.load_study(storage=storage, study_name=name)
        now = standing(study, study.user_attrs.get(TOTAL))
        best = f"{now.best.values[0]:.4f} (trial {now.best.number})" if now.best else ""
        table.add_row(name, str(now), ", ".join(study.metric_names or []), best)
    console.print(table)
