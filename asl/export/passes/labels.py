"""What a program needs to know of an exported file: the content of labels.json."""

from typing import Any

from torch import nn

from asl.recognizer.ensemble import Ensemble
from asl.recognizer.recognizer import Recognizer


def labels(recognizer: Recognizer) -> dict[str, Any]:
    """What a program needs to use the file: the signs in order, and what goes in."""
    layout = recognizer.landmarks.layout
    return {
        "signs": list(recognizer.signs),
        "layout": layout.name,
        "inputs": ["frames", layout.size, 3],
        **_preprocessing(recognizer),
    }


def _preprocessing(recognizer: Recognizer) -> dict[str, Any]:
    """What a recognizer looks at and makes of it, or what each member of an ensemble does."""
    landmarks = recognizer.landmarks
    looks_at = {"landmarks": {"name": landmarks.name, "rows": list(landmarks.own)}}
    if isinstance(recognizer, Ensemble):
        return looks_at | {"members": [_preprocessing(member) for member in recognizer.members]}
    return looks_at | {
        "scaler": _facts(recognizer.scaler),
        "features": _facts(recognizer.features),
    }


def _facts(module: nn.Module) -> dict[str, Any]:
    """A module's class and those of its attributes that are plain values."""
    plain = {
        k: v for k, v in vars(module).items() if isinstance(v, str | int | float | list | tuple)
    }
    return {"class": type(module).__name__} | {
        k: v for k, v in plain.items() if k != "training" and k[0] != "_"
    }
