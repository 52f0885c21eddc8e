"""Reads the clip that a path names: a file of its own, or a clip of a described folder."""

import errno
import functools
import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import numpy as np

from asl.clips.sources.array_file import find_array
from asl.clips.sources.arrays import DESCRIPTION, read_description
from asl.clips.sources.base import Entry, Source, clip_names

MAX_BYTES = 1 << 30
"""Of a clip's array: a small compressed file may unpack to any size."""

WINDOW = 3.0
"""Seconds of a long video that are recognised as one clip."""

RATE = 30.0
"""Frames a second of what does not say: the competition's."""

VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
"""Endings of videos."""


def read_clip(path: str | Path) -> np.ndarray:
    """One clip, float32 [n, N, C], NaN = not detected.

    Args:
        path: a GISLR parquet; a .pose file; a glove's .sign; a .npy array or a .npz with one array;
            or, in a folder with a clips.yaml, what that describes: a file, a folder of frames, or a
            clip of an array of many, `clips.npz:17`.

    Raises:
        ValueError: what is wrong with the file, as the end of a sentence.
        UserError: what is wrong with clips.yaml.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() != ".parquet" and (root := _described_folder(path)):
        return _read_described(root, path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from asl.clips.sources.gislr import read_clip as read_parquet

        return read_parquet(path)
    if suffix == ".pose":
        from asl.clips.sources.pose import read_pose

        return read_pose(path)
    if suffix == ".sign":
        from asl.clips.sources.auslan import read_clip as read_sign

        return read_sign(path)
    if suffix not in (".npy", ".npz"):
        raise ValueError("must end in .parquet, .pose, .sign, .npy or .npz")
    clip = _read_numpy(path)
    if np.isinf(clip).any():
        raise ValueError("has an infinite coordinate")
    return clip


def read_clips(
    path: str | Path, window: float = WINDOW, mirror: bool = False
) -> Iterator[tuple[str, np.ndarray]]:
    """A clip with an empty name; or of a video of more than two windows each, with its time.

    Of a video no more than three windows are held at a time, so that it may be of any length.

    Args:
        path: what `read_clip` reads, or a video.
        window: seconds; the next one begins half a window later.
        mirror: whether left and right of a video are exchanged.

    Raises:
        ValueError, UserError, OSError: as `read_clip`; of a video also after any clip.
    """
    if Path(path).suffix.lower() not in VIDEOS:
        yield "", read_clip(path)
        return
    from asl.video.extract import showing_a_person

    rate, landmarks = read_frames(path, mirror=mirror)
    frames = iter(showing_a_person(Path(path), landmarks))
    size = max(1, round(window * rate))
    beginning = list(islice(frames, 2 * size + 1))
    if len(beginning) <= 2 * size:
        yield "", np.stack(beginning)
        return
    for a, clip in sliding(chain(beginning, frames), size, max(1, size // 2)):
        yield f":{a / rate:.1f}-{(a + len(clip)) / rate:.1f}s", clip


def read_frames(
    path: str | Path, rate: float = RATE, mirror: bool = False
) -> tuple[float, Iterable[np.ndarray]]:
    """Frames a second, and one frame's landmarks after the other, float32 [N, C].

    Of a video one picture is held at a time, so that it may be of any length.

    Args:
        path: what `read_clip` reads, or a video.
        rate: frames a second of what is no video; at most so many of a video are used.
        mirror: whether left and right of a video are exchanged.

    Raises:
        ValueError, UserError, OSError: as `read_clip`; of a video also later, at any frame.
    """
    if Path(path).suffix.lower() not in VIDEOS:
        return rate, read_clip(path)
    from asl.video.decode import open_video, thinning
    from asl.video.extract import landmarks_of

    video = open_video(Path(path))
    return (video.rate or rate) * thinning(video, rate), landmarks_of(video, mirror, rate)


def sliding(frames: Iterable[np.ndarray], size: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Windows over frames `[N, C]`: the number of the first frame, and `[size, N, C]`.

    They begin `hop` frames apart, at most `size`; no more than `size` are held. What is left at the
    end is a window too where it is more than half of one, or where it is all there is.
    """
    held: list[np.ndarray] = []
    start = 0
    for frame in frames:
        held.append(frame)
        if len(held) == size:
            yield start, np.stack(held)
            start += hop
            del held[:hop]
    while held and (len(held) > size // 2 or not start):
        yield start, np.stack(held)
        start += hop
        del held[:hop]


def sign_of(path: str | Path, known: Sequence[str]) -> str | None:
    """The sign of a clip, by what lies beside it; None where nothing says it.

    Args:
        path: of a clip, as for `read_clip`, or of a video.
        known: signs that the clip's folder may be named after.

    Returns:
        that of the clips.yaml or the train.csv that lists the clip; or the folder's name where it
        is one of `known`.

    Raises:
        UserError: what is wrong with clips.yaml or train.csv.
    """
    path = Path(path).absolute()
    if root := _described_folder(path):
        entries = _described_clips(root)[1]
    elif root := next((each for each in path.parents if (each / "train.csv").is_file()), None):
        entries = _listed_clips(root)
    else:
        return path.parent.name if path.parent.name in known else None
    entry = entries.get(path.relative_to(root).as_posix())
    return entry.sign if entry else None


@functools.cache
def _listed_clips(root: Path) -> dict[str, Entry]:
    """The clips of a folder in the competition's format by their paths."""
    from asl.clips.sources.gislr import GislrSource

    return {entry.path: entry for entry in GislrSource(root).listing().entries}


def _described_folder(path: Path) -> Path | None:
    """The next folder, at the path or above it, that holds a clips.yaml."""
    path = path.absolute()
    folders = (path, *path.parents)
    return next((folder for folder in folders if (folder / DESCRIPTION).is_file()), None)


def _read_described(root: Path, path: Path) -> np.ndarray:
    source, entries = _described_clips(root)
    name = path.absolute().relative_to(root).as_posix()
    if name in entries:
        return source.read(entries[name]).clip
    rows = [each for each in entries if each.rpartition(":")[0] == name]
    if rows:
        raise ValueError(f"holds {len(rows)} clips; name one of them: {path}:0")
    raise ValueError(f"is no clip that {root / DESCRIPTION} describes")


@functools.cache
def _described_clips(root: Path) -> tuple[Source, dict[str, Entry]]:
    """A described folder's source, and its clips by their names."""
    # These import pyarrow, native code that other clips do without.
    from asl.clips.sources.npy import described_npy
    from asl.clips.sources.npz import described_npz

    by_files = "files" in read_description(root / DESCRIPTION)
    source: Source = described_npy(root) if by_files else described_npz(root)
    entries = source.listing().entries
    return source, dict(zip(clip_names(entries), entries, strict=True))


def _read_numpy(path: Path) -> np.ndarray:
    with _numpy_file():
        members = _members(path)
    if members is not None and len(members) != 1:
        names = ", ".join(name.removesuffix(".npy") for name in members)
        raise ValueError(f"must hold one array, holds {names or 'none'}")
    with _numpy_file():
        array = find_array(path, members[0] if members else None)
        if array.dtype.kind not in "biuf":
            raise TypeError(array.dtype)
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > MAX_BYTES:
        raise ValueError(f"holds {size / 1e9:.1f} GB, which no clip has")
    with _numpy_file(), np.errstate(over="ignore"):
        loaded = np.load(path, allow_pickle=False)
        if members is None:
            return np.asarray(loaded, np.float32)
        with loaded:
            return np.asarray(loaded[members[0]], np.float32)


def _members(path: Path) -> list[str] | None:
    """The names of what a zip, which .npz files are, holds; None for another file."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return None
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


@contextmanager
def _numpy_file() -> Iterator[None]:
    """Faults of a file's content become a ValueError that says so."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # numpy evaluates headers as Python, so any type is possible
        raise ValueError("is not a NumPy file of numbers") from error
