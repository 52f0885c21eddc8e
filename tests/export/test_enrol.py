"""Clips of a person, or of a new sign, written into a file by LiteRT and passes alone."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

import asl.export.enrol as enrolling
from asl.cli import run
from asl.errors import UserError
from asl.export import ExportError
from asl.export.enrol import enrol
from asl.export.parity.contract import check_contract
from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import write_tflite
from asl.export.passes.signatures import separate_signatures
from asl.runtime import process
from asl.runtime.labels import read_labels
from asl.runtime.litert import load
from asl.runtime.predict import predict
from asl.runtime.recognise import recognise

pytestmark = pytest.mark.usefixtures("in_this_process")

LABELS = {
    "signs": ["again", "bird", "cat"],
    "layout": "mediapipe_holistic",
    "inputs": ["frames", 543, 3],
    "landmarks": {"name": "hands", "rows": [468]},
    "blend": {"temperature": 12.0, "reference": 0.5, "examples": 1.0},
}


@pytest.fixture
def in_this_process(monkeypatch):
    """Clips are read and recognised here; a process of their own takes half a second to start."""

    def lines(module, request):
        yield from recognise(*request)

    monkeypatch.setattr(process, "_lines", lines)


@pytest.fixture
def model(tiny_tflite, tmp_path) -> Path:
    """A file whose embedding is the mean x, y and z, and whose probabilities are their softmax."""
    path = tiny_tflite(tmp_path / "model.tflite")
    tree = parse(path.read_bytes())
    (serving,) = tree.signatureDefs
    serving.outputs.append(tfl.TensorMapT(name=b"embedding", tensorIndex=2))
    tree.subgraphs[0].outputs = [2, 3]  # as the converter orders them, by their names
    separate_signatures(tree)
    write_tflite(tree, path, LABELS)
    return path


@pytest.fixture
def clip(tmp_path):
    """Writes a clip whose mean x, y and z are given."""

    def write(name, *mean):
        path = tmp_path / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.broadcast_to(np.float32(mean), (4, 543, 3)))
        return path

    return write


def top(model, clip):
    ((best, *_),) = predict(model, [clip], top=1)[0].values()
    return best[0]


def test_a_new_sign_is_recognised_and_the_others_are_as_before(model, clip):
    dog, cat = clip("dog", -0.7, -0.7, 0.1), clip("cat", 0.0, 0.0, 1.0)
    assert top(model, dog) == top(model, cat) == "cat"

    done = enrol(model, [dog], "dog")

    assert (done.new, dict(done.clips), done.added) == (["dog"], {"dog": 1}, 1)
    assert read_labels(model) == ["again", "bird", "cat", "dog"]
    assert top(model, dog) == top(model, clip("near", -0.6, -0.7, 0.2)) == "dog"
    assert top(model, cat) == "cat"
    check_contract("enrolled", model, np.load(cat), 4)


def test_a_persons_clips_change_what_a_known_sign_looks_like(model, clip):
    hers = clip("bird/1", 0.65, 0.5, 0.6)
    assert top(model, hers) == "again"
    done = enrol(model, [hers])  # its folder names the sign
    assert (dict(done.clips), done.new) == ({"bird": 1}, [])
    assert top(model, hers) == "bird"
    assert read_labels(model) == LABELS["signs"]


def test_examples_count_as_the_file_says(model, clip):
    blend = {"temperature": 0.0, "reference": 0.5, "examples": 1.0}
    write_tflite(parse(model.read_bytes()), model, LABELS | {"blend": blend})
    hers = clip("bird/1", 0.65, 0.5, 0.6)
    enrol(model, [hers])
    assert top(model, hers) == "again"


def test_one_after_another_is_all_at_once_in_any_order(model, clip, tmp_path):
    dog, elk = clip("dog", -0.7, -0.7, 0.1), clip("elk", -0.7, 0.7, 0.1)
    bird = clip("b", 0.65, 0.5, 0.6)
    steps = [(bird, "bird"), (elk, "elk"), (dog, "dog")]
    for name, order in {"a": steps, "b": [*steps[::-1], steps[1]]}.items():
        path = Path(shutil.copy(model, tmp_path / name))
        for one, sign in order:
            enrol(path, [one], sign)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_was_enrolled_can_be_taken_out(model, clip, tmp_path):
    before = load(model)
    enrol(model, [clip("dog", -0.7, -0.7, 0.1)], "dog", tmp_path / "out.tflite")
    assert read_labels(model) == LABELS["signs"]
    done = enrol(tmp_path / "out.tflite", [], forget=True)
    assert done.clips == {}
    assert read_labels(done.path) == LABELS["signs"]
    some = np.random.default_rng(0).random((9, 543, 3), dtype=np.float32)
    np.testing.assert_array_equal(load(done.path)(some), before(some))


def test_signs_come_from_train_csv_and_what_cannot_be_enrolled_is_named(model, tmp_path, capsys):
    from asl.clips.sources.base import Entry
    from asl.clips.sources.gislr import write_clip, write_lists

    root = tmp_path / "raw"
    names = [f"train_landmark_files/anna/{number}.parquet" for number in (1, 2)]
    (root / names[0]).parent.mkdir(parents=True)
    for name in names:
        write_clip(root / name, np.random.default_rng(0).random((4, 543, 3), np.float32))
    write_lists(root, [Entry(names[0], "anna", "1", "eat")], ["eat"])
    (tmp_path / "torn.npy").write_bytes(b"")

    arguments = [*(str(root / name) for name in names), str(tmp_path / "torn.npy")]
    assert run(["enrol", str(model), *arguments]) == 1

    out, err = capsys.readouterr()
    assert out == f"{model}: 1 clips added, now 1 of 1 signs, 1 new signs: eat\n"
    assert f"{root / names[1]}: which sign it shows is not known: sign=NAME names it" in err
    assert "torn.npy: is not a NumPy file" in err


def test_names_are_printed_without_what_a_terminal_would_obey(model, clip, capsys):
    assert run(["enrol", str(model), str(clip("one", 0.1, 0.2, 0.3)), "sign=eat\x1b[2J"]) == 0
    assert "1 new signs: eat [2J" in capsys.readouterr().out
    assert read_labels(model)[-1] == "eat\x1b[2J"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{model}"], "enrol needs clips: asl enrol FILE.tflite CLIP… [sign=NAME] [out=FILE]"),
        (["{model}", "{clip}"], "nothing was enrolled: {clip}: which sign it shows is not known"),
        (["{model}", "no.npy", "sign=dog"], "no.npy: there is no such file"),
        (["{model}", "{clip}", "sign="], "sign=: name the sign of the clips"),
        (
            ["{bare}", "{clip}", "sign=dog"],
            "{bare}: not a file to enrol in, as `asl export`",
        ),
        (["none.tflite", "{clip}", "sign=dog"], "none.tflite: there is no such file"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    model, clip, tiny_tflite, tmp_path, capsys, arguments, sentence
):
    places = {
        "model": model,
        "clip": clip("c", 0.1, 0.2, 0.3),
        "bare": tiny_tflite(tmp_path / "bare.tflite"),
    }
    before = model.read_bytes()
    assert run(["enrol", *(each.format(**places) for each in arguments)]) == 2
    err = capsys.readouterr().err
    assert sentence.format(**places) in err
    assert len(err.splitlines()) == 1
    assert model.read_bytes() == before


def test_a_file_that_answers_otherwise_is_not_written(model, clip, monkeypatch):
    monkeypatch.setattr(enrolling, "blended", lambda given, embeddings, head: given)
    before = model.read_bytes()
    with pytest.raises(ExportError, match="enrolled: outputs differs by"):
        enrol(model, [clip("dog", -0.7, -0.7, 0.1)], "cat")
    assert model.read_bytes() == before


def test_a_damaged_archive_is_one_sentence(model, clip, tmp_path):
    dog = clip("dog", -0.7, -0.7, 0.1)
    enrol(model, [dog], "dog")
    with zipfile.ZipFile(model) as archive:
        facts = json.loads(archive.read("labels.json"))
    torn = tmp_path / "torn.tflite"
    write_tflite(parse(model.read_bytes()), torn, facts)  # without the embeddings
    with pytest.raises(UserError, match="not a file to enrol in"):
        enrol(torn, [dog], "dog")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        *(
            ({"signs": signs}, "its labels.json: must be a list of names")
            for signs in ("abcd", [1, 2, 3, 4], [*"abc", 4], [None] * 4, [["a"]] * 4, None)
        ),
        ({"signs": ["a"]}, "names 1 signs that the network knows, and it gives 3 probabilities"),
        ({"enrolled": {"network": 2, "clips": {"dog": 1}}}, "names 2 signs"),
        ({"blend": LABELS["blend"] | {"examples": -1}}, "examples=-1"),
        ({"blend": LABELS["blend"] | {"temperature": np.nan}}, "temperature=nan"),
    ],
)
def test_a_label_map_of_another_form_is_one_sentence_and_changes_nothing(
    facts, reason, model, clip, capfd
):
    dog = clip("dog", -0.7, -0.7, 0.1)
    enrol(model, [dog], "dog")
    _claim(model, facts)
    before = model.read_bytes()
    assert run(["enrol", str(model), str(dog), "sign=dog"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"asl enrol: {model}: ")
    assert reason in line
    assert model.read_bytes() == before


def _claim(model, facts):
    """Replace some of the facts in a file's labels.json."""
    with zipfile.ZipFile(model) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["labels.json"] = json.dumps(json.loads(files["labels.json"]) | facts).encode()
    write_tflite(parse(model.read_bytes()), model)
    with zipfile.ZipFile(model, "a") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"enrolled": {"network": 3, "clips": {"dog": 10**12}}}, "zip"),
        ({"inputs": [10**9, 543, 3]}, "its clips have 6516.0 GB"),
    ],
)
def test_sizes_that_a_file_claims_fill_no_memory(facts, reason, model, clip, tmp_path):
    dog = clip("dog", -0.7, -0.7, 0.1)
    enrol(model, [dog], "dog")
    with zipfile.ZipFile(model) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name[-4:] == ".npy"}
        claims = json.loads(archive.read("labels.json")) | facts
    write_tflite(parse(model.read_bytes()), model, claims, files)
    with pytest.raises(UserError, match=rf"not a file to enrol in.*{reason}"):
        enrol(model, [dog], "dog")


def test_a_file_that_names_one_table_many_times_is_left_to_litert(tmp_path, clip):
    """It has a kilobyte, and would be 40,000 objects."""
    builder = flatbuffers.Builder(1024)
    tfl.TensorStart(builder)
    tensor = tfl.TensorEnd(builder)
    tensors = _many(builder, tfl.SubGraphStartTensorsVector, tensor)
    tfl.SubGraphStart(builder)
    tfl.SubGraphAddTensors(builder, tensors)
    graphs = _many(builder, tfl.ModelStartSubgraphsVector, tfl.SubGraphEnd(builder))
    tfl.ModelStart(builder)
    tfl.ModelAddSubgraphs(builder, graphs)
    builder.Finish(tfl.ModelEnd(builder), b"TFL3")
    path = tmp_path / "many.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(UserError, match="not a TFLite file"):
        enrol(path, [clip("dog", 0, 0, 0)], "dog")


def _many(builder, start, table):
    """A vector that names a table 200 times."""
    start(builder, 200)
    for _ in range(200):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def test_neither_torch_nor_tensorflow(model, clip):
    script = (
        "import sys\nfrom asl.commands.enrol import main\nmain(sys.argv[1:])\n"
        "print({'torch', 'tensorflow', 'mlflow', 'pandas'} & set(sys.modules))"
    )
    arguments = [str(model), str(clip("dog", -0.7, -0.7, 0.1)), "sign=dog"]
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
