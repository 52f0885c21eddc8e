"""The most probable signs of clips, by an exported .tflite alone."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asl.errors import UserError
from asl.runtime.labels import read_labels
from asl.runtime.litert import load

Prediction = list[tuple[str, float]]


def predict(
    model_path: str | Path, clip_paths: Sequence[str | Path], top: int = 5
) -> tuple[dict[str, Prediction], dict[str, str]]:
    """The most probable signs of each clip.

    Args:
        model_path: a .tflite of the GISLR competition's contract, as `asl export` writes it.
        clip_paths: files that `read_clip` can read.
        top: number of signs per clip.

    Returns:
        path to its `top` (sign, probability), the most probable first; path to the reason, of clips
        that could not be read.

    Raises:
        UserError: the model cannot be used, or `top` is not positive.

    Example:
        >>> from asl.runtime.predict import predict
        >>> predictions, problems = predict("model_float16.tflite", ["clip.parquet"], top=3)
        >>> for path, signs in predictions.items():
        ...     print(path, ", ".join(f"{sign} {p:.0%}" for sign, p in signs))
    """
    if top < 1:
        raise UserError(f"--top={top}: choose a number from 1 up")
    predictor, signs = load(model_path), read_labels(model_path)
    predictions: dict[str, Prediction] = {}
    problems: dict[str, str] = {}
    for path in clip_paths:
        try:
            probabilities = predictor(read_clip(path))
        except (ValueError, OSError) as error:
            problems[str(path)] = _reason(error)
            continue
        if len(probabilities) != len(signs):
            raise UserError(
                f"{model_path}: gives {len(probabilities)} probabilities for {len(signs)} labels"
            )
        order = np.argsort(-probabilities, kind="stable")[:top]
        predictions[str(path)] = [(signs[i], float(probabilities[i])) for i in order]
    return predictions, problems


def read_clip(path: str | Path) -> np.ndarray:
    """One clip, float32 [n, N, 3], of a GISLR parquet, a .npy array or a .npz with one array.

    Raises:
        ValueError: what is wrong with the file, as the end of a sentence.
        OSError: it cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        from asl.clips.sources.gislr import read_clip as read_parquet

        return read_parquet(path)
    if suffix not in (".npy", ".npz"):
        raise ValueError("must end in .parquet, .npy or .npz")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded.astype(np.float32)
        with loaded:
            names = loaded.files
            if len(names) == 1:
                return loaded[names[0]].astype(np.float32)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError("is not a NumPy file of numbers") from error
    raise ValueError(f"must hold one array, holds {', '.join(names) or 'none'}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return str(getattr(error, "reason", error))
