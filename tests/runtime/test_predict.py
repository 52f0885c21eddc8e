import csv
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from asl.cli import run
from asl.commands.predict import main
from asl.errors import UserError
from asl.export.onnx.convert import to_onnx
from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import labels, write_tflite
from asl.export.tflite import to_tflite
from asl.landmarks import landmark_set
from asl.recognizer.backbones.cnn import Cnn
from asl.recognizer.heads.linear import LinearHead
from asl.recognizer.preprocessing.features import Features
from asl.recognizer.preprocessing.scalers import Identity
from asl.recognizer.recognizer import Recognizer
from asl.runtime.labels import read_labels
from asl.runtime.predict import predict
from asl.runtime.recognise import as_probabilities

SIGNS = ["again", "bird", "cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small model without labels, one with them inside, and clips."""
    folder = tmp_path_factory.mktemp("predict")
    torch.manual_seed(0)
    landmarks, features = landmark_set("hands"), Features(frames=4)
    backbone = Cnn(features.size(landmarks.size), hidden=8, layers=1)
    head = LinearHead(backbone.width, len(SIGNS))
    recognizer = Recognizer(landmarks, Identity(landmarks), features, backbone, head, SIGNS).eval()
    to_onnx(recognizer, folder / "model.onnx")
    files = to_tflite(folder / "model.onnx", folder, ["float32"]).files
    bare = files["float32"].rename(folder / "bare.tflite")
    write_tflite(parse(bare.read_bytes()), folder / "model.tflite", labels(recognizer))
    (folder / "with.json").write_text(json.dumps({"signs": SIGNS}))
    clip = np.random.default_rng(0).random((9, 543, 3), dtype=np.float32)
    np.save(folder / "clip.npy", clip)
    np.savez(folder / "clip.npz", clip=clip)
    np.save(folder / "kinect.npy", clip[:, :20])
    (folder / "torn.parquet").write_bytes(b"PAR1 and no more")
    np.save(folder / "wanted.npy", recognizer.recognise(torch.from_numpy(clip)).detach().numpy())
    return folder


def test_probabilities_are_the_recognizers(folder):
    (best,), problems = predict_one(folder / "model.tflite", folder / "clip.npy", top=3)
    wanted = np.load(folder / "wanted.npy")
    assert problems == {}
    assert [sign for sign, _ in best] == [SIGNS[i] for i in np.argsort(-wanted)]
    np.testing.assert_allclose([p for _, p in best], sorted(wanted)[::-1], atol=1e-5)


def predict_one(model, clip, top):
    predictions, problems = predict(model, [clip], top)
    return list(predictions.values()), problems


def test_a_genuine_competition_file(folder, shared_data, capsys):
    sample = shared_data / "gislr_sample" / "train_landmark_files" / "22343" / "239181.parquet"
    assert main([str(folder / "model.tflite"), str(sample), "--top", "2"]) == 0
    table = capsys.readouterr().out
    assert sum(sign in table for sign in SIGNS) == 2


def test_a_line_for_each_clip_and_csv(folder, capsys):
    clips = [str(folder / name) for name in ("clip.npy", "clip.npz")]
    assert main([str(folder / "model.tflite"), *clips, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == clips
    assert all(len(line.split("\t")) == 3 for line in lines)
    assert main([str(folder / "model.tflite"), *clips, "--top", "2", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["clip"], row["rank"]) for row in rows] == [(c, r) for c in clips for r in "12"]
    best = [f"{row['sign']} {float(row['probability']):.3f}" for row in rows[:2]]
    assert lines[0].split("\t")[1:] == best


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", json.dumps(SIGNS)),
        ("ours.json", json.dumps({"signs": SIGNS})),
        ("map.json", json.dumps({"cat": 2, "again": 0, "bird": 1})),
        ("names.txt", "again\nbird\ncat\n"),
    ],
)
def test_labels_of_any_form(folder, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    clip = folder / "clip.npy"
    named, _ = predict(folder / "bare.tflite", [clip], labels=tmp_path / name)
    assert named == predict(folder / "model.tflite", [clip])[0]


@pytest.mark.parametrize("text", ["{}1", "7", '{"cat": 0, "dog": 0}', '["cat", 1]'])
def test_labels_that_are_none(folder, tmp_path, text):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(UserError, match=r"labels\.json"):
        predict(folder / "bare.tflite", [folder / "clip.npy"], labels=tmp_path / "labels.json")


def test_outputs_become_probabilities():
    logits = np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose(as_probabilities(logits), np.exp(logits) / np.exp(logits).sum())
    np.testing.assert_allclose(as_probabilities(np.array([1.0, 3.0])), [0.25, 0.75])


def test_clips_that_a_description_names(folder, tmp_path, capsys):
    """Flat frames in a file each, and one of many clips in an array."""
    clip = np.load(folder / "clip.npy")
    frames = tmp_path / "frames"
    (frames / "anna" / "cat" / "1").mkdir(parents=True)
    (frames / "clips.yaml").write_text(
        "{layout: mediapipe_holistic, files: '{signer}/{sign}/{sequence}/{frame}.npy', "
        "axes: [feature]}"
    )
    for number, frame in enumerate(clip):
        np.save(frames / "anna/cat/1" / f"{number}.npy", frame.reshape(-1))
    many = tmp_path / "many"
    many.mkdir()
    (many / "clips.yaml").write_text("{layout: mediapipe_holistic, file: all.npz, signer: none}")
    np.savez(many / "all.npz", X=np.stack([clip[::-1], clip]), sign=["cat", "cat"])
    places = [frames / "anna/cat/1", many / "all.npz:1", many / "all.npz:0"]
    found, problems = predict(folder / "model.tflite", places)
    (wanted,) = predict(folder / "model.tflite", [folder / "clip.npy"])[0].values()
    assert found[str(places[0])] == found[str(places[1])] == wanted != found[str(places[2])]
    assert not problems
    _, problems = predict(folder / "model.tflite", [many / "all.npz", frames / "ben"])
    assert "holds 2 clips; name one of them" in problems[str(many / "all.npz")]
    assert "is no clip that" in problems[str(frames / "ben")]


def test_json_and_a_bad_clip_among_good_ones(folder, capsys):
    clips = [
        str(folder / name)
        for name in ("clip.npy", "torn.parquet", "none.parquet", "kinect.npy", "clip.npz")
    ]

    status = main([str(folder / "model.tflite"), *clips, "--json", "--top", "1"])

    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert status == 1
    assert [entry["clip"] for entry in printed] == [clips[0], clips[4]]
    assert printed[0]["predictions"] == printed[1]["predictions"]
    assert printed[0]["predictions"][0].keys() == {"sign", "probability"}
    complaints = err.splitlines()
    assert len(complaints) == 3
    assert "torn.parquet: is not a readable parquet file" in complaints[0]
    assert "none.parquet: there is no such file" in complaints[1]
    assert "has the shape [9, 20, 3], the model reads [n, 543, 3]" in complaints[2]


@pytest.mark.parametrize("name", ["none.tflite", "clip.npy", "torn.parquet"])
def test_a_file_that_is_no_model(folder, capsys, name):
    assert run(["predict", str(folder / name), str(folder / "clip.npy")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert name in err


def test_labels_beside_the_file_where_none_are_inside(folder, tmp_path):
    model = shutil.copy(folder / "bare.tflite", tmp_path / "bare.tflite")
    with pytest.raises(UserError, match=r"no label map inside and no labels\.json beside"):
        read_labels(model)
    shutil.copy(folder / "with.json", tmp_path / "labels.json")
    assert read_labels(model) == SIGNS


def test_labels_of_a_strangers_metadata(folder, tmp_path):
    model = shutil.copy(folder / "bare.tflite", tmp_path / "model.tflite")
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("labels.txt", "again\nbird\ncat\n")
    assert read_labels(model) == SIGNS


def test_neither_torch_nor_tensorflow_nor_mlflow(folder):
    arguments = [
        str(folder / "model.tflite"),
        str(folder / "clip.npz"),
        str(folder / "torn.parquet"),
        "--json",
    ]
    script = (
        "import sys\nfrom asl.commands.predict import main\nstatus = main(sys.argv[1:])\n"
        "heavy = {'torch', 'tensorflow', 'mlflow', 'pandas'} & set(sys.modules)\n"
        "print(heavy or '', file=sys.stderr, end='')\nsys.exit(status)"
    )
    ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert ran.returncode == 1
    (complaint,) = ran.stderr.splitlines()
    assert complaint.startswith(
        f"asl predict: {folder / 'torn.parquet'}: is not a readable parquet"
    )
    assert len(json.loads(ran.stdout)) == 1
