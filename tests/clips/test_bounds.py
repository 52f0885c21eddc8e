"""Small files that stand for much: refused by the size that they declare, before it is read."""

import json
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asl.clips.sources.base import MAX_FRAMES, BadClip
from asl.clips.sources.gislr import read_clip, read_sign_map
from asl.clips.sources.npz import NpzSource, described_npz
from asl.errors import UserError
from asl.fetch.unzip import unzip
from asl.runtime import clips as runtime_clips


def write_rows(path, frames):
    """A parquet file of a few kilobytes with a row a frame."""
    columns = {
        "frame": pa.array(frames, pa.int32()),
        "type": pa.DictionaryArray.from_arrays(np.zeros(len(frames), np.int8), ["pose"]),
        "landmark_index": pa.array(np.zeros(len(frames), np.int16)),
        **{axis: pa.array(np.zeros(len(frames), np.float32)) for axis in "xyz"},
    }
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path


def test_a_parquet_of_too_many_rows(tmp_path):
    path = write_rows(tmp_path / "a.parquet", np.zeros(543 * MAX_FRAMES + 1, np.int32))
    assert path.stat().st_size < 1e6
    with pytest.raises(BadClip, match="has 27,150,001 rows, which no clip has"):
        read_clip(path)


def test_a_parquet_of_too_many_frames(tmp_path):
    path = write_rows(tmp_path / "a.parquet", np.arange(MAX_FRAMES + 1))
    with pytest.raises(BadClip, match="has 50,001 frames, which no clip has"):
        read_clip(path)


def test_a_long_clip_is_read(tmp_path):
    path = write_rows(tmp_path / "a.parquet", np.arange(10_000))
    assert read_clip(path).shape == (10_000, 543, 3)


def npy_header(shape, kind="<f4"):
    """The bytes of a .npy file before its numbers."""
    text = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def write_npz(path, members, declared=None):
    """An .npz file whose compressed members may declare another size than they have."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
            if declared and name == "X":
                archive.getinfo("X.npy").file_size = declared
    return path


def labels(count):
    return npy_header((count,), "<U1") + "a".encode("utf-32-le") * count


def test_an_npz_that_unpacks_to_more_than_the_disk_has(tmp_path):
    shape = (2, 10**9, 543, 3)
    size = 4 * int(np.prod(shape)) + 128
    members = {"X": npy_header(shape), "sign": labels(2), "participant_id": labels(2)}
    write_npz(tmp_path / "a.npz", members, declared=size)
    source = NpzSource(tmp_path, layout="mediapipe_holistic", file="a.npz")
    with pytest.raises(UserError, match=r"X.npy unpacks to 13032.0 GB, which .* has no room for"):
        source.read(source.listing().entries[0])


def test_an_npz_that_has_less_than_it_declares(tmp_path):
    shape = (2, 9, 543, 3)
    members = {"X": npy_header(shape), "sign": labels(2), "participant_id": labels(2)}
    write_npz(tmp_path / "a.npz", members, declared=4 * int(np.prod(shape)) + 128)
    source = NpzSource(tmp_path, layout="mediapipe_holistic", file="a.npz")
    with pytest.raises(UserError, match="cannot be unpacked"):
        source.read(source.listing().entries[0])


def test_labels_of_gigabytes(tmp_path):
    content = npy_header((2, 1, 543, 3)) + bytes(2 * 543 * 12)
    sign = npy_header((2,), f"<U{10**9}") + bytes(8)
    write_npz(tmp_path / "a.npz", {"X": content, "sign": sign, "participant_id": labels(2)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        infos = archive.infolist()
    assert len(infos) == 3
    with pytest.raises(UserError, match=r"sign (holds 8.0 GB|cannot be read)"):
        NpzSource(tmp_path, layout="mediapipe_holistic", file="a.npz")


@pytest.mark.parametrize("name", ["clip.npz", "clip.npy"])
def test_a_clip_of_gigabytes_is_not_predicted(tmp_path, name, monkeypatch):
    monkeypatch.setattr(runtime_clips, "MAX_BYTES", 1000)
    save = np.savez_compressed if name.endswith("npz") else np.save
    save(tmp_path / name, np.zeros((9, 543, 3), np.float32))
    with pytest.raises(ValueError, match="which no clip has"):
        runtime_clips.read_clip(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nlayout: *b\n",
        "[" * 1500,
        "!!python/object/apply:os.system [touch marker]",
        "layout: !!python/name:os.system",
    ],
)
def test_a_description_that_is_more_than_it_looks(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips.yaml").write_text(text)
    with pytest.raises(UserError, match=r"clips\.yaml: (has aliases|is not YAML)"):
        described_npz(tmp_path)
    assert not (tmp_path / "marker").exists()


def test_a_sign_map_of_many_levels(tmp_path):
    path = tmp_path / "map.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="must map every sign"):
        read_sign_map(path)
    path.write_text(json.dumps({"a": 10**400, "b": 0}))
    with pytest.raises(UserError, match="must map every sign"):
        read_sign_map(path)


def test_a_zip_that_declares_more_than_the_disk_has(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x")
        archive.getinfo("a").file_size = 10**15
    with pytest.raises(UserError, match="GB"):
        unzip(tmp_path / "a.zip", tmp_path / "out")
    assert not [path for path in tmp_path.rglob("*") if path.name == "a"]


def test_a_zip_with_an_entry_without_a_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"x")
    content = (tmp_path / "a.zip").read_bytes()
    entry = content.rindex(b"PK\x01\x02")
    nameless = bytearray(content[: entry + 46] + content[entry + 47 :])
    nameless[entry + 28] = 0  # length of the name
    nameless[-10] -= 1  # length of the list of entries
    (tmp_path / "a.zip").write_bytes(nameless)
    with pytest.raises(UserError, match="is damaged"):
        unzip(tmp_path / "a.zip", tmp_path / "out")
