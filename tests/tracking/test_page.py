"""The file of a run that a browser can run."""

import pytest

from asl.errors import UserError
from asl.runs.page import recognizer_of_run
from asl.tracking.record import record_export


def test_the_file_of_a_fixed_number_of_frames_is_taken(add, tracker, tiny_tflite, tmp_path):
    run = add("good", {"val/f1": 0.8})
    (tmp_path / "labels.json").write_text('["again", "bird", "cat"]')
    files = [tiny_tflite(tmp_path / "model_float16.tflite"), tmp_path / "labels.json"]
    record_export(tracker, run.id, files)
    with pytest.raises(UserError, match=rf"no file for .*run={run.name} export\.frames=64` writes"):
        recognizer_of_run("best", tracker)
    for name in ("model_float32_n9.tflite", "model_float16_n9.tflite"):
        record_export(tracker, run.id, [tiny_tflite(tmp_path / name, 9)])
    for name in ("best", run.name, run.id):
        found = recognizer_of_run(name, tracker)
        assert found.path.name == "model_float16_n9.tflite"
        assert (found.name, found.frames, found.signs) == (run.name, 9, ["again", "bird", "cat"])
