import json
import zipfile

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import write_tflite
from asl.runtime.labels import read_labels
from asl.runtime.litert import load

LABELS = {
    "signs": ["again", "bird", "ça va"],
    "layout": "mediapipe_holistic",
    "inputs": ["frames", 543, 3],
    "landmarks": {"name": "hands", "rows": [468, 469]},
    "scaler": {"class": "Identity"},
    "features": {"class": "Features", "frames": 20, "terms": ["position", "lag1"]},
    "run": {
        "id": "079c",
        "name": "cnn-words15-079c",
        "data": "words15",
        "split": "signer_holdout test=[3]",
    },
}


@pytest.fixture
def described(tiny_tflite, tmp_path):
    path = tiny_tflite(tmp_path / "model.tflite")
    write_tflite(parse(path.read_bytes()), path, LABELS)
    return path


class Table:
    """A table of any flatbuffer, read by the places of its fields."""

    def __init__(self, data: bytes, position: int) -> None:
        self.table = flatbuffers.table.Table(bytearray(data), position)

    def place(self, slot: int) -> int:
        found = self.table.Offset(4 + 2 * slot)
        assert found, f"field {slot} is absent"
        return found

    def text(self, slot: int) -> str:
        return self.table.String(self.table.Pos + self.place(slot)).decode()

    def byte(self, slot: int) -> int:
        return self.table.Get(flatbuffers.number_types.Int8Flags, self.table.Pos + self.place(slot))

    def offsets(self, slot: int) -> list[int]:
        first = self.table.Vector(self.place(slot))
        return [first + 4 * i for i in range(self.table.VectorLen(self.place(slot)))]

    def texts(self, slot: int) -> list[str]:
        return [self.table.String(place).decode() for place in self.offsets(slot)]

    def tables(self, slot: int) -> "list[Table]":
        return [Table(self.table.Bytes, self.table.Indirect(p)) for p in self.offsets(slot)]


def metadata_of(path) -> bytes:
    model = tfl.Model.GetRootAsModel(path.read_bytes(), 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i) for i in range(model.MetadataLength())}
    return model.Buffers(entries[b"TFLITE_METADATA"].Buffer()).DataAsNumpy().tobytes()


def test_metadata_by_the_places_of_tflite_supports_schema(described):
    data = metadata_of(described)
    assert data[4:8] == b"M001"
    model = Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    assert model.text(0) == "cnn-words15-079c"
    assert "Trained on words15, signer_holdout test=[3]." in model.text(1)
    assert model.text(2) == "079c"
    assert [file.text(0) for file in model.tables(6)] == ["labels.json"]
    (graph,) = model.tables(3)
    assert 'Features(frames=20, terms=["position", "lag1"])' in graph.text(1)
    (inputs,), (outputs,) = graph.tables(2), graph.tables(3)
    assert inputs.text(0) == "inputs"
    assert "pose 489-521" in inputs.text(1)
    assert "NaN = not detected" in inputs.text(1)
    assert inputs.texts(2) == ["frame", "landmark", "coordinate"]
    (file,) = outputs.tables(6)
    assert (file.text(0), file.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_names_of_other_kinds_are_texts(tiny_tflite, tmp_path):
    """A number would be read as a place in the file."""
    path = tiny_tflite(tmp_path / "model.tflite")
    run = LABELS["run"] | {"name": ["a", 5], "id": 7}
    write_tflite(parse(path.read_bytes()), path, LABELS | {"run": run})
    data = metadata_of(path)
    model = Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    assert (model.text(0), model.text(2)) == ("['a', 5]", "7")


def test_files_behind_the_model(described):
    with zipfile.ZipFile(described) as archive:
        assert archive.read("labels.txt").decode().split("\n") == LABELS["signs"]
        assert json.loads(archive.read("labels.json")) == LABELS
        # MediaPipe's reader maps the files where they are.
        assert {file.compress_type for file in archive.infolist()} == {zipfile.ZIP_STORED}
    assert read_labels(described) == LABELS["signs"]


def test_the_model_itself_is_as_it_was(described, tiny_tflite, tmp_path):
    bare = load(tiny_tflite(tmp_path / "bare.tflite"))
    clip = np.random.default_rng(0).random((9, 543, 3), dtype=np.float32)
    np.testing.assert_array_equal(load(described)(clip), bare(clip))


def test_buffers_lie_where_the_schema_wants_them(described):
    """Every 16 bytes, for programs that use them where they are; Python's own writer forgets it."""
    model = tfl.Model.GetRootAsModel(described.read_bytes(), 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) == 2
    assert not any(start % 16 for start in starts)


def test_the_same_recognizer_gives_the_same_bytes(described, tiny_tflite, tmp_path):
    again = tiny_tflite(tmp_path / "again.tflite")
    write_tflite(parse(again.read_bytes()), again, LABELS)
    assert again.read_bytes() == described.read_bytes()


def test_an_ensemble_names_what_each_member_does(tiny_tflite, tmp_path):
    path = tiny_tflite(tmp_path / "model.tflite")
    own = ("scaler", "features", "run")
    ensemble = {key: value for key, value in LABELS.items() if key not in own}
    hands, pose = (
        {"landmarks": {"name": name, "rows": [1]}, "scaler": {"class": name.title()}}
        for name in ("hands", "pose")
    )
    model = parse(path.read_bytes())
    write_tflite(model, path, ensemble | {"members": [hands, pose]})
    described = metadata_of(path).decode("latin1")
    assert "landmarks hands (1), Hands(); landmarks pose (1), Pose()" in described
