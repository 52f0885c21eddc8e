"""The competition's layout: `train.csv`, `sign_to_prediction_index_map.json`, a parquet a clip.

A clip's parquet has a row for each frame and landmark, with the columns `frame`, `type` (face,
left_hand, pose, right_hand), `landmark_index` (counted within the type), `x`, `y`, `z`. Genuine
files have 543 rows a frame in one order and a `row_id`; others have neither, so a row is placed
by what it says of itself.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from asl.clips.source import BadClip, Entry, Listing, Problem, Reading
from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC

TRAIN_CSV = "train.csv"
SIGN_MAP = "sign_to_prediction_index_map.json"
CLIPS_FOLDER = "train_landmark_files"
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
            raise UserError(f"data.root={root}: there is no such folder")
        self.signs = read_sign_map(self.root / SIGN_MAP)

    def listing(self) -> Listing:
        """Every row of train.csv, in its order.

        A row that names no sign of the map, or a file named before, becomes a problem, as does a
        parquet file under `train_landmark_files` that no row names.

        Raises:
            UserError: train.csv is missing or lacks a column.
        """
        rows = _read_train_csv(self.root / TRAIN_CSV)
        known, named = set(self.signs), set()
        entries, problems = [], []
        for row in rows:
            if row.path in named:
                problems.append(Problem(row.path, f"named more than once in {TRAIN_CSV}"))
            elif row.sign not in known:
                problems.append(Problem(row.path, f"sign {row.sign!r} is not in {SIGN_MAP}"))
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
        labels = json.loads(path.read_text(encoding="utf-8"))
        signs = sorted(labels, key=labels.get)
        gapless = [labels[sign] for sign in signs] == list(range(len(signs)))
    except (ValueError, TypeError, AttributeError):
        gapless = False
    if not gapless or not signs:
        raise UserError(f"{path}: must map every sign to a label of its own, counted from 0")
    return signs


def _read_train_csv(path: Path) -> list[Entry]:
    columns = ["path", "participant_id", "sequence_id", "sign"]
    if not path.is_file():
        raise UserError(f"{path}: the list of clips is missing")
    options = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=columns,
        strings_can_be_null=False,
    )
    try:
        table = pa.csv.read_csv(path, convert_options=options)
    except KeyError as error:
        raise UserError(f"{path}: must have the columns {', '.join(columns)}") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: is not a csv file ({_first_line(error)})") from error
    return [Entry(*row) for row in zip(*(table[c].to_pylist() for c in columns), strict=True)]


def _parquet_files(root: Path) -> set[str]:
    found: set[str] = set()
    for folder, _, names in os.walk(root / CLIPS_FOLDER):
        inside = Path(folder).relative_to(root).as_posix()
        found.update(f"{inside}/{name}" for name in names if name.endswith(".parquet"))
    return found


def _read(path: Path) -> Reading:
    table = _read_columns(path)
    if table.num_rows == 0:
        raise BadClip(path, "has no frames")
    rows = _Rows(*_types(path, table), table["landmark_index"].to_numpy())
    frames, xyz = table["frame"].to_numpy(), [table[c].to_numpy() for c in "xyz"]
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite
        clip, note = _place_blocks(path, frames, rows, xyz), ""
        if clip is None:
            clip, note = _place_rows(path, frames, _slots(path, rows), xyz)
    if np.isinf(clip).any():
        raise BadClip(path, "has an infinite coordinate")
    return Reading(clip, note)


class _Rows(NamedTuple):
    """What the rows of a file say they are: codes into the names of types, landmark indices."""

    names: list[str]
    codes: np.ndarray  # [rows]
    landmarks: np.ndarray  # [rows]


def _read_columns(path: Path) -> pa.Table:
    try:
        # Twice as fast as pq.read_table with a path, which sets up a data set of one file first.
        with pa.OSFile(str(path)) as file:
            parquet = pq.ParquetFile(file, read_dictionary=["type"], pre_buffer=False)
            table = parquet.read(columns=COLUMNS, use_threads=False)
    except FileNotFoundError as error:
        raise BadClip(path, "there is no such file") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None):  # the disk's or the system's fault, not the file's
            raise
        raise BadClip(path, f"is not a readable parquet file ({_first_line(error)})") from error
    _check_columns(path, table)
    return table


def _check_columns(path: Path, table: pa.Table) -> None:
    names = table.column_names
    if wrong := [c for c in COLUMNS if names.count(c) != 1]:
        raise BadClip(path, f"must have one column each of {', '.join(wrong)}")
    kinds = dict(zip(names, table.schema.types, strict=True))
    for name in ("frame", "landmark_index"):
        if not pa.types.is_integer(kinds[name]):
            raise BadClip(path, f"column {name} holds {kinds[name]}, not whole numbers")
    for name in "xyz":
        if not any(is_kind(kinds[name]) for is_kind in _NUMBERS):
            raise BadClip(path, f"column {name} holds {kinds[name]}, not numbers")
    if not pa.types.is_dictionary(kinds["type"]) or not _is_text(kinds["type"].value_type):
        raise BadClip(path, f"column type holds {kinds['type']}, not text")
    for name in COLUMNS[:3]:
        if table[name].null_count:
            raise BadClip(path, f"column {name} has empty cells")


# A column without a single value has the type null: nothing was detected.
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)


def _is_text(kind: pa.DataType) -> bool:
    return cast(bool, pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _types(path: Path, table: pa.Table) -> tuple[list[str], np.ndarray]:
    types = table["type"].unify_dictionaries().combine_chunks()
    types = types.chunk(0) if isinstance(types, pa.ChunkedArray) else types
    names = types.dictionary.to_pylist()
    if strange := [name for name in names if name not in _PARTS]:
        raise BadClip(path, f"has the unknown type {strange[0]!r}")
    return names, types.indices.to_numpy()


def _slots(path: Path, rows: _Rows) -> np.ndarray:
    """The place of each row on the landmark axis, int64 [rows]."""
    starts = np.array([_PARTS[name].start for name in rows.names])
    sizes = np.array([len(_PARTS[name]) for name in rows.names])
    outside = (rows.landmarks < 0) | (rows.landmarks >= sizes[rows.codes])
    if outside.any():
        first = int(np.argmax(outside))
        where = f"landmark_index {rows.landmarks[first]} of type {rows.names[rows.codes[first]]}"
        raise BadClip(path, f"has {where}")
    return starts[rows.codes] + rows.landmarks


def _place_blocks(
    path: Path, frames: np.ndarray, rows: _Rows, xyz: list[np.ndarray]
) -> np.ndarray | None:
    """The clip, where each frame is one block of all landmarks in one and the same order.

    Nearly every file is so, and only the first block's rows need to be looked at one by one.
    """
    if len(frames) % _SIZE:
        return None
    columns = (frames, rows.codes, rows.landmarks)
    numbers, codes, landmarks = (column.reshape(-1, _SIZE) for column in columns)
    regular = (
        (numbers == numbers[:, :1]).all()
        and (numbers[1:, 0] > numbers[:-1, 0]).all()
        and (codes == codes[0]).all()
        and (landmarks == landmarks[0]).all()
    )
    if not regular:
        return None
    order = _slots(path, _Rows(rows.names, codes[0], landmarks[0]))
    if (np.bincount(order, minlength=_SIZE) != 1).any():
        return None
    clip = np.empty((len(numbers), _SIZE, 3), np.float32)  # [T, 543, 3]
    in_place = bool((order[1:] > order[:-1]).all())
    for axis, values in enumerate(xyz):
        clip[:, slice(None) if in_place else order, axis] = values.reshape(-1, _SIZE)
    return clip


def _place_rows(
    path: Path, frames: np.ndarray, slots: np.ndarray, xyz: list[np.ndarray]
) -> tuple[np.ndarray, str]:
    """The clip from rows in any order, and a note where its frames were out of order."""
    numbers, rank = np.unique(frames, return_inverse=True)
    cells = rank * _SIZE + slots
    times = np.bincount(cells, minlength=len(numbers) * _SIZE)
    if times.max() > 1:
        number, slot = numbers[times.argmax() // _SIZE], times.argmax() % _SIZE
        part = next(name for name, rows in _PARTS.items() if slot in rows)
        where = f"{part} {slot - _PARTS[part].start} in frame {number}"
        raise BadClip(path, f"has more than one row for {where}")
    clip = np.full((len(numbers) * _SIZE, 3), np.nan, np.float32)  # [T * 543, 3]
    for axis, values in enumerate(xyz):
        clip[cells, axis] = values
    by_landmark = np.argsort(slots, kind="stable")
    same = np.diff(slots[by_landmark]) == 0
    backwards = (np.diff(frames[by_landmark].astype(np.int64)) < 0) & same
    note = "frames out of order, read in the order of their numbers" if backwards.any() else ""
    return clip.reshape(-1, _SIZE, 3), note


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
