"""Free space on the disk, and a progress bar for bytes."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import progress
from rich.console import Console

from asl.errors import UserError


def check_room(folder: Path, needed: int) -> None:
    """Raises UserError where a folder's disk has fewer free bytes than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {needed / 1e9:.1f} GB are needed, but the disk has {free / 1e9:.1f} GB "
            "free; make room, or name a folder on another disk: data.root=FOLDER"
        )


@contextmanager
def byte_bar(what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Shows bytes, their rate and the time left; yields the function that counts further bytes."""
    columns = (
        progress.TextColumn(what),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda count: bar.update(task, advance=count)
