"""Unpacks a large zip: safely, and resumed after an interruption."""

import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from asl.errors import UserError
from asl.fetch.disk import byte_bar, check_room

_BLOCK = 1 << 20
# What zipfile raises: it has no one exception, and an entry without a name is an IndexError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, IndexError, struct.error)


class DamagedArchive(UserError):  # noqa: N818 - names a thing in the data
    """An archive or data set that is damaged, incomplete or another one than expected."""


@contextmanager
def open_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """A zip for reading; the CRC of every member that is read to its end is checked.

    Raises:
        DamagedArchive: it is no zip, or a CRC differs.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except _DAMAGE as error:
        raise DamagedArchive(f"{archive}: is damaged ({error})") from error


def unzip(archive: Path, folder: Path) -> None:
    """Unpacks all files of a zip into a folder.

    A file gets its name when it is complete. After an interruption, files whose size and CRC are
    those of the archive are not unpacked again.

    Raises:
        DamagedArchive: it is damaged, or has a link or a path outside the folder.
        UserError: the disk is too small.
    """
    with open_zip(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        files = [(member, _target(folder, member, archive)) for member in members]
        folder.mkdir(parents=True, exist_ok=True)
        check_room(folder, sum(m.file_size for m, path in files if not _has_size(path, m)))
        with byte_bar("unpacking", sum(member.file_size for member in members)) as advance:
            for member, path in files:
                if not (_has_size(path, member) and _crc(path) == member.CRC):
                    _unpack(opened, member, path)
                advance(member.file_size)


def _target(folder: Path, member: zipfile.ZipInfo, archive: Path) -> Path:
    path = PurePosixPath(member.filename)
    link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or set("\\:") & set(member.filename) or link:
        raise DamagedArchive(f"{archive}: names {member.filename!r}, which leads out of the folder")
    return folder / path


def _has_size(path: Path, member: zipfile.ZipInfo) -> bool:
    return path.is_file() and path.stat().st_size == member.file_size


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def _unpack(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with opened.open(member) as packed, part.open("wb") as file:
        shutil.copyfileobj(packed, file, _BLOCK)
    part.replace(target)
