"""The outputs of a .tflite for many clips, LiteRT in several processes; imports no torch."""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from asl.clips.store import ClipStore
from asl.errors import UserError, first_line
from asl.runtime.litert import Predictor, load
from asl.workers import cores, process_pool

_CHUNK = 32  # clips a task
_WORTH_A_PROCESS = 3.0  # seconds of work; a process takes about one to start


def tflite_outputs(
    model: Path, store: ClipStore, rows: np.ndarray, workers: int | None = None
) -> np.ndarray:
    """The outputs of a .tflite of the competition's contract for clips, with a progress bar.

    Args:
        model: the file.
        store: the clips.
        rows: of the store.
        workers: processes; where None one per core, or fewer if by the time that the first clips
            took the others will not take long.

    Returns:
        float32 [rows, outputs], in the order of `rows`.

    Raises:
        UserError: the file cannot be used, or not on these clips.
    """
    predictor = load(model)
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    began = time.perf_counter()
    first = _outputs(predictor, model, store, chunks[0])
    seconds = (time.perf_counter() - began) * (len(chunks) - 1)
    workers = workers or min(cores(), int(seconds / _WORTH_A_PROCESS))
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        if workers < 2:
            rest: Iterable[np.ndarray] = (
                _outputs(predictor, model, store, chunk) for chunk in chunks[1:]
            )
        else:
            killed = f"model={model}: LiteRT crashed on a clip, or ran out of memory"
            pool = stack.enter_context(process_pool(workers, _load, (model, store), killed=killed))
            rest = pool.map(_worker_outputs, chunks[1:])
        bar = track(rest, "recognising", len(chunks) - 1, console=console, transient=True)
        return np.concatenate([first, *bar])


_loaded: tuple[Predictor, Path, ClipStore]


def _load(model: Path, store: ClipStore) -> None:
    global _loaded
    _loaded = load(model), model, store


def _worker_outputs(rows: np.ndarray) -> np.ndarray:
    predictor, model, store = _loaded
    return _outputs(predictor, model, store, rows)


def _outputs(predictor: Predictor, model: Path, store: ClipStore, rows: np.ndarray) -> np.ndarray:
    outputs = []
    for row in rows.tolist():
        try:
            outputs.append(predictor(store.read(row)))
        except (ValueError, RuntimeError) as error:
            # Not the name from the table of clips, which would import pandas.
            where = f"model={model}: clip {row} of {store.directory}"
            raise UserError(f"{where}: {first_line(error)}") from None
    return np.stack(outputs)
