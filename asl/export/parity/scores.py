"""A .tflite over many clips of a store, LiteRT in several processes; imports no torch."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.runtime.litert import Predictor, load
from asl.workers import cores, serve_parent

_CHUNK = 32  # clips a task
_WORTH_A_PROCESS = 3.0  # seconds of work; a process takes about one to start


def tflite_outputs(
    model: Path, store: ClipStore, rows: np.ndarray, workers: int | None = None
) -> np.ndarray:
    """What a .tflite of the competition's contract gives for clips, with a progress bar.

    Args:
        model: the file.
        store: the clips.
        rows: of the store.
        workers: processes; where None one a core, or fewer where the first clips say that the
            rest will not take long.

    Returns:
        float32 [rows, outputs], in the order of `rows`.

    Raises:
        UserError: the file cannot be used, or not on these clips.
    """
    recognise = load(model)
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    began = time.perf_counter()
    first = _outputs(recognise, model, store, chunks[0])
    seconds = (time.perf_counter() - began) * (len(chunks) - 1)
    workers = workers or min(cores(), int(seconds / _WORTH_A_PROCESS))
    rest = (
        (_outputs(recognise, model, store, chunk) for chunk in chunks[1:])
        if workers < 2
        else _in_processes(model, store, chunks[1:], workers)
    )
    console = Console(stderr=True)
    bar = track(rest, "recognising", len(chunks) - 1, console=console, transient=True)
    return np.concatenate([first, *bar])


def _in_processes(
    model: Path, store: ClipStore, chunks: list[np.ndarray], workers: int
) -> Iterator[np.ndarray]:
    # Not forked: torch may be loaded, and its threads would be missing.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (model, store)) as pool:
        try:
            yield from pool.map(_given_outputs, chunks)
        except BrokenProcessPool as error:
            raise UserError(
                f"model={model}: LiteRT died of a clip, or for want of memory"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_given: tuple[Predictor, Path, ClipStore]


def _start(model: Path, store: ClipStore) -> None:
    global _given
    serve_parent()
    _given = load(model), model, store


def _given_outputs(rows: np.ndarray) -> np.ndarray:
    recognise, model, store = _given
    return _outputs(recognise, model, store, rows)


def _outputs(recognise: Predictor, model: Path, store: ClipStore, rows: np.ndarray) -> np.ndarray:
    found = []
    for row in rows.tolist():
        try:
            found.append(recognise(store.read(row)))
        except (ValueError, RuntimeError) as error:
            # Not the name from the table of clips, which would import pandas.
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(f"model={model}: clip {row} of {store.directory}: {reason}") from None
    return np.stack(found)
