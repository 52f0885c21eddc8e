"""Files of strangers: a bad one costs its own answer, and a crash ends no command."""

import contextlib
import json
import os
import struct
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from asl.cli import run
from asl.errors import UserError
from asl.export.passes.flatbuffer import pack
from asl.runtime.labels import read_facts, read_labels
from asl.runtime.predict import check_model, predict

LABELS = json.dumps({"signs": ["again", "bird", "cat"]})


def with_entry(path, text, name="labels.json", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr(name, text)
    return path


@pytest.fixture
def model(tiny_tflite, tmp_path):
    return with_entry(tiny_tflite(tmp_path / "model.tflite"), LABELS)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.npy"
    np.save(path, np.zeros((2, 543, 3), np.float32))
    return path


@pytest.fixture
def crashing(tmp_path):
    """A .tflite with two subgraphs that call each other: LiteRT's stack overflows."""

    def subgraph(other):
        def tensor(name, shape, **options):
            return tfl.TensorT(name=name, shape=shape, type=tfl.TensorType.FLOAT32, **options)

        condition = tfl.TensorT(name="if", shape=[1], type=tfl.TensorType.BOOL, buffer=1)
        call = tfl.OperatorT(
            inputs=[1, 0],
            outputs=[2],
            builtinOptionsType=tfl.BuiltinOptions.IfOptions,
            builtinOptions=tfl.IfOptionsT(thenSubgraphIndex=other, elseSubgraphIndex=other),
        )
        tensors = [tensor("inputs", [1, 543, 3]), condition, tensor("outputs", [1, 543, 3])]
        return tfl.SubGraphT(tensors=tensors, inputs=[0], outputs=[2], operators=[call])

    code = tfl.BuiltinOperator.IF
    signature = tfl.SignatureDefT(
        inputs=[tfl.TensorMapT(name="inputs", tensorIndex=0)],
        outputs=[tfl.TensorMapT(name="outputs", tensorIndex=2)],
        signatureKey="serving_default",
    )
    content = tfl.ModelT(
        version=3,
        operatorCodes=[tfl.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)],
        subgraphs=[subgraph(1), subgraph(2), subgraph(1)],
        buffers=[tfl.BufferT(), tfl.BufferT(data=np.ones(1, np.uint8))],
        signatureDefs=[signature],
    )
    path = tmp_path / "crashing.tflite"
    path.write_bytes(pack(content))
    return with_entry(path, LABELS)


def test_a_model_that_crashes_litert(crashing, clip, capsys):
    assert run(["predict", str(crashing), str(clip)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"asl predict: {crashing}: LiteRT crashes on this file (SIGSEGV)\n"
    with pytest.raises(UserError, match="LiteRT crashes on this file"):
        check_model(crashing)


def test_a_clip_that_crashes_its_reader(model, clip, tmp_path, monkeypatch):
    (tmp_path / "path" / "pyarrow").mkdir(parents=True)
    (tmp_path / "path" / "pyarrow" / "__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"")
    predictions, problems = predict(model, [bad, clip, bad.with_stem("b"), clip.with_stem("no")])
    assert [len(best) for best in predictions.values()] == [3]
    assert "crashed the process that read and recognised it (SIGSEGV)" in problems[str(bad)]
    assert list(problems) == [str(bad), str(tmp_path / "b.parquet"), str(tmp_path / "no.npy")]


def test_modules_in_the_working_folder_are_not_imported(model, clip, tmp_path, monkeypatch):
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ("numpy", "zipfile", "ai_edge_litert", "asl"):
        (folder / f"{name}.py").write_text("open('marker', 'w')")
    monkeypatch.chdir(folder)
    assert predict(model, [clip])[0]
    assert not (folder / "marker").exists()


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_clip_whose_name_is_not_utf_8(model, clip, form, tmp_path, capsys):
    path = clip.rename(tmp_path / os.fsdecode(b"\xff.npy"))
    assert run(["predict", str(model), str(path), form]) == 0
    out = capsys.readouterr().out
    if form == "--json":
        assert json.loads(out)[0]["clip"] == str(path)
    else:
        assert "\\udcff.npy,1," in out


def test_a_model_whose_name_is_too_long(clip, capsys):
    name = "x" * 300 + ".tflite"
    assert run(["predict", name, str(clip)]) == 2
    assert f"asl predict: {name}: there is no such file" in capsys.readouterr().err


def npy_header(shape, kind="<f4"):
    text = str({"descr": kind, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


class Touch:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return type(self.marker).touch, (self.marker,)


def odd_clips(folder):
    """Files by what is the matter with them."""
    whole = np.zeros((2, 543, 3), np.float32)

    def saved(name, array, save=np.save, **options):
        save(folder / name, array, **options)

    saved("object.npy", np.array([Touch(folder / "marker")], object), allow_pickle=True)
    saved("object.npz", np.array([Touch(folder / "marker")], object), np.savez)
    saved("text.npy", np.array(["a"]))
    saved("complex.npy", whole.astype(complex))
    saved("times.npy", np.zeros((2, 543, 3), "M8[s]"))
    saved("structured.npy", np.zeros(2, [("x", "f4")]))
    saved("number.npy", np.float32(1))
    saved("no_frames.npy", whole[:0])
    saved("flat.npy", whole.reshape(2, -1))
    saved("infinite.npy", whole + np.inf)
    saved("too_large.npy", np.full((2, 543, 3), 1e300))
    (folder / "huge.npy").write_bytes(npy_header((10**12, 543, 3)) + b"0" * 100)
    (folder / "negative.npy").write_bytes(npy_header((-1, 543, 3)) + b"0" * 100)
    (folder / "overflow.npy").write_bytes(npy_header((2**62, 2**62)) + b"0" * 100)
    (folder / "code.npy").write_bytes(npy_header("__import__('os').system('touch marker')"))
    (folder / "recursion.npy").write_bytes(b"\x93NUMPY\x01\x00" + b"\x10\x27" + b"(" * 10_000)
    (folder / "cut.npy").write_bytes(npy_header((2, 543, 3)) + b"0" * 100)
    (folder / "empty.npy").write_bytes(b"")
    (folder / "empty.npz").write_bytes(b"")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "magic.npz").write_bytes(b"PK\x03\x04" + b"0" * 50)
    (folder / "folder.npy").mkdir()
    (folder / "folder.parquet").mkdir()
    (folder / "link.npy").symlink_to("link.npy")
    (folder / "video.mp4").write_bytes(b"0")
    with zipfile.ZipFile(folder / "text.npz", "w") as archive:
        archive.writestr("x.txt", "text")
    with zipfile.ZipFile(folder / "lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", b"0" * 100)
    return sorted(path for path in folder.iterdir() if path.name != "marker")


def test_odd_clips_cost_only_their_own_answer(model, clip, tmp_path, capsys):
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = [str(path) for path in odd_clips(folder)]
    assert len(odd) == 27

    assert run(["predict", str(model), str(clip), *odd, str(clip), "--json"]) == 1

    out, err = capsys.readouterr()
    assert [entry["clip"] for entry in json.loads(out)] == [str(clip)]
    assert sorted(line.split(": ")[1] for line in err.splitlines()) == sorted(odd)
    assert not (folder / "marker").exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"signs": ["a", "b"]}',
        '{"signs": []}',
        '{"signs": {"a": 0, "b": 1, "c": 2}}',
        '{"signs": "abc"}',
        '{"signs": [1, 2, 3]}',
        '{"signs": [null, ["b"], {}]}',
        '{"signs": null}',
        '{"sign": ["a", "b", "c"]}',
        "{}",
        "[]",
        "null",
        "3",
        "",
        "{",
        b"\xff\xfe",
        b'{"signs": ["\xff", "b", "c"]}',
        "[" * 100_000,
        " " * 20_000_000,
        "1" * 10_000,
    ],
)
def test_odd_label_maps_are_one_sentence(text, tiny_tflite, tmp_path, clip, capsys):
    model = with_entry(tiny_tflite(tmp_path / "model.tflite"), text)
    assert run(["predict", str(model), str(clip)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_label_map_beside_a_model_is_no_file_of_gigabytes(tiny_tflite, tmp_path):
    model = tiny_tflite(tmp_path / "model.tflite")
    with (tmp_path / "labels.json").open("wb") as file:
        file.truncate(5 << 30)  # without a byte on the disk
    with pytest.raises(UserError, match=r"labels.json: has 5,368,709,120 bytes"):
        read_labels(model)


@pytest.mark.parametrize("damage", [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"])
def test_a_damaged_zip_behind_a_model(damage, model):
    content = model.read_bytes()
    place = content.rindex(damage)
    for offset in range(4, 22):
        damaged = bytearray(content)
        damaged[place + offset] ^= 255
        model.write_bytes(damaged)
        for read in (read_labels, read_facts):
            with contextlib.suppress(UserError):
                read(model)


def test_an_answer_that_is_not_finite_is_a_problem(model, clip, tmp_path):
    path = tmp_path / "nan.npy"
    np.save(path, np.full((2, 543, 3), np.nan, np.float32))
    predictions, problems = predict(model, [path, clip])
    assert list(predictions) == [str(clip)]
    assert problems == {str(path): "the model's answer to it is not finite"}
