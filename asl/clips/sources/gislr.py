"""Reads and writes the competition's format: `train.csv`, the sign map, a parquet file per clip.

A parquet file has a row for each frame and landmark, with the columns `frame`, `type` (face,
left_hand, pose, right_hand), `landmark_index` (counted within the type), `x`, `y`, `z`. Files of
the competition have 543 rows per frame in one order and a `row_id`; others may have neither, so
the place of a row follows from its own columns.
"""

import csv
import json
import math
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from asl.clips.sources.base import MAX_FRAMES, BadClip, Entry, Listing, Problem, Reading
from asl.errors import UserError, first_line
from asl.landmarks import MEDIAPIPE_HOLISTIC

TRAIN_CSV = "train.csv"
SIGN_MAP = "sign_to_prediction_index_map.json"
CLIPS_FOLDER = "train_landmark_files"
_FETCH = "`asl download` fetches the public data sets"
CSV_COLUMNS = ["path", "participant_id", "sequence_id", "sign"]
COLUMNS = ["frame", "type", "landmark_index", "x", "y", "z"]

_SIZE = MEDIAPIPE_HOLISTIC.size
_BLOCK = 500  # frames that are written at once: their tables take 20 MB each
_PARTS = MEDIAPIPE_HOLISTIC.parts


class GislrSource:
    """A folder in the competition's format."""

    layout = MEDIAPIPE_HOLISTIC.name

    def __init__(self, root: str | Path) -> None:
        """Reads the sign map of the folder `root`.

        Raises:
            UserError: the folder or its sign map is missing, or the map is invalid.
        """
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"data.root={root}: there is no such folder ({_FETCH})")
        self.signs = read_sign_map(self.root / SIGN_MAP)
        self.settings: dict[str, Any] = {}

    def listing(self) -> Listing:
        """All rows of train.csv in their order, with its further columns.

        Problems are a row without a signer, with a sign that the map lacks, or with a file that is
        listed twice or outside the folder; and a parquet file under `train_landmark_files` that
        is not listed.

        Raises:
            UserError: train.csv is missing or lacks a column.
        """
        rows, columns = _read_train_csv(self.root / TRAIN_CSV)
        signs, named = set(self.signs), set[str]()
        kept, problems = [], []
        for number, row in enumerate(rows):
            if fault := _row_fault(row, signs, named):
                problems.append(Problem(row.path, fault))
            else:
                kept.append(number)
            named.add(row.path)
        strays = sorted(_parquet_files(self.root) - named)
        problems += [Problem(path, f"not named in {TRAIN_CSV}") for path in strays]
        further = {name: [values[number] for number in kept] for name, values in columns.items()}
        return Listing([rows[number] for number in kept], problems, further)

    def read(self, entry: Entry) -> Reading:
        """The clip of one row of train.csv; raises as `read_clip` does, and OSError."""
        return _read(self.root / entry.path)


def read_clip(path: Path | str) -> np.ndarray:
    """Reads one clip.

    Frames are in the order of their numbers, which may start anywhere and have gaps; a gap adds no
    frame. A landmark without a row in a frame was not detected in it.

    Returns:
        float32 [frames, 543, 3], NaN = not detected.

    Raises:
        BadClip: the file is missing, damaged or no parquet file; a column is missing or of another
            type; a `type` is unknown, or a landmark index outside it; a landmark has two rows in
            one frame; a coordinate is infinite; there is no frame.
    """
    try:
        return _read(Path(path)).clip
    except OSError as error:
        raise BadClip(path, f"cannot be read ({error.strerror or error})") from error


def read_sign_map(path: Path) -> list[str]:
    """The signs in the order of their labels.

    Raises:
        UserError: the file is missing or is not a map of signs to 0, 1, 2, ….
    """
    if not path.is_file():
        raise UserError(f"{path}: the map of signs to labels is missing")
    try:
        labels = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
        signs = sorted(labels, key=labels.get)
        gapless = [labels[sign] for sign in signs] == list(range(len(signs)))
    except (ValueError, TypeError, AttributeError, RecursionError):
        gapless = False
    if not gapless or not signs:
        raise UserError(f"{path}: must map every sign to a label of its own, counted from 0")
    return signs


def write_clip(path: Path, clip: np.ndarray, first_frame: int = 0) -> None:
    """Writes one clip with the columns, types and row order of the competition's files.

    Args:
        path: of the file.
        clip: [frames, 543, 3], NaN = not detected.
        first_frame: number of the first frame.
    """
    blocks = [clip[start : start + _BLOCK] for start in range(0, max(1, len(clip)), _BLOCK)]
    first = _table(blocks[0], first_frame)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as file:
        file.write_table(first)
        for number, block in enumerate(blocks[1:], start=1):
            file.write_table(_table(block, first_frame + number * _BLOCK))


def _table(clip: np.ndarray, first_frame: int) -> pa.Table:
    """The rows of some frames of a clip."""
    import pyarrow.compute as pc  # slow to import, and readers do not need it

    frames = len(clip)
    parts = _PARTS.items()
    frame = pa.array(np.repeat(np.arange(frames) + first_frame, _SIZE), pa.int16())
    types = pa.array([part for part, rows in parts for _ in rows] * frames)
    index = pa.array(
        np.tile([i for _, rows in parts for i in range(len(rows))], frames), pa.int16()
    )
    text = [column.cast(pa.string()) for column in (frame, types, index)]
    columns = {
        "frame": frame,
        "row_id": pc.binary_join_element_wise(*text, "-"),
        "type": types,
        "landmark_index": index,
    }
    for axis, name in enumerate("xyz"):
        values = clip[..., axis].ravel().astype(np.float64)
        columns[name] = pa.array(values, from_pandas=True)  # NaN becomes an empty cell
    return pa.table(columns)


def write_lists(root: Path, entries: Iterable[Entry], signs: list[str]) -> None:
    """Writes train.csv and the sign map of a folder.

    Args:
        root: the folder.
        entries: the rows of train.csv, in their order.
        signs: in the order of their labels.
    """
    labels = {sign: label for label, sign in enumerate(signs)}
    (root / SIGN_MAP).write_text(json.dumps(labels), encoding="utf-8")
    with (root / TRAIN_CSV).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        writer.writerows(
            [entry.path, entry.signer, entry.sequence_id, entry.sign] for entry in entries
        )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a sign stands there twice")
    return dict(pairs)


def _read_train_csv(path: Path) -> tuple[list[Entry], dict[str, list[str]]]:
    """The rows, and every further column whose name stands there once."""
    columns = CSV_COLUMNS
    if not path.is_file():
        raise UserError(f"{path}: the list of clips is missing")
    # Without threads, because the process may be forked afterwards.
    single_threaded = pa.csv.ReadOptions(use_threads=False)
    try:
        # A comment in another encoding does not make the list unreadable.
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            header = next(csv.reader(file), [])
        if any(header.count(name) != 1 for name in columns):
            raise KeyError
        once = [name for name in header if header.count(name) == 1 and "\ufffd" not in name]
        further = [name for name in once if name and name not in columns]
        types = dict.fromkeys(columns, pa.string()) | dict.fromkeys(further, pa.binary())
        options = pa.csv.ConvertOptions(
            column_types=types, include_columns=[*types], strings_can_be_null=False
        )
        parsing = pa.csv.ParseOptions(newlines_in_values=True)
        table = pa.csv.read_csv(path, single_threaded, parsing, options)
    except KeyError as error:
        raise UserError(f"{path}: must have the columns {', '.join(columns)}, once each") from error
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a csv file ({first_line(error)})") from error
    rows = [Entry(*row) for row in zip(*(table[c].to_pylist() for c in columns), strict=True)]
    texts = {n: [b.decode("utf-8", "replace") for b in table[n].to_pylist()] for n in further}
    return rows, texts


def _row_fault(row: Entry, signs: set[str], named: set[str]) -> str | None:
    """Why a row of train.csv is invalid (None: it is not), given the paths of rows before."""
    if os.path.isabs(row.path) or ".." in row.path.replace("\\", "/").split("/"):
        return "lies outside the data set"
    if "\0" in row.path:
        return "is no name of a file"
    if row.path in named:
        return f"named more than once in {TRAIN_CSV}"
    if not row.signer:
        return "has no participant_id"
    return None if row.sign in signs else f"sign {row.sign!r} is not in {SIGN_MAP}"


def _parquet_files(root: Path) -> set[str]:
    paths: set[str] = set()
    for folder, _, names in os.walk(root / CLIPS_FOLDER):
        inside = Path(folder).relative_to(root).as_posix()
        paths.update(f"{inside}/{name}" for name in names if name.endswith(".parquet"))
    return paths


def _read(path: Path) -> Reading:
    # Numbers too large for float32 become infinite.
    with _opened(path) as (file, parquet), np.errstate(over="ignore"):
        reading = _read_blocks(path, parquet, _index_keys(file, parquet))
        reading = reading or _place_rows(path, _columns(path, parquet, COLUMNS))
    if np.isinf(reading.clip).any():
        raise BadClip(path, "has an infinite coordinate")
    return reading


def _read_blocks(path: Path, parquet: pq.ParquetFile, keys: "_Keys") -> Reading | None:
    """The clip, where each frame is one block of all landmarks in one order; otherwise None."""
    order, in_blocks = _orders.get(keys.order), keys.frames in _in_blocks
    to_decode = (() if in_blocks else ("frame",)) + (() if order is not None else _SLOT_COLUMNS)
    table = _columns(path, parquet, [*to_decode, *"xyz"])
    if table.num_rows == 0:
        raise BadClip(path, "has no frames")
    if order is None:
        order = _block_order(_slots(path, table))
        if order is None:
            return None
        _cache(_orders, keys.order, order)
    if not in_blocks:
        if not _are_blocks(_values(table["frame"])):
            return None
        _cache(_in_blocks, keys.frames, True)
    return Reading(_place_blocks(order, _coordinates(table)))


# --- columns ------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pa.NativeFile, pq.ParquetFile]]:
    """The file; errors of the parquet library about its content become BadClip."""
    try:
        # Twice as fast as pq.read_table with a path, which first sets up a data set of one file.
        with pa.OSFile(str(path)) as file:
            yield file, pq.ParquetFile(file, pre_buffer=False)
    except FileNotFoundError as error:
        raise BadClip(path, "there is no such file") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, IndexError) as error:
        if getattr(error, "errno", None):  # a fault of the disk or the system
            raise
        raise BadClip(path, f"is not a readable parquet file ({first_line(error)})") from error


def _columns(path: Path, parquet: pq.ParquetFile, names: list[str]) -> pa.Table:
    if parquet.metadata.num_rows > MAX_FRAMES * _SIZE:
        raise BadClip(path, f"has {parquet.metadata.num_rows:,} rows, which no clip has")
    table = parquet.read(columns=names, use_threads=False)
    if table.num_rows != parquet.metadata.num_rows:
        raise BadClip(path, f"has {table.num_rows} rows of {parquet.metadata.num_rows}")
    if wrong := [name for name in names if table.column_names.count(name) != 1]:
        raise BadClip(path, f"must have one column each of {', '.join(wrong)}")
    for name in names:
        _check_column(path, name, table[name])
    return table


def _check_column(path: Path, name: str, column: pa.ChunkedArray) -> None:
    kind = column.type
    if name in "xyz":
        if not any(is_kind(kind) for is_kind in _NUMBERS):
            raise BadClip(path, f"column {name} holds {kind}, not numbers")
        return
    if name == "type":
        if not _is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
            raise BadClip(path, f"column type holds {kind}, not text")
    elif not pa.types.is_integer(kind):
        raise BadClip(path, f"column {name} holds {kind}, not whole numbers")
    if column.null_count:
        raise BadClip(path, f"column {name} has empty cells")


# A column without any value has the type null: nothing was detected.
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)


def _is_text(kind: pa.DataType) -> bool:
    return cast(bool, pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _coordinates(table: pa.Table) -> list[np.ndarray]:
    return [_values(table[name]) for name in "xyz"]


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """The column's numbers, NaN for empty cells."""
    if not pa.types.is_floating(column.type) and column.null_count:
        column = column.cast(pa.float64(), safe=False)  # float64 may round
    if column.null_count:
        column = column.fill_null(pa.scalar(math.nan, column.type))
    # Not to_numpy, which imports pandas: in each worker as slow as reading 500 clips.
    return np.from_dlpack(_one_chunk(column))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _slots(path: Path, table: pa.Table) -> np.ndarray:
    """Index of each row on the landmark axis, int64 [rows]."""
    types = table["type"]
    types = types if pa.types.is_dictionary(types.type) else types.dictionary_encode()
    types = _one_chunk(types.unify_dictionaries())
    names, codes = types.dictionary.to_pylist(), np.from_dlpack(types.indices)
    landmarks = _values(table["landmark_index"])
    strange = [code for code, name in enumerate(names) if name not in _PARTS]
    for code in strange:
        if (codes == code).any():
            raise BadClip(path, f"has the unknown type {names[code]!r}")
    parts = [_PARTS.get(name, range(0)) for name in names]
    outside = (landmarks < 0) | (landmarks >= np.array([len(part) for part in parts])[codes])
    if outside.any():
        first = int(np.argmax(outside))
        where = f"landmark_index {landmarks[first]} of type {names[codes[first]]}"
        raise BadClip(path, f"has {where}")
    return np.array([part.start for part in parts])[codes] + landmarks.astype(np.int64)


# --- placing ------------------------------------------------------------------------------------

# In nearly every file each frame is one block of all landmarks in the same order, and the columns
# frame, type and landmark_index have the same bytes as in other files of its length. Decoding them
# takes a third of the time of reading a clip, so the results are cached by these bytes.
_orders: dict[Any, np.ndarray] = {}  # the slots of each block's rows
_in_blocks: dict[Any, bool] = {}  # whether the frames are whole blocks, one after the other
_SLOT_COLUMNS = ("type", "landmark_index")
_CACHE_SIZE, _MAX_CHUNK = 4096, 1 << 16


class _Keys(NamedTuple):
    """The encoded bytes and types of columns; None where the columns should be decoded."""

    frames: Any | None
    order: Any | None


def _index_keys(file: pa.NativeFile, parquet: pq.ParquetFile) -> _Keys:
    metadata = parquet.metadata
    # Reading damaged metadata of a column can kill the process. The death of a worker process is
    # handled, and the clip that caused it is reported.
    in_worker = multiprocessing.parent_process() is not None
    if not in_worker or metadata.num_row_groups != 1:
        return _Keys(None, None)
    schema, group = parquet.schema_arrow, metadata.row_group(0)
    names = schema.names
    flat = len(names) == group.num_columns  # no nested column: columns and chunks correspond
    if not flat or any(names.count(name) != 1 for name in COLUMNS):
        return _Keys(None, None)

    def key(*columns: str) -> Any | None:
        parts = [metadata.num_rows]
        for name in columns:
            number = names.index(name)
            chunk, field = group.column(number), schema.field(number)
            start, size = chunk.data_page_offset, chunk.total_compressed_size
            if chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            short = 0 < size < _MAX_CHUNK and 0 < start < file.size() - size
            if not short or chunk.num_values != metadata.num_rows:
                return None
            parts += [field.type, field.nullable, chunk.physical_type, chunk.compression]
            parts.append(file.read_at(size, start))
        return tuple(parts)

    return _Keys(key("frame"), key(*_SLOT_COLUMNS))


def _cache(cache: dict[Any, Any], key: Any | None, value: object) -> None:
    if key is None:
        return
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[key] = value


def _are_blocks(frames: np.ndarray) -> bool:
    """Whether rows are blocks of all landmarks with ascending frames."""
    if len(frames) % _SIZE:
        return False
    numbers = frames.reshape(-1, _SIZE)
    ascending = (numbers[1:, 0] > numbers[:-1, 0]).all()
    return bool(ascending and (numbers == numbers[:, :1]).all())


def _block_order(slots: np.ndarray) -> np.ndarray | None:
    """The slots of a block's rows, where all blocks have all landmarks in one order."""
    if len(slots) % _SIZE:
        return None
    blocks = slots.reshape(-1, _SIZE)
    whole = (np.bincount(blocks[0], minlength=_SIZE) == 1).all()
    return blocks[0].copy() if whole and (blocks == blocks[0]).all() else None


def _place_blocks(order: np.ndarray, xyz: list[np.ndarray]) -> np.ndarray:
    """The clip from whole frames, one after the other, with rows in one order."""
    clip = np.empty((len(xyz[0]) // _SIZE, _SIZE, 3), np.float32)  # [T, 543, 3]
    is_sorted = bool((order[1:] > order[:-1]).all())
    for axis, values in enumerate(xyz):
        clip[:, slice(None) if is_sorted else order, axis] = values.reshape(-1, _SIZE)
    return clip


def _place_rows(path: Path, table: pa.Table) -> Reading:
    """The clip from rows in any order, with a note where frames are out of order."""
    frames, slots = _values(table["frame"]), _slots(path, table)
    numbers, rank = np.unique(frames, return_inverse=True)
    if len(numbers) > MAX_FRAMES:
        raise BadClip(path, f"has {len(numbers):,} frames, which no clip has")
    cells = rank * _SIZE + slots
    counts = np.bincount(cells, minlength=len(numbers) * _SIZE)
    if counts.max() > 1:
        number, slot = numbers[counts.argmax() // _SIZE], counts.argmax() % _SIZE
        part = next(name for name, rows in _PARTS.items() if slot in rows)
        where = f"{part} {slot - _PARTS[part].start} in frame {number}"
        raise BadClip(path, f"has more than one row for {where}")
    clip = np.full((len(numbers) * _SIZE, 3), np.nan, np.float32)  # [T * 543, 3]
    for axis, values in enumerate(_coordinates(table)):
        clip[cells, axis] = values
    by_landmark = np.argsort(slots, kind="stable")
    same = np.diff(slots[by_landmark]) == 0
    # Of ranks, because a difference of frame numbers could overflow.
    backwards = (np.diff(rank[by_landmark]) < 0) & same
    note = "frames out of order, read in the order of their numbers" if backwards.any() else ""
    return Reading(clip.reshape(-1, _SIZE, 3), note)
