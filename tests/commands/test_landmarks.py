"""asl landmarks makes a clip of each video, and asl predict reads videos."""

import weakref
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from asl.cli import run
from asl.clips.sources.gislr import read_clip
from asl.runs import landmarks
from asl.runtime import clips
from asl.runtime.recognise import recognise
from asl.video.decode import BadVideo
from asl.video.extract import Extraction


@pytest.fixture
def seen(monkeypatch):
    """A landmarker that sees a number of frames in `NUMBER.mp4`, and fails for other names."""
    calls = []

    def extracted(path, *, mirror=False, fps=30, advance=None):
        calls.append((path.name, mirror, fps))
        if not path.stem.isdigit():
            raise BadVideo(path, "is broken")
        frames = int(path.stem)
        clip = np.random.default_rng(frames).random((frames, 543, 3), dtype=np.float32)
        clip[:, :468] = np.nan if frames < 10 else 0
        return Extraction(clip, 30.0, "breaks off after 9 of 10 frames" if frames == 9 else "")

    def read_frames(path, fps=30, mirror=False):
        return 30.0, extracted(Path(path), mirror=mirror, fps=fps).clip

    monkeypatch.setattr(landmarks, "extract", extracted)
    monkeypatch.setattr(clips, "read_frames", read_frames)
    return calls


def test_a_video_that_cannot_be_read_costs_only_its_own_clip(seen, tmp_path, capsys, monkeypatch):
    extracted = landmarks.extract

    def some_refused(path, **options):
        if path.name == "6.mp4":
            raise PermissionError(13, "Permission denied", str(path))
        return extracted(path, **options)

    monkeypatch.setattr(landmarks, "extract", some_refused)
    names = ["x" * 300 + "\x1b[2J.mp4", "6.mp4", "5.mp4"]
    assert run(["landmarks", *names, f"out={tmp_path}"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["5.parquet"]
    printed = capsys.readouterr()
    assert "x [2J.mp4: cannot be read (File name too long)\n" in printed.err
    assert "asl landmarks: 6.mp4: cannot be read (Permission denied)\n" in printed.err


def test_each_video_becomes_a_clip_and_finished_ones_stay(seen, tmp_path, capsys):
    out = tmp_path / "clips"
    assert run(["landmarks", "5.mp4", "9.mp4", f"out={out}"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        f"{out}/5.parquet: 5 frames; face in 0, left hand in 5, pose in 5, right hand in 5"
    )
    assert second.endswith("; the video breaks off after 9 of 10 frames")
    assert read_clip(out / "5.parquet").shape == (5, 543, 3)
    seen.clear()
    assert run(["landmarks", "5.mp4", "7.mp4", f"out={out}", "--mirror", "--fps=0"]) == 0
    assert seen == [("7.mp4", True, None)]
    assert capsys.readouterr().out.startswith(f"{out}/5.parquet: there already\n")


def test_a_faulty_video_is_named_and_the_others_are_done(seen, tmp_path, capsys):
    assert run(["landmarks", "torn.mp4", "5.mp4", f"out={tmp_path}"]) == 1
    assert capsys.readouterr().err == "asl landmarks: torn.mp4: is broken\n"
    assert [path.name for path in tmp_path.iterdir()] == ["5.parquet"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["5.mp4"], "landmarks needs videos and a folder: asl landmarks VIDEO… out=DIR"),
        (["out=DIR"], "landmarks needs videos and a folder: asl landmarks VIDEO… out=DIR"),
        (
            ["a/5.mp4", "b/5.mp4", "out=DIR"],
            "out=DIR: 5.parquet would be the clip of 2 videos",
        ),
        (
            ["5.mp4", "out=DIR", "--fps=-1"],
            "--fps=-1: choose a number above 0, or 0 for all frames",
        ),
        (["--get-models=none.whl"], "none.whl: is no wheel of mediapipe==0.10.21"),
    ],
)
def test_a_mistake_is_one_sentence(seen, arguments, sentence, capsys):
    assert run(["landmarks", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"asl landmarks: {sentence}")


def test_a_short_video_is_one_clip_and_a_long_one_is_read_in_windows(seen):
    (short,) = clips.read_clips("60.mp4", window=1)
    assert (short[0], len(short[1])) == ("", 60)
    windows = list(clips.read_clips("75.mp4", window=1))
    np.testing.assert_array_equal(windows[1][1][15:], windows[2][1][:15])
    assert [(when, len(clip)) for when, clip in windows] == [
        (":0.0-1.0s", 30),
        (":0.5-1.5s", 30),
        (":1.0-2.0s", 30),
        (":1.5-2.5s", 30),
    ]


def test_of_a_long_video_three_windows_are_held(monkeypatch):
    alive: list[weakref.ref] = []

    def stream():
        for _ in range(600):
            frame = np.zeros((543, 3), np.float32)
            alive.append(weakref.ref(frame))
            yield frame

    monkeypatch.setattr(clips, "read_frames", lambda *given, mirror: (30.0, stream()))
    held = [sum(ref() is not None for ref in alive) for _ in clips.read_clips("long.mp4", window=1)]
    assert len(held) == 39
    assert max(held) <= 3 * 30 + 1


def test_a_long_video_in_which_nobody_is_seen_is_one_sentence(monkeypatch, tiny_tflite, tmp_path):
    model, labels = tiny_tflite(tmp_path / "model.tflite"), tmp_path / "signs.txt"
    labels.write_text("again\nbird\ncat\n")
    nobody = np.full((200, 543, 3), np.nan, np.float32)
    nobody[:, 0] = 0  # of a face without a body, the model's answer is finite
    monkeypatch.setattr(clips, "read_frames", lambda *given, mirror: (30.0, nobody))
    _, problem = recognise(str(model), ["long.mp4"], 2, str(labels), 1.0)
    assert problem == {"problem": "shows no person in any of its 200 frames"}


def test_signs_are_named_for_each_window(seen, tiny_tflite, tmp_path):
    model, labels = tiny_tflite(tmp_path / "model.tflite"), tmp_path / "signs.txt"
    labels.write_text("again\nbird\ncat\n")
    videos = ["75.mp4", "torn.mp4"]
    _, windows, problem = recognise(str(model), videos, 2, str(labels), 1.0, True)
    assert list(windows["signs"]) == [":0.0-1.0s", ":0.5-1.5s", ":1.0-2.0s", ":1.5-2.5s"]
    assert all(len(best) == 2 for best in windows["signs"].values())
    assert problem == {"problem": "is broken"}
    assert seen[0] == ("75.mp4", True, 30)


def test_a_camera_is_recognised_while_a_hand_is_seen(tiny_tflite, tmp_path, monkeypatch, capsys):
    from asl.runtime import camera
    from asl.video import decode, landmarker

    model, labels = tiny_tflite(tmp_path / "model.tflite"), tmp_path / "signs.txt"
    labels.write_text("again\nbird\ncat\n")
    now = iter(np.arange(1000) / 10)
    monkeypatch.setattr(camera.time, "monotonic", lambda: float(next(now)))
    pictures = [np.full((4, 6, 3), number, np.uint8) for number in range(40)]
    monkeypatch.setattr(decode, "camera", lambda number: iter(pictures))

    def see(picture):
        """A hand in the first 20 pictures."""
        return np.full((543, 3), 0.5 if picture[0, 0, 0] < 20 else np.nan, np.float32)

    monkeypatch.setattr(landmarker, "Landmarker", lambda: see)
    arguments = ["predict", str(model), "--camera=0", f"--labels={labels}", "--window=1", "--top=1"]
    assert run(arguments) == 0
    times = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert times[0] == pytest.approx(0.5)
    assert times[-1] < 3.1  # the hand was seen in the last second
    assert len(times) == 6


def test_predict_without_clips_says_what_it_needs(capsys):
    assert run(["predict", "model.tflite"]) == 2
    assert capsys.readouterr().err.startswith("asl predict: predict needs clips, or --camera=N")


def test_a_camera_that_is_not_there_gets_one_sentence(monkeypatch):
    import cv2

    from asl.errors import UserError
    from asl.video.decode import camera

    class Closed:
        def isOpened(self):  # noqa: N802 - OpenCV's
            return False

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Closed())
    with pytest.raises(UserError, match="--camera=7: there is no camera of this number"):
        next(camera(7))
