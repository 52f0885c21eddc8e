"""Videos of any length: the memory that the commands need does not grow with them."""

import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import numpy as np

from benchmarks import films
from benchmarks.long_videos import cost


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "spot"])
def test_memory_does_not_grow_with_the_video(command, scored_tflite, tmp_path):
    """Of 3,000 frames more, landmarks alone would be 20 MB, pictures 74 MB."""
    model = scored_tflite(tmp_path / "model.tflite", 0.6)
    pictures = np.random.default_rng(0).integers(0, 255, (30, 64, 128, 3), np.uint8)
    used = []
    for seconds in (20, 120):
        shown = (pictures[frame % 30] for frame in range(30 * seconds))
        film = films.write(tmp_path / f"{seconds}.mp4", shown)
        used.append(cost(command, model, film).memory)
    assert used[1] - used[0] < 8
