"""Clips of a Power Glove, as UCI's "Australian Sign Language signs" publishes them (M. W. Kadous).

    <signer><session>/<sign><number>.sign

A line a frame: x, y, z, roll, pitch, yaw, the bends of thumb, fore, middle, ring and little
finger, and four bytes of the glove's state, separated by commas. Pitch and yaw are always -1, and
the little finger is a copy of the ring finger, for the glove measures none of them; all three are
left out. The position is relative to where the hand rested before the sign, y upwards. Roll has
twelve steps, a bend is 0, .25, .5 or .75.
"""

import re
import tarfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from asl.clips.names import sorted_names
from asl.clips.sources.base import (
    MAX_FRAMES,
    BadClip,
    Entry,
    Listing,
    Problem,
    Reading,
    without_odd_names,
)
from asl.errors import UserError

ARCHIVE = "signs.tar.xz"

_MEMBER = re.compile(r"(?:^|/)([a-z]+)(\d+)/([^/]+?)(\d+)\.sign$")
_CALIBRATION = "cal-"
"""Two signers moved the hand as far as it goes in each direction: these are no signs."""

_COLUMNS = (0, 1, 2, 3, 6, 7, 8, 9)  # x, y, z, roll, thumb, fore, middle, ring
_FIELDS = 15  # of a line
_MOST_BYTES = 1 << 30  # of an unpacked archive, and
_MOST_BYTES_OF_A_CLIP = 1 << 24


class AuslanSource:
    """A folder of .sign files, or one that holds them as `signs.tar.xz`.

    The sessions of the signers are a column of the clips.
    """

    def __init__(self, root: str | Path) -> None:
        """Looks for the files; reads none.

        Args:
            root: the folder.

        Raises:
            UserError: there are no such files, or the archive is damaged or too large.
        """
        self.root, self.layout = Path(root), "powerglove"
        self.settings: dict[str, Any] = {}
        found = [path for path in self.root.rglob("*.sign") if not path.is_dir()]
        self._packed = not found
        in_folder = (path.relative_to(root).as_posix() for path in found)
        names = sorted(self._unpacked if self._packed else in_folder)
        if not names:
            raise UserError(f"data.root={root}: holds no .sign file and no {ARCHIVE}")
        self._files, self._odd_names = without_odd_names(names)
        matches = filter(None, map(_MEMBER.search, self._files))
        self._places = {match.string: match.groups() for match in matches if _is_sign(match)}
        self.signs = sorted_names([sign for _, _, sign, _ in self._places.values()])

    def listing(self) -> Listing:
        """Every clip, in the order of the paths; a file of another name or without content is none.

        The column `session` has the name of the signer's session.
        """
        entries, sessions, problems = [], [], list(self._odd_names)
        for row, name in enumerate(self._files):
            if name in self._places and self._is_empty(name):
                problems.append(Problem(name, "has no frames"))
            elif name in self._places:
                signer, session, sign, number = self._places[name]
                path, row = (ARCHIVE, row) if self._packed else (name, 0)
                entries.append(Entry(path, signer, f"{signer}{session}-{sign}-{number}", sign, row))
                sessions.append(f"{signer}{session}")
            elif not _MEMBER.search(name):
                problems.append(Problem(name, "is not named SIGNER SESSION/SIGN NUMBER.sign"))
        return Listing(entries, problems, {"session": sessions})

    def read(self, entry: Entry) -> Reading:
        """One clip, float32 [frames, 1, 8]; raises BadClip where the file holds none."""
        if not self._packed:
            return Reading(read_clip(self.root / entry.path))
        name = self._files[entry.row]
        return Reading(_parsed(name, self._unpacked[name]))

    def _is_empty(self, name: str) -> bool:
        if self._packed:
            return not self._unpacked[name]
        file = self.root / name
        return file.exists() and not file.stat().st_size  # a link may lead nowhere

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_unpacked"}

    @cached_property
    def _unpacked(self) -> dict[str, bytes]:
        """The content of the archive's .sign files; each process has its own."""
        path = self.root / ARCHIVE
        if not path.is_file():
            return {}
        try:
            return dict(_members(path))
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: cannot be unpacked ({error})") from error


def read_clip(path: Path | str) -> np.ndarray:
    """One clip from a .sign file, float32 [frames, 1, 8].

    Raises:
        BadClip: the file is missing or holds no clip.
    """
    try:
        with Path(path).open("rb") as file:
            return _parsed(path, file.read(_MOST_BYTES_OF_A_CLIP + 1))
    except FileNotFoundError as error:
        raise BadClip(path, "there is no such file") from error


def _is_sign(match: re.Match[str]) -> bool:
    return not match[3].startswith(_CALIBRATION)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    left = _MOST_BYTES
    with tarfile.open(path) as archive:
        for member in archive:
            left -= member.size
            if left < 0:
                raise UserError(f"{path}: unpacks to more than {_MOST_BYTES / 1e9:.1f} GB")
            file = archive.extractfile(member) if member.isfile() else None
            if file and member.name.endswith(".sign"):
                yield PurePosixPath(member.name).as_posix(), file.read()


def _parsed(path: Path | str, text: bytes) -> np.ndarray:
    """The clip in a file's content."""
    if len(text) > _MOST_BYTES_OF_A_CLIP:
        raise BadClip(
            path, f"has more than {_MOST_BYTES_OF_A_CLIP / 1e6:.0f} MB, which no clip has"
        )
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadClip(path, "has no frames")
    if len(lines) > MAX_FRAMES:
        raise BadClip(path, f"has {len(lines):,} frames, which no clip has")
    frames = np.empty((len(lines), len(_COLUMNS)))
    for number, line in enumerate(lines):
        fields = line.split(b",")
        try:
            if len(fields) != _FIELDS:
                raise ValueError
            frames[number] = [float(fields[column]) for column in _COLUMNS]
        except ValueError as error:
            raise BadClip(path, f"frame {number + 1} is not {_FIELDS} numbers") from error
    if not np.isfinite(frames).all():
        raise BadClip(path, "has a number that is not finite")
    with np.errstate(over="ignore"):
        clip = frames.astype(np.float32)
    if np.isinf(clip).any():
        raise BadClip(path, "has an infinite coordinate")
    return clip[:, None]
