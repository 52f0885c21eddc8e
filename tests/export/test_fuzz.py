"""No clip makes an exported file crash, or say anything else than the recognizer says."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asl.export.onnx.convert import to_onnx
from asl.export.tflite import to_tflite
from asl.recognizer.preprocessing.scalers import HandShape
from asl.runtime.litert import load

LARGE = 1e4
"""Up to here answers are compared; beyond, float32 has too few digits for two programs to agree."""

STRANGE = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 3e38, -3e38, 1e20)


@pytest.fixture(scope="module")
def pair(recognizer_of, tmp_path_factory):
    """A recognizer, and its float32 file as a function."""
    recognizer = recognizer_of("cnn", hidden=16, frames=16, terms=("position", "lag1"))
    recognizer.scaler = HandShape(recognizer.landmarks)
    folder = tmp_path_factory.mktemp("fuzz")
    to_onnx(recognizer, folder / "model.onnx")
    path = to_tflite(folder / "model.onnx", folder, ["float32"]).files["float32"]
    return recognizer, load(path)


@st.composite
def any_clip(draw):
    """[n, 543, 3]: any length, missing in any pattern, of any size, with strange values."""
    frames = draw(st.integers(1, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clip = random.random((frames, 543, 3))
    clip *= 10.0 ** draw(st.integers(-6, 9))
    clip += draw(st.sampled_from([0, 0.5, -3, 1e3]))
    for shape in ((frames, 1, 1), (1, 543, 1), (frames, 543, 1), (1, 1, 3), (frames, 543, 3)):
        missing = random.random(shape) < draw(st.sampled_from([0, 0, 0.1, 0.5, 0.95, 1]))
        clip = np.where(missing, np.nan, clip)
    rare = random.random(clip.shape) < draw(st.sampled_from([0, 0, 1e-3, 0.1]))
    return np.where(rare, random.choice(STRANGE, clip.shape), clip).astype(np.float32)


@pytest.mark.slow
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(clip=any_clip())
def test_any_clip_gets_the_recognizer_s_answer(pair, clip):
    recognizer, recognise = pair
    outputs = recognise(clip)
    assert np.isfinite(outputs).all()
    assert abs(outputs.sum() - 1) < 1e-4
    finite = clip[np.isfinite(clip)]
    if not len(finite) or np.abs(finite).max() <= LARGE:
        with torch.inference_mode():
            wanted = recognizer.recognise(torch.from_numpy(clip)).numpy()
        np.testing.assert_allclose(outputs, wanted, atol=1e-3)
