"""Corrupt files of many kinds: each clip is read correctly or refused.

`meaning` below says what a table means. It looks at one row at a time, so that it can be checked
by reading it, and shares no code with the reader that is tested.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from asl.clips.sources.base import BadClip, Entry
from asl.clips.sources.gislr import GislrSource, read_clip

NAN = float("nan")
COLUMNS = ["frame", "type", "landmark_index", "x", "y", "z"]
PARTS = {"face": (0, 468), "left_hand": (468, 21), "pose": (489, 33), "right_hand": (522, 21)}


# --- what a table means -------------------------------------------------------------------------


class Meaning:
    """The content of a table.

    Attributes:
        clip: float32 [frames, 543, 3], None where something is wrong.
        backwards: whether any landmark's rows go back in time.
        wrong: a word for each thing that makes the table unbelievable; one is in the reason.
        doubtful: a word for each thing that may be refused, but need not.
    """

    def __init__(self) -> None:
        self.clip: np.ndarray | None = None
        self.backwards = False
        self.wrong: list[str] = []
        self.doubtful: list[str] = []


def meaning(table: pa.Table) -> Meaning:
    result = Meaning()
    for name in COLUMNS:
        if table.column_names.count(name) != 1:
            result.wrong.append("one column each of")
    if result.wrong:
        return result
    if table.num_rows == 0:
        result.wrong.append("no frames")
    frames = _numbers(table, "frame", result, whole=True)
    types = _texts(table, result)
    indices = _numbers(table, "landmark_index", result, whole=True)
    xyz = [_numbers(table, name, result, whole=False) for name in "xyz"]
    cells: dict[tuple[int, int], tuple[float, ...]] = {}
    last: dict[int, int] = {}
    for frame, part, index, *point in zip(frames, types, indices, *xyz, strict=True):
        with np.errstate(over="ignore"):
            point = tuple(np.array(point, np.float64).astype(np.float32))
        if np.isinf(point).any():
            result.wrong.append("infinite")
        if part is not None and part not in PARTS:
            result.wrong.append("unknown type")
        if frame is None or index is None or part not in PARTS:
            continue
        start, size = PARTS[part]
        if not 0 <= index < size:
            result.wrong.append("landmark_index")
            continue
        landmark = start + index
        if (frame, landmark) in cells:
            result.wrong.append("more than one row")
        cells[frame, landmark] = point
        result.backwards |= frame < last.get(landmark, frame)
        last[landmark] = frame
    if not result.wrong:
        numbers = sorted(set(frames))
        clip = np.full((len(numbers), 543, 3), np.nan, np.float32)
        place = {number: i for i, number in enumerate(numbers)}
        for (frame, landmark), point in cells.items():
            clip[place[frame], landmark] = point
        result.clip = clip
    return result


def _numbers(table: pa.Table, name: str, result: Meaning, whole: bool) -> list:
    """The numbers of a column; None (integers) or NaN (others) for a cell without one."""
    kind, column, numbers = table.schema.field(name).type, f"column {name}", []
    plain = pa.types.is_integer(kind) or (
        not whole and (pa.types.is_floating(kind) or pa.types.is_null(kind))
    )
    if not plain:
        result.doubtful.append(column)
    for value in _values(table[name]):
        number = None if whole else NAN
        if pa.types.is_temporal(kind) and value is not None:
            value = datetime.max  # a time is no number
        if value is None:
            if whole:
                result.wrong.append(column)
        else:
            try:
                number = int(value) if whole else float(value)
                if whole and not isinstance(value, str | bytes) and number != value:
                    result.wrong.append(column)
            except (TypeError, ValueError, OverflowError):
                result.wrong.append(column)
        numbers.append(number)
    return numbers


def _values(column: pa.ChunkedArray) -> list:
    """The Python values of a column; times as integers, for Python cannot represent all."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return column.to_pylist()


def _texts(table: pa.Table, result: Meaning) -> list[str | None]:
    """The column `type`; None for a cell without text."""
    kind, texts = table.schema.field("type").type, []
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        result.doubtful.append("column type")
    for value in table["type"].to_pylist():
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if not isinstance(value, str):
            result.wrong.append("column type")
        texts.append(value if isinstance(value, str) else None)
    return texts


# --- how a table is corrupted -------------------------------------------------------------------

Mutation = Callable[[pa.Table, random.Random], pa.Table]


def put(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def has(table: pa.Table, name: str) -> bool:
    return table.column_names.count(name) == 1


def retyped(name: str, kind: pa.DataType) -> Mutation:
    """The same values cast to another type, as far as possible."""

    def mutate(table: pa.Table, luck: random.Random) -> pa.Table:
        if not has(table, name):
            return table
        values = _values(table[name])
        if pa.types.is_list(kind):
            return put(table, name, pa.array([[v] for v in values]))
        if pa.types.is_struct(kind):
            return put(table, name, pa.array([{"x": v} for v in values]))
        if pa.types.is_null(kind):
            return put(table, name, pa.nulls(table.num_rows))
        if pa.types.is_decimal(kind):
            return put(table, name, pa.array([_decimal(v) for v in values], kind))
        if pa.types.is_binary(kind):
            return put(table, name, pa.array([_bytes(v) for v in values], kind))
        if pa.types.is_dictionary(kind):
            return put(table, name, table[name].dictionary_encode())
        try:
            return put(table, name, table[name].cast(kind, safe=False))
        except pa.ArrowException:  # by way of whole numbers, then
            whole = pa.int32() if kind.bit_width == 32 else pa.int64()
            return put(table, name, pa.array([len(str(v)) for v in values], whole).cast(kind))

    return mutate


def _bytes(value: object) -> bytes | None:
    return None if value is None else str(value).encode()


def _decimal(value: object) -> Decimal | None:
    return Decimal(f"{value:.4f}") if isinstance(value, int | float) and value == value else None


def cells(name: str, values: list, kind: pa.DataType | None = None) -> Mutation:
    """Replaces one to three cells by one of the values, in another type if necessary."""

    def mutate(table: pa.Table, luck: random.Random) -> pa.Table:
        if not has(table, name) or not table.num_rows:
            return table
        held = _values(table[name])
        for _ in range(luck.randint(1, 3)):
            held[luck.randrange(len(held))] = luck.choice(values)
        return put(table, name, pa.array(held, kind or table.schema.field(name).type))

    return mutate


def frames_as(change: Callable[[np.ndarray, random.Random], np.ndarray]) -> Mutation:
    """Other frame numbers."""

    def mutate(table: pa.Table, luck: random.Random) -> pa.Table:
        if not has(table, "frame") or not table.num_rows:
            return table
        frames = np.array([int(v or 0) for v in _values(table["frame"])])
        return put(table, "frame", pa.array(change(frames, luck)))

    return mutate


def renamed(change: Callable[[str], str]) -> Mutation:
    def mutate(table: pa.Table, luck: random.Random) -> pa.Table:
        place = luck.randrange(table.num_columns)
        names = table.column_names
        return table.rename_columns([*names[:place], change(names[place]), *names[place + 1 :]])

    return mutate


def rows(change: Callable[[list[int], random.Random], list[int]]) -> Mutation:
    """Other rows, or another order."""

    def mutate(table: pa.Table, luck: random.Random) -> pa.Table:
        return table.take(pa.array(change(list(range(table.num_rows)), luck), pa.int64()))

    return mutate


def _swap_two_names(table: pa.Table, luck: random.Random) -> pa.Table:
    names = table.column_names
    a, b = luck.sample(range(len(names)), 2)
    names[a], names[b] = names[b], names[a]
    return table.rename_columns(names)


def _drop_a_column(table: pa.Table, luck: random.Random) -> pa.Table:
    return table.drop_columns(luck.choice(table.column_names)) if table.num_columns > 1 else table


def _double_a_column(table: pa.Table, luck: random.Random) -> pa.Table:
    place = luck.randrange(table.num_columns)
    return table.append_column(table.schema.field(place), table.column(place))


def _more_columns(table: pa.Table, luck: random.Random) -> pa.Table:
    nested = pa.array([{"x": 1.0, "frame": 2}] * table.num_rows)
    text = pa.array(["ö"] * table.num_rows)
    return table.append_column("extra", nested).add_column(0, "X", text)


def _other_column_order(table: pa.Table, luck: random.Random) -> pa.Table:
    order = list(range(table.num_columns))
    luck.shuffle(order)
    return table.select(order)


def _a_category_that_no_row_has(table: pa.Table, luck: random.Random) -> pa.Table:
    if not has(table, "type") or not pa.types.is_string(table.schema.field("type").type):
        return table
    names = ["foot", *PARTS]
    codes = [None if v not in PARTS else names.index(v) for v in table["type"].to_pylist()]
    return put(table, "type", pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), names))


def _twice_the_same_category(table: pa.Table, luck: random.Random) -> pa.Table:
    if not has(table, "type") or not pa.types.is_string(table.schema.field("type").type):
        return table
    names = [*PARTS, *PARTS]
    codes = [
        None if v not in PARTS else luck.choice([0, 4]) + names.index(v)
        for v in table["type"].to_pylist()
    ]
    return put(table, "type", pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), names))


def _some(held: list[int], luck: random.Random) -> list[int]:
    return [row for row in held if luck.random() < 0.8]


def _shuffled(held: list[int], luck: random.Random) -> list[int]:
    return luck.sample(held, len(held))


def _two_change_places(held: list[int], luck: random.Random) -> list[int]:
    if len(held) > 1:
        a, b = luck.sample(range(len(held)), 2)
        held[a], held[b] = held[b], held[a]
    return held


def _one_twice(held: list[int], luck: random.Random) -> list[int]:
    return held + held[:1] if luck.random() < 0.5 else [*held, *luck.choices(held, k=bool(held))]


WHOLE = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
]
NO_NUMBERS = [pa.timestamp("us"), pa.date32(), pa.list_(pa.int64()), pa.struct([]), pa.null()]
OTHERS = [pa.float64(), pa.float32(), pa.decimal128(20, 4), pa.string(), pa.bool_()]
OTHERS += [pa.dictionary(pa.int32(), pa.int16()), pa.binary(), *NO_NUMBERS]
TEXTS = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()]
REALS = [pa.float16(), pa.float32(), pa.float64(), *WHOLE, *OTHERS]
REALS += [pa.dictionary(pa.int32(), pa.float64()), pa.large_string()]

MUTATIONS: dict[str, Mutation] = {
    **{f"frame as {k}": retyped("frame", k) for k in [*WHOLE, *OTHERS]},
    **{f"landmark_index as {k}": retyped("landmark_index", k) for k in [*WHOLE, *OTHERS]},
    **{f"type as {k}": retyped("type", k) for k in [*TEXTS, pa.int16(), *NO_NUMBERS]},
    **{f"{name} as {k}": retyped(name, k) for k in REALS for name in "xyz"},
    **{f"nulls in {name}": cells(name, [None]) for name in COLUMNS},
    "a column less": _drop_a_column,
    "a column twice": _double_a_column,
    "capitals": renamed(str.upper),
    "a space": renamed(lambda name: name + " "),
    "two names swapped": _swap_two_names,
    "more columns": _more_columns,
    "columns in another order": _other_column_order,
    "an unused category": _a_category_that_no_row_has,
    "a category twice": _twice_the_same_category,
    "an unknown type": cells("type", ["foot", "Face", "face ", "", "pose\0", "gesicht ö"]),
    "an index outside": cells("landmark_index", [-1, 21, 33, 468, 543, 32767, -32768], pa.int64()),
    "an index far outside": cells("landmark_index", [2**40, -(2**63), 2**63 - 1], pa.int64()),
    "an index beyond int64": cells("landmark_index", [2**63, 2**64 - 1], pa.uint64()),
    "another index": cells("landmark_index", [0, 5, 20], pa.int64()),
    "another type": cells("type", list(PARTS)),
    "inf": cells("x", [float("inf")]),
    "-inf": cells("z", [float("-inf")]),
    "too large for float32": cells("y", [1e39, -1e300, 3.5e38], pa.float64()),
    "odd but true": cells("y", [-0.0, 1e-320, 3.4e38, 1e-46, 1234.5678, NAN], pa.float64()),
    "negative frames": frames_as(lambda frames, luck: frames - luck.randint(1, 10_000)),
    "huge frames": frames_as(lambda frames, luck: frames + 2**62),
    "frames as far apart as can be": frames_as(
        lambda frames, luck: np.where(frames == frames.min(), -(2**63), frames + 2**62)
    ),
    "frames beyond int64": frames_as(lambda frames, luck: frames.astype("uint64") + 2**63 + 7),
    "gaps": frames_as(lambda frames, luck: frames * luck.randint(2, 50)),
    "frames backwards": frames_as(lambda frames, luck: -frames),
    "all in one frame": frames_as(lambda frames, luck: frames * 0),
    "another frame": cells("frame", [0, 1, 21, 22, -5], pa.int64()),
    "rows shuffled": rows(_shuffled),
    "rows backwards": rows(lambda held, luck: held[::-1]),
    "two rows swapped": rows(_two_change_places),
    "rows missing": rows(_some),
    "a row missing": rows(lambda held, luck: held[:-1]),
    "a row of the middle missing": rows(lambda held, luck: held[:700] + held[701:]),
    "a row twice": rows(_one_twice),
    "all rows twice": rows(lambda held, luck: held + held),
    "a row instead of another": rows(lambda held, luck: held[1:2] + held[1:]),
    "no rows": rows(lambda held, luck: []),
    "one row": rows(lambda held, luck: held[:1]),
}

WRITING = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["zstd", "snappy", "gzip", "lz4", "brotli", "none"]),
        "row_group_size": st.sampled_from([None, 100, 543, 1000]),
        "data_page_size": st.sampled_from([None, 300]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "version": st.sampled_from(["1.0", "2.4", "2.6"]),
        "store_schema": st.booleans(),
        "write_statistics": st.booleans(),
        "write_page_checksum": st.booleans(),
        "use_dictionary": st.sampled_from([True, False, ["type"], ["frame", "x"], "encoded"]),
    }
)


def write(table: pa.Table, path: Path, options: dict) -> None:
    """Writes the table; tells hypothesis to try another one where it cannot be written."""
    if options.get("use_dictionary") == "encoded":
        kinds = zip(table.column_names, table.schema.types, strict=True)
        encoding = {name: _encoding(kind) for name, kind in kinds}
        if not all(encoding.values()) or len(encoding) < table.num_columns:
            options = options | {"use_dictionary": False}
        else:
            options = options | {"use_dictionary": False, "column_encoding": encoding}
    try:
        pq.write_table(table, path, **options)
    except (pa.ArrowException, OSError):
        assume(False)


def _encoding(kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind):
        return "DELTA_BINARY_PACKED"
    if pa.types.is_string(kind):
        return "DELTA_BYTE_ARRAY"
    return "BYTE_STREAM_SPLIT" if pa.types.is_floating(kind) else None


# --- tables -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def originals(request, one_file) -> list[Path]:
    """A clip of words15, the genuine competition file and a generated one; the last one alone
    where there are no real ones."""
    try:
        real = request.getfixturevalue("shared_data")
    except pytest.skip.Exception:
        return [one_file]
    inside = "train_landmark_files"
    word = real / "words15" / inside / "1/100000.parquet"
    return [word, real / "gislr_sample" / inside / "22343/239181.parquet", one_file]


@pytest.fixture(scope="session")
def short(originals) -> list[pa.Table]:
    """The first three frames of each."""
    return [pq.read_table(path).slice(0, 3 * 543) for path in originals]


@pytest.fixture(scope="session")
def source(synthetic_raw, tmp_path_factory) -> GislrSource:
    """A source without clips, for reading files that tests write to its root."""
    root = tmp_path_factory.mktemp("mutations")
    name = "sign_to_prediction_index_map.json"
    (root / name).write_bytes((synthetic_raw / name).read_bytes())
    return GislrSource(root)


def read(source: GislrSource, name: str) -> tuple[np.ndarray | None, str]:
    """The clip and its note, or None and the reason of the refusal."""
    try:
        return source.read(Entry(name, "1", "1", "?"))
    except BadClip as error:
        sentence, reason = str(error), error.reason
    assert str(source.root / name) in sentence
    assert "\n" not in sentence
    return None, reason


def check(table: pa.Table, source: GislrSource, name: str) -> None:
    """Reads a file of the table twice, and compares the results with the reference reader."""
    meant = meaning(table)
    for _ in range(2):
        clip, note = read(source, name)
        if clip is None:
            assert any(word in note for word in meant.wrong + meant.doubtful), note
            continue
        assert not meant.wrong
        assert clip.dtype == np.float32
        np.testing.assert_array_equal(clip, meant.clip)
        assert bool(note) == meant.backwards, note
        np.testing.assert_array_equal(read_clip(source.root / name), clip)


def test_the_reference_reader_agrees_on_valid_files(originals):
    for path in originals:
        table = pq.read_table(path)
        plain = np.stack([table[c].to_numpy() for c in "xyz"], -1).reshape(-1, 543, 3)
        clip = meaning(table).clip
        np.testing.assert_array_equal(clip, plain.astype(np.float32))
        np.testing.assert_array_equal(clip, read_clip(path))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_table_with_one_corruption(name, short, source):
    table = short[len(name) % len(short)]
    table = MUTATIONS[name](table, random.Random(0))
    pq.write_table(table, source.root / "one.parquet")
    check(table, source, "one.parquet")


def corrupted(table: pa.Table, name: str, seed: int) -> pa.Table:
    """The table with one more corruption, or unchanged where that does not apply any more."""
    try:
        return MUTATIONS[name](table, random.Random(seed))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return table


FEW, MANY = 60, 1500
SLOWLY = [HealthCheck.too_slow, HealthCheck.data_too_large]


CORRUPTIONS = {
    "which": st.integers(0, 2),
    "names": st.lists(st.sampled_from(sorted(MUTATIONS)), max_size=3),
    "seed": st.integers(0, 1000),
    "options": WRITING,
}


def check_corrupted(short, source, which, names, seed, options):
    table = short[which % len(short)]
    for name in names:
        table = corrupted(table, name, seed)
    write(table, source.root / "several.parquet", options)
    check(table, source, "several.parquet")


def test_the_largest_gap_of_frame_numbers_is_in_order(short, source):
    table = MUTATIONS["frames as far apart as can be"](short[0], random.Random(0))
    check_corrupted([table], source, 0, ["rows missing"], 0, {})


@settings(max_examples=FEW, deadline=None, derandomize=True, suppress_health_check=SLOWLY)
@given(**CORRUPTIONS)
def test_a_table_with_several_corruptions(short, source, which, names, seed, options):
    check_corrupted(short, source, which, names, seed, options)


@pytest.mark.slow
@settings(max_examples=MANY, deadline=None, derandomize=True, suppress_health_check=SLOWLY)
@given(**CORRUPTIONS)
def test_tables_with_many_corruptions(short, source, which, names, seed, options):
    check_corrupted(short, source, which, names, seed, options)


# --- files of equal parts -----------------------------------------------------------------------


def _look_alikes(table: pa.Table) -> dict[str, pa.Table]:
    """Tables of which each differs from the first in one column, or in how that is stored."""
    frame, kind, index = (table[name].to_numpy(zero_copy_only=False) for name in COLUMNS[:3])
    hands = {"left_hand": "right_hand", "right_hand": "left_hand"}
    mirrored = [hands.get(name, name) for name in kind]
    other_frames = np.where(frame == frame[0], frame + 50, frame)
    within = np.where(kind == "pose", 32 - index, index)
    beyond = np.where((kind == "face") & (index == 467), 468, index)
    codes = pa.array([sorted(PARTS).index(name) for name in kind], pa.int8())
    unsigned = pa.array(index.astype(np.uint16))
    twice = pa.concat_tables([table, table])
    later = pa.concat_tables([table, put(table, "frame", pa.array(frame + np.int16(100)))])
    return {
        "the first": table,
        "its frames a hundred later": put(table, "frame", pa.array(frame + np.int16(100))),
        "its first frame last": put(table, "frame", pa.array(other_frames, pa.int16())),
        "its frames as int64": put(table, "frame", pa.array(frame, pa.int64())),
        "its frames as times": put(table, "frame", pa.array(frame, pa.int64()).cast("time64[us]")),
        "its frames as text": put(table, "frame", table["frame"].cast("string")),
        "its hands exchanged": put(table, "type", pa.array(mirrored)),
        "its types in bytes": put(table, "type", table["type"].cast(pa.binary())),
        "its types misspelt": put(table, "type", pa.array([name + "s" for name in kind])),
        "its types as numbers": put(table, "type", codes),
        "its pose upside down": put(table, "landmark_index", pa.array(within, pa.int16())),
        "one index outside": put(table, "landmark_index", pa.array(beyond, pa.int16())),
        "its indices unsigned": put(table, "landmark_index", unsigned),
        "its first cell empty": cells("frame", [None])(table, random.Random(3)),
        "its x and y exchanged": table.rename_columns(
            [{"x": "y", "y": "x"}.get(name, name) for name in table.column_names]
        ),
        "all its rows twice": twice,
        "itself and itself later": later,
        "its first frame alone": table.slice(0, 543),
        "its last row missing": table.slice(0, table.num_rows - 1),
    }


@pytest.mark.parametrize("dictionary", [True, False])
def test_the_column_cache_never_mixes_files(short, source, dictionary):
    """What is cached of one file must not affect the next, however similar they are."""
    tables = [
        (f"{number} {name}.parquet", table, groups)
        for number, original in enumerate(short)
        for name, table in _look_alikes(original).items()
        for groups in (None, original.num_rows)
    ]
    options = {"compression": "none", "use_dictionary": dictionary}
    for name, table, groups in tables:
        pq.write_table(table, source.root / name, row_group_size=groups, **options)
    meant = {name: meaning(table) for name, table, _ in tables}
    luck = random.Random(0)
    for _ in range(3):
        for name in [name for name, *_ in luck.sample(tables, len(tables))]:
            clip, note = read(source, name)
            if clip is None:
                assert any(w in note for w in meant[name].wrong + meant[name].doubtful), name
            else:
                np.testing.assert_array_equal(clip, meant[name].clip, err_msg=name)
                assert bool(note) == meant[name].backwards


def test_a_replaced_file_is_read_again(short, source):
    """Also where name, size and time stay the same."""
    path = source.root / "replaced.parquet"
    looks = _look_alikes(short[0])
    for name in ("the first", "its hands exchanged", "its pose upside down", "the first"):
        pq.write_table(looks[name], path, compression="none")
        os.utime(path, (1, 1))
        np.testing.assert_array_equal(read_clip(path), meaning(looks[name]).clip)


# --- bytes --------------------------------------------------------------------------------------


def _bits(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    for _ in range(luck.choice([1, 1, 2, 8])):
        content[luck.randrange(len(content))] ^= 1 << luck.randrange(8)


def _footer(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    """Changes a byte of a parquet file's footer."""
    length = int.from_bytes(content[-8:-4], "little") + 8
    for _ in range(luck.choice([1, 1, 3])):
        content[-luck.randint(1, length)] = luck.randrange(256)


def _page_header(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    """Changes a byte near the beginning of a column."""
    group = pq.ParquetFile(pa.BufferReader(bytes(content))).metadata.row_group(0)
    column = group.column(luck.randrange(group.num_columns))
    pages = [column.data_page_offset, column.dictionary_page_offset]
    start = luck.choice([page for page in pages if page])
    for _ in range(luck.choice([1, 1, 3])):
        content[start + luck.randrange(40)] = luck.randrange(256)


def _cut(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    del content[luck.randrange(len(content)) :]


def _hole(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    start = luck.randrange(len(content))
    del content[start : start + luck.choice([1, 8, 1000])]


def _more(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    start = luck.randrange(len(content))
    content[start:start] = luck.randbytes(luck.choice([1, 8, 1000]))


def _garbage(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    size = luck.choice([4, 100, 5000])
    start = luck.randrange(len(content))
    content[start : start + size] = luck.choice([luck.randbytes(size), bytes(size)])


def _chunks_swapped(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    """Swaps the bytes of two columns, up to the length of the shorter one."""
    group = pq.ParquetFile(pa.BufferReader(bytes(content))).metadata.row_group(0)
    columns = [group.column(i) for i in luck.sample(range(group.num_columns), 2)]
    starts = [c.dictionary_page_offset or c.data_page_offset for c in columns]
    size = min(c.total_compressed_size for c in columns)
    a, b = (content[start : start + size] for start in starts)
    content[starts[0] : starts[0] + size], content[starts[1] : starts[1] + size] = b, a


def _of_another(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    """Copies bytes of another file to the same place, perhaps the whole footer."""
    other = luck.choice(others)
    start = luck.randrange(min(len(content), len(other)))
    stop = luck.choice([start + 2000, len(other)])
    content[start:stop] = other[start:stop]


def _doubled(content: bytearray, luck: random.Random, others: list[bytes]) -> None:
    content += content[: luck.choice([len(content), len(content) // 2])]


BYTES = [_bits, _bits, _footer, _footer, _page_header, _page_header, _cut, _hole, _more]
BYTES += [_garbage, _chunks_swapped, _of_another, _doubled]


def corrupt_bytes(originals: list[Path], folder: Path, count: int) -> None:
    """Writes `count` files, each a real one with one corruption, and valid ones in between."""
    contents = [path.read_bytes() for path in originals]
    for number in range(count):
        luck = random.Random(number)
        content = bytearray(luck.choice(contents))
        change = BYTES[number % len(BYTES)]
        change(content, luck, contents)
        (folder / f"{number:05d}-{change.__name__[1:]}.parquet").write_bytes(content)
        if number % 7 == 0:
            (folder / f"{number:05d}-zz-whole.parquet").write_bytes(luck.choice(contents))


def read_both_ways(folder: Path, names: list[str]) -> None:
    """Prints the outcome of each file, by our reader and row by row with pandas."""
    for name in names:
        print(json.dumps([name]), flush=True)
        ours = _told(lambda path: read_clip(path), folder / name)
        print(json.dumps([name, ours, _told(_by_pandas, folder / name)]), flush=True)


def _told(reader: Callable[[Path], np.ndarray | None], path: Path) -> str:
    try:
        clip = reader(path)
    except BadClip as error:
        return f"refused: {error.reason}"
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"
    content = np.where(np.isnan(clip), np.float32("nan"), clip).tobytes()
    return f"clip {clip.shape} {hashlib.sha256(content).hexdigest()}"


def _by_pandas(path: Path) -> np.ndarray:
    frame = pd.read_parquet(path, columns=COLUMNS, dtype_backend="pyarrow")
    meant = meaning(pa.Table.from_pandas(frame, preserve_index=False))
    if meant.clip is None:
        raise BadClip(path, meant.wrong[0])
    return meant.clip


def told_of(folder: Path) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """The outcome of each file of a folder, and the files whose reading killed the process."""
    names, told, crashing = sorted(path.name for path in folder.iterdir()), {}, []
    while names:
        command = [sys.executable, __file__, str(folder), json.dumps(names)]
        child = subprocess.run(command, capture_output=True, text=True)
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        told.update({name: tuple(both) for name, *both in lines if both})
        assert child.returncode <= 0, child.stderr
        last = lines[-1][0]
        if child.returncode < 0:
            crashing.append(last)
        names = names[names.index(last) + 1 :]
    return told, crashing


def check_bytes(originals: list[Path], folder: Path, count: int) -> None:
    corrupt_bytes(originals, folder, count)
    told, crashing = told_of(folder)
    assert not crashing
    whole = {ours for name, (ours, theirs) in told.items() if "whole" in name and ours == theirs}
    assert len(whole) == len(originals)
    assert not [ours for ours, _ in told.values() if ours.startswith("error")]
    # pandas also reads what lies beside the six columns, its own names for them say, and may
    # stumble over it; a clip as it was before the damage is no wrong one then.
    strange = {
        name: (ours, theirs)
        for name, (ours, theirs) in told.items()
        if ours.startswith("clip") and ours != theirs
        if not (theirs.startswith(("error", "refused")) and ours in whole)
    }
    assert not strange
    assert sum(ours.startswith("refused") for ours, _ in told.values()) > count / 4


@pytest.mark.slow
def test_files_with_corrupt_bytes(originals, tmp_path):
    check_bytes(originals, tmp_path, FEW)


@pytest.mark.slow
def test_thousands_of_files_with_corrupt_bytes(originals, tmp_path):
    check_bytes(originals, tmp_path, MANY)


if __name__ == "__main__":
    read_both_ways(Path(sys.argv[1]), json.loads(sys.argv[2]))
