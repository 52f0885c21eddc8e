"""Writes a store's folder: its index (problems.csv, the table of clips, the manifest), last of all.

The manifest says which files are the store's, so that a store changes in one step. Files of earlier
versions are deleted afterwards, once nobody reads them; files of other names never are.
"""

import csv
import errno
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from asl.clips.columns import ColumnChoice
from asl.clips.names import sorted_names
from asl.clips.readers import shards_of, unread, with_shards
from asl.clips.shards import ClipRecord, Packing, Shard, flush, write_text
from asl.clips.sources.base import Listing, Problem, Source, clip_names
from asl.clips.store import LOCK, MANIFEST, PROBLEMS, SHARDS, is_store, read_manifest
from asl.errors import UserError
from asl.files import TEMPORARY, replacing

_TABLE_FILE = re.compile(r"clips-[0-9a-f]{16}\.arrow")
_SHARD_FILE = re.compile(r"\d{3}-[0-9a-f]{16}\.(npy|json)")


@contextmanager
def writing(store_dir: Path) -> Iterator[None]:
    """Makes the folder and locks it; a second writer waits.

    Raises:
        UserError: the folder cannot be written, or holds other files and is not a store.
    """
    try:
        _refuse_other_folders(store_dir)
        (store_dir / SHARDS).mkdir(parents=True, exist_ok=True)
        with _locked(store_dir):
            yield
    except OSError as error:
        room = "; what is packed stays: make room and repeat the command"
        why = f"{error.strerror or error}{room if error.errno == errno.ENOSPC else ''}"
        raise UserError(f"{store_dir}: cannot be written ({why})") from error


@contextmanager
def _locked(store_dir: Path) -> Iterator[None]:
    lock = FileLock(store_dir / LOCK)  # the system releases it when the process ends
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"waiting for another prepare of {store_dir}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _refuse_other_folders(store_dir: Path) -> None:
    """Raises UserError where a folder holds files and is neither a store nor the start of one."""
    if not store_dir.exists() or is_store(store_dir):
        return
    others = sorted(path.name for path in store_dir.iterdir() if not _may_be_unfinished(path))
    if others:
        raise UserError(
            f"data.store={store_dir}: this folder holds other files ({others[0]} for one) and is "
            "not a clip store; name an empty folder, or one that is not there yet"
        )


def _may_be_unfinished(path: Path) -> bool:
    """Whether an interrupted run may have left this in a store without a manifest."""
    if path.name == SHARDS:
        shards = (child.name for child in path.iterdir())
        return all(_SHARD_FILE.fullmatch(n) or n.startswith(TEMPORARY) for n in shards)
    if path.name == PROBLEMS:
        return (path.parent / SHARDS).is_dir()
    by_name = path.name == LOCK or path.name.startswith(TEMPORARY)
    return by_name or bool(_TABLE_FILE.fullmatch(path.name))


class Index(NamedTuple):
    """What the index of a store holds.

    Attributes:
        manifest: manifest.json.
        table: a row for each clip.
        shards: all of the store.
        problems: of the raw files.
    """

    manifest: dict[str, Any]
    table: pa.Table
    shards: list[Shard]
    problems: list[Problem]


def make_index(
    packing: Packing,
    store_dir: Path,
    listing: Listing,
    shards: list[Shard],
    problems: list[Problem],
    name: str | None,
    choice: ColumnChoice,
) -> Index:
    """The index of a store whose shards are committed.

    Columns are not in the fingerprint: the clips are the same with and without them.

    Args:
        packing: what the shards have in common.
        store_dir: the store's folder.
        listing: of the raw data set, with the columns that are kept.
        shards: all of the store.
        problems: of the raw files.
        name: of the data set; the folder's where None.
        choice: how these columns were chosen; the next run without a choice takes it.
    """
    table, signers, content = _clip_table(packing.source, listing, shards)
    data = [packing.folder / f"{shard.name}.npy" for shard in shards]
    sizes = {path.name: path.stat().st_size for path in data if path.exists()}
    identity = [packing.settings, packing.source.signs, content]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    manifest = packing.settings | {
        "name": name or store_dir.name,
        "fingerprint": fingerprint,
        "clips": table.num_rows,
        "frames": sum(clip.frames for shard in shards for clip in shard.clips),
        "signers": signers,
        "signs": packing.source.signs,
        "table": f"clips-{_table_digest(fingerprint, listing)}.arrow",
        "shards": sizes,
        **({"columns": choice} if listing.columns else {}),
    }
    return Index(manifest, with_shards(table, list(sizes)), shards, problems)


def _table_digest(fingerprint: str, listing: Listing) -> str:
    """The digest in the table's file name: of the fingerprint, rows in files, and columns.

    Version 0.1 had neither rows nor columns in its table, but the same fingerprint, which alone is
    the digest where there are none.
    """
    several = len({entry.path for entry in listing.entries}) < len(listing.entries)
    if not several and not listing.columns:
        return fingerprint
    identity = f"{fingerprint} path:row" if several else fingerprint
    identity += json.dumps(dict(listing.columns)) if listing.columns else ""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def write_index(root: Path, store_dir: Path, index: Index) -> bool:
    """Writes an index, and deletes the files of versions that nobody reads.

    Args:
        root: of the raw data set.
        store_dir: the store's folder.
        index: to write.

    Returns:
        Whether it differs from the one before.

    Raises:
        UserError: there is no clip.
    """
    problems, manifest = index.problems, index.manifest
    _write_problems(store_dir / PROBLEMS, problems)
    if not index.table.num_rows:
        why = f"{len(problems)} problems, see {store_dir / PROBLEMS}" if problems else "no rows"
        raise UserError(f"{root}: holds no clip that can be read ({why})")
    changed = read_manifest(store_dir) != manifest
    table = store_dir / manifest["table"]
    if not table.exists():  # named after its content; others may read it
        _write_table(table, index.table)
    if changed:
        write_text(store_dir / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    _delete_unread(store_dir, table, {shard.name for shard in index.shards})
    return changed


def _delete_unread(store_dir: Path, current: Path, keep: set[str]) -> None:
    """Deletes the versions of a store that nobody reads; files that a user put there stay.

    Args:
        store_dir: the store's folder.
        current: the table of clips of the version that stays in any case.
        keep: names of its shards, without suffix.
    """
    tables = [path for path in store_dir.iterdir() if _TABLE_FILE.fullmatch(path.name)]
    for table in tables:
        with unread(table) as free:
            if free and table != current:
                table.unlink()
            elif not free:
                named = shards_of(table)
                if named is None:
                    return
                keep = keep | {Path(name).stem for name in named}
    for path in (store_dir / SHARDS).iterdir():
        if path.stem not in keep and _SHARD_FILE.fullmatch(path.name):
            path.unlink()


def _write_problems(path: Path, problems: list[Problem]) -> None:
    """Writes problems.csv where it differs: a full disk does not keep a finished store closed."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["path", "reason", "kept"])
    for problem in sorted(problems):
        writer.writerow([problem.path, problem.reason, "yes" if problem.kept else "no"])
    content = text.getvalue().encode(errors="backslashreplace")
    if not path.is_file() or path.read_bytes() != content:
        with replacing(path) as temporary:
            temporary.write_bytes(content)


def _write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
        flush(temporary)


def _clip_table(
    source: Source, listing: Listing, shards: list[Shard]
) -> tuple[pa.Table, list[str], list[list[str]]]:
    """The clips in the listing's order; the signers; and what identifies each clip."""
    files = [shard for shard in shards if any(clip.frames for clip in shard.clips)]
    records: dict[tuple[str, int], tuple[int, ClipRecord]] = {
        clip.key: (number, clip)
        for number, shard in enumerate(files)
        for clip in shard.clips
        if clip.frames
    }
    entries = listing.entries
    packed = [(entry.path, entry.row) in records for entry in entries]
    rows = [
        (name, entry, *records[entry.path, entry.row])
        for name, entry in compress(zip(clip_names(entries), entries, strict=True), packed)
    ]
    signers = sorted_names([entry.signer for _, entry, *_ in rows])
    signer_of = {signer: i for i, signer in enumerate(signers)}
    label_of = {sign: i for i, sign in enumerate(source.signs)}
    table = {
        "path": _texts([name for name, *_ in rows]),
        "sign": _numbers([label_of[e.sign] for _, e, *_ in rows]),
        "signer": _numbers([signer_of[e.signer] for _, e, *_ in rows]),
        "sequence_id": _texts([e.sequence_id for _, e, *_ in rows]),
        "frames": _numbers([clip.frames for *_, clip in rows]),
        "shard": _numbers([shard for *_, shard, _ in rows]),
        "start": _numbers([clip.start for *_, clip in rows]),
        **{name: _texts(list(compress(texts, packed))) for name, texts in listing.columns.items()},
    }
    content = [[*map(str, entry), clip.digest] for _, entry, _, clip in rows]
    return pa.table(table), signers, content


# pa.array imports pandas when it is first called, which takes as long as packing 500 clips.


def _numbers(values: list[int]) -> pa.Array:
    buffer = pa.py_buffer(np.array(values, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(values), [None, buffer])


def _texts(values: list[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers)
