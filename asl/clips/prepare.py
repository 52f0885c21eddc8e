"""Packs raw clips into a ClipStore: on all cores, crash-safe, resumable and incremental.

Shards are named after their content and written beside the old ones; the manifest, replaced last,
says which shards are the store's. The next run reads only the files that changed, and keeps the
finished shards of an interrupted run; the result depends only on the raw files and the settings.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from asl.clips.changes import find_changes
from asl.clips.columns import ColumnChoice, choose_columns
from asl.clips.copies import find_copies
from asl.clips.packing import pack_shards
from asl.clips.packing_progress import packing_progress, summarise
from asl.clips.shards import REFUSE_ODD, Packing, Shard, ShardTask, remove_temporary_files
from asl.clips.sources.base import Listing, Problem, Source, is_text
from asl.clips.store import FORMAT, SHARDS, ClipStore, is_store, read_manifest
from asl.clips.store_writer import Index, make_index, write_index, writing
from asl.errors import UserError, check_choice
from asl.landmarks import LANDMARK_SETS, landmark_set

OnProblem = Literal["skip", "fail"]
Dtype = Literal["float32", "float16"]


def prepare(
    source: Source,
    store_dir: Path | str,
    *,
    dtype: Dtype = "float32",
    keep: str = "all",
    on_problem: OnProblem = "skip",
    refuse_odd: bool = False,
    columns: ColumnChoice | None = None,
    workers: int | None = None,
    name: str | None = None,
    echo: Callable[[str], None] = print,
) -> ClipStore:
    """Packs a raw data set, or brings its store up to date, and opens the store.

    Args:
        source: the raw data set.
        store_dir: the store's folder; made if need be.
        dtype: of the coordinates on disk.
        keep: the landmarks that are stored: `all`, or those that a landmark set loads.
        on_problem: skip invalid and corrupt clips, or fail at the first one.
        refuse_odd: whether clips that are odd by themselves (`asl.clips.odd`) count as invalid;
            otherwise they are packed and reported.
        columns: those of the recordings that are kept, see `asl.clips.columns.choose_columns`;
            where None those that the store has, `all` in a new one.
        workers: number of processes that read; one for each core where None.
        name: of the data set; the folder's where None.
        echo: prints the summary line by line; the last one ends with the rate in clips/s.

    Raises:
        UserError: the data set is missing or holds no clip, has a problem under
            `on_problem="fail"`, or the store's folder cannot be written or holds other files.
    """
    store_dir, start = Path(store_dir), time.perf_counter()
    check_choice("data.dtype", dtype, get_args(Dtype))
    check_choice("data.on_problem", on_problem, get_args(OnProblem))
    settings = {
        "format": FORMAT,
        "layout": source.layout,
        "dtype": dtype,
        "landmarks": _rows_to_keep(source.layout, keep),
        "source": source.settings,
    }
    if refuse_odd:  # no key otherwise: stores of earlier versions stay up to date
        settings[REFUSE_ODD] = True
    packing = Packing(source, store_dir / SHARDS, settings)
    if is_store(store_dir) and not os.access(store_dir, os.W_OK):
        return _open_unchanged(packing, store_dir, on_problem, name, columns)
    with writing(store_dir):
        remove_temporary_files(packing.folder)
        choice = _choice(columns, read_manifest(store_dir) or {})
        listing = _listing(source, choice)
        _fail_on(listing.problems, on_problem, source.root)
        tasks, unchanged = find_changes(packing, listing.entries)
        _fail_on(_clip_problems(unchanged.values()), on_problem, source.root)
        packed = _pack_all(packing, tasks, workers, on_problem)
        index = _index(packing, store_dir, listing, unchanged | packed, name, choice)
        changed = write_index(source.root, store_dir, index)
        store = ClipStore.open(store_dir)  # before another command replaces it
    seconds = time.perf_counter() - start
    summarise(store, list(packed.values()), index.problems, changed, seconds, echo)
    return store


def _open_unchanged(
    packing: Packing,
    store_dir: Path,
    on_problem: OnProblem,
    name: str | None,
    columns: ColumnChoice | None,
) -> ClipStore:
    """Opens a store on a disk that cannot be written; raises UserError where it is out of date.

    One that was packed before columns were kept is not out of date for want of them.
    """
    manifest = read_manifest(store_dir) or {}
    choice = _choice(columns, manifest) if "columns" in manifest else []
    listing = _listing(packing.source, choice)
    tasks, shards = find_changes(packing, listing.entries)
    if not tasks:
        index = _index(packing, store_dir, listing, shards, name, choice)
        _fail_on(index.problems, on_problem, packing.source.root)
        if index.manifest == manifest:
            return ClipStore.open(store_dir)
    raise UserError(
        f"{store_dir}: is not up to date with the raw clips and settings, and cannot be written; "
        "name another folder with data.store="
    )


def _choice(columns: ColumnChoice | None, manifest: Mapping[str, Any]) -> ColumnChoice:
    choice: ColumnChoice = manifest.get("columns", "all") if columns is None else columns
    return choice


def _listing(source: Source, choice: ColumnChoice) -> Listing:
    """The clips with the chosen columns; raises UserError where a name is no text."""
    listing = source.listing()
    listing = listing._replace(columns=choose_columns(listing.columns, choice))
    of_clips = chain.from_iterable(entry[:4] for entry in listing.entries)
    names = [*source.signs, *of_clips, *listing.columns, *chain(*listing.columns.values())]
    if not is_text("".join(names)):
        odd = next(name for name in names if not is_text(name))
        raise UserError(f"{source.root}: the name {odd!a} is no text that UTF-8 can hold")
    return listing


def _index(
    packing: Packing,
    store_dir: Path,
    listing: Listing,
    shards: dict[int, Shard],
    name: str | None,
    choice: ColumnChoice,
) -> Index:
    ordered = [shard for _, shard in sorted(shards.items())]
    problems = listing.problems + _clip_problems(ordered)
    problems += find_copies(listing.entries, ordered)
    return make_index(packing, store_dir, listing, ordered, problems, name, choice)


def _rows_to_keep(layout: str, keep: str) -> list[int] | None:
    fitting = [name for name, some in LANDMARK_SETS.items() if some.layout.name == layout]
    check_choice("data.keep", keep, ["all", *fitting])
    return None if keep == "all" else list(landmark_set(keep).indices)


def _pack_all(
    packing: Packing, tasks: list[ShardTask], workers: int | None, on_problem: OnProblem
) -> dict[int, Shard]:
    packed: dict[int, Shard] = {}
    clips = sum(len(task.entries) for task in tasks)
    with (
        closing(pack_shards(packing, tasks, workers)) as shards,
        packing_progress(clips) as advance,
    ):
        for number, shard in shards:
            packed[number] = shard
            _fail_on(_clip_problems([shard]), on_problem, packing.source.root)
            advance(shard)
    return packed


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
    skipped = [problem for problem in problems if not problem.kept]
    if skipped and on_problem == "fail":
        raise UserError(f"{root / skipped[0].path}: {skipped[0].reason}")
