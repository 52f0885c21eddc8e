"""Files that appear whole or not at all, and locks.

What is written goes beside its place first, and is moved there when it is complete.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from asl.errors import UserError

TEMPORARY = ".tmp-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file to write, which replaces `path` when the block ends without an error."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_in(directory: Path) -> Iterator[Path]:
    """A folder to write files in, which move to `directory` when the block ends without an error.

    Args:
        directory: made if need be; files of other names stay.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=directory) as scratch:
        yield Path(scratch)
        for path in Path(scratch).iterdir():
            path.replace(directory / path.name)


@contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Hold a lock file; raises UserError with the sentence `busy` where another process does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(busy) from None
    try:
        yield
    finally:
        lock.release()
