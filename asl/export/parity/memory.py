"""Peak memory of one prediction: `python -m asl.export.parity.memory FILE.tflite CLIP.npy`.

`peak_memory` starts that process: a peak is measured per process.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from asl.export import ExportError

STATUS = Path("/proc/self/status")


def peak_memory(model: Path, clip: np.ndarray) -> int | None:
    """By how many bytes a process grows at most when it opens a .tflite and recognises a clip.

    Args:
        model: the file.
        clip: float32 [n, N, 3].

    Returns:
        peak resident memory less that before the file was opened; None on systems other than
        Linux, which do not report it.

    Raises:
        ExportError: the process failed.
    """
    if not STATUS.is_file():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "clip.npy"
        np.save(path, clip)
        command = [sys.executable, "-P", "-m", "asl.export.parity.memory", str(model), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(
            f"{model.name}: LiteRT ended with {done.returncode}: {done.stderr[-500:]}"
        )
    return int(done.stdout.split()[-1])


def _resident(field: str) -> int:
    """VmRSS, resident memory now, or VmHWM, its peak; bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Recognise, then print the growth in bytes."""
    # LiteRT itself is loaded before the measurement begins.
    import ai_edge_litert.interpreter  # noqa: F401

    from asl.runtime.litert import load_fixed

    model, clip = Path(sys.argv[1]), np.load(sys.argv[2])
    with contextlib.suppress(OSError):  # resets the peak, where that is allowed
        Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    load_fixed(model, clip.shape)(clip)
    print(max(0, _resident("VmHWM") - before))


if __name__ == "__main__":
    main()
