import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asl.runtime.litert import interpreter, silent_stderr

MOST_SECONDS = 1.0
"""That one measurement may take; where a clip takes long, fewer runs of it will do."""


def latency(path: Path, clip: np.ndarray, runs: int = 100, threads: int = 1) -> dict[str, float]:
    """Time a .tflite in LiteRT on one clip, raw landmarks in, probabilities out.

    Args:
        path: the file.
        clip: float32 [n, N, 3].
        runs: after ten that do not count; fewer, but five, where they would take over a second.
        threads: that LiteRT may use.

    Returns:
        frames; first_ms, from opening the file to the first answer; median_ms and p95_ms.
    """
    started = time.perf_counter()
    once = _recognition(path, clip, threads)
    once()
    first = time.perf_counter() - started
    for _ in range(10 if first < MOST_SECONDS / 20 else 1):
        once()
    times: list[float] = []
    until = time.perf_counter() + MOST_SECONDS
    while len(times) < runs and (len(times) < 5 or time.perf_counter() < until):
        times.append(once())
    median, p95 = np.percentile(times, [50, 95])
    return {
        "frames": len(clip),
        "first_ms": first * 1e3,
        "median_ms": float(median) * 1e3,
        "p95_ms": float(p95) * 1e3,
    }


def _recognition(path: Path, clip: np.ndarray, threads: int) -> Callable[[], float]:
    """Opens a file; a function that recognises the clip and gives the seconds it took."""
    model = interpreter(path, threads)
    inputs = model.get_input_details()[0]["index"]
    outputs = model.get_output_details()[0]["index"]
    model.resize_tensor_input(inputs, clip.shape)
    with silent_stderr():
        model.allocate_tensors()

    def once() -> float:
        start = time.perf_counter()
        model.set_tensor(inputs, clip)
        model.invoke()
        model.get_tensor(outputs)
        return time.perf_counter() - start

    return once
