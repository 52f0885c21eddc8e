"""Which shards of a store have to be packed: those with new, changed or removed raw files.

A hash of a clip's path decides its shard, so a new file changes one shard.
"""

import hashlib
import os
import stat
from pathlib import Path

from asl.clips.shards import FileState, Packing, Shard, ShardTask, committed
from asl.clips.sources.base import Entry

# Enough shards to keep all cores busy on a thousand clips, few enough to keep them all open.
_CLIPS_PER_SHARD, _MAX_SHARDS = 64, 128


def find_changes(
    packing: Packing, entries: list[Entry]
) -> tuple[list[ShardTask], dict[int, Shard]]:
    """Compares the raw files with the journals of the committed shards.

    Returns:
        The shards to pack, and the unchanged ones by their numbers.
    """
    root = packing.source.root
    states = {path: _file_state(root / path) for path in {entry.path for entry in entries}}
    shards = committed(packing)
    by_clips = {tuple((c.path, c.row, c.state) for c in shard.clips): shard for shard in shards}
    records = {(c.path, c.row, c.state): (shard.name, c) for shard in shards for c in shard.clips}
    tasks, unchanged = [], {}
    for number, members in enumerate(_deal_into_shards(entries)):
        clips = tuple((entry.path, entry.row, states[entry.path]) for entry in members)
        if clips in by_clips:
            unchanged[number] = by_clips[clips]
            continue
        reuse = {clip[:2]: records[clip] for clip in clips if clip in records}
        tasks.append(ShardTask(number, [(e, states[e.path]) for e in members], reuse))
    return tasks, unchanged


def _file_state(path: Path) -> FileState | None:
    """The state of a file, or of a folder together with the files in it."""
    try:
        states = [os.stat(path)]
        if stat.S_ISDIR(states[0].st_mode):
            states += [entry.stat() for entry in os.scandir(path)]
    except OSError:
        return None
    size = sum(state.st_size for state in states)
    return FileState(size, max(s.st_mtime_ns for s in states), max(s.st_ctime_ns for s in states))


def _deal_into_shards(entries: list[Entry]) -> list[list[Entry]]:
    count = 1
    while count < min(_MAX_SHARDS, len(entries) / _CLIPS_PER_SHARD):
        count *= 2
    shards: list[list[Entry]] = [[] for _ in range(count)]
    for entry in entries:
        key = f"{entry.path}:{entry.row}".encode()
        shards[int.from_bytes(hashlib.sha256(key).digest()[:4], "big") % count].append(entry)
    return shards
