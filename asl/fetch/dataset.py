"""A public data set, brought to where its source reads it: fetched, checked, visible at once."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import filelock
import numpy as np
import requests

from asl.clips.sources.base import Source
from asl.errors import UserError
from asl.fetch.unzip import DamagedArchive
from asl.fetch.web import fetch

_LOCK = ".lock"


class Origin(Protocol):
    """Where a data set is published, as one zip, and how its files become raw clips.

    Attributes:
        who: its server, as messages call it.
        archive: the zip's name.
        unpacked: bytes that the raw clips take, about.
        sha256: of the clips (`clips_digest`), or None where none is known.
    """

    who: str
    archive: str
    unpacked: int
    sha256: str | None

    def request(self) -> requests.PreparedRequest:
        """What to ask the server for."""

    def unpack(self, archive: Path, folder: Path) -> None:
        """Write the raw clips into a folder, which an earlier call may have left unfinished."""


class Landed(NamedTuple):
    """What `download` found or made.

    Attributes:
        clips: how many there are.
        was_there: whether nothing had to be done.
        archive: the fetched zip, where it was kept.
    """

    clips: int
    was_there: bool
    archive: Path | None


def download(
    origin: Origin,
    open_source: Callable[[Path], Source],
    root: Path,
    *,
    archive: Path | None = None,
    keep_archive: bool = True,
) -> Landed:
    """Put a data set into the folder `root`, which appears only when it is whole and checked.

    Until then all work is in a folder beside it, `root` with `.download` behind its name; a call
    that was stopped is gone on with by the next one.

    Args:
        origin: where it comes from.
        open_source: reads the raw clips of a folder.
        root: the folder; missing, empty, or with the data set in it already.
        archive: a zip that the user has; nothing is fetched then.
        keep_archive: whether a fetched zip stays, in the `.download` folder.

    Raises:
        UserError: it can't be fetched or written, it is not what it should be, or the folder
            holds something else.
    """
    root = root.resolve()
    work = root.with_name(f"{root.name}.download")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        clips = _check_there(origin, open_source, root)
        if work.exists() and not keep_archive:
            with _alone_in(work):
                shutil.rmtree(work)
        return Landed(clips, was_there=True, archive=None)
    with _alone_in(work):
        zipped = archive or work / origin.archive
        if archive is None and not zipped.exists():
            fetch(origin.request, zipped, origin.who, room=origin.unpacked)
        try:
            origin.unpack(zipped, work / "unpacked")
            clips = check_clips(origin, open_source(work / "unpacked"))
        except DamagedArchive as damage:
            if archive is not None:
                raise
            zipped.unlink()
            raise UserError(f"{damage}; it was removed, the same command fetches it anew") from None
        os.sync()  # no file may be empty after a power failure, once they have their place
        (work / "unpacked").rename(root)
        kept = archive is None and keep_archive
        if not kept:
            shutil.rmtree(work)
    return Landed(clips, was_there=False, archive=zipped if kept else None)


def check_clips(origin: Origin, source: Source) -> int:
    """See that a data set is whole and, where a digest is pinned, that it has the clips meant.

    Returns:
        the number of its clips.

    Raises:
        DamagedArchive: it is not.
        UserError: there is no data set.
    """
    entries = source.listing().entries
    if not entries:
        raise DamagedArchive(f"{source.root}: lists no clip")
    files = dict.fromkeys(entry.path for entry in entries)
    if missing := [path for path in files if not (source.root / path).is_file()]:
        raise DamagedArchive(
            f"{source.root}: {len(missing):,} files are missing, {missing[0]} first"
        )
    if origin.sha256 and clips_digest(source) != origin.sha256:
        raise DamagedArchive(
            f"{source.root}: the clips are not those that were published (another sha256)"
        )
    return len(entries)


def clips_digest(source: Source) -> str:
    """The sha256 of a data set's signs and of every clip's name and float32 values.

    It does not depend on how files are packed or compressed, nor on their order.
    """
    digest = hashlib.sha256(json.dumps(source.signs).encode())
    for entry in sorted(source.listing().entries, key=lambda e: (e.sign, e.signer, e.sequence_id)):
        clip = source.read(entry).clip  # [T, L, 3]
        clip = np.where(np.isnan(clip), np.float32(np.nan), clip)  # one NaN of the many
        names = [entry.sign, entry.signer, entry.sequence_id, clip.shape]
        digest.update(json.dumps(names).encode())
        digest.update(clip.astype("<f4").tobytes())
    return digest.hexdigest()


def _check_there(origin: Origin, open_source: Callable[[Path], Source], root: Path) -> int:
    try:
        return check_clips(origin, open_source(root))
    except UserError as error:
        raise UserError(
            f"data.root={root}: is not empty, and not the data set either ({error}); "
            "name a folder that is empty or not there yet"
        ) from error


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """Makes the folder, keeps a second download out, and turns a full disk into one sentence."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(work / _LOCK, blocking=False):
            yield
    except filelock.Timeout:
        raise UserError(f"{work}: another asl download is at work there") from None
    except OSError as error:
        raise UserError(f"{work}: can't be written ({error.strerror or error})") from error
    finally:
        if work.is_dir() and {path.name for path in work.iterdir()} <= {_LOCK}:
            shutil.rmtree(work, ignore_errors=True)
