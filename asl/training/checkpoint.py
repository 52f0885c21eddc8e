"""A checkpoint is weights plus the plain description from which the recognizer is built again."""

from pathlib import Path
from typing import Any

import torch

from asl.config import build_recognizer
from asl.errors import UserError
from asl.recognizer.recognizer import Recognizer

PREFIX = "recognizer."


def load_recognizer(path: Path) -> Recognizer:
    """The recognizer of a checkpoint, in evaluation mode.

    Raises:
        UserError: if the file is missing or is no checkpoint of this workbench.
    """
    if not path.is_file():
        raise UserError(f"checkpoint={path}: there is no such file")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        description = checkpoint["recognizer"]
        weights = checkpoint["state_dict"]
    except Exception as error:
        raise UserError(f"checkpoint={path}: not a checkpoint of this workbench") from error
    recognizer = build_recognizer(description["spec"], description["signs"])
    recognizer.load_state_dict(
        {
            key.removeprefix(PREFIX): value
            for key, value in weights.items()
            if key.startswith(PREFIX)
        }
    )
    return recognizer.eval()
