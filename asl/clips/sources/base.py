"""The interface of a raw format: a listing of its clips, and reading one clip at a time.

Sources are pickled into worker processes, which must start fast: nothing here, nor in any source,
imports torch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from asl.errors import UserError

MAX_FRAMES = 50_000
"""Of a clip: half an hour. A few bytes of a damaged or hostile file can stand for more."""


class Entry(NamedTuple):
    """One clip that a raw data set lists.

    Attributes:
        path: its file, relative to the source's root, with forward slashes.
        signer: who signs.
        sequence_id: name of the recording.
        sign: what is signed.
        row: which clip of the file, where a file holds many.
    """

    path: str
    signer: str
    sequence_id: str
    sign: str
    row: int = 0


def clip_names(entries: Sequence[Entry]) -> list[str]:
    """The path of each clip; with its row, `clips.npz:17`, where a file holds several."""
    counts = Counter(entry.path for entry in entries)
    return [
        f"{entry.path}:{entry.row}" if counts[entry.path] > 1 else entry.path for entry in entries
    ]


def without_odd_names(paths: Sequence[str]) -> tuple[list[str], list["Problem"]]:
    """The paths that are text, and a problem for each that is not: no index could hold its name."""
    texts, problems = [], []
    for path in paths:
        if is_text(path):
            texts.append(path)
        else:
            name = path.encode(errors="backslashreplace").decode()
            problems.append(Problem(name, "has a name that is not UTF-8; rename it"))
    return texts, problems


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it, which it cannot where a file's name has other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Problem(NamedTuple):
    """Something wrong with a raw file.

    Attributes:
        path: the file, relative to the source's root.
        reason: what is wrong with it.
        kept: whether its clip is stored nevertheless.
    """

    path: str
    reason: str
    kept: bool = False


class Listing(NamedTuple):
    """The clips of a raw data set, and the problems of its list.

    Attributes:
        entries: the clips.
        problems: of the list.
        columns: what else is said of the clips: by the column's name a text for each of `entries`,
            empty where nothing is said.
    """

    entries: list[Entry]
    problems: list[Problem]
    columns: Mapping[str, Sequence[str]] = MappingProxyType({})


class Reading(NamedTuple):
    """One clip as it was read.

    Attributes:
        clip: float32 [frames, landmarks, channels], NaN = not detected.
        note: what is odd about it, though it can be used; empty where nothing is.
    """

    clip: np.ndarray
    note: str = ""


class BadClip(UserError):  # noqa: N818 - names a thing in the data
    """A file with an invalid or corrupt clip.

    Attributes:
        reason: what is wrong with it, without the file's name.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


class Source(Protocol):
    """A raw data set in one format."""

    root: Path
    layout: str
    signs: list[str]
    """The signs in the order of their labels."""
    settings: dict[str, Any]
    """Everything besides the files that decides what a clip looks like; JSON-able."""

    def listing(self) -> Listing:
        """All clips in a stable order; raises UserError where there is no data set."""

    def read(self, entry: Entry) -> Reading:
        """One clip; raises BadClip, or OSError for a fault of the system and not of the file."""
