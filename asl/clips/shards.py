"""One shard of a ClipStore: its clips packed one behind the other, and a journal of them.

A worker packs a draft; another hand commits it: waits until it is on the disk, gives it the name
of its content, and writes its journal, each appearing whole or not at all. A journal says which
files the shard was packed from and what they looked like then, so that the next run reads only
what changed.

Imports no torch: the workers must start fast.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import xxhash

from asl.clips.sources.base import BadClip, Entry, Source
from asl.landmarks import layout

TEMPORARY = ".tmp-"
_TOO_LARGE = 65_520  # from here on float16 is infinite


class Stamp(NamedTuple):
    """How a file looked when it was read: size in bytes, times of content and state in ns."""

    size: int
    modified: int
    changed: int


class Packed(NamedTuple):
    """What a shard's journal says about one raw clip.

    Attributes:
        path: its file.
        row: which clip of the file.
        stamp: how the file looked; None where there was none.
        frames: how many the clip has; 0 where it was left out.
        start: its first frame in the shard.
        digest: hash of the clip as packed.
        reason: what was wrong with it, empty where nothing was.
    """

    path: str
    row: int
    stamp: Stamp | None
    frames: int
    start: int
    digest: str
    reason: str


class Shard(NamedTuple):
    """One finished shard: the name of its files without suffix, and its journal."""

    name: str
    clips: list[Packed]


class Job(NamedTuple):
    """One shard to pack.

    Attributes:
        number: of the shard.
        entries: its clips, with how their files look.
        reuse: what an earlier run packed already, by path and row: the shard and its line there.
        deadly: clips, by path and row, that end the process that reads them.
    """

    number: int
    entries: list[tuple[Entry, Stamp | None]]
    reuse: dict[tuple[str, int], tuple[str, Packed]]
    deadly: frozenset[tuple[str, int]] = frozenset()


class Draft(NamedTuple):
    """A shard that is packed but not yet sure to be on the disk."""

    path: Path
    frames: int
    content: str
    clips: list[Packed]


class Packing(NamedTuple):
    """What all shards of a store have in common.

    Attributes:
        source: the raw data set.
        folder: where the shards lie.
        settings: what decides, besides the raw files, which bytes a shard holds: `layout`,
            `dtype`, `landmarks` (raw rows, None for all), and whatever the source is told.
    """

    source: Source
    folder: Path
    settings: dict[str, Any]


def pack(packing: Packing, job: Job) -> Draft:
    """Packs the clips of one shard; raises OSError where the disk does not take them."""
    settings = packing.settings
    size = len(settings["landmarks"] or range(layout(settings["layout"]).size))
    dtype, shape = np.dtype(settings["dtype"]), (size, 3)
    content = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    clips: list[Packed] = []
    frames = 0
    with _draft(packing.folder, job.number) as path, path.open("wb") as file:
        _write_header(file, (0, *shape), dtype)
        for entry, stamp in job.entries:
            clip, packed = _pack_clip(packing, job, entry, stamp)
            packed = packed._replace(start=frames)
            content.update(json.dumps([packed.path, packed.row, packed.digest]).encode())
            clips.append(packed)
            if clip is not None:
                file.write(clip.data)
                frames += packed.frames
        file.seek(0)
        _write_header(file, (frames, *shape), dtype)
    return Draft(path, frames, content.hexdigest()[:16], clips)


def commit(packing: Packing, number: int, draft: Draft) -> Shard:
    """Makes a draft a shard that outlives a pulled plug."""
    name = f"{number:03d}-{draft.content}"
    size = 0
    if draft.frames:
        size = draft.path.stat().st_size
        flush(draft.path)
        os.replace(draft.path, packing.folder / f"{name}.npy")
    else:
        draft.path.unlink()
    journal = {"settings": packing.settings, "size": size, "clips": draft.clips}
    write_text(packing.folder / f"{name}.json", json.dumps(journal))
    return Shard(name, draft.clips)


def finished(packing: Packing) -> list[Shard]:
    """Shards that an earlier run packed under the same settings, and whose files are whole."""
    shards = []
    for path in sorted(packing.folder.glob("*.json")):
        try:
            journal = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # cut short by a pulled plug
            continue
        data = path.with_suffix(".npy")
        size = data.stat().st_size if data.exists() else 0
        if journal["settings"] == packing.settings and journal["size"] == size:
            shards.append(Shard(path.stem, [_from_json(clip) for clip in journal["clips"]]))
    return shards


def remove_drafts(folder: Path) -> None:
    """Removes what killed runs left half done."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A text file that appears whole or not at all, and outlives a pulled plug."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        flush(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` once it is written."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def draft_path(folder: Path, number: int) -> Path:
    """Where a shard lies while it is packed."""
    return folder / f"{TEMPORARY}{number:03d}"


@contextmanager
def _draft(folder: Path, number: int) -> Iterator[Path]:
    path = draft_path(folder, number)
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Waits until a file is on the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _from_json(clip: list[Any]) -> Packed:
    packed = Packed(*clip)
    return packed._replace(stamp=None if packed.stamp is None else Stamp(*packed.stamp))


def _pack_clip(
    packing: Packing, job: Job, entry: Entry, stamp: Stamp | None
) -> tuple[np.ndarray | None, Packed]:
    """The clip as it goes to disk, None where it is left out, and its line in the journal."""
    if found := job.reuse.get((entry.path, entry.row)):
        return _packed_before(packing.folder, *found)
    line = Packed(entry.path, entry.row, stamp, frames=0, start=0, digest="", reason="")
    if (entry.path, entry.row) in job.deadly:
        return None, line._replace(reason="ends the process that reads it (damaged, or too large)")
    try:
        clip, note = packing.source.read(entry)
    except BadClip as error:
        return None, line._replace(reason=error.reason)
    except OSError as error:  # may be over by the next run, so the file counts as never seen
        return None, line._replace(stamp=None, reason=f"cannot be read ({error.strerror})")
    rows, dtype = packing.settings["landmarks"], packing.settings["dtype"]
    if rows:
        clip = clip.take(rows, axis=1)
    if dtype == "float16" and (np.abs(clip) >= _TOO_LARGE).any():
        return None, line._replace(reason="has a coordinate too large for float16")
    note = note or ("no landmark was detected in any frame" if np.isnan(clip).all() else "")
    packed = np.ascontiguousarray(clip, dtype)
    digest = xxhash.xxh3_128_hexdigest(packed.data)
    return packed, line._replace(frames=len(packed), digest=digest, reason=note)


def _packed_before(folder: Path, shard: str, line: Packed) -> tuple[np.ndarray | None, Packed]:
    if not line.frames:
        return None, line
    data = np.load(folder / f"{shard}.npy", mmap_mode="r")
    return np.ascontiguousarray(data[line.start : line.start + line.frames]), line


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A .npy header of 128 bytes, whatever the number of frames."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117)
    file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.encode() + b"\n")
