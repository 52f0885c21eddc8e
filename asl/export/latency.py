import time
from pathlib import Path

import numpy as np

from asl.predict import interpreter, silent_stderr


def latency(path: Path, clip: np.ndarray, runs: int = 100, threads: int = 1) -> dict[str, float]:
    """Time a .tflite in LiteRT on one clip, raw landmarks in, probabilities out.

    Args:
        path: the file.
        clip: float32 [n, N, 3].
        runs: after ten that do not count.
        threads: that LiteRT may use.

    Returns:
        frames; first_ms, from opening the file to the first answer; median_ms and p95_ms.
    """
    started = time.perf_counter()
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

    once()
    first = time.perf_counter() - started
    times = [once() for _ in range(runs + 10)][10:]
    median, p95 = np.percentile(times, [50, 95])
    return {
        "frames": len(clip),
        "first_ms": first * 1e3,
        "median_ms": float(median) * 1e3,
        "p95_ms": float(p95) * 1e3,
    }
