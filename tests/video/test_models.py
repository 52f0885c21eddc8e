"""The models come from a wheel of MediaPipe, once, and are checked."""

import hashlib
import subprocess
import zipfile

import pytest

pytest.importorskip("cv2")

from asl.errors import UserError
from asl.video import models


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel with two small files in place of the models."""
    contents = {"a/one.tflite": b"first model", "b/two.tflite": b"second model"}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setattr(models, "_MODELS", digests)
    path = tmp_path / "mediapipe.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(f"mediapipe/modules/{name}", data)
        archive.writestr("mediapipe/python/solutions.py", "nobody needs this")
    return path


def test_the_models_alone_are_unpacked(wheel, tmp_path):
    folder = tmp_path / "models"
    assert not models.are_there(folder)
    assert models.fetch(wheel, folder) == [folder / "one.tflite", folder / "two.tflite"]
    assert models.are_there(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["one.tflite", "two.tflite"]


def test_another_file_under_their_name_is_refused(wheel, tmp_path, monkeypatch):
    monkeypatch.setitem(models._MODELS, "b/two.tflite", "0" * 64)
    with pytest.raises(UserError, match=r"its b/two\.tflite is not that of mediapipe==0\.10\.21"):
        models.fetch(wheel, tmp_path / "models")
    assert not models.are_there(tmp_path / "models")


def test_what_is_no_wheel_is_refused(tmp_path):
    path = tmp_path / "other.whl"
    path.write_text("no zip")
    with pytest.raises(UserError, match=r"other\.whl: is no wheel of mediapipe==0\.10\.21"):
        models.fetch(path, tmp_path / "models")


def test_where_pip_fails_one_sentence_says_so(tmp_path, monkeypatch):
    said = "WARNING: something\nERROR: Could not find a version\nERROR: No matching distribution\n"
    failed = subprocess.CompletedProcess([], 1, stderr=said)
    monkeypatch.setattr(models.subprocess, "run", lambda *given, **named: failed)
    with pytest.raises(UserError, match=r"pip can't download .*\(Could not find a version\)"):
        models.fetch(None, tmp_path / "models")


def test_a_missing_or_changed_model_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no such model; `asl landmarks --get-models`"):
        models.Model("pose_detection", tmp_path)
    (tmp_path / "pose_detection.tflite").write_bytes(b"another")
    with pytest.raises(UserError, match=r"is not MediaPipe 0\.10\.21's"):
        models.Model("pose_detection", tmp_path)
