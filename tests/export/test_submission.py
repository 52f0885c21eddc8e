import json
import zipfile

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import write_tflite
from asl.export.submission import write_submission


@pytest.fixture
def tflite_of(tiny_tflite, tmp_path):
    """Makes a file of these signs and this layout; how many it really has is not looked at."""

    def make(signs, layout="mediapipe_holistic"):
        path = tiny_tflite(tmp_path / "model_float16.tflite")
        landmarks = {"name": "all", "rows": [0]}
        labels = {"signs": signs, "layout": layout, "landmarks": landmarks}
        write_tflite(parse(path.read_bytes()), path, labels)
        return path

    return make


@pytest.fixture
def competition_signs(shared_data) -> list[str]:
    found = shared_data / "gislr_sample" / "sign_to_prediction_index_map.json"
    places = json.loads(found.read_text())
    return sorted(places, key=places.get)


def test_the_model_at_the_top_and_nothing_else(tflite_of, competition_signs, tmp_path):
    tflite = tflite_of(competition_signs)
    said = write_submission(tflite, tmp_path)
    assert said == f"{tmp_path / 'submission.zip'} (model_float16.tflite, 0.01 MB)"
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["model.tflite"]
        archive.extractall(tmp_path / "kaggle")

    # As Kaggle's notebook uses it.
    run = Interpreter(str(tmp_path / "kaggle" / "model.tflite")).get_signature_runner(
        "serving_default"
    )
    clip = np.zeros((7, 543, 3), np.float32)
    np.testing.assert_allclose(run(inputs=clip)["outputs"], 1 / 3, atol=1e-6)


def test_other_signs_are_written_and_named(tflite_of, tmp_path):
    said = write_submission(tflite_of(["bird", "cat"]), tmp_path)
    assert said.endswith("; its 2 signs are not Kaggle's 250, which it would score")
    assert (tmp_path / "submission.zip").is_file()


def test_not_of_kinect(tflite_of, tmp_path):
    said = write_submission(tflite_of(["bird", "cat"], "kinect20"), tmp_path)
    assert said == (
        "no submission.zip: Kaggle's clips are mediapipe_holistic, this model's kinect20"
    )
    assert not (tmp_path / "submission.zip").exists()


def test_not_of_forty_megabytes(tflite_of, tmp_path):
    tflite = tflite_of(["bird", "cat"])
    with zipfile.ZipFile(tflite, "a") as archive:
        archive.writestr("padding", bytes(40_000_000))
    said = write_submission(tflite, tmp_path)
    assert said == "no submission.zip: model_float16.tflite has 40.00 MB, Kaggle takes < 40"
    assert not (tmp_path / "submission.zip").exists()


def test_a_full_disk_leaves_the_whole_zip_of_before(tflite_of, tmp_path, monkeypatch):
    write_submission(tflite_of(["bird", "cat", "dog"]), tmp_path)
    before = (tmp_path / "submission.zip").read_bytes()

    def full(archive, *_):
        archive.writestr("model.tflite", b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_submission(tflite_of(["bird", "cat", "dog"]), tmp_path)
    assert (tmp_path / "submission.zip").read_bytes() == before
    assert not list(tmp_path.glob(".tmp-*"))
