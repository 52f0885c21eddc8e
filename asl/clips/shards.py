"""One shard of a ClipStore: clips packed one after the other, and a journal of their raw files.

A shard is packed into a temporary file, then committed: flushed to the disk, renamed after its
content, and listed in its journal. The journal records what each raw file looked like, so that the
next run reads only those that changed.

Imports no torch, because worker processes must start fast.
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

from asl.clips.odd import NOTHING, oddity
from asl.clips.sources.base import BadClip, Entry, Source
from asl.files import TEMPORARY, replacing
from asl.landmarks import layout

# Coordinates of this size are no landmarks: they are infinite in float16, their squares in float32.
_TOO_LARGE = {"float16": 65_520, "float32": 1e9}

REFUSE_ODD = "refuse_odd"
"""Among the settings where clips that are odd by themselves are not packed."""


class FileState(NamedTuple):
    """Size of a file in bytes; when its content and its metadata last changed, in ns."""

    size: int
    modified: int
    changed: int


class ClipRecord(NamedTuple):
    """A journal's record of one raw clip.

    Attributes:
        path: its file, relative to the source's root.
        row: which clip of the file.
        state: of the file when it was read; None where there was none.
        frames: length of the clip; 0 where it was skipped.
        start: its first frame in the shard.
        digest: hash of the clip as packed.
        reason: what is wrong with it; empty where nothing is.
    """

    path: str
    row: int
    state: FileState | None
    frames: int
    start: int
    digest: str
    reason: str

    @property
    def key(self) -> tuple[str, int]:
        """Identifies the clip within the data set."""
        return self.path, self.row


class Shard(NamedTuple):
    """A committed shard: the name of its files without suffix, and its journal."""

    name: str
    clips: list[ClipRecord]


class ShardTask(NamedTuple):
    """One shard to pack.

    Attributes:
        number: of the shard.
        entries: its clips, with the states of their files.
        reuse: for clips that an earlier run packed, by path and row: name of the shard and record.
        crashing: clips, by path and row, that kill the process that reads them.
    """

    number: int
    entries: list[tuple[Entry, FileState | None]]
    reuse: dict[tuple[str, int], tuple[str, ClipRecord]]
    crashing: frozenset[tuple[str, int]] = frozenset()


class PackedShard(NamedTuple):
    """A shard in a temporary file, not yet committed.

    Attributes:
        path: of the temporary file.
        frames: of all its clips.
        digest: hash of its content, which becomes part of its name.
        clips: its journal.
    """

    path: Path
    frames: int
    digest: str
    clips: list[ClipRecord]


class Packing(NamedTuple):
    """What all shards of a store have in common.

    Attributes:
        source: the raw data set.
        folder: of the shards.
        settings: everything besides the raw files that decides a shard's bytes: `layout`, `dtype`,
            `landmarks` (raw rows, None for all), the source's own settings, and `refuse_odd` where
            that is true.
    """

    source: Source
    folder: Path
    settings: dict[str, Any]


def pack(packing: Packing, task: ShardTask) -> PackedShard:
    """Packs the clips of one shard; raises OSError where they cannot be written."""
    settings = packing.settings
    of_clips = layout(settings["layout"])
    size = len(settings["landmarks"] or range(of_clips.size))
    dtype, shape = np.dtype(settings["dtype"]), (size, len(of_clips.channels))
    content = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    clips: list[ClipRecord] = []
    frames = 0
    path = temporary_path(packing.folder, task.number)
    with _removed_on_error(path), path.open("wb") as file:
        _write_header(file, (0, *shape), dtype)
        for entry, state in task.entries:
            clip, record = _pack_clip(packing, task, entry, state)
            record = record._replace(start=frames)
            content.update(json.dumps([*record.key, record.digest]).encode())
            clips.append(record)
            if clip is not None:
                file.write(clip.data)
                frames += record.frames
        file.seek(0)
        _write_header(file, (frames, *shape), dtype)
    return PackedShard(path, frames, content.hexdigest()[:16], clips)


def commit(packing: Packing, number: int, packed: PackedShard) -> Shard:
    """Makes a packed shard permanent; it survives a power failure from here on."""
    name = f"{number:03d}-{packed.digest}"
    size = 0
    if packed.frames:
        size = packed.path.stat().st_size
        flush(packed.path)
        os.replace(packed.path, packing.folder / f"{name}.npy")
    else:
        packed.path.unlink()
    journal = {"settings": packing.settings, "size": size, "clips": packed.clips}
    write_text(packing.folder / f"{name}.json", json.dumps(journal))
    return Shard(name, packed.clips)


def committed(packing: Packing) -> list[Shard]:
    """The complete shards that earlier runs committed under the same settings."""
    shards = []
    for path in sorted(packing.folder.glob("*.json")):
        try:
            journal = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # truncated by a power failure
            continue
        data = path.with_suffix(".npy")
        size = data.stat().st_size if data.exists() else 0
        if journal["settings"] == packing.settings and journal["size"] == size:
            shards.append(Shard(path.stem, [_from_json(clip) for clip in journal["clips"]]))
    return shards


def remove_temporary_files(folder: Path) -> None:
    """Removes the unfinished files of killed runs."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, and flushes it to the disk."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        flush(temporary)


def temporary_path(folder: Path, number: int) -> Path:
    """The file of a shard until it is committed."""
    return folder / f"{TEMPORARY}{number:03d}"


def flush(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _from_json(clip: list[Any]) -> ClipRecord:
    record = ClipRecord(*clip)
    return record._replace(state=None if record.state is None else FileState(*record.state))


def _pack_clip(
    packing: Packing, task: ShardTask, entry: Entry, state: FileState | None
) -> tuple[np.ndarray | None, ClipRecord]:
    """The clip as it is written, None where it is skipped, and its record."""
    record = ClipRecord(entry.path, entry.row, state, frames=0, start=0, digest="", reason="")
    if earlier := task.reuse.get(record.key):
        return _reuse(packing.folder, *earlier)
    if record.key in task.crashing:
        reason = "ends the process that reads it (damaged, or too large)"
        return None, record._replace(reason=reason)
    try:
        clip, note = packing.source.read(entry)
    except BadClip as error:
        return None, record._replace(reason=error.reason)
    except OSError as error:  # perhaps temporary: without a state, the next run reads it again
        return None, record._replace(state=None, reason=f"cannot be read ({error.strerror})")
    rows, dtype = packing.settings["landmarks"], packing.settings["dtype"]
    odd = oddity(clip, layout(packing.settings["layout"]))
    if odd and packing.settings.get(REFUSE_ODD):
        return None, record._replace(reason=odd)
    if rows:
        clip = clip.take(rows, axis=1)
    if (np.abs(clip) >= _TOO_LARGE[dtype]).any():
        return None, record._replace(reason=f"has a coordinate too large for {dtype}")
    note = note or odd or (NOTHING if np.isnan(clip).all() else "")
    packed = np.ascontiguousarray(clip, dtype)
    digest = xxhash.xxh3_128_hexdigest(packed.data)
    return packed, record._replace(frames=len(packed), digest=digest, reason=note)


def _reuse(folder: Path, shard: str, record: ClipRecord) -> tuple[np.ndarray | None, ClipRecord]:
    if not record.frames:
        return None, record
    data = np.load(folder / f"{shard}.npy", mmap_mode="r")
    return np.ascontiguousarray(data[record.start : record.start + record.frames]), record


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A .npy header of 128 bytes, whatever the number of frames."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117)
    file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.encode() + b"\n")
