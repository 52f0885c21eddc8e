"""A checkpoint is weights plus the plain description from which the recognizer is built again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from asl.errors import UserError
from asl.recognizer.build import build_recognizer
from asl.recognizer.recognizer import Recognizer

PREFIX = "recognizer."


def load_recognizer(path: Path) -> Recognizer:
    """The recognizer of a checkpoint, in evaluation mode.

    Raises:
        UserError: if the file is missing or is no checkpoint of this workbench.
    """
    description, weights = _read(path)
    recognizer = build_recognizer(description["spec"], description["signs"])
    recognizer.load_state_dict(weights)
    return recognizer.eval()


def join_checkpoints(paths: Sequence[Path], joined: Path) -> None:
    """Write the checkpoint of an ensemble.

    Args:
        paths: checkpoints of its members, which have the same signs and the same layout.
        joined: the file to write.

    Raises:
        UserError: if a file is missing or is no checkpoint of this workbench.
    """
    specs: list[dict[str, Any]] = []
    weights: dict[str, Any] = {}
    for number, path in enumerate(paths):
        description, own = _read(path)
        specs.append(description["spec"])
        weights |= {f"{PREFIX}members.{number}.{key}": value for key, value in own.items()}
    ensemble = {"spec": {"members": specs}, "signs": description["signs"]}
    torch.save({"recognizer": ensemble, "state_dict": weights}, joined)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What describes the recognizer, and its weights by their names in it."""
    if not path.is_file():
        raise UserError(f"checkpoint={path}: there is no such file")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        description, weights = checkpoint["recognizer"], checkpoint["state_dict"]
    except Exception as error:
        raise UserError(f"checkpoint={path}: not a checkpoint of this workbench") from error
    return description, {
        key.removeprefix(PREFIX): value for key, value in weights.items() if key.startswith(PREFIX)
    }
