from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from asl.landmarks import landmark_set
from asl.recognizer.backbones.cnn import Cnn
from asl.recognizer.backbones.conv_gru import ConvGru
from asl.recognizer.backbones.conv_transformer import ConvTransformer
from asl.recognizer.backbones.recurrent import Recurrent
from asl.recognizer.backbones.transformer import Transformer
from asl.recognizer.heads.linear import LinearHead
from asl.recognizer.preprocessing.features import Features
from asl.recognizer.preprocessing.scalers import ClipDeviation
from asl.recognizer.recognizer import Recognizer

SIGNS = ["again", "bird", "cat", "dog", "eat"]


def make_recognizer(
    model: str,
    hidden: int = 64,
    frames: int = 64,
    landmarks: str = "hands_pose",
    coordinates: str = "xyz",
    terms: Sequence[str] = ("position",),
    length: str = "resample",
) -> Recognizer:
    """Untrained, but decided: its logits are spread so that a wrong answer is another sign."""
    torch.manual_seed(0)
    chosen = landmark_set(landmarks)
    features = Features(frames, length, terms, coordinates)
    inputs = features.size(chosen.size)
    if model == "transformer":
        backbone = Transformer(inputs, hidden)
    elif model == "conv_transformer":
        backbone = ConvTransformer(inputs, hidden, convolutions=1)
    elif model == "cnn":
        backbone = Cnn(inputs, hidden, layers=2)
    elif model == "conv_gru":
        backbone = ConvGru(inputs, hidden)
    else:
        cell = model.removeprefix("bi")
        backbone = Recurrent(inputs, cell, model.startswith("bi"), hidden=hidden)
    head = LinearHead(backbone.width, len(SIGNS))
    with torch.no_grad():
        head.layers[-1].weight.mul_(10)
    return Recognizer(chosen, ClipDeviation(chosen), features, backbone, head, SIGNS).eval()


def made_up_clips(landmarks: int, count: int = 20) -> dict[str, np.ndarray]:
    """Smooth random walks of points, one part of them missing."""
    random = np.random.default_rng(0)
    clips = {}
    for number in range(count):
        steps = random.normal(size=(random.integers(5, 60), landmarks, 3)).cumsum(0)
        clip = (0.5 + steps / 50).astype(np.float32)
        clip[:, : landmarks // 4] = np.nan
        clips[f"clip {number}"] = clip
    return clips


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """An LSTM with as many frames as hidden units: onnx2tf's trap."""
    return make_recognizer("lstm", hidden=64, frames=64)


@pytest.fixture(scope="session")
def clips() -> dict[str, np.ndarray]:
    return made_up_clips(543)


@pytest.fixture(scope="session")
def recognizer_of() -> Callable[..., Recognizer]:
    return make_recognizer


@pytest.fixture(scope="session")
def made_up() -> Callable[[int], dict[str, np.ndarray]]:
    return made_up_clips
