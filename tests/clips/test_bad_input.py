"""Invalid recordings and lists are reported with their reasons, and the other clips are packed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asl.clips.prepare import prepare
from asl.clips.sources.gislr import GislrSource, read_clip, write_clip
from asl.clips.store import ClipStore
from asl.errors import UserError

FOLDER, MAP = "train_landmark_files", "sign_to_prediction_index_map.json"


def pack(raw: Path, **options) -> ClipStore:
    return prepare(GislrSource(raw), raw.parent / "store", echo=lambda line: None, **options)


def problems(raw: Path) -> list[tuple[str, str, str]]:
    """The rows of problems.csv: path, reason, and whether the clip was kept."""
    with (raw.parent / "store" / "problems.csv").open(newline="", encoding="utf-8") as file:
        return [(row["path"], row["reason"], row["kept"]) for row in csv.DictReader(file)]


def paths(raw: Path) -> list[Path]:
    """The files of the clips in the order of train.csv."""
    with (raw / "train.csv").open(newline="") as file:
        return [raw / row["path"] for row in csv.DictReader(file)]


# --- files --------------------------------------------------------------------------------------


def table(change: Callable[[pa.Table], pa.Table], **options) -> Callable[[Path], None]:
    """Replaces a clip's table by a changed one."""

    def damage(path: Path) -> None:
        pq.write_table(change(pq.read_table(path)), path, **options)

    return damage


def cell(name: str, value: object) -> Callable[[Path], None]:
    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[5] = value
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array(values, table.schema.field(name).type))

    return table(change)


def cast(name: str, kind: str) -> Callable[[Path], None]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, table[name].cast(kind))

    return table(change)


def listed(name: str) -> Callable[[Path], None]:
    def change(table: pa.Table) -> pa.Table:
        lists = pa.array([[value] for value in table[name].to_pylist()])
        return table.set_column(table.column_names.index(name), name, lists)

    return table(change)


def frames_last_first(path: Path) -> None:
    table(lambda t: pa.concat_tables([t.slice(543), t.slice(0, 543)]))(path)


def letter_lost(path: Path) -> None:
    """Flips one bit of a type's name, so that it is no valid UTF-8."""
    pq.write_table(pq.read_table(path), path, compression="none")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x04\x00\x00\x00face", b"\x04\x00\x00\x00fa\xe3e"))


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "gone": (Path.unlink, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a readable parquet file"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:9000]), "not a readable parquet file"),
    "cut at its end": (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        "not a readable parquet file",
    ),
    "text": (lambda path: path.write_text("frame,type\n"), "not a readable parquet file"),
    "no column z": (table(lambda t: t.drop_columns("z")), "one column each of z"),
    "other columns": (
        table(lambda t: t.rename_columns(["f", "r", "t", "l", "a", "b", "c"])),
        "one column each of frame, type, landmark_index, x, y, z",
    ),
    "x as text": (cast("x", "string"), "column x"),
    "y in lists": (listed("y"), "column y"),
    "frame in lists": (listed("frame"), "column frame"),
    "type in lists": (listed("type"), "column type"),
    "frame as fractions": (table(lambda t: t.set_column(0, "frame", t["x"])), "column frame"),
    "type as numbers": (table(lambda t: t.set_column(2, "type", t["frame"])), "column type"),
    "a frame without number": (cell("frame", None), "column frame"),
    "a type without name": (cell("type", None), "column type"),
    "an unknown type": (cell("type", "foot"), "unknown type 'foot'"),
    "a type that is no text": (letter_lost, ""),
    "an index too large": (cell("landmark_index", 468), "landmark_index 468 of type face"),
    "an index below zero": (cell("landmark_index", -1), "landmark_index -1 of type face"),
    "indices of 64 bits": (
        table(
            lambda t: t.set_column(
                3, "landmark_index", pa.array([2**64 - 1] * t.num_rows, pa.uint64())
            )
        ),
        "landmark_index",
    ),
    "a row twice": (table(lambda t: pa.concat_tables([t, t.slice(9, 1)])), "more than one row"),
    "infinite": (cell("z", float("-inf")), "infinite coordinate"),
    "too large": (cell("x", 1e300), "infinite coordinate"),
    "no frames": (table(lambda t: t.slice(0, 0)), "has no frames"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), ""),
    "never listed": (
        lambda path: write_clip(path, np.zeros((2, 543, 3))),
        "not named in train.csv",
    ),
}
KEPT: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing detected": (
        lambda path: write_clip(path, np.full((3, 543, 3), np.nan)),
        "no landmark was detected",
    ),
    "frames out of order": (frames_last_first, "frames out of order"),
}


@pytest.mark.parametrize("name", FILES)
def test_an_invalid_file_is_reported_and_skipped(name, raw):
    damage, reason = FILES[name]
    path = raw / FOLDER / "stray.parquet" if name == "never listed" else paths(raw)[7]
    damage(path)
    store = pack(raw)
    assert len(store) == 40 - (name != "never listed")
    ((named, message, kept),) = problems(raw)
    assert named == path.relative_to(raw).as_posix()
    assert reason in message
    assert message.strip()
    assert "\n" not in message
    assert kept == "no"
    assert named not in set(store.clips["path"])


@pytest.mark.parametrize("packed", [False, True], ids=["at first", "after skipping it"])
@pytest.mark.parametrize("name", ["gone", "cut", "infinite", "never listed"])
def test_an_invalid_file_fails_the_run_under_fail(name, packed, raw):
    damage, reason = FILES[name]
    path = raw / FOLDER / "stray.parquet" if name == "never listed" else paths(raw)[7]
    damage(path)
    if packed:
        pack(raw)
    with pytest.raises(UserError, match=path.name) as caught:
        pack(raw, on_problem="fail")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", KEPT)
def test_an_odd_file_is_reported_and_kept(name, raw):
    damage, reason = KEPT[name]
    path = paths(raw)[7]
    damage(path)
    store = pack(raw, on_problem="fail")
    assert len(store) == 40
    ((named, message, kept),) = problems(raw)
    assert (named, kept) == (path.relative_to(raw).as_posix(), "yes")
    assert reason in message
    np.testing.assert_array_equal(store.read(7), read_clip(path))


def test_frames_out_of_order_are_sorted(raw):
    path = paths(raw)[7]
    before = read_clip(path)
    frames_last_first(path)
    np.testing.assert_array_equal(read_clip(path), before)


def test_many_invalid_files_at_once(raw):
    """Each is reported, and all other clips are read back unchanged."""
    damaged = dict(zip(paths(raw), {**FILES, **KEPT}.items(), strict=False))
    for path, (name, (damage, _)) in damaged.items():
        if name != "never listed":
            damage(path)
    store = pack(raw)
    reasons = {raw / path: (message, kept) for path, message, kept in problems(raw)}
    for path, (name, (_, reason)) in damaged.items():
        if name == "never listed":
            assert path not in reasons
        else:
            assert reason in reasons[path][0]
            assert reasons[path][1] == ("yes" if name in KEPT else "no")
    assert len(store) == 40 - (len(FILES) - 1)
    for row, path in enumerate(store.clips["path"]):
        np.testing.assert_array_equal(store.read(row), read_clip(raw / path))


# --- the list of clips --------------------------------------------------------------------------

HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "lines as Windows ends them": lambda text: text.replace(b"\n", b"\r\n"),
    "empty lines": lambda text: text.replace(b"\n", b"\n\n") + b"\n\n",
    "no newline at the end": lambda text: text.rstrip(b"\n"),
    "quotes": lambda text: (
        b'"' + text.strip().replace(b",", b'","').replace(b"\n", b'"\n"') + b'"\n'
    ),
    "another column": lambda text: text.replace(b"\n", b",1\n").replace(b"sign,1", b"sign,more", 1),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_csv_dialects_are_equivalent(name, raw, synthetic_raw):
    text = (raw / "train.csv").read_bytes().replace(b"\r\n", b"\n")
    changed = HARMLESS[name](text)
    assert changed != text
    (raw / "train.csv").write_bytes(changed)
    found, wanted = GislrSource(raw).listing(), GislrSource(synthetic_raw).listing()
    assert found.entries == wanted.entries
    assert found.problems == wanted.problems
    assert set(found.columns) == ({"more"} if name == "another column" else set())


def test_columns_may_come_in_any_order(raw, synthetic_raw):
    rows = [line.split(",")[::-1] for line in (raw / "train.csv").read_text().splitlines()]
    (raw / "train.csv").write_text("\n".join(",".join(row) for row in rows))
    assert GislrSource(raw).listing() == GislrSource(synthetic_raw).listing()


def with_line(raw: Path, *cells: str) -> None:
    """Appends a row to train.csv."""
    with (raw / "train.csv").open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(cells)


def outside(raw: Path) -> Path:
    """A valid clip outside the data set's folder."""
    path = raw.parent / "outside.parquet"
    write_clip(path, np.zeros((2, 543, 3)))
    return path


ROWS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "an absolute path": lambda raw: (str(outside(raw)), "1", "1", SIGN),
    "a path that leaves the folder": lambda raw: (f"../{outside(raw).name}", "1", "1", SIGN),
    "a path that leaves it later": lambda raw: (
        f"{FOLDER}/../../{outside(raw).name}",
        *("1", "1", SIGN),
    ),
    "a file that is not there": lambda raw: (f"{FOLDER}/1/no.parquet", "1", "1", SIGN),
    "no path": lambda raw: ("", "1", "1", SIGN),
    "the folder itself": lambda raw: (FOLDER, "1", "1", SIGN),
    "a name too long": lambda raw: (f"{FOLDER}/{'x' * 300}.parquet", "1", "1", SIGN),
    "a path with a zero byte": lambda raw: (f"{FOLDER}/1/a\0.parquet", "1", "1", SIGN),
    "a sign that the map lacks": lambda raw: (f"{FOLDER}/1/no.parquet", "1", "1", "dance"),
    "no sign": lambda raw: (f"{FOLDER}/1/no.parquet", "1", "1", ""),
    "a sign with a space": lambda raw: (f"{FOLDER}/1/no.parquet", "1", "1", SIGN + " "),
}
SIGN = "sign"  # replaced by one of the map


@pytest.mark.parametrize("name", ROWS)
def test_an_invalid_row_is_reported_and_skipped(name, raw):
    known_sign = GislrSource(raw).signs[0]
    row = [
        cell.replace(SIGN, known_sign) if cell.startswith(SIGN) else cell
        for cell in ROWS[name](raw)
    ]
    with_line(raw, *row)
    store = pack(raw)
    assert len(store) == 40
    ((named, message, kept),) = problems(raw)
    assert (named, kept) == (row[0], "no")
    assert message
    if "sign" in name:
        assert f"sign {row[3]!r} is not in {MAP}" in message


def test_a_row_without_signer_is_reported_and_skipped(raw):
    lines = (raw / "train.csv").read_text().splitlines()
    path, _, sequence, sign = lines[3].split(",")
    lines[3] = f"{path},,{sequence},{sign}"
    (raw / "train.csv").write_text("\n".join(lines))
    store = pack(raw)
    ((named, message, kept),) = problems(raw)
    assert (named, kept) == (path, "no")
    assert "participant_id" in message
    assert "" not in store.signers


@pytest.mark.parametrize("again", [False, True], ids=["otherwise", "alike"])
def test_a_clip_that_is_listed_twice_is_packed_once(again, raw):
    lines = (raw / "train.csv").read_text().splitlines()
    path, signer, sequence, sign = lines[5].split(",")
    with_line(raw, *((path, signer, sequence, sign) if again else (path, "98", "99", sign)))
    store = pack(raw)
    assert list(store.clips["path"]).count(path) == 1
    assert [(named, message) for named, message, _ in problems(raw)] == [
        (path, "named more than once in train.csv")
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"path,participant_id,sequence_id\na,b,c\n",
        b"path,participant_id,sequence_id,sign\na,b,c\n",
        b"path,participant_id,sequence_id,sign\na,b,c,\xe9t\xe9\n",
        b"path,participant_id,sequence_id,sign,sign\na,b,c,d,e\n",
        b"\x00\x01\x02\xff" * 50,
    ],
)
def test_an_invalid_train_csv_is_one_sentence(text, raw):
    (raw / "train.csv").write_bytes(text)
    with pytest.raises(UserError, match=r"train\.csv") as caught:
        pack(raw)
    assert "\n" not in str(caught.value)


# --- the map of signs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '"a"',
        '{"a": 0, "b": 0}',
        '{"a": 0, "b": 1, "c": 1}',
        '{"a": 1, "b": 2}',
        '{"a": -1, "b": 0}',
        '{"a": 0, "b": 1.5}',
        '{"a": "0", "b": "1"}',
        '{"a": null}',
        '{"a": [0]}',
        '{"a": 0, "b": 1, "a": 2}',
        '{"a": 1, "b": 1, "a": 0}',
        "\ud800",
    ],
)
def test_an_invalid_sign_map_is_one_sentence(text, raw):
    (raw / MAP).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(UserError, match=MAP) as caught:
        GislrSource(raw)
    assert "\n" not in str(caught.value)


def test_a_sign_without_clips_is_no_problem(raw):
    signs = json.loads((raw / MAP).read_text())
    (raw / MAP).write_text(json.dumps({**signs, "dance": len(signs)}))
    store = pack(raw, on_problem="fail")
    assert len(store) == 40
    assert store.signs[-1] == "dance"


def test_problems_csv_is_of_the_last_run(raw):
    path = paths(raw)[7]
    good = path.read_bytes()
    path.write_bytes(b"")
    pack(raw)
    assert problems(raw)
    path.write_bytes(good)
    assert len(pack(raw)) == 40
    assert not problems(raw)
