"""What verified files are worth: accuracy, speed and memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.export.parity.accuracy import accuracies
from asl.export.parity.latency import latency
from asl.export.parity.memory import peak_memory
from asl.export.report import timed
from asl.recognizer.recognizer import Recognizer


def measure(
    recognizer: Recognizer,
    files: Mapping[str, Path],
    clips: Sequence[np.ndarray],
    report: dict[str, Any],
    data: tuple[ClipStore, Split] | None,
) -> None:
    """Fill `accuracy`, `latency` and `memory` of report.json in.

    Args:
        recognizer: on the CPU.
        files: variant to .tflite.
        clips: real ones, float32 [n, N, 3]; those of median length and the longest are timed.
        report: the content of report.json.
        data: on whose validation and test clips accuracy is measured, if it has the recognizer's
            signs.
    """
    if data and data[0].signs == list(recognizer.signs):
        with timed(report, "accuracy"):
            report["accuracy"] = accuracies(recognizer, files, *data)
    by_length = sorted(clips, key=len)
    with timed(report, "speed and memory"):
        for variant, path in files.items():
            report["latency"][variant] = _latencies(path, by_length)
            report["memory"][variant] = peak_memory(path, by_length[-1])


def _latencies(path: Path, by_length: Sequence[np.ndarray]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, place in (("median", len(by_length) // 2), ("longest", -1)):
        on_two = latency(path, by_length[place], threads=2)
        found[name] = {**latency(path, by_length[place]), "two_threads": on_two}
    return found
