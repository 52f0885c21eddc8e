"""Which versions of a store are being read.

A version is a table of clips with the shards that it names. A reader holds a shared lock on the
table, which the system frees when the reader ends; `prepare` removes only versions that are free.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

try:
    import fcntl
except ImportError:  # Windows, which refuses to delete a file that is open
    fcntl = None  # type: ignore[assignment]

_SHARDS = b"shards"  # key in the table's metadata


def hold(table: Path) -> BinaryIO | None:
    """Open a version's table, which protects it from removal; None where it is removed already."""
    try:
        file = table.open("rb")
    except FileNotFoundError:
        return None
    if fcntl:
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(file, fcntl.LOCK_SH)
    return file if os.fstat(file.fileno()).st_nlink else None


@contextmanager
def unread(table: Path) -> Iterator[bool]:
    """Yields whether no reader holds the version, and keeps new ones out until the block ends."""
    with table.open("rb") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # a disk without locks
            free = True
        yield free


def with_shards(table: pa.Table, shards: list[str]) -> pa.Table:
    """The table, with the names of its shards as metadata."""
    return table.replace_schema_metadata({_SHARDS: json.dumps(shards)})


def shards_of(table: Path) -> list[str] | None:
    """The names of a version's shards; None where an earlier release did not note them."""
    with pa.memory_map(str(table)) as file:
        metadata = pa.ipc.open_file(file).schema.metadata or {}
    return json.loads(metadata[_SHARDS]) if _SHARDS in metadata else None
