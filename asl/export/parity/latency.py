"""How long LiteRT takes for a clip."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.runtime.litert import load_fixed

MAX_SECONDS = 1.0
"""Of one measurement; slow models are run fewer times."""


def latencies(path: Path, clips: Sequence[np.ndarray]) -> dict[str, dict[str, Any]]:
    """The latency of a .tflite on the clip of median length and on the longest one.

    Returns:
        for `median` and `longest` what `latency` gives on one thread, and under `two_threads` what
        it gives on two.
    """
    by_length = sorted(clips, key=len)
    examples = {"median": by_length[len(by_length) // 2], "longest": by_length[-1]}
    return {
        name: {**latency(path, clip), "two_threads": latency(path, clip, threads=2)}
        for name, clip in examples.items()
    }


def latency(path: Path, clip: np.ndarray, runs: int = 100, threads: int = 1) -> dict[str, float]:
    """Time a .tflite in LiteRT on one clip, raw landmarks in, probabilities out.

    Args:
        path: the file.
        clip: float32 [n, N, 3].
        runs: after ten that do not count; fewer, but five, where they would take over a second.
        threads: of LiteRT.

    Returns:
        frames; first_ms, from opening the file to the first answer; median_ms and p95_ms.
    """
    started = time.perf_counter()
    predictor = load_fixed(path, clip.shape, threads)
    predictor(clip)
    first = time.perf_counter() - started
    for _ in range(10 if first < MAX_SECONDS / 20 else 1):
        predictor(clip)
    times: list[float] = []
    end = time.perf_counter() + MAX_SECONDS
    while len(times) < runs and (len(times) < 5 or time.perf_counter() < end):
        start = time.perf_counter()
        predictor(clip)
        times.append(time.perf_counter() - start)
    median, p95 = np.percentile(times, [50, 95])
    return {
        "frames": len(clip),
        "first_ms": first * 1e3,
        "median_ms": float(median) * 1e3,
        "p95_ms": float(p95) * 1e3,
    }
