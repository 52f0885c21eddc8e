"""A checkpoint: weights, and the plain values from which the recognizer is built again."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from asl.errors import UserError, first_line
from asl.files import replacing
from asl.recognizer.build import build_recognizer
from asl.recognizer.recognizer import Recognizer

PREFIX = "recognizer."

# Parts of weights' names, and callbacks, in checkpoints of version 0.1, and their present names.
RENAMED_WEIGHTS = {
    ".widen.": ".expand.",
    ".narrow.": ".project.",
    ".weigh.": ".channel_attention.",
}
RENAMED_CALLBACKS = {
    "LatestOfTheBest": "BestCheckpoint",
    "PatientStopping": "EarlyStoppingWithGrace",
}


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their place first: a kill or a full disk leaves the one before.

    Lightning's own goes through the system's temporary folder, often on another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # to a file, torch.save hides what went wrong
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


def load_recognizer(path: Path) -> Recognizer:
    """The recognizer of a checkpoint, in evaluation mode.

    Raises:
        UserError: the file is missing, is no checkpoint of this workbench, or names a class that is
            not allowed (`asl.targets`).
    """
    description, weights = _read(path)
    try:
        recognizer = build_recognizer(description["spec"], description["signs"])
        recognizer.load_state_dict(weights)
    except UserError as error:
        raise UserError(f"checkpoint={path}: {error}") from error
    except Exception as error:  # its description may hold anything
        raise UserError(
            f"checkpoint={path}: not a checkpoint of this workbench ({first_line(error)})"
        ) from error
    return recognizer.eval()


def join_checkpoints(paths: Sequence[Path], joined: Path) -> None:
    """Write the checkpoint of an ensemble.

    Args:
        paths: checkpoints of its members, which have the same signs and the same layout.
        joined: the file to write.

    Raises:
        UserError: a file is missing or is no checkpoint of this workbench.
    """
    specs: list[dict[str, Any]] = []
    weights: dict[str, Any] = {}
    for number, path in enumerate(paths):
        description, of_member = _read(path)
        specs.append(description["spec"])
        weights |= {f"{PREFIX}members.{number}.{key}": value for key, value in of_member.items()}
    ensemble = {"spec": {"members": specs}, "signs": description["signs"]}
    WholeCheckpoints().save_checkpoint({"recognizer": ensemble, "state_dict": weights}, joined)


def upgrade(checkpoint: dict[str, Any]) -> None:
    """Bring the checkpoint of an interrupted run of version 0.1 into the present form, in place.

    That version kept averaged weights inside the module, under `average.`, beside the trained ones.
    """
    weights = {current_weight(key): value for key, value in checkpoint["state_dict"].items()}
    trained = {key: value for key, value in weights.items() if not key.startswith("average.")}
    average = {
        key.replace("average.module.", PREFIX, 1): value
        for key, value in weights.items()
        if key.startswith("average.module.")
    }
    checkpoint["state_dict"] = trained | average
    if average:  # as Lightning's WeightAveraging keeps both
        checkpoint["current_model_state"] = trained
        checkpoint["averaging_state"] = {"n_averaged": weights["average.n_averaged"]}
    for old, new in RENAMED_CALLBACKS.items():
        for key in [key for key in checkpoint.get("callbacks", {}) if key.startswith(old)]:
            state = checkpoint["callbacks"].pop(key)
            checkpoint["callbacks"][key.replace(old, new, 1)] = state


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recognizer's description, and its weights by their names in it."""
    if not path.is_file():
        raise UserError(f"checkpoint={path}: there is no such file")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        description, weights = checkpoint["recognizer"], checkpoint["state_dict"]
    except Exception as error:
        raise UserError(f"checkpoint={path}: not a checkpoint of this workbench") from error
    return description, {
        current_weight(key.removeprefix(PREFIX)): value
        for key, value in weights.items()
        if key.startswith(PREFIX)
    }


def current_weight(key: str) -> str:
    """The present name of a weight of an older version."""
    for old, new in RENAMED_WEIGHTS.items():
        key = key.replace(old, new)
    return key
