"""What is printed of a clip that may show none of a file's signs."""

import csv
import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from asl.cli import run
from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import write_tflite
from asl.export.passes.signatures import separate_signatures

LABELS = {
    "signs": ["again", "bird", "cat"],
    "layout": "mediapipe_holistic",
    "inputs": ["frames", 543, 3],
    "landmarks": {"name": "hands", "rows": [468]},
    "rejection": {"threshold": 0.6, "accepted": 0.95, "clips": 100},
}


@pytest.fixture
def folder(tiny_tflite, tmp_path):
    """A file whose score that a clip is no sign is the clip's mean x, and two clips."""
    path = tiny_tflite(tmp_path / "model.tflite")
    tree = parse(path.read_bytes())
    tree.signatureDefs[0].outputs.append(tfl.TensorMapT(name=b"unknown", tensorIndex=2))
    tree.subgraphs[0].outputs = [3, 2]
    separate_signatures(tree)
    write_tflite(tree, path, LABELS)
    for name, x in (("sign", 0.5), ("none", 0.7)):
        np.save(tmp_path / f"{name}.npy", np.full((2, 543, 3), x, np.float32))
    return tmp_path


def printed(folder, capsys, *options):
    clips = [str(folder / name) for name in ("sign.npy", "none.npy")]
    assert run(["predict", str(folder / "model.tflite"), *clips, "--top=1", *options]) == 0
    return capsys.readouterr().out


def test_a_line_says_not_sure(folder, capsys):
    sign, none = printed(folder, capsys).splitlines()
    assert sign.split("\t") == [str(folder / "sign.npy"), "again 0.333"]
    assert none.split("\t") == [str(folder / "none.npy"), "not sure", "again 0.333"]


def test_programs_read_the_score(folder, capsys):
    sign, none = json.loads(printed(folder, capsys, "--json"))
    assert (sign["sure"], none["sure"]) == (True, False)
    assert none["unknown"] == pytest.approx(0.7, abs=1e-4)
    rows = list(csv.DictReader(printed(folder, capsys, "--csv").splitlines()))
    assert [row["sure"] for row in rows] == ["true", "false"]
    assert float(rows[1]["unknown"]) == pytest.approx(0.7, abs=1e-4)


@pytest.mark.parametrize("threshold", ["high", 10**400, float("nan")], ids=["word", "huge", "nan"])
def test_a_threshold_that_is_no_score_is_none(threshold, folder, capsys):
    tree = parse((folder / "model.tflite").read_bytes())
    write_tflite(tree, folder / "model.tflite", LABELS | {"rejection": {"threshold": threshold}})
    assert "not sure" not in printed(folder, capsys)
