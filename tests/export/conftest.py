import inspect
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from asl.landmarks import LandmarkSet, landmark_set
from asl.paths import CONF
from asl.recognizer.build import build_backbone
from asl.recognizer.heads.linear import LinearHead
from asl.recognizer.preprocessing.features import Features
from asl.recognizer.preprocessing.scalers import ClipDeviation
from asl.recognizer.recognizer import Recognizer
from asl.targets import factory

SIGNS = ["again", "bird", "cat", "dog", "eat"]
SMALL = {"layers": 2, "convolutions": 1, "embed": 0}
"""Options that make a network small, for those networks that have them."""


def make_recognizer(
    model: str,
    hidden: int = 64,
    frames: int = 64,
    landmarks: str = "hands_pose",
    coordinates: str = "xyz",
    terms: Sequence[str] = ("position",),
    length: str = "resample",
) -> Recognizer:
    """Untrained, but its logits are spread so that wrong probabilities mean another sign."""
    torch.manual_seed(0)
    chosen = landmark_set(landmarks)
    features = Features(frames, length, terms, coordinates)
    backbone = make_backbone(model, features, chosen, hidden)
    head = LinearHead(backbone.width, len(SIGNS))
    with torch.no_grad():
        head.layers[-1].weight.mul_(10)
    return Recognizer(chosen, ClipDeviation(chosen), features, backbone, head, SIGNS).eval()


def make_backbone(model: str, features: Features, landmarks: LandmarkSet, hidden: int) -> nn.Module:
    """A network of conf/model/, small as far as its options allow."""
    config = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text(encoding="utf-8"))
    # Interpolations are of the regularization, which is off in evaluation mode.
    options = {key: value for key, value in config.items() if "${" not in str(value)}
    build = factory(options, "model")
    known = inspect.signature(build.func).parameters
    small = {key: value for key, value in (SMALL | {"hidden": hidden}).items() if key in known}
    return build_backbone(partial(build, **small), features, landmarks)


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
    """An LSTM with as many frames as hidden units, which onnx2tf alone converts wrongly."""
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
