"""The one exception for a user's mistake, and the sentence for a disk that fails.

A command prints the first and exits with 2, the second and exits with 1; anything else is a fault
of the program and keeps its traceback.
"""

import errno
import re
import shutil
import sqlite3
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator

from asl.addresses import without_passwords
from asl.terminal import printable

_DISK_ERRORS = {
    getattr(errno, name)
    for name in (
        "EACCES", "EDQUOT", "EEXIST", "EFBIG", "EIO", "EISDIR", "ELOOP", "EMFILE", "ENAMETOOLONG",
        "ENODEV", "ENOENT", "ENOSPC", "ENOTCONN", "ENOTDIR", "ENXIO", "EPERM", "EROFS", "ESTALE",
    )
    if hasattr(errno, name)  # Windows lacks some
}  # fmt: skip
_SQLITE_ERRORS = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY,
}  # fmt: skip


class UserError(ValueError):
    """Something the user can put right; the message is one sentence that says how."""


def unknown(key: str, value: object, choices: Iterable[object]) -> UserError:
    """The error for a value that is none of the choices, which it lists."""
    return UserError(f"{key}={value}: choose from {', '.join(str(choice) for choice in choices)}")


def check_choice(key: str, value: object, choices: Collection[object]) -> None:
    """Raises UserError, with `unknown`'s sentence, unless the value is one of the choices."""
    if value not in choices:
        raise unknown(key, value, choices)


def first_line(error: object) -> str:
    """The first line of an error's message, or the name of its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def disk_failure(error: BaseException) -> str | None:
    """One sentence for an error of a disk (full, read-only, gone) or of a path; else None."""
    for cause in _causes(error):
        if isinstance(cause, shutil.Error):
            # Of copytree: it has the texts of its errors alone.
            for *_, text in cause.args[0]:
                found = re.match(r"\[Errno (\d+)\] (.+)", text)
                if found and int(found[1]) in _DISK_ERRORS:
                    return found[2]
        if isinstance(cause, OSError) and cause.errno in _DISK_ERRORS:
            where = f"{cause.filename}: " if cause.filename else ""
            return f"{where}{cause.strerror}"
        code = getattr(cause, "sqlite_errorcode", None)  # its lower byte, without the details
        if code is not None and code & 0xFF in _SQLITE_ERRORS:
            return f"the database of runs cannot be read or written: {cause}"
    return None


def failure_reason(error: Exception) -> str:
    """Why something failed that others go on without; its passwords are stars.

    The text of a UserError, or that of `disk_failure`, or kind and text of anything else: a fault
    of the program, whose traceback is printed.
    """
    reason = str(error) if isinstance(error, UserError) else disk_failure(error)
    if reason is None:
        lines = "".join(traceback.format_exception(error))
        print(printable(without_passwords(lines)), file=sys.stderr)
        reason = f"{type(error).__name__}: {error}"
    return without_passwords(reason)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it was raised from or during, each once."""
    seen: list[BaseException] = []
    while error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__ or error
