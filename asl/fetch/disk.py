"""Room on the disk, and a bar for bytes."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from asl.errors import UserError


def check_room(folder: Path, needed: int) -> None:
    """See that a folder's disk has room for so many bytes.

    Raises:
        UserError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {needed / 1e9:.1f} GB are needed, but the disk has {free / 1e9:.1f} GB "
            "free; make room, or name a folder on another disk: data.root=FOLDER"
        )


@contextmanager
def byte_bar(what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show bytes, their rate and the time left; gives the function that counts bytes."""
    columns = (
        TextColumn(what),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda count: bar.update(task, advance=count)
