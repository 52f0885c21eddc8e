"""asl spot finds signs in long clips, as files for people and programs."""

import csv
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from asl.cli import run


@pytest.fixture
def files(tiny_tflite, tmp_path):
    """A model, its signs, and a clip of ten seconds with "bird" from 3 s to 5 s."""
    model, labels = tiny_tflite(tmp_path / "model.tflite"), tmp_path / "signs.txt"
    labels.write_text("again\nbird\ncat\n")
    clip = np.zeros((300, 543, 3), np.float32)
    clip[90:150, :, 1] = 6
    np.save(tmp_path / "long.npy", clip)
    return [str(model), str(tmp_path / "long.npy"), f"--labels={labels}"]


def test_a_line_for_each_sign_without_a_folder(files, capsys):
    assert run(["spot", *files]) == 0
    name, when, sign = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (name, sign.split()[0]) == (files[1], "bird")
    start, end = map(float, when.removesuffix(" s").split("-"))
    assert start == pytest.approx(3, abs=1)  # a window that shows a part of the sign names it
    assert end == pytest.approx(5, abs=1)


def test_files_of_all_forms_say_the_same(files, tmp_path, capsys):
    out = tmp_path / "annotations"
    assert run(["spot", files[0], f"out={out}", *files[1:]]) == 0
    assert capsys.readouterr().out.startswith(f"{files[1]}: 1 sign in 10.0 s; hands are seen in")
    (row,) = csv.DictReader((out / "long.csv").read_text().splitlines())
    (segment,) = json.loads((out / "long.json").read_text())["segments"]
    root = ElementTree.parse(out / "long.eaf").getroot()
    slots = [int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    assert row["sign"] == segment["sign"] == root.find(".//ANNOTATION_VALUE").text == "bird"
    times = [round(segment[name] * 1000) for name in ("start", "end")]
    assert times == slots == [round(float(row[name]) * 1000) for name in ("start", "end")]


def test_names_that_utf_8_has_no_bytes_for(files, tmp_path):
    long = Path(files[1]).rename(tmp_path / os.fsdecode(b"\xff.npy"))
    labels = tmp_path / "labels.json"
    labels.write_text('["again", "\\ud800", "cat"]')
    out = tmp_path / "annotations"
    assert run(["spot", files[0], str(long), f"--labels={labels}", f"out={out}"]) == 0
    written = {path.suffix: path.read_text() for path in out.iterdir()}
    assert written.keys() == {".csv", ".eaf", ".json"}
    assert all("\\ud800" in text for text in written.values())
    assert json.loads(written[".json"])["recording"] == long.name


def test_files_that_somebody_may_have_corrected_stay(files, tmp_path, capsys):
    out = tmp_path / "annotations"
    out.mkdir()
    (out / "long.eaf").write_text("corrected")
    assert run(["spot", *files, f"out={out}", "--format=eaf"]) == 0
    assert capsys.readouterr().out == f"{out}/long.eaf: there already; --replace writes again\n"
    assert (out / "long.eaf").read_text() == "corrected"
    assert run(["spot", *files, f"out={out}", "--format=eaf", "--replace"]) == 0
    assert [path.name for path in out.iterdir()] == ["long.eaf"]
    assert ElementTree.parse(out / "long.eaf").getroot().tag == "ANNOTATION_DOCUMENT"


def test_frames_a_second_and_the_window_are_as_told(files, capsys):
    assert run(["spot", *files, "--fps=15", "--window=2"]) == 0
    when = capsys.readouterr().out.split("\t")[1]
    start, end = map(float, when.removesuffix(" s").split("-"))
    assert start == pytest.approx(6, abs=2)
    assert end == pytest.approx(10, abs=2)
    assert run(["spot", *files, "--threshold=1"]) == 0
    assert capsys.readouterr().out.startswith(f"{files[1]}: no signs in 10.0 s")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "spot needs a model and recordings: asl spot MODEL VIDEO… out=DIR"),
        (["a/x.mp4", "b/x.npy", "out=DIR"], "out=DIR: x would be the name of 2 recordings' files"),
        (["x.npy", "--threshold=2"], "--threshold=2: choose a probability above 0, at most 1"),
        (["x.npy", "--window=0"], "--window=0: choose a number of seconds above 0"),
        (["x.npy", "--fps=0"], "--fps=0: choose a number above 0"),
        (["x.npy", "--format=xml"], "--format=xml: choose from csv, eaf, json"),
        (["x.npy"], "model.tflite: there is no such file"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["spot", "model.tflite", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"asl spot: {sentence}")


def test_a_clip_of_another_layout_and_one_that_is_none(files, tmp_path, capsys):
    np.save(tmp_path / "kinect.npy", np.zeros((60, 20, 3), np.float32))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    others = [str(tmp_path / name) for name in ("kinect.npy", "torn.parquet")]
    assert run(["spot", files[0], *others, *files[1:]]) == 1
    out, err = capsys.readouterr()
    assert "bird" in out
    one, two = err.splitlines()
    assert one == (
        f"asl spot: {others[0]}: has 20 landmarks a frame, not those that the model reads"
    )
    assert two.startswith(f"asl spot: {others[1]}: is not a readable parquet")
