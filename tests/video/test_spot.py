"""asl spot on videos as people have them."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from asl.cli import run
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.runs import spot as spotting_runs
from asl.runtime import spotting
from asl.video import extract

HANDS = list(MEDIAPIPE_HOLISTIC.hands)


class Landmarker:
    """Sees a hand in pictures of middle brightness, and nobody where `blind`."""

    blind = False

    def reset(self):
        pass

    def __call__(self, picture):
        found = np.full((543, 3), np.nan, np.float32)
        if not self.blind:
            found[:] = 0.5
            if not 77 <= picture[-8:, -8:].mean() < 143:
                found[HANDS] = np.nan
        return found


@pytest.fixture
def landmarker(monkeypatch) -> Landmarker:
    """In this process, with a recognizer that always answers "bird"."""
    landmarker = Landmarker()
    monkeypatch.setattr(extract, "_landmarker", lambda: landmarker)
    answer = {"outputs": np.array([0.1, 0.9])}
    monkeypatch.setattr(spotting, "load_all", lambda path: lambda clip: answer)
    monkeypatch.setattr(spotting, "read_labels", lambda path, labels: ["again", "bird"])
    monkeypatch.setattr(spotting, "read_facts", lambda path: {"training": {"median_frames": 16}})

    def answers(module, model, paths, *options):
        _, *given = spotting.spot(model, paths, *options)
        last = [answer for answer in given if "progress" not in answer]
        return zip(map(str, paths), last, strict=True)

    monkeypatch.setattr(spotting_runs, "answers", answers)
    return landmarker


def printed(capsys) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out.rstrip("\n"), captured.err.rstrip("\n")


@pytest.mark.parametrize(("rate", "size"), [(30, (64, 48)), (60, (64, 48)), (25, (48, 64))])
def test_times_are_seconds_of_the_video_at_any_rate_and_upright(
    landmarker, film, rate, size, capsys
):
    path = film(frames=4 * rate, rate=rate, size=size)
    assert run(["spot", "model.tflite", str(path)]) == 0
    (line,) = printed(capsys)[0].splitlines()
    name, when, sign = line.split("\t")
    start, end = map(float, when.removesuffix(" s").split("-"))
    assert (name, sign) == (str(path), "bird 0.900")
    assert start == pytest.approx(4 / 3, abs=0.1)
    assert end == pytest.approx(8 / 3, abs=0.1)


def test_a_video_without_a_person_has_no_sign(landmarker, film, tmp_path, capsys):
    landmarker.blind = True
    path = film(frames=90)
    assert run(["spot", "model.tflite", str(path), f"out={tmp_path / 'out'}"]) == 0
    assert printed(capsys) == (f"{path}: no signs in 3.0 s: no hand is seen in it", "")
    assert (tmp_path / "out" / "film.csv").read_text() == "start,end,sign,score\n"


def test_broken_and_empty_videos_are_named_and_the_others_are_done(
    landmarker, film, tmp_path, capsys
):
    good, broken, empty = film(frames=120), tmp_path / "broken.mp4", tmp_path / "empty.mp4"
    broken.write_bytes(b"no video at all" * 99)
    empty.write_bytes(b"")
    names = [str(path) for path in (empty, broken, good)]
    assert run(["spot", "model.tflite", *names, f"out={tmp_path}"]) == 1
    out, err = printed(capsys)
    assert out.startswith(f"{good}: 1 sign in 4.0 s; hands are seen in 1.")
    assert err.splitlines() == [
        f"asl spot: {empty}: is empty (0 bytes)",
        f"asl spot: {broken}: is no video that can be decoded, or a broken one",
    ]
    assert {path.suffix for path in tmp_path.glob("film.*")} == {".mp4", ".csv", ".eaf", ".json"}
