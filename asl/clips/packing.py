"""Packs shards, many of them in worker processes; a clip that kills its process is skipped."""

import os
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import suppress
from multiprocessing.context import ForkContext, SpawnContext
from typing import Any

from asl.clips.shards import PackedShard, Packing, Shard, ShardTask, commit, pack, temporary_path
from asl.clips.sources.base import BadClip, Entry
from asl.workers import WorkerKilled, cores, process_pool

# Fewer clips than this are packed faster in this process than worker processes start.
_MIN_CLIPS_FOR_WORKERS = 400

NumberedShards = Generator[tuple[int, Shard], None, None]


def pack_shards(packing: Packing, tasks: list[ShardTask], workers: int | None) -> NumberedShards:
    """Packs and commits shards.

    Args:
        packing: what they have in common.
        tasks: the shards.
        workers: number of processes; one for each core where None.

    Yields:
        The number of each shard and the shard, in the order in which they are finished.

    Raises:
        UserError: worker processes are killed again and again, though not by a clip.
        OSError: a shard cannot be written.
    """
    if sum(len(task.entries) for task in tasks) >= _MIN_CLIPS_FOR_WORKERS:
        yield from _pack_in_workers(packing, tasks, min(workers or cores(), len(tasks)))
        return
    for task in tasks:
        yield task.number, commit(packing, task.number, pack(packing, task))


def _pack_in_workers(packing: Packing, tasks: list[ShardTask], workers: int) -> NumberedShards:
    """Starts new workers where some were killed, and skips the clips that killed them."""
    left, unexplained = {task.number: task for task in tasks}, 0
    while left:
        try:
            for number, shard in _pack_in_pool(packing, list(left.values()), workers):
                del left[number]
                yield number, shard
        except WorkerKilled:
            begun = [
                task
                for task in left.values()
                if temporary_path(packing.folder, task.number).exists()
            ]
            crashing = {task.number: _crashing_clips(packing, task) for task in begun}
            unexplained += not any(crashing.values())
            if unexplained > 1:
                raise
            left |= {n: left[n]._replace(crashing=clips) for n, clips in crashing.items()}


def _pack_in_pool(packing: Packing, tasks: list[ShardTask], workers: int) -> NumberedShards:
    # Threads commit, so that no worker waits for the disk.
    with (
        process_pool(
            workers,
            _set_packing,
            (packing,),
            killed="reading processes were killed, perhaps for memory",
            context=_context(),
        ) as pool,
        ThreadPoolExecutor(2 * workers) as threads,
    ):
        pool.submit(os.getpid)  # forks now, before any thread has started
        futures = {threads.submit(_pack_and_commit, pool, packing, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future].number, future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _context() -> ForkContext | SpawnContext:
    # A new interpreter takes as long to start as hundreds of clips to read. But a process that is
    # forked while other threads run, torch's for one, may hang.
    single = threading.active_count() == 1 and not {"torch", "tensorflow"} & sys.modules.keys()
    return ForkContext() if single and sys.platform == "linux" else SpawnContext()


def _pack_and_commit(pool: ProcessPoolExecutor, packing: Packing, task: ShardTask) -> Shard:
    return commit(packing, task.number, pool.submit(_pack_in_worker, task).result())


_packing: Packing  # of this worker process: a source may be large, so it is sent only once


def _set_packing(packing: Packing) -> None:
    global _packing
    _packing = packing


def _pack_in_worker(task: ShardTask) -> PackedShard:
    return pack(_packing, task)


def _crashing_clips(packing: Packing, task: ShardTask) -> frozenset[tuple[str, int]]:
    """The clips of a shard that kill the process that reads them, found by reading each again."""
    entries = [entry for entry, _ in task.entries]
    crashing, context = set(task.crashing), _context()
    position = context.Value("q", 0)
    while position.value < len(entries):
        process = context.Process(target=_read_from, args=(packing, entries, position))
        process.start()
        process.join()
        if process.exitcode:
            entry = entries[position.value]
            crashing.add((entry.path, entry.row))
            position.value += 1
    return frozenset(crashing)


def _read_from(packing: Packing, entries: list[Entry], position: Any) -> None:
    while position.value < len(entries):
        with suppress(BadClip, OSError):
            packing.source.read(entries[position.value])
        position.value += 1
