"""What `prepare` asks of a raw format: a listing of its clips, and one clip at a time.

Sources are pickled into worker processes, which must start fast: nothing here, nor in any source,
imports torch.
"""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from asl.errors import UserError


class Entry(NamedTuple):
    """One clip that a raw data set says it has.

    Attributes:
        path: its file, relative to the source's root, with forward slashes.
        signer: who signs.
        sequence_id: the recording's own name.
        sign: what is signed.
        row: which clip of the file, where a file holds many.
    """

    path: str
    signer: str
    sequence_id: str
    sign: str
    row: int = 0


class Problem(NamedTuple):
    """Something wrong with a raw file.

    Attributes:
        path: the file, relative to the source's root.
        reason: what is wrong with it.
        kept: whether its clip is in the store all the same.
    """

    path: str
    reason: str
    kept: bool = False


class Listing(NamedTuple):
    """The clips of a raw data set, and what was wrong with its list of them."""

    entries: list[Entry]
    problems: list[Problem]


class Reading(NamedTuple):
    """One clip as read.

    Attributes:
        clip: float32 [frames, landmarks, 3], NaN = not detected.
        note: what was odd about it, though it could be read; empty where nothing was.
    """

    clip: np.ndarray
    note: str = ""


class BadClip(UserError):  # noqa: N818 - a thing found in the data, named as such
    """A file that holds no clip that could be believed.

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
    """What decides, besides its files, what a clip looks like; can be written as JSON."""

    def listing(self) -> Listing:
        """Every clip, in a stable order; raises UserError where there is no data set."""

    def read(self, entry: Entry) -> Reading:
        """One clip; raises BadClip, or OSError where the machine and not the file is to blame."""
