from collections.abc import Callable

import pytest
import torch
from omegaconf import OmegaConf

from asl.errors import UserError
from asl.landmarks import LANDMARK_SETS
from asl.paths import CONF
from asl.recognizer.build import build_recognizer
from asl.recognizer.recognizer import Recognizer

SIGNS = ["hello", "milk", "please", "water"]


def group_config(group: str, name: str) -> dict:
    """A config group's file, its references to regularization and data set resolved."""
    files = {group: CONF / group / f"{name}.yaml"}
    for other, choice in (("regularization", "light"), ("data", "words15")):
        files.setdefault(other, CONF / other / f"{choice}.yaml")
    config = OmegaConf.create({key: OmegaConf.load(path) for key, path in files.items()})
    return OmegaConf.to_container(config[group], resolve=True)


def first_that_builds(spec: dict) -> Recognizer:
    for name in LANDMARK_SETS:
        try:
            return build_recognizer(spec | {"landmarks": {"name": name}}, SIGNS)
        except UserError as error:
            refusal = error
    raise refusal


@pytest.fixture(scope="session")
def build() -> Callable[..., Recognizer]:
    """Builds a recognizer from the names in conf/, then options by group.

    Without `landmarks` it has the first set that the scaler accepts; some need hands, or a Kinect.
    """

    def build(
        model: str = "gru",
        scaler: str = "body",
        landmarks: str | None = None,
        features: str = "motion",
        options: dict | None = None,
        impute: str = "none",
    ) -> Recognizer:
        names = {"model": model, "scaler": scaler, "features": features, "head": "linear"}
        names["impute"] = impute
        spec = {group: group_config(group, name) for group, name in names.items()}
        for group, changes in (options or {}).items():
            spec[group] |= changes
        torch.manual_seed(0)
        if landmarks:
            spec["landmarks"] = group_config("landmarks", landmarks)
            recognizer = build_recognizer(spec, SIGNS)
        else:
            recognizer = first_that_builds(spec)
        frame = len(recognizer.landmarks.indices), len(recognizer.landmarks.layout.channels)
        recognizer.fit([(torch.rand(4, 9, *frame), torch.tensor([9, 5, 9, 1]))])
        return recognizer.eval()

    return build


@pytest.fixture
def ragged() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Makes a batch of clips of many lengths, a third of their landmarks missing."""

    def ragged(landmarks: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(1)
        lengths = torch.tensor([40, 1, 7, 2, 33])
        clips = torch.rand(5, 40, landmarks, channels)
        clips[torch.rand(5, 40, landmarks) < 0.3] = torch.nan
        for clip, length in zip(clips, lengths, strict=True):
            clip[length:] = torch.nan
        return clips, lengths

    return ragged
