from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def models() -> None:
    """Skips where the models of MediaPipe have not been fetched."""
    from asl.video.models import FETCH, are_there

    if not are_there():
        pytest.skip(f"no models of MediaPipe; `{FETCH}` fetches them")


@pytest.fixture
def film(tmp_path) -> Callable[..., Path]:
    """Writes a small video: grey pictures, ever lighter, with a white upper left corner."""
    cv2 = pytest.importorskip("cv2", reason="the extra [video] is not installed")

    def write(name: str = "film.mp4", frames: int = 6, rate: float = 30, size=(64, 48)) -> Path:
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 10 + number * 200 // frames, np.uint8)
            picture[:16, :16] = 255
            writer.write(picture)
        writer.release()
        return path

    return write
