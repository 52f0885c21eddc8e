"""What is printed of a clip that may show none of a file's signs."""

import csv
import json

import numpy as np
import pytest

from asl.cli import run


@pytest.fixture
def folder(scored_tflite, tmp_path):
    """A file whose score that a clip is no sign is the clip's mean x, and two clips."""
    scored_tflite(tmp_path / "model.tflite", 0.6)
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
def test_a_threshold_that_is_no_score_is_none(threshold, folder, scored_tflite, capsys):
    scored_tflite(folder / "model.tflite", threshold)
    assert "not sure" not in printed(folder, capsys)
