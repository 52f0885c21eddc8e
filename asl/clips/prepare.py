"""Raw clips are packed into a ClipStore: once, on all cores, and safe against a pulled plug.

A clip belongs to the shard that a hash of its path says, so a new file touches one shard. A shard
is named after its content and written beside the old one; the manifest, replaced last, says which
shards are the store's. Each shard's journal (`shards/*.json`) says which files it was packed from
and what they looked like then (size and times). So the next run re-reads only the files that
changed, finished shards of an interrupted run included, and what it makes depends on nothing but
the raw files and the settings.

Imports no torch: the workers must start fast.
"""

import csv
import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from asl.clips.source import BadClip, Entry, Problem, Source
from asl.clips.splits import sorted_signers
from asl.clips.store import (
    FORMAT,
    MANIFEST,
    PROBLEMS,
    SHARDS,
    TABLE,
    ClipStore,
    read_manifest,
)
from asl.errors import UserError, unknown
from asl.landmarks import layout

OnProblem = Literal["skip", "fail"]
Dtype = Literal["float32", "float16"]

# Enough shards to keep all cores busy on a thousand clips, few enough to keep them all open.
_CLIPS_A_SHARD, _MOST_SHARDS = 64, 128
# What a worker process costs to start, in clips: smaller jobs are done in this process.
_CLIPS_WORTH_A_POOL = 400
_TEMPORARY = ".tmp-"


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
    """One shard to pack: its entries with their stamps, and what can be copied for which."""

    number: int
    entries: list[tuple[Entry, Stamp | None]]
    reuse: dict[tuple[str, int], tuple[str, Packed]]


def prepare(
    source: Source,
    store_dir: Path | str,
    *,
    dtype: Dtype = "float32",
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
        on_problem: skip a clip that cannot be believed, or fail at the first.
        workers: processes that read; every core where None.
        name: the data set's, the folder's name where None.
        echo: is given the summary, line by line; the last one has the rate in clips/s.

    Raises:
        UserError: the data set is not there, holds no clip at all, has a problem under
            `on_problem="fail"`, or the store cannot be written.
    """
    store_dir, began = Path(store_dir), time.perf_counter()
    _check_choices(dtype, on_problem)
    settings = {"format": FORMAT, "layout": source.layout, "dtype": dtype}
    with _writing(store_dir), _locked(store_dir):
        listing = source.listing()
        _fail_on(listing.problems, on_problem, source.root)
        jobs, kept = _plan(source, listing.entries, store_dir, settings)
        todo = sum(len(job.entries) for job in jobs)
        done = _pack_all(source, store_dir, settings, jobs, workers, on_problem)
        shards = [kept.get(n) or done[n] for n in range(len(kept) + len(done))]
        problems = listing.problems + _clip_problems(shards)
        changed = _finish(source, store_dir, settings, listing.entries, shards, problems, name)
    store = ClipStore.open(store_dir)
    seconds = time.perf_counter() - began
    _summarise(store, problems, todo if changed or todo else 0, seconds, echo)
    return store


# --- what there is to do ------------------------------------------------------------------------


def _plan(
    source: Source, entries: list[Entry], store_dir: Path, settings: dict[str, Any]
) -> tuple[list[Job], dict[int, Shard]]:
    """The shards to pack, and by number those that stand."""
    stamps = _stamps(source.root, {entry.path for entry in entries})
    buckets = _buckets(entries)
    finished = _finished(store_dir, settings)
    whole = {_identity(shard.clips): shard for shard in finished}
    single = {(c.path, c.row, c.stamp): (s.name, c) for s in finished for c in s.clips}
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
    try:
        state = os.stat(path)
    except OSError:
        return None
    return Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _buckets(entries: list[Entry]) -> list[list[Entry]]:
    count = 1
    while count < min(_MOST_SHARDS, len(entries) / _CLIPS_A_SHARD):
        count *= 2
    buckets: list[list[Entry]] = [[] for _ in range(count)]
    for entry in entries:
        key = f"{entry.path}:{entry.row}".encode()
        buckets[int.from_bytes(hashlib.sha256(key).digest()[:4], "big") % count].append(entry)
    return buckets


def _finished(store_dir: Path, settings: dict[str, Any]) -> list[Shard]:
    """Shards that an earlier run packed under the same settings, and whose files are whole."""
    shards = []
    for path in sorted((store_dir / SHARDS).glob("*.json")):
        journal = json.loads(path.read_text(encoding="utf-8"))
        data = path.with_suffix(".npy")
        size = data.stat().st_size if data.exists() else 0
        if journal["settings"] == settings and journal["size"] == size:
            shards.append(Shard(path.stem, [_from_json(clip) for clip in journal["clips"]]))
    return shards


def _from_json(clip: list[Any]) -> Packed:
    packed = Packed(*clip)
    return packed._replace(stamp=None if packed.stamp is None else Stamp(*packed.stamp))


# --- packing ------------------------------------------------------------------------------------


def _pack_all(
    source: Source,
    store_dir: Path,
    settings: dict[str, Any],
    jobs: list[Job],
    workers: int | None,
    on_problem: OnProblem,
) -> dict[int, Shard]:
    done: dict[int, Shard] = {}
    clips = sum(len(job.entries) for job in jobs)
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    pooled = workers > 1 and clips >= _CLIPS_WORTH_A_POOL
    run = _in_pool(workers) if pooled else _here
    with _progress(clips) as advance:
        for number, shard in run(source, store_dir, settings, jobs):
            done[number] = shard
            _fail_on(_clip_problems([shard]), on_problem, source.root)
            advance(len(shard.clips))
    return done


_Run = Callable[[Source, Path, dict[str, Any], list[Job]], Iterator[tuple[int, Shard]]]


def _here(
    source: Source, store_dir: Path, settings: dict[str, Any], jobs: list[Job]
) -> Iterator[tuple[int, Shard]]:
    for job in jobs:
        yield job.number, _pack(source, store_dir, settings, job)


def _in_pool(workers: int) -> _Run:
    def run(
        source: Source, store_dir: Path, settings: dict[str, Any], jobs: list[Job]
    ) -> Iterator[tuple[int, Shard]]:
        # Spawned, because forking a process in which torch has started threads may hang.
        context = multiprocessing.get_context("spawn")
        given = (source, store_dir, settings)
        with ProcessPoolExecutor(workers, context, initializer=_start, initargs=given) as pool:
            futures = {pool.submit(_pack_given, job): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future].number, future.result()
            except BrokenProcessPool as error:
                raise UserError("a reading process was killed, perhaps for memory") from error
            finally:
                pool.shutdown(cancel_futures=True)

    return run


_given: tuple[Source, Path, dict[str, Any]]


def _start(source: Source, store_dir: Path, settings: dict[str, Any]) -> None:
    """Gives a worker what all jobs share: a source may hold much, and is sent once."""
    global _given
    _given = source, store_dir, settings
    _die_with_parent()


def _pack_given(job: Job) -> Shard:
    return _pack(*_given, job)


def _die_with_parent() -> None:
    """Ends this worker when its parent is killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _pack(source: Source, store_dir: Path, settings: dict[str, Any], job: Job) -> Shard:
    """Packs one shard: data, then journal, each appearing whole or not at all."""
    folder, shape = store_dir / SHARDS, (layout(settings["layout"]).size, 3)
    dtype = np.dtype(settings["dtype"])
    content = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    clips: list[Packed] = []
    frames = 0
    with _temporary(folder) as path:
        with path.open("wb") as file:
            _write_header(file, (0, *shape), dtype)
            for entry, stamp in job.entries:
                clip, packed = _pack_clip(source, folder, entry, stamp, dtype, job.reuse)
                packed = packed._replace(start=frames)
                content.update(json.dumps([packed.path, packed.row, packed.digest]).encode())
                clips.append(packed)
                if clip is not None:
                    file.write(clip.data if clip.flags.c_contiguous else clip.tobytes())
                    frames += packed.frames
            file.seek(0)
            _write_header(file, (frames, *shape), dtype)
            file.flush()
            os.fsync(file.fileno())
        name = f"{job.number:03d}-{content.hexdigest()[:16]}"
        size = path.stat().st_size if frames else 0
        if frames:
            os.replace(path, folder / f"{name}.npy")
    journal = {"settings": settings, "size": size, "clips": clips}
    _write(folder / f"{name}.json", json.dumps(journal))
    return Shard(name, clips)


def _pack_clip(
    source: Source,
    folder: Path,
    entry: Entry,
    stamp: Stamp | None,
    dtype: np.dtype,
    reuse: dict[tuple[str, int], tuple[str, Packed]],
) -> tuple[np.ndarray | None, Packed]:
    """The clip as it goes to disk, None where it is left out, and its line in the journal."""
    if found := reuse.get((entry.path, entry.row)):
        shard, packed = found
        if not packed.frames:
            return None, packed
        data = np.load(folder / f"{shard}.npy", mmap_mode="r")
        return np.ascontiguousarray(data[packed.start : packed.start + packed.frames]), packed
    line = Packed(entry.path, entry.row, stamp, frames=0, start=0, digest="", reason="")
    try:
        clip, note = source.read(entry)
    except BadClip as error:
        return None, line._replace(reason=error.reason)
    except OSError as error:  # may be over by the next run, so the file counts as never seen
        return None, line._replace(stamp=None, reason=f"cannot be read ({error.strerror})")
    with np.errstate(over="ignore"):
        clip = np.ascontiguousarray(clip, dtype)
    if dtype != np.float32 and np.isinf(clip).any():
        return None, line._replace(reason=f"has a coordinate too large for {dtype}")
    note = note or ("no landmark was detected in any frame" if np.isnan(clip).all() else "")
    digest = hashlib.sha256(clip.data).hexdigest()[:32]
    return clip, line._replace(frames=len(clip), digest=digest, reason=note)


def _write_header(file: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A .npy header of 128 bytes, whatever the number of frames."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117)
    file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.encode() + b"\n")


# --- finishing ----------------------------------------------------------------------------------


def _finish(
    source: Source,
    store_dir: Path,
    settings: dict[str, Any],
    entries: list[Entry],
    shards: list[Shard],
    problems: list[Problem],
    name: str | None,
) -> bool:
    """Writes table, problems and manifest, drops what no longer belongs; whether any changed."""
    _write_problems(store_dir / PROBLEMS, problems)
    table, signers, content = _table(source, entries, shards)
    if not table.num_rows:
        found = f"{len(problems)} problems, see {store_dir / PROBLEMS}" if problems else "no rows"
        raise UserError(f"{source.root}: holds no clip that can be read ({found})")
    folder = store_dir / SHARDS
    data = [folder / f"{shard.name}.npy" for shard in shards]
    identity = [settings, source.signs, content]
    manifest = settings | {
        "name": name or store_dir.name,
        "fingerprint": hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16],
        "clips": table.num_rows,
        "frames": int(np.sum(table["frames"].to_numpy())),
        "signers": signers,
        "signs": source.signs,
        "shards": {path.name: path.stat().st_size for path in data if path.exists()},
    }
    changed = read_manifest(store_dir) != manifest
    if changed:
        _write_table(store_dir / TABLE, table)
        _write(store_dir / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    belongs = {f"{shard.name}{suffix}" for shard in shards for suffix in (".npy", ".json")}
    for path in folder.iterdir():
        if path.name not in belongs:
            path.unlink()
    return changed


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
        "path": pa.array([e.path for e, *_ in kept], pa.string()),
        "sign": pa.array([label_of[e.sign] for e, *_ in kept], pa.int64()),
        "signer": pa.array([signer_of[e.signer] for e, *_ in kept], pa.int64()),
        "sequence_id": pa.array([e.sequence_id for e, *_ in kept], pa.string()),
        "frames": pa.array([clip.frames for *_, clip in kept], pa.int64()),
        "shard": pa.array([shard for _, shard, _ in kept], pa.int64()),
        "start": pa.array([clip.start for *_, clip in kept], pa.int64()),
    }
    content = [[*map(str, entry), clip.digest] for entry, _, clip in kept]
    return pa.table(columns), signers, content


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
    with _temporary(path.parent) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "reason", "kept"])
            for problem in sorted(problems):
                writer.writerow([problem.path, problem.reason, "yes" if problem.kept else "no"])
        os.replace(temporary, path)


def _write_table(path: Path, table: pa.Table) -> None:
    with _temporary(path.parent) as temporary:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
        os.replace(temporary, path)


def _write(path: Path, text: str) -> None:
    with _temporary(path.parent) as temporary:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    path = folder / f"{_TEMPORARY}{os.getpid()}-{threading.get_ident()}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _writing(store_dir: Path) -> Iterator[None]:
    """Makes the folder, and turns a full or forbidden disk into one sentence."""
    try:
        (store_dir / SHARDS).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"{store_dir}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _locked(store_dir: Path) -> Iterator[None]:
    """Keeps a second `prepare` of one store waiting; a killed holder lets go by dying."""
    import fcntl

    with (store_dir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Console(stderr=True).print(f"waiting for another prepare of {store_dir}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- telling ------------------------------------------------------------------------------------


@contextmanager
def _progress(clips: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("packing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not clips) as bar:
        task, began = bar.add_task("packing", total=clips, rate=""), time.perf_counter()

        def advance(count: int) -> None:
            done = bar.tasks[0].completed + count
            rate = f"{done / (time.perf_counter() - began):.0f} clips/s"
            bar.update(task, advance=count, rate=rate)

        yield advance


def _summarise(
    store: ClipStore,
    problems: list[Problem],
    packed: int,
    seconds: float,
    echo: Callable[[str], None],
) -> None:
    skipped = sum(not problem.kept for problem in problems)
    size = sum(path.stat().st_size for path in (store.directory / SHARDS).glob("*.npy"))
    counts = f"{len(store):,} clips, {store.frames.sum():,} frames, {len(store.signs)} signs"
    echo(f"{store.name}: {counts}, {len(store.signers)} signers, {size / 1e6:.0f} MB {store.dtype}")
    if problems:
        odd = f", {len(problems) - skipped} odd ones kept" if len(problems) > skipped else ""
        echo(f"{skipped} FILES SKIPPED{odd}: see {store.directory / PROBLEMS}")
    what = f"packed {packed:,} clips" if packed else f"checked {len(store):,} clips, none changed,"
    rate = (packed or len(store)) / seconds
    echo(f"{store.directory}: {what} in {seconds:.1f} s, {rate:.0f} clips/s")


def _check_choices(dtype: str, on_problem: str) -> None:
    if dtype not in get_args(Dtype):
        raise unknown("data.dtype", dtype, get_args(Dtype))
    if on_problem not in get_args(OnProblem):
        raise unknown("data.on_problem", on_problem, get_args(OnProblem))
