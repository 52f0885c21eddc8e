"""Unpacking a large archive: safely, and resumed where it was stopped."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from asl.errors import UserError
from asl.fetch.disk import byte_bar, check_room

_BLOCK = 1 << 20


class DamagedArchive(UserError):  # noqa: N818 - a thing found in the data, named as such
    """An archive that is not what it should be."""


@contextmanager
def open_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """A zip for reading; every member that is read whole is checked by its CRC.

    Raises:
        DamagedArchive: it is no zip, or what was read of it has another checksum.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedArchive(f"{archive}: is damaged ({error})") from error


def unzip(archive: Path, folder: Path) -> None:
    """Unpack every file of a zip into a folder.

    A file gets its name when it is whole, so that a killed call can be repeated: files that are
    there with the size and the CRC that the archive lists are not unpacked again.

    Raises:
        DamagedArchive: it is damaged, or names a path outside the folder.
        UserError: the disk is too small.
    """
    with open_zip(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        targets = [_inside(folder, member, archive) for member in members]
        folder.mkdir(parents=True, exist_ok=True)
        files = list(zip(members, targets, strict=True))
        missing = [
            m.file_size for m, t in files if not t.exists() or t.stat().st_size != m.file_size
        ]
        check_room(folder, sum(missing))
        with byte_bar("unpacking", sum(member.file_size for member in members)) as advance:
            for member, target in files:
                if not _is_whole(target, member):
                    _unpack(opened, member, target)
                advance(member.file_size)


def _inside(folder: Path, member: zipfile.ZipInfo, archive: Path) -> Path:
    path = PurePosixPath(member.filename)
    link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or set("\\:") & set(member.filename) or link:
        raise DamagedArchive(f"{archive}: names {member.filename!r}, which leads out of the folder")
    return folder / path


def _is_whole(target: Path, member: zipfile.ZipInfo) -> bool:
    if not target.is_file() or target.stat().st_size != member.file_size:
        return False
    crc = 0
    with target.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc == member.CRC


def _unpack(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with opened.open(member) as packed, part.open("wb") as file:
        shutil.copyfileobj(packed, file, _BLOCK)
    part.replace(target)
