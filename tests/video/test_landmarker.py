"""The landmarks of real videos, against what MediaPipe 0.10.21 found in them."""

import json
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

pytest.importorskip("cv2")

from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.video import decode
from asl.video.decode import BadVideo
from asl.video.extract import extract

PARTS = MEDIAPIPE_HOLISTIC.parts
# Of the third frame, by mediapipe.solutions.holistic.Holistic(): row to x, y.
SEEN = {
    "ambulancia_001": {
        468: (0.516, 0.589),
        476: (0.497, 0.425),
        489: (0.476, 0.286),
        500: (0.595, 0.441),
        501: (0.417, 0.432),
        504: (0.526, 0.583),
        505: (0.466, 0.429),
        522: (0.483, 0.392),
        530: (0.594, 0.330),
    },
    "hoy_001": {
        489: (0.510, 0.276),
        500: (0.614, 0.492),
        501: (0.416, 0.468),
        503: (0.273, 0.546),
        505: (0.380, 0.362),
        522: (0.387, 0.340),
        530: (0.429, 0.311),
        542: (0.400, 0.278),
    },
}


@pytest.fixture
def video(models, shared_data):
    def path(name):
        file = shared_data / "videos" / f"{name}.mp4"
        if not file.is_file():
            pytest.skip(f"no video at {file}")
        return file

    return path


@pytest.fixture
def beginning(monkeypatch):
    """Of each video the first three frames are read."""
    read = decode.read
    monkeypatch.setattr(decode, "read", lambda *given: islice(read(*given), 3))


@pytest.mark.parametrize("name", SEEN)
def test_the_landmarks_are_mediapipes(video, beginning, name):
    clip = extract(video(name)).clip
    assert clip.shape == (3, 543, 3)
    present = {part for part, rows in PARTS.items() if not np.isnan(clip[2, rows.start, 0])}
    assert present == {part for part, rows in PARTS.items() if set(SEEN[name]) & set(rows)}
    for row, place in SEEN[name].items():
        np.testing.assert_allclose(clip[2, row, :2], place, atol=0.01, err_msg=str(row))


def test_a_mirrored_video_exchanges_the_hands(video, beginning):
    clip, mirrored = (extract(video("hoy_001"), mirror=mirror).clip for mirror in (False, True))
    left, right = PARTS["left_hand"].start, PARTS["right_hand"].start
    assert np.isnan(clip[2, left, 0])
    assert np.isnan(mirrored[2, right, 0])
    assert mirrored[2, left, 0] == pytest.approx(1 - clip[2, right, 0], abs=0.02)


def test_a_video_without_a_person_gets_one_sentence(models, film):
    path = film(frames=2)
    with pytest.raises(BadVideo, match="shows no person in any of its 2 frames"):
        extract(path)


def test_a_video_that_breaks_off_is_kept_with_a_note(video, beginning):
    assert extract(video("yo_001")).note == "breaks off after 3 of 55 frames"


OFFLINE = """
import json, sys
used = []
sys.addaudithook(lambda event, _: used.append(event) if event.startswith("socket.") else None)
from asl.video.extract import extract
from asl.video.decode import BadVideo
from pathlib import Path
try:
    extract(Path(sys.argv[1]))
except BadVideo:
    pass
loaded = {"requests", "urllib3", "http.client", "torch", "tensorflow", "mlflow", "mediapipe"}
print(json.dumps([used, sorted(loaded & set(sys.modules))]))
"""


def test_no_network_is_used(models, film):
    command = [sys.executable, "-c", OFFLINE, str(film(frames=2))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], []]
