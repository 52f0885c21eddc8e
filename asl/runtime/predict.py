"""The signs in clips, by an exported .tflite alone.

Neither torch nor TensorFlow nor MLflow is imported: this is what runs on the phone's side of the
house, and it starts in a fraction of a second.
"""

import contextlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError

LABELS = "labels.json"
"""The label map: inside the .tflite, as a zip entry behind the model, and as a file beside it."""

LABELS_TEXT = "labels.txt"
"""The signs alone, a line each, where TFLite's metadata has them: as a zip entry too."""

Recognise = Callable[[np.ndarray], np.ndarray]
Prediction = list[tuple[str, float]]


def load(path: str | Path, threads: int = 1) -> Recognise:
    """Open a .tflite of the competition's contract.

    Args:
        path: the file; its signature is serving_default: inputs [n, N, 3] -> outputs [signs].
        threads: that LiteRT may use.

    Returns:
        a function from a clip, float32 [n, N, 3] with NaN, to probabilities, float32 [signs]. It
        raises ValueError where the clip's shape is another.

    Raises:
        UserError: no such file, not a TFLite file, or another signature.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file; `asl export` writes one")
    try:
        run = interpreter(path, threads).get_signature_runner("serving_default")
        landmarks = int(run.get_input_details()["inputs"]["shape"][1])
        with silent_stderr():
            run(inputs=np.full((1, landmarks, 3), np.nan, np.float32))["outputs"]
    except (ValueError, KeyError, IndexError, RuntimeError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"{path}: not a TFLite file with the signature serving_default: "
            f"inputs [n, N, 3] -> outputs [signs] ({reason})"
        ) from error

    def recognise(clip: np.ndarray) -> np.ndarray:
        if clip.ndim != 3 or clip.shape[1:] != (landmarks, 3) or not len(clip):
            raise ValueError(
                f"has the shape {list(clip.shape)}, the model reads [n, {landmarks}, 3]"
            )
        return run(inputs=np.ascontiguousarray(clip, np.float32))["outputs"].reshape(-1)

    return recognise


def interpreter(path: str | Path, threads: int = 1) -> Any:
    """A LiteRT interpreter of a file; raises ValueError or RuntimeError where it cannot be one."""
    from ai_edge_litert.interpreter import Interpreter

    with silent_stderr():
        return Interpreter(str(path), num_threads=threads)


def read_labels(model_path: str | Path) -> list[str]:
    """The signs in the order of the outputs: from the file itself, else labels.json beside it.

    A stranger's file has them as labels.txt.

    Raises:
        UserError: neither has them.
    """
    if facts := read_facts(model_path):
        return list(facts["signs"])
    with contextlib.suppress(zipfile.BadZipFile, KeyError), zipfile.ZipFile(model_path) as archive:
        return archive.read(LABELS_TEXT).decode().splitlines()
    beside = Path(model_path).with_name(LABELS)
    if not beside.is_file():
        raise UserError(f"{model_path}: has no label map inside and no {LABELS} beside it")
    try:
        return list(json.loads(beside.read_text(encoding="utf-8"))["signs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{beside}: must be a JSON object with the list "signs"') from error


def read_facts(model_path: str | Path) -> dict[str, Any]:
    """The labels.json inside a file: signs, inputs, preprocessing, run; empty where none is."""
    with contextlib.suppress(zipfile.BadZipFile, KeyError), zipfile.ZipFile(model_path) as archive:
        return dict(json.loads(archive.read(LABELS)))
    return {}


def read_clip(path: str | Path) -> np.ndarray:
    """One clip, float32 [n, N, 3], of a GISLR parquet, a .npy array or a .npz that holds one array.

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


def predict(
    model_path: str | Path, clip_paths: Sequence[str | Path], top: int = 5
) -> tuple[dict[str, Prediction], dict[str, str]]:
    """The most probable signs of each clip.

    Args:
        model_path: a .tflite that `asl export` wrote, or another of the competition's contract.
        clip_paths: as `read_clip` reads them.
        top: how many signs a clip.

    Returns:
        for each clip that could be read its `top` (sign, probability), the most probable first; and
        for each of the others the reason.

    Raises:
        UserError: the model cannot be used, or `top` is not positive.
    """
    if top < 1:
        raise UserError(f"--top={top}: choose a number from 1 up")
    recognise, signs = load(model_path), read_labels(model_path)
    predictions: dict[str, Prediction] = {}
    problems: dict[str, str] = {}
    for path in clip_paths:
        try:
            probabilities = recognise(read_clip(path))
        except (ValueError, OSError) as error:
            problems[str(path)] = _reason(error)
            continue
        if len(probabilities) != len(signs):
            raise UserError(
                f"{model_path}: gives {len(probabilities)} probabilities for {len(signs)} labels"
            )
        best = np.argsort(-probabilities, kind="stable")[:top]
        predictions[str(path)] = [(signs[i], float(probabilities[i])) for i in best]
    return predictions, problems


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return str(getattr(error, "reason", error))


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """LiteRT's native code tells stderr of the delegate it makes; Python cannot turn that off."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
