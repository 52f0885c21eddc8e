import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asl.clips.sources.base import BadClip, Entry
from asl.clips.sources.gislr import GislrSource, read_clip, write_clip, write_lists
from asl.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write_table(table: pa.Table):
        path = tmp_path / "clip.parquet"
        pq.write_table(table, path)
        return path

    return write_table


def by_hand(path):
    """The competition's code for reading a file, which relies on the row order."""
    table = pq.read_table(path, columns=["x", "y", "z"])
    return np.stack([c.to_numpy() for c in table.columns], -1).reshape(-1, 543, 3).astype("f4")


def shuffled(table, seed=0):
    return table.take(np.random.default_rng(seed).permutation(table.num_rows))


def set_cell(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(values, table[column].type))


def test_a_genuine_competition_file(shared_data):
    path = shared_data / "gislr_sample/train_landmark_files/22343/239181.parquet"
    clip = read_clip(path)
    assert clip.dtype == np.float32
    assert clip.shape == (30, 543, 3)
    np.testing.assert_array_equal(clip, by_hand(path))
    assert np.isnan(clip[:, 522:]).all()  # its right hand was never detected
    assert not np.isnan(clip[:, 489:522]).any()


@pytest.mark.parametrize("order", ["by type", "by landmark", "parts reversed", "at random"])
def test_rows_in_any_order_give_the_same_clip(write, table, one_file, order):
    keys = {
        "by type": [("type", "ascending"), ("frame", "ascending"), ("landmark_index", "ascending")],
        "by landmark": [("landmark_index", "descending"), ("type", "ascending")],
        "parts reversed": [
            ("frame", "ascending"),
            ("type", "descending"),
            ("landmark_index", "ascending"),
        ],
    }
    mixed = table.sort_by(keys[order]) if order in keys else shuffled(table)
    np.testing.assert_array_equal(read_clip(write(mixed)), by_hand(one_file))


def test_neither_row_id_nor_other_columns_matter(write, table, one_file):
    extra = table.drop_columns("row_id").append_column("score", pa.nulls(table.num_rows))
    np.testing.assert_array_equal(read_clip(write(extra)), by_hand(one_file))


def test_frame_numbers_only_order_the_frames(write, table, one_file):
    frame = table["frame"].to_numpy().astype(np.int64)
    gaps = pa.array(1000 + (frame - frame.min()) * 7)
    table = table.set_column(0, "frame", gaps)
    np.testing.assert_array_equal(read_clip(write(table)), by_hand(one_file))


def test_a_landmark_without_a_row_was_not_detected(write, table, one_file):
    face = np.array(table["type"].to_pylist()) == "face"
    clip = read_clip(write(table.filter(~face)))
    assert np.isnan(clip[:, :468]).all()
    np.testing.assert_array_equal(clip[:, 468:], by_hand(one_file)[:, 468:])


def test_a_single_frame(write, table):
    assert read_clip(write(table.slice(0, 543))).shape == (1, 543, 3)


def test_type_may_be_a_category_and_coordinates_float32(write, table, one_file):
    place = table.column_names.index("type")
    table = table.set_column(place, "type", table["type"].dictionary_encode())
    for name in "xyz":
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.float32()))
    np.testing.assert_array_equal(read_clip(write(table)), by_hand(one_file))


BAD_TABLES = {
    "has no frames": lambda t: t.slice(0, 0),
    "one column each of z": lambda t: t.drop_columns("z"),
    "unknown type 'foot'": lambda t: set_cell(t, "type", 3, "foot"),
    "landmark_index 468 of type face": lambda t: set_cell(t, "landmark_index", 3, 468),
    "landmark_index -1 of type face": lambda t: set_cell(t, "landmark_index", 3, -1),
    "more than one row for face 7 in frame": lambda t: pa.concat_tables([t, t.slice(7, 1)]),
    "more than one row": lambda t: set_cell(t, "landmark_index", 3, 4),
    "infinite coordinate": lambda t: set_cell(t, "y", 3, float("inf")),
    "column frame has empty cells": lambda t: set_cell(t, "frame", 3, None),
    "column type has empty cells": lambda t: set_cell(t, "type", 3, None),
    "column x holds string": lambda t: t.set_column(4, "x", t["x"].cast(pa.string())),
    "column frame holds double": lambda t: t.set_column(0, "frame", t["frame"].cast("double")),
    "column type holds int16": lambda t: t.set_column(2, "type", t["landmark_index"]),
}


@pytest.mark.parametrize("reason", BAD_TABLES)
def test_an_invalid_file_is_refused_with_its_reason(write, table, reason):
    path = write(BAD_TABLES[reason](table))
    with pytest.raises(BadClip, match=reason) as caught:
        read_clip(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 1000, 20_000])
def test_a_truncated_file_is_refused(tmp_path, one_file, keep):
    path = tmp_path / "cut.parquet"
    path.write_bytes(one_file.read_bytes()[:keep])
    with pytest.raises(BadClip, match="not a readable parquet file"):
        read_clip(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadClip, match="no such file"):
        read_clip(tmp_path / "nothing.parquet")


def test_listing_of_the_real_words(shared_data):
    source = GislrSource(shared_data / "words15")
    entries, problems, _ = source.listing()
    assert len(entries) == 1350
    assert not problems
    assert source.signs[:3] == ["a", "can", "coffee"]
    assert entries[0][:4] == ("train_landmark_files/1/100000.parquet", "1", "100000", "a")


def test_a_train_csv_that_does_not_match_its_folder(raw):
    lines = (raw / "train.csv").read_text().splitlines()
    first = lines[1].split(",")
    unknown_sign = ",".join([*lines[2].split(",")[:3], "dance"])
    twice = ",".join([first[0], first[1], "77", first[3]])
    (raw / "train.csv").write_text("\n".join([lines[0], lines[1], unknown_sign, twice]) + "\n")
    entries, problems, _ = GislrSource(raw).listing()
    assert [entry.path for entry in entries] == [first[0]]
    reasons = [problem.reason for problem in problems]
    assert reasons[0] == "sign 'dance' is not in sign_to_prediction_index_map.json"
    assert reasons[1] == "named more than once in train.csv"
    assert reasons[2:] == ["not named in train.csv"] * 38


def damage_map(raw, text):
    (raw / "sign_to_prediction_index_map.json").write_text(text)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (shutil.rmtree, "there is no such folder"),
        (lambda raw: (raw / "train.csv").unlink(), "the list of clips is missing"),
        (lambda raw: (raw / "train.csv").write_text("path,sign\na,b\n"), "must have the columns"),
        (lambda raw: damage_map(raw, "{"), "must map every sign"),
        (lambda raw: damage_map(raw, json.dumps({"a": 0, "b": 2})), "must map every sign"),
        (lambda raw: damage_map(raw, "[1]"), "must map every sign"),
    ],
)
def test_an_invalid_data_set_is_one_sentence(raw, damage, sentence):
    damage(raw)
    with pytest.raises(UserError, match=sentence) as caught:
        GislrSource(raw).listing()
    assert "\n" not in str(caught.value)


def test_a_written_clip_is_read_back(tmp_path):
    clip = np.random.default_rng(0).normal(size=(3, 543, 3)).astype(np.float32)
    clip[1, 522:] = np.nan
    write_clip(tmp_path / "clip.parquet", clip, first_frame=88)
    np.testing.assert_array_equal(read_clip(tmp_path / "clip.parquet"), clip)


def test_written_lists_are_read_back(tmp_path):
    entries = [Entry("a,b.parquet", "2", "7", "drink"), Entry("c.parquet", "1", "8", "apple")]
    write_lists(tmp_path, entries, ["drink", "apple"])
    source = GislrSource(tmp_path)
    assert source.signs == ["drink", "apple"]
    assert source.listing().entries == entries


def test_reading_imports_no_torch():
    modules = ["prepare", "sources.gislr", "sources.npz", "synthetic.generator"]
    code = "; ".join(f"import asl.clips.{module}" for module in modules)
    code += "; import sys; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_integers_with_empty_cells_are_valid_coordinates(write, table):
    values = [None if row % 7 == 0 else 2**64 - 2 - row for row in range(table.num_rows)]
    place = table.column_names.index("z")
    clip = read_clip(write(table.set_column(place, "z", pa.array(values, pa.uint64()))))
    meant = np.array([np.nan if v is None else v for v in values], np.float32)
    np.testing.assert_array_equal(clip[..., 2].ravel(), meant)
