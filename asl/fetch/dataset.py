"""Downloads a public data set to where its source reads it, and checks it.

The data set's folder appears only when its content is complete and checked.
"""

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
    """Where a data set is published as one zip, and how that becomes raw clips.

    Attributes:
        server: its name in messages.
        archive: file name of the zip.
        unpacked: approximate size of the raw clips in bytes.
        sha256: `clips_digest` of the published clips; None where none is known.
    """

    server: str
    archive: str
    unpacked: int
    sha256: str | None

    def request(self) -> requests.PreparedRequest:
        """The request for the zip."""

    def unpack(self, archive: Path, folder: Path) -> None:
        """Writes the raw clips into a folder, which may hold those of an interrupted call."""


class Download(NamedTuple):
    """The result of `download`.

    Attributes:
        clips: number of clips.
        was_there: whether the data set was complete before.
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
) -> Download:
    """Puts a data set into the folder `root`; a second call resumes an interrupted one.

    Until the clips are checked, they and the zip are in a folder beside `root`, named as `root`
    with the suffix `.download`.

    Args:
        origin: of the data set.
        open_source: opens the raw clips in a folder.
        root: the folder; missing, empty, or with the data set in it already.
        archive: a zip of the user, used instead of fetching one; never deleted.
        keep_archive: whether a fetched zip stays in the `.download` folder.

    Raises:
        UserError: the data set can't be fetched or written, is not the expected one, or the
            folder holds something else.
    """
    root = root.resolve()
    work = root.with_name(f"{root.name}.download")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        clips = _check_present(origin, open_source, root)
        if work.exists() and not keep_archive:
            with _alone_in(work):
                _delete_fetched(work, origin, archive)
        return Download(clips, was_there=True, archive=None)
    with _alone_in(work):
        zipped = archive or work / origin.archive
        if archive is None and not zipped.exists():
            fetch(origin.request, zipped, origin.server, reserve=origin.unpacked)
        try:
            origin.unpack(zipped, work / "unpacked")
            clips = check_clips(origin, open_source(work / "unpacked"))
        except DamagedArchive as damage:
            if archive is not None:
                raise
            zipped.unlink()
            raise UserError(f"{damage}; it was removed, the same command fetches it anew") from None
        os.sync()  # after a power failure no file of the finished folder may be empty
        (work / "unpacked").rename(root)
        if not keep_archive:
            _delete_fetched(work, origin, archive)
    fetched = archive is None and keep_archive
    return Download(clips, was_there=False, archive=zipped if fetched else None)


def _delete_fetched(work: Path, origin: Origin, archive: Path | None) -> None:
    """Deletes what calls wrote into the `.download` folder, but never the user's own archive."""
    shutil.rmtree(work / "unpacked", ignore_errors=True)
    for path in work.glob(f"{origin.archive}*"):  # complete or in part
        if not (archive and path.samefile(archive)):
            path.unlink()


def check_clips(origin: Origin, source: Source) -> int:
    """Checks that no file is missing and, where a digest is pinned, that the clips are those.

    Returns:
        The number of clips.

    Raises:
        DamagedArchive: files are missing, or the clips are others.
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
    """The sha256 of a data set's signs and of each clip's names and float32 values.

    It does not depend on the files' order or compression.
    """
    digest = hashlib.sha256(json.dumps(source.signs).encode())
    for entry in sorted(source.listing().entries, key=lambda e: (e.sign, e.signer, e.sequence_id)):
        clip = source.read(entry).clip  # [T, L, 3]
        clip = np.where(np.isnan(clip), np.float32(np.nan), clip)  # NaNs have many bit patterns
        names = [entry.sign, entry.signer, entry.sequence_id, clip.shape]
        digest.update(json.dumps(names).encode())
        digest.update(clip.astype("<f4").tobytes())
    return digest.hexdigest()


def _check_present(origin: Origin, open_source: Callable[[Path], Source], root: Path) -> int:
    try:
        return check_clips(origin, open_source(root))
    except UserError as error:
        raise UserError(
            f"data.root={root}: is not empty, and not the data set either ({error}); "
            "name a folder that is empty or not there yet"
        ) from error


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """Makes and locks the folder; raises UserError where that, or writing to it, fails."""
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
