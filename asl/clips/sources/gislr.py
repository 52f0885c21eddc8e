"""The competition's layout: `train.csv`, `sign_to_prediction_index_map.json`, a parquet a clip.

A clip's parquet has a row for each frame and landmark, with the columns `frame`, `type` (face,
left_hand, pose, right_hand), `landmark_index` (counted within the type), `x`, `y`, `z`. Genuine
files have 543 rows a frame in one order and a `row_id`; others have neither, so a row is placed
by what it says of itself.
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

from asl.clips.sources.base import BadClip, Entry, Listing, Problem, Reading
from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC

TRAIN_CSV = "train.csv"
SIGN_MAP = "sign_to_prediction_index_map.json"
CLIPS_FOLDER = "train_landmark_files"
_FETCH = "`asl download` fetches the public data sets"
_CSV_COLUMNS = ["path", "participant_id", "sequence_id", "sign"]
COLUMNS = ["frame", "type", "landmark_index", "x", "y", "z"]

_SIZE = MEDIAPIPE_HOLISTIC.size
_PARTS = MEDIAPIPE_HOLISTIC.parts


class GislrSource:
    """A folder in the competition's layout."""

    layout = MEDIAPIPE_HOLISTIC.name

    def __init__(self, root: str | Path) -> None:
        """Reads the sign map of the folder `root`.

        Raises:
            UserError: there is no such folder, or its sign map is missing or makes no sense.
        """
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"data.root={root}: there is no such folder ({_FETCH})")
        self.signs = read_sign_map(self.root / SIGN_MAP)
        self.settings: dict[str, Any] = {}

    def listing(self) -> Listing:
        """Every row of train.csv, in its order.

        A row becomes a problem that names no sign of the map, nobody who signs, a file named
        before or one outside the folder; as does a parquet file under `train_landmark_files` that
        no row names.

        Raises:
            UserError: train.csv is missing or lacks a column.
        """
        rows = _read_train_csv(self.root / TRAIN_CSV)
        known: set[str] = set(self.signs)
        named: set[str] = set()
        entries, problems = [], []
        for row in rows:
            if fault := _row_fault(row, known, named):
                problems.append(Problem(row.path, fault))
            else:
                entries.append(row)
            named.add(row.path)
        strays = sorted(_parquet_files(self.root) - named)
        problems += [Problem(path, f"not named in {TRAIN_CSV}") for path in strays]
        return Listing(entries, problems)

    def read(self, entry: Entry) -> Reading:
        """The clip of one row of train.csv; raises as `read_clip` does, and OSError."""
        return _read(self.root / entry.path)


def read_clip(path: Path | str) -> np.ndarray:
    """One clip of the competition's layout.

    Frames are taken in the order of their numbers and packed together: the first number is
    arbitrary, and a gap in the numbers leaves none in the clip. A landmark without a row in a
    frame was not detected in it.

    Returns:
        float32 [frames, 543, 3], NaN = not detected.

    Raises:
        BadClip: no such file; not a parquet file, or a damaged one; a column is missing or of
            another type; an unknown `type` or a landmark index outside it; two rows for one
            landmark in one frame; an infinite coordinate; no frame at all.
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
    except (ValueError, TypeError, AttributeError):
        gapless = False
    if not gapless or not signs:
        raise UserError(f"{path}: must map every sign to a label of its own, counted from 0")
    return signs


def write_clip(path: Path, clip: np.ndarray, first_frame: int = 0) -> None:
    """Writes one clip as a parquet file with the competition's columns, types and row order.

    Args:
        path: of the file.
        clip: [frames, 543, 3], NaN = not detected.
        first_frame: number of the first frame; the competition's files start anywhere.
    """
    import pyarrow.compute as pc  # here: reader processes, too, import this file

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
    pq.write_table(pa.table(columns), path, compression="zstd")


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
        writer.writerow(_CSV_COLUMNS)
        writer.writerows(
            [entry.path, entry.signer, entry.sequence_id, entry.sign] for entry in entries
        )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a sign stands there twice")
    return dict(pairs)


def _read_train_csv(path: Path) -> list[Entry]:
    columns = _CSV_COLUMNS
    if not path.is_file():
        raise UserError(f"{path}: the list of clips is missing")
    # Without threads: the process may be forked afterwards.
    alone = pa.csv.ReadOptions(use_threads=False)
    options = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=columns,
        strings_can_be_null=False,
    )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
        if any(header.count(name) != 1 for name in columns):
            raise KeyError
        table = pa.csv.read_csv(path, alone, convert_options=options)
    except KeyError as error:
        raise UserError(f"{path}: must have the columns {', '.join(columns)}, once each") from error
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a csv file ({_first_line(error)})") from error
    return [Entry(*row) for row in zip(*(table[c].to_pylist() for c in columns), strict=True)]


def _row_fault(row: Entry, signs: set[str], named: set[str]) -> str | None:
    """What is wrong with a row of train.csv, given the paths of the rows before it."""
    if os.path.isabs(row.path) or ".." in row.path.replace("\\", "/").split("/"):
        return "lies outside the data set"
    if row.path in named:
        return f"named more than once in {TRAIN_CSV}"
    if not row.signer:
        return "has no participant_id"
    return None if row.sign in signs else f"sign {row.sign!r} is not in {SIGN_MAP}"


def _parquet_files(root: Path) -> set[str]:
    found: set[str] = set()
    for folder, _, names in os.walk(root / CLIPS_FOLDER):
        inside = Path(folder).relative_to(root).as_posix()
        found.update(f"{inside}/{name}" for name in names if name.endswith(".parquet"))
    return found


def _read(path: Path) -> Reading:
    with _opened(path) as (file, parquet), np.errstate(over="ignore"):
        # What is too large for float32 becomes infinite.
        reading = _read_blocks(path, parquet, _index_keys(file, parquet))
        reading = reading or _place_rows(path, _columns(path, parquet, COLUMNS))
    if np.isinf(reading.clip).any():
        raise BadClip(path, "has an infinite coordinate")
    return reading


def _read_blocks(path: Path, parquet: pq.ParquetFile, keys: "_Keys") -> Reading | None:
    """The clip, where each frame is one block of all landmarks in one order; None elsewhere."""
    order, steady = _orders.get(keys.order), keys.frames in _steady
    unknown = (() if steady else ("frame",)) + (() if order is not None else _PLACES)
    table = _columns(path, parquet, [*unknown, *"xyz"])
    if table.num_rows == 0:
        raise BadClip(path, "has no frames")
    if order is None:
        order = _block_order(_slots(path, table))
        if order is None:
            return None
        _remember(_orders, keys.order, order)
    if not steady:
        if not _are_blocks(_values(table["frame"])):
            return None
        _remember(_steady, keys.frames, True)
    return Reading(_place_blocks(order, _coordinates(table)))


# --- columns ------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pa.NativeFile, pq.ParquetFile]]:
    """The file; whatever the parquet library finds wrong with it becomes a BadClip."""
    try:
        # Twice as fast as pq.read_table with a path, which sets up a data set of one file first.
        with pa.OSFile(str(path)) as file:
            yield file, pq.ParquetFile(file, pre_buffer=False)
    except FileNotFoundError as error:
        raise BadClip(path, "there is no such file") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, IndexError) as error:
        if getattr(error, "errno", None):  # the disk's or the system's fault, not the file's
            raise
        raise BadClip(path, f"is not a readable parquet file ({_first_line(error)})") from error


def _columns(path: Path, parquet: pq.ParquetFile, names: list[str]) -> pa.Table:
    table = parquet.read(columns=names, use_threads=False)
    if table.num_rows != parquet.metadata.num_rows:
        raise BadClip(path, f"has {table.num_rows} rows of {parquet.metadata.num_rows}")
    there = table.column_names
    if wrong := [name for name in names if there.count(name) != 1]:
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


# A column without a single value has the type null: nothing was detected.
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)


def _is_text(kind: pa.DataType) -> bool:
    return cast(bool, pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _coordinates(table: pa.Table) -> list[np.ndarray]:
    return [_values(table[name]) for name in "xyz"]


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """The column's numbers, NaN for empty cells."""
    if not pa.types.is_floating(column.type) and column.null_count:
        column = column.cast(pa.float64(), safe=False)  # what float64 rounds is no fault
    if column.null_count:
        column = column.fill_null(pa.scalar(math.nan, column.type))
    # Not to_numpy, which imports pandas first: as long as reading 500 clips, in every worker.
    return np.from_dlpack(_one_chunk(column))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _slots(path: Path, table: pa.Table) -> np.ndarray:
    """The place of each row on the landmark axis, int64 [rows]."""
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

# In nearly every file each frame is one block of all landmarks in the same order, and then the
# columns that say so are the same bytes as in other files of its length. A third of the time of
# reading a clip would go into decoding them again; so what they said is remembered by their bytes.
_orders: dict[Any, np.ndarray] = {}  # the slots of each block's rows
_steady: dict[Any, bool] = {}  # whether the frames are whole blocks, one after the other
_PLACES = ("type", "landmark_index")
_MOST_REMEMBERED, _LONGEST_CHUNK = 4096, 1 << 16


class _Keys(NamedTuple):
    """All that decides what columns decode to; None where that is not known or not short."""

    frames: Any | None
    order: Any | None


def _index_keys(file: pa.NativeFile, parquet: pq.ParquetFile) -> _Keys:
    metadata = parquet.metadata
    # Where a column's metadata is damaged, to ask for it ends the process. A worker's end is
    # noticed, and the clip that it died of is named.
    expendable = multiprocessing.parent_process() is not None
    if not expendable or metadata.num_row_groups != 1:
        return _Keys(None, None)
    schema, group = parquet.schema_arrow, metadata.row_group(0)
    names = schema.names
    flat = len(names) == group.num_columns  # no column of columns: places are the chunks' numbers
    if not flat or any(names.count(name) != 1 for name in COLUMNS):
        return _Keys(None, None)

    def key(*wanted: str) -> Any | None:
        parts = [metadata.num_rows]
        for name in wanted:
            place = names.index(name)
            chunk, field = group.column(place), schema.field(place)
            start, size = chunk.data_page_offset, chunk.total_compressed_size
            if chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            short = 0 < size < _LONGEST_CHUNK and 0 < start < file.size() - size
            if not short or chunk.num_values != metadata.num_rows:
                return None
            parts += [field.type, field.nullable, chunk.physical_type, chunk.compression]
            parts.append(file.read_at(size, start))
        return tuple(parts)

    return _Keys(key("frame"), key(*_PLACES))


def _remember(known: dict[Any, Any], key: Any | None, value: object) -> None:
    if key is None:
        return
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[key] = value


def _are_blocks(frames: np.ndarray) -> bool:
    """Whether the rows are blocks of all landmarks, their frames in order."""
    if len(frames) % _SIZE:
        return False
    numbers = frames.reshape(-1, _SIZE)
    ascending = (numbers[1:, 0] > numbers[:-1, 0]).all()
    return bool(ascending and (numbers == numbers[:, :1]).all())


def _block_order(slots: np.ndarray) -> np.ndarray | None:
    """The slots of each block's rows, where all blocks have all landmarks in the same order."""
    if len(slots) % _SIZE:
        return None
    blocks = slots.reshape(-1, _SIZE)
    whole = (np.bincount(blocks[0], minlength=_SIZE) == 1).all()
    return blocks[0].copy() if whole and (blocks == blocks[0]).all() else None


def _place_blocks(order: np.ndarray, xyz: list[np.ndarray]) -> np.ndarray:
    """The clip from whole frames, one after the other, their rows in the same order."""
    clip = np.empty((len(xyz[0]) // _SIZE, _SIZE, 3), np.float32)  # [T, 543, 3]
    in_place = bool((order[1:] > order[:-1]).all())
    for axis, values in enumerate(xyz):
        clip[:, slice(None) if in_place else order, axis] = values.reshape(-1, _SIZE)
    return clip


def _place_rows(path: Path, table: pa.Table) -> Reading:
    """The clip from rows in any order, and a note where its frames were out of order."""
    frames, slots = _values(table["frame"]), _slots(path, table)
    numbers, rank = np.unique(frames, return_inverse=True)
    cells = rank * _SIZE + slots
    times = np.bincount(cells, minlength=len(numbers) * _SIZE)
    if times.max() > 1:
        number, slot = numbers[times.argmax() // _SIZE], times.argmax() % _SIZE
        part = next(name for name, rows in _PARTS.items() if slot in rows)
        where = f"{part} {slot - _PARTS[part].start} in frame {number}"
        raise BadClip(path, f"has more than one row for {where}")
    clip = np.full((len(numbers) * _SIZE, 3), np.nan, np.float32)  # [T * 543, 3]
    for axis, values in enumerate(_coordinates(table)):
        clip[cells, axis] = values
    by_landmark = np.argsort(slots, kind="stable")
    same = np.diff(slots[by_landmark]) == 0
    # Of ranks, because a difference of far numbers may be larger than a number can be.
    backwards = (np.diff(rank[by_landmark]) < 0) & same
    note = "frames out of order, read in the order of their numbers" if backwards.any() else ""
    return Reading(clip.reshape(-1, _SIZE, 3), note)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
