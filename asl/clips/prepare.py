"""Raw clips are packed into a ClipStore: once, on all cores, and safe against a pulled plug.

A clip belongs to the shard that a hash of its path says, so a new file touches one shard. A shard
is named after its content and written beside the old one; the manifest, replaced last, says which
shards are the store's. The next run re-reads only the files that changed, and keeps the finished
shards of an interrupted one; what it makes depends on nothing but the raw files and the settings.
"""

import csv
import errno
import hashlib
import json
import os
import re
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from asl.clips.shards import (
    TEMPORARY,
    Draft,
    Job,
    Packed,
    Packing,
    Shard,
    Stamp,
    commit,
    draft_path,
    finished,
    flush,
    pack,
    remove_drafts,
    replacing,
    write_text,
)
from asl.clips.sources.base import BadClip, Entry, Problem, Source
from asl.clips.splits import sorted_signers
from asl.clips.store import FORMAT, MANIFEST, PROBLEMS, SHARDS, ClipStore, is_store, read_manifest
from asl.errors import UserError, unknown
from asl.landmarks import LANDMARK_SETS, landmark_set
from asl.workers import cores, serve_parent

OnProblem = Literal["skip", "fail"]
Dtype = Literal["float32", "float16"]

# Enough shards to keep all cores busy on a thousand clips, few enough to keep them all open.
_CLIPS_A_SHARD, _MOST_SHARDS = 64, 128
# What worker processes cost to start, in clips: smaller jobs are done in this process.
_CLIPS_WORTH_A_POOL = 400
_SECONDS_A_LINE = 15
LOCK = ".lock"
# The names that this writer gives to files; nothing else is ever deleted.
_TABLE_FILE = re.compile(r"clips-[0-9a-f]{16}\.arrow")
_SHARD_FILE = re.compile(r"\d{3}-[0-9a-f]{16}\.(npy|json)")


def prepare(
    source: Source,
    store_dir: Path | str,
    *,
    dtype: Dtype = "float32",
    keep: str = "all",
    on_problem: OnProblem = "skip",
    workers: int | None = None,
    name: str | None = None,
    echo: Callable[[str], None] = print,
) -> ClipStore:
    """Packs a raw data set, or brings its store up to date, and opens the store.

    Args:
        source: the raw data set.
        store_dir: the store's folder; made if need be.
        dtype: of the coordinates on disk.
        keep: the landmarks that go to disk: `all`, or those that a landmark set loads.
        on_problem: skip a clip that cannot be believed, or fail at the first.
        workers: processes that read; every core where None.
        name: the data set's, the folder's name where None.
        echo: is given the summary, line by line; the last one has the rate in clips/s.

    Raises:
        UserError: the data set is not there, holds no clip at all, has a problem under
            `on_problem="fail"`, or the store cannot be written, or its folder holds other files.
    """
    store_dir, began = Path(store_dir), time.perf_counter()
    _check_choices(dtype, on_problem)
    settings = {
        "format": FORMAT,
        "layout": source.layout,
        "dtype": dtype,
        "landmarks": _rows_to_keep(source.layout, keep),
        "source": source.settings,
    }
    packing = Packing(source, store_dir / SHARDS, settings)
    with _writing(store_dir), _locked(store_dir):
        remove_drafts(packing.folder)
        listing = source.listing()
        _fail_on(listing.problems, on_problem, source.root)
        jobs, kept = _plan(packing, listing.entries)
        _fail_on(_clip_problems(kept.values()), on_problem, source.root)
        done = _pack_all(packing, jobs, workers, on_problem)
        shards = [kept.get(n) or done[n] for n in range(len(kept) + len(done))]
        problems = listing.problems + _clip_problems(shards)
        changed = _finish(packing, store_dir, listing.entries, shards, problems, name)
    store = ClipStore.open(store_dir)
    seconds = time.perf_counter() - began
    _summarise(store, list(done.values()), problems, changed, seconds, echo)
    return store


def _rows_to_keep(layout: str, keep: str) -> list[int] | None:
    fitting = [name for name, some in LANDMARK_SETS.items() if some.layout.name == layout]
    if keep not in ("all", *fitting):
        raise unknown("data.keep", keep, ["all", *fitting])
    return None if keep == "all" else list(landmark_set(keep).indices)


# --- what there is to do ------------------------------------------------------------------------


def _plan(packing: Packing, entries: list[Entry]) -> tuple[list[Job], dict[int, Shard]]:
    """The shards to pack, and by number those that stand."""
    stamps = _stamps(packing.source.root, {entry.path for entry in entries})
    buckets = _buckets(entries)
    standing = finished(packing)
    whole = {_identity(shard.clips): shard for shard in standing}
    single = {(c.path, c.row, c.stamp): (s.name, c) for s in standing for c in s.clips}
    jobs, kept = [], {}
    for number, members in enumerate(buckets):
        wanted = tuple((e.path, e.row, stamps[e.path]) for e in members)
        if wanted in whole:
            kept[number] = whole[wanted]
            continue
        reuse = {key[:2]: single[key] for key in wanted if key in single}
        jobs.append(Job(number, [(e, stamps[e.path]) for e in members], reuse))
    return jobs, kept


def _identity(clips: Iterable[Packed]) -> tuple[tuple[str, int, Stamp | None], ...]:
    return tuple((clip.path, clip.row, clip.stamp) for clip in clips)


def _stamps(root: Path, paths: Iterable[str]) -> dict[str, Stamp | None]:
    return {path: _stamp(root / path) for path in paths}


def _stamp(path: Path) -> Stamp | None:
    """How a file looks, or a folder together with the files in it."""
    try:
        states = [os.stat(path)]
        if stat.S_ISDIR(states[0].st_mode):
            states += [entry.stat() for entry in os.scandir(path)]
    except OSError:
        return None
    size = sum(state.st_size for state in states)
    return Stamp(size, max(s.st_mtime_ns for s in states), max(s.st_ctime_ns for s in states))


def _buckets(entries: list[Entry]) -> list[list[Entry]]:
    count = 1
    while count < min(_MOST_SHARDS, len(entries) / _CLIPS_A_SHARD):
        count *= 2
    buckets: list[list[Entry]] = [[] for _ in range(count)]
    for entry in entries:
        key = f"{entry.path}:{entry.row}".encode()
        buckets[int.from_bytes(hashlib.sha256(key).digest()[:4], "big") % count].append(entry)
    return buckets


# --- packing ------------------------------------------------------------------------------------


def _pack_all(
    packing: Packing, jobs: list[Job], workers: int | None, on_problem: OnProblem
) -> dict[int, Shard]:
    done: dict[int, Shard] = {}
    clips = sum(len(job.entries) for job in jobs)
    workers = min(workers or cores(), len(jobs))
    pooled = clips >= _CLIPS_WORTH_A_POOL
    run = _in_pools(packing, jobs, workers) if pooled else _here(packing, jobs)
    with closing(run), _progress(clips) as advance:
        for number, shard in run:
            done[number] = shard
            _fail_on(_clip_problems([shard]), on_problem, packing.source.root)
            advance(shard)
    return done


_Shards = Generator[tuple[int, Shard], None, None]


def _here(packing: Packing, jobs: list[Job]) -> _Shards:
    for job in jobs:
        yield job.number, commit(packing, job.number, pack(packing, job))


def _in_pools(packing: Packing, jobs: list[Job], workers: int) -> _Shards:
    """In worker processes; in new ones where some died, without the clips that they died of."""
    left, deaths = {job.number: job for job in jobs}, 0
    while left:
        try:
            for number, shard in _in_pool(packing, list(left.values()), workers):
                del left[number]
                yield number, shard
        except BrokenProcessPool as error:
            begun = [j for j in left.values() if draft_path(packing.folder, j.number).exists()]
            found = {job.number: _deadly(packing, job) for job in begun}
            deaths += not any(found.values())
            if deaths > 1:
                raise UserError("reading processes were killed, perhaps for memory") from error
            left |= {n: left[n]._replace(deadly=clips) for n, clips in found.items()}


def _in_pool(packing: Packing, jobs: list[Job], workers: int) -> _Shards:
    with (
        ProcessPoolExecutor(workers, _context(), _start, (packing,)) as pool,
        ThreadPoolExecutor(2 * workers) as threads,
    ):
        pool.submit(os.getpid)  # forks now, while there is no other thread
        futures = {threads.submit(_pack_and_commit, pool, packing, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future].number, future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _deadly(packing: Packing, job: Job) -> frozenset[tuple[str, int]]:
    """The clips of a job that end the process that reads them, found by reading them in one."""
    entries = [entry for entry, _ in job.entries]
    deadly, context = set(job.deadly), _context()
    place = context.Value("q", 0)
    while place.value < len(entries):
        process = context.Process(target=_read_each, args=(packing, entries, place))
        process.start()
        process.join()
        if process.exitcode:
            entry = entries[place.value]
            deadly.add((entry.path, entry.row))
            place.value += 1
    return frozenset(deadly)


def _read_each(packing: Packing, entries: list[Entry], place: Any) -> None:
    while place.value < len(entries):
        with suppress(BadClip, OSError):
            packing.source.read(entries[place.value])
        place.value += 1


def _context() -> ForkContext | SpawnContext:
    # A fresh interpreter takes as long to start as hundreds of clips to read. But a process in
    # which others' threads run, torch's say, may hang when it is forked.
    alone = threading.active_count() == 1 and not {"torch", "tensorflow"} & sys.modules.keys()
    return ForkContext() if alone and sys.platform == "linux" else SpawnContext()


def _pack_and_commit(pool: ProcessPoolExecutor, packing: Packing, job: Job) -> Shard:
    """One job from a thread of its own, so that waiting for the disk holds nobody up."""
    return commit(packing, job.number, pool.submit(_pack_given, job).result())


_given: Packing


def _start(packing: Packing) -> None:
    """Gives a worker what all jobs share: a source may hold much, and is sent once."""
    global _given
    _given = packing
    serve_parent()


def _pack_given(job: Job) -> Draft:
    return pack(_given, job)


# --- finishing ----------------------------------------------------------------------------------


def _finish(
    packing: Packing,
    store_dir: Path,
    entries: list[Entry],
    shards: list[Shard],
    problems: list[Problem],
    name: str | None,
) -> bool:
    """Writes table, problems and manifest, drops what no longer belongs; whether any changed."""
    source, folder = packing.source, packing.folder
    _write_problems(store_dir / PROBLEMS, problems)
    table, signers, content = _table(source, entries, shards)
    if not table.num_rows:
        found = f"{len(problems)} problems, see {store_dir / PROBLEMS}" if problems else "no rows"
        raise UserError(f"{source.root}: holds no clip that can be read ({found})")
    data = [folder / f"{shard.name}.npy" for shard in shards]
    identity = [packing.settings, source.signs, content]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    manifest = packing.settings | {
        "name": name or store_dir.name,
        "fingerprint": fingerprint,
        "clips": table.num_rows,
        "frames": sum(clip.frames for shard in shards for clip in shard.clips),
        "signers": signers,
        "signs": source.signs,
        "table": f"clips-{fingerprint}.arrow",
        "shards": {path.name: path.stat().st_size for path in data if path.exists()},
    }
    changed = read_manifest(store_dir) != manifest
    if changed:
        _write_table(store_dir / manifest["table"], table)
        write_text(store_dir / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    _drop_all_but(
        {f"{shard.name}{s}" for shard in shards for s in (".npy", ".json")}, folder, _SHARD_FILE
    )
    _drop_all_but({manifest["table"]}, store_dir, _TABLE_FILE)
    return changed


def _drop_all_but(names: set[str], folder: Path, named_like: re.Pattern[str]) -> None:
    """Deletes an earlier store's files; a file that a user put beside them stays."""
    for path in folder.iterdir():
        if path.name not in names and named_like.fullmatch(path.name):
            path.unlink()


def _refuse_other_folders(store_dir: Path) -> None:
    """Raises UserError where a folder holds files and is neither a store nor the start of one."""
    if not store_dir.exists() or is_store(store_dir):
        return
    others = sorted(path.name for path in store_dir.iterdir() if not _is_written_here(path))
    if others:
        raise UserError(
            f"data.store={store_dir}: this folder holds other files ({others[0]} for one) and is "
            "not a clip store; name an empty folder, or one that is not there yet"
        )


def _is_written_here(path: Path) -> bool:
    """Whether an interrupted `prepare` may have left this in a store without a manifest."""
    if path.name == SHARDS:
        shards = (child.name for child in path.iterdir())
        return all(_SHARD_FILE.fullmatch(n) or n.startswith(TEMPORARY) for n in shards)
    if path.name == PROBLEMS:
        return (path.parent / SHARDS).is_dir()
    by_name = path.name == LOCK or path.name.startswith(TEMPORARY)
    return by_name or bool(_TABLE_FILE.fullmatch(path.name))


def _table(
    source: Source, entries: list[Entry], shards: list[Shard]
) -> tuple[pa.Table, list[str], list[list[str]]]:
    """The clips kept, in the listing's order; the signers; and what identifies each clip."""
    places: dict[tuple[str, int], tuple[int, Packed]] = {}
    files = [shard for shard in shards if any(clip.frames for clip in shard.clips)]
    for number, shard in enumerate(files):
        places.update({(clip.path, clip.row): (number, clip) for clip in shard.clips})
    kept = [(e, *places[e.path, e.row]) for e in entries if (e.path, e.row) in places]
    kept = [(entry, shard, clip) for entry, shard, clip in kept if clip.frames]
    signers = sorted_signers([entry.signer for entry, *_ in kept])
    signer_of = {signer: i for i, signer in enumerate(signers)}
    label_of = {sign: i for i, sign in enumerate(source.signs)}
    columns = {
        "path": _texts([e.path for e, *_ in kept]),
        "sign": _numbers([label_of[e.sign] for e, *_ in kept]),
        "signer": _numbers([signer_of[e.signer] for e, *_ in kept]),
        "sequence_id": _texts([e.sequence_id for e, *_ in kept]),
        "frames": _numbers([clip.frames for *_, clip in kept]),
        "shard": _numbers([shard for _, shard, _ in kept]),
        "start": _numbers([clip.start for *_, clip in kept]),
    }
    content = [[*map(str, entry), clip.digest] for entry, _, clip in kept]
    return pa.table(columns), signers, content


# pa.array imports pandas when it is first called, and that takes as long as packing 500 clips.


def _numbers(values: list[int]) -> pa.Array:
    buffer = pa.py_buffer(np.array(values, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(values), [None, buffer])


def _texts(values: list[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers)


def _clip_problems(shards: Iterable[Shard]) -> list[Problem]:
    return [
        Problem(
            clip.path if not clip.row else f"{clip.path}:{clip.row}", clip.reason, clip.frames > 0
        )
        for shard in shards
        for clip in shard.clips
        if clip.reason
    ]


def _fail_on(problems: list[Problem], on_problem: OnProblem, root: Path) -> None:
    bad = [problem for problem in problems if not problem.kept]
    if bad and on_problem == "fail":
        raise UserError(f"{root / bad[0].path}: {bad[0].reason}")


def _write_problems(path: Path, problems: list[Problem]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "reason", "kept"])
        for problem in sorted(problems):
            writer.writerow([problem.path, problem.reason, "yes" if problem.kept else "no"])


def _write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
        flush(temporary)


@contextmanager
def _writing(store_dir: Path) -> Iterator[None]:
    """Makes the folder, and turns a full or forbidden disk into one sentence.

    Raises:
        UserError: the folder cannot be written, or holds something that is not a store.
    """
    try:
        _refuse_other_folders(store_dir)
        (store_dir / SHARDS).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        room = "; what is packed stays: make room and repeat the command"
        why = f"{error.strerror or error}{room if error.errno == errno.ENOSPC else ''}"
        raise UserError(f"{store_dir}: cannot be written ({why})") from error


@contextmanager
def _locked(store_dir: Path) -> Iterator[None]:
    """Keeps a second `prepare` of one store waiting; a killed holder lets go by dying."""
    lock = FileLock(store_dir / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        Console(stderr=True).print(f"waiting for another prepare of {store_dir}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# --- telling ------------------------------------------------------------------------------------


@contextmanager
def _progress(clips: int) -> Iterator[Callable[[Shard], None]]:
    """A bar where somebody looks, now and then a line where a log is kept."""
    columns = (
        TextColumn("packing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # Without a refreshing thread: the workers may be forked.
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
    task = bar.add_task("packing", total=clips, rate="")
    began = told = time.perf_counter()
    read = 0

    def advance(shard: Shard) -> None:
        nonlocal told, read
        read += _raw_bytes([shard])
        now = time.perf_counter()
        done = int(bar.tasks[0].completed) + len(shard.clips)
        rate = f"{done / (now - began):.0f} clips/s, {read / (now - began) / 1e6:.0f} MB/s"
        bar.update(task, completed=done, rate=rate, refresh=console.is_terminal)
        if not console.is_terminal and now - told > _SECONDS_A_LINE:
            left = (clips - done) * (now - began) / done
            console.print(f"packed {done:,} of {clips:,} clips, {rate}, {left:.0f} s left")
            told = now

    if clips and console.is_terminal:
        with bar:
            yield advance
    else:
        yield advance


def _raw_bytes(shards: Iterable[Shard]) -> int:
    """Size of the raw files that shards were packed from."""
    sizes = {clip.path: clip.stamp.size for s in shards for clip in s.clips if clip.stamp}
    return sum(sizes.values())


def _summarise(
    store: ClipStore,
    packed: list[Shard],
    problems: list[Problem],
    changed: bool,
    seconds: float,
    echo: Callable[[str], None],
) -> None:
    size = sum(path.stat().st_size for path in (store.directory / SHARDS).glob("*.npy"))
    counts = f"{len(store):,} clips, {store.frames.sum():,} frames, {len(store.signs)} signs"
    stored = "" if store.landmarks is None else f", {len(store.landmarks)} landmarks"
    size_text = f"{size / 1e6:,.0f} MB {store.dtype}{stored}"
    echo(f"{store.name}: {counts}, {len(store.signers)} signers, {size_text}")
    unsigned = np.setdiff1d(np.arange(len(store.signs)), store.sign)
    if len(unsigned):
        names = ", ".join(store.signs[sign] for sign in unsigned[:10])
        echo(f"{len(unsigned)} signs without a clip: {names}{', …' if len(unsigned) > 10 else ''}")
    _list_problems(store, problems, echo)
    clips = sum(len(shard.clips) for shard in packed)
    if clips:
        speed = f"{_raw_bytes(packed) / seconds / 1e6:.0f} MB/s"
        what = f"packed {clips:,} clips in {seconds:.1f} s, {speed}"
    elif changed:
        what = f"described {len(store):,} clips anew in {seconds:.1f} s"
    else:
        what = f"checked {len(store):,} clips, none changed, in {seconds:.1f} s"
    echo(f"{store.directory}: {what}, {(clips or len(store)) / seconds:.0f} clips/s")


def _list_problems(store: ClipStore, problems: list[Problem], echo: Callable[[str], None]) -> None:
    """Counts what was wrong by its kind; each file is in problems.csv."""
    for kept, what in ((False, "FILES SKIPPED"), (True, "odd files kept")):
        kinds = Counter(_kind(problem.reason) for problem in problems if problem.kept == kept)
        if not kinds:
            continue
        echo(f"{kinds.total()} {what}, see {store.directory / PROBLEMS}:")
        for kind, count in kinds.most_common(8):
            echo(f"  {count:>6} × {kind}")
        if len(kinds) > 8:
            echo(f"         and {len(kinds) - 8} other reasons")


def _kind(reason: str) -> str:
    """A reason without the names and numbers that differ from file to file."""
    return re.sub(r"'[^']*'|\(.*\)|-?\d+", "…", reason)


def _check_choices(dtype: str, on_problem: str) -> None:
    if dtype not in get_args(Dtype):
        raise unknown("data.dtype", dtype, get_args(Dtype))
    if on_problem not in get_args(OnProblem):
        raise unknown("data.on_problem", on_problem, get_args(OnProblem))
