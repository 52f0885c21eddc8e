from collections.abc import Callable

import pytest
import torch
from omegaconf import OmegaConf

from asl.paths import CONF
from asl.recognizer.build import build_recognizer
from asl.recognizer.recognizer import Recognizer

SIGNS = ["hello", "milk", "please", "water"]


def chosen(group: str, name: str) -> dict:
    """What a config group's file says, with a regularization and a data set to refer to."""
    files = {group: CONF / group / f"{name}.yaml"}
    for other, choice in (("regularization", "light"), ("data", "words15")):
        files.setdefault(other, CONF / other / f"{choice}.yaml")
    both = OmegaConf.create({key: OmegaConf.load(path) for key, path in files.items()})
    return OmegaConf.to_container(both[group], resolve=True)


@pytest.fixture(scope="session")
def build() -> Callable[..., Recognizer]:
    """Builds a recognizer from the names in conf/, then options by group."""

    def build(
        model: str = "gru",
        scaler: str = "body",
        landmarks: str = "hands_pose",
        features: str = "motion",
        options: dict | None = None,
    ) -> Recognizer:
        names = {
            "model": model,
            "scaler": scaler,
            "landmarks": landmarks,
            "features": features,
            "head": "linear",
        }
        spec = {group: chosen(group, name) for group, name in names.items()}
        for group, changes in (options or {}).items():
            spec[group] |= changes
        torch.manual_seed(0)
        recognizer = build_recognizer(spec, SIGNS)
        if recognizer.scaler.fitted:
            points = len(recognizer.landmarks.indices)
            recognizer.scaler.fit([(torch.rand(4, 9, points, 3), torch.tensor([9, 5, 9, 1]))])
        return recognizer.eval()

    return build


@pytest.fixture
def ragged() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Makes a batch of clips of many lengths, a third of their landmarks missing."""

    def ragged(landmarks: int) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(1)
        lengths = torch.tensor([40, 1, 7, 2, 33])
        clips = torch.rand(5, 40, landmarks, 3)
        clips[torch.rand(5, 40, landmarks) < 0.3] = torch.nan
        for clip, length in zip(clips, lengths, strict=True):
            clip[length:] = torch.nan
        return clips, lengths

    return ragged
