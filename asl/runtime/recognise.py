"""The process of `asl.runtime.predict`: opens a .tflite, reads clips, answers in JSON lines."""

import json
import math
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from asl.clips.sources.array_file import find_array
from asl.errors import UserError
from asl.runtime.labels import read_labels
from asl.runtime.litert import load

MAX_BYTES = 1 << 30
"""Of a clip's array: a small compressed file may unpack to any size."""


def recognise(
    model_path: str, clip_paths: Sequence[str | Path], top: int
) -> Iterator[dict[str, Any]]:
    """What `asl.runtime.predict` makes of a model and clips: `usable`, then one answer a clip."""
    predictor = load(model_path)
    yield {"usable": True}
    signs = read_labels(model_path)
    for path in clip_paths:
        try:
            probabilities = predictor(read_clip(path))
        except Exception as error:  # of a stranger's file any type is possible
            yield {"problem": _reason(error)}
            continue
        if len(probabilities) != len(signs):
            counts = f"{len(probabilities)} probabilities for {len(signs)} labels"
            raise UserError(f"{model_path}: gives {counts}")
        if not np.isfinite(probabilities).all():
            yield {"problem": "the model's answer to it is not finite"}
            continue
        order = np.argsort(-probabilities, kind="stable")[:top]
        yield {"signs": [(signs[i], float(probabilities[i])) for i in order]}


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
    clip = _read_numpy(Path(path))
    if np.isinf(clip).any():
        raise ValueError("has an infinite coordinate")
    return clip


def _read_numpy(path: Path) -> np.ndarray:
    with _numpy_file():
        members = _members(path)
    if members is not None and len(members) != 1:
        names = ", ".join(name.removesuffix(".npy") for name in members)
        raise ValueError(f"must hold one array, holds {names or 'none'}")
    with _numpy_file():
        array = find_array(path, members[0] if members else None)
        if array.dtype.kind not in "biuf":
            raise TypeError(array.dtype)
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > MAX_BYTES:
        raise ValueError(f"holds {size / 1e9:.1f} GB, which no clip has")
    with _numpy_file(), np.errstate(over="ignore"):
        loaded = np.load(path, allow_pickle=False)
        if members is None:
            return np.asarray(loaded, np.float32)
        with loaded:
            return np.asarray(loaded[members[0]], np.float32)


def _members(path: Path) -> list[str] | None:
    """The names of what a zip, which .npz files are, holds; None for another file."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return None
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


@contextmanager
def _numpy_file() -> Iterator[None]:
    """Faults of a file's content become a ValueError that says so."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # numpy evaluates headers as Python, so any type is possible
        raise ValueError("is not a NumPy file of numbers") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    text = str(getattr(error, "reason", error)) or type(error).__name__
    return text.splitlines()[0]


def main() -> None:
    """Answer the request on stdin."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # native code may print
    model_path, clip_paths, top = json.load(sys.stdin)
    try:
        for answer in recognise(model_path, clip_paths, top):
            print(json.dumps(answer), file=answers, flush=True)
    except UserError as fault:
        print(json.dumps({"fault": str(fault)}), file=answers, flush=True)


if __name__ == "__main__":
    main()
