"""What `prepare` prints: progress while shards are packed, and a summary of the store."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from asl.clips.shards import Shard
from asl.clips.sources.base import Problem
from asl.clips.store import PROBLEMS, SHARDS, ClipStore
from asl.terminal import printable

_SECONDS_PER_LINE = 15


@contextmanager
def packing_progress(clips: int) -> Iterator[Callable[[Shard], None]]:
    """A bar on a terminal, a line now and then elsewhere; yields a function to call per shard."""
    columns = (
        TextColumn("packing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # Without a refreshing thread, because worker processes may be forked.
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
    task = bar.add_task("packing", total=clips, rate="")
    start = last_line = time.perf_counter()
    bytes_read = 0

    def advance(shard: Shard) -> None:
        nonlocal last_line, bytes_read
        bytes_read += _raw_bytes([shard])
        now = time.perf_counter()
        done = int(bar.tasks[0].completed) + len(shard.clips)
        rate = f"{done / (now - start):.0f} clips/s, {bytes_read / (now - start) / 1e6:.0f} MB/s"
        bar.update(task, completed=done, rate=rate, refresh=console.is_terminal)
        if not console.is_terminal and now - last_line > _SECONDS_PER_LINE:
            left = (clips - done) * (now - start) / done
            console.print(f"packed {done:,} of {clips:,} clips, {rate}, {left:.0f} s left")
            last_line = now

    if clips and console.is_terminal:
        with bar:
            yield advance
    else:
        yield advance


def summarise(
    store: ClipStore,
    packed: list[Shard],
    problems: list[Problem],
    changed: bool,
    seconds: float,
    echo: Callable[[str], None],
) -> None:
    """Prints what the store holds, the problems by kind, and last the rate in clips/s.

    Args:
        store: the finished store.
        packed: the shards that were packed in this run.
        problems: of the raw files.
        changed: whether the store differs from the one before this run.
        seconds: that the run took.
        echo: prints a line.
    """
    size = sum(path.stat().st_size for path in (store.directory / SHARDS).glob("*.npy"))
    counts = f"{len(store):,} clips, {store.frames.sum():,} frames, {len(store.signs)} signs"
    stored = "" if store.landmarks is None else f", {len(store.landmarks)} landmarks"
    size_text = f"{size / 1e6:,.0f} MB {store.dtype}{stored}"
    echo(f"{store.name}: {counts}, {len(store.signers)} signers, {size_text}")
    unsigned = np.setdiff1d(np.arange(len(store.signs)), store.sign)
    if len(unsigned):
        names = ", ".join(store.signs[sign] for sign in unsigned[:10])
        more = ", …" if len(unsigned) > 10 else ""
        echo(printable(f"{len(unsigned)} signs without a clip: {names}{more}"))
    _list_problems(store, problems, echo)
    if store.columns:
        kinds = [f"{name} ({len(set(values)):,})" for name, values in store.columns.items()]
        echo(printable(f"columns, with their numbers of values: {', '.join(kinds)}"))
    clips = sum(len(shard.clips) for shard in packed)
    if clips:
        speed = f"{_raw_bytes(packed) / seconds / 1e6:.0f} MB/s"
        what = f"packed {clips:,} clips in {seconds:.1f} s, {speed}"
    elif changed:
        what = f"updated the index of {len(store):,} clips in {seconds:.1f} s"
    else:
        what = f"checked {len(store):,} clips, none changed, in {seconds:.1f} s"
    echo(f"{store.directory}: {what}, {(clips or len(store)) / seconds:.0f} clips/s")


def _raw_bytes(shards: Iterable[Shard]) -> int:
    """Size of the raw files that shards were packed from."""
    sizes = {clip.path: clip.state.size for s in shards for clip in s.clips if clip.state}
    return sum(sizes.values())


def _list_problems(store: ClipStore, problems: list[Problem], echo: Callable[[str], None]) -> None:
    for kept, what in ((False, "FILES SKIPPED"), (True, "odd files kept")):
        kinds = Counter(_kind(problem.reason) for problem in problems if problem.kept == kept)
        if not kinds:
            continue
        echo(f"{kinds.total()} {what}, see {store.directory / PROBLEMS}:")
        for kind, count in kinds.most_common(8):
            echo(printable(f"  {count:>6} × {kind}"))
        if len(kinds) > 8:
            echo(f"         and {len(kinds) - 8} other reasons")


def _kind(reason: str) -> str:
    """A reason without the names and numbers that differ from file to file."""
    return re.sub(r"'[^']*'|\(.*\)|-?\d+", "…", reason)
