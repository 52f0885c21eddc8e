"""The peak memory of recognising one clip: `python -m asl.export.parity.memory FILE.tflite CLIP.npy`.

`peak_memory` starts that process, since only a process of its own has a peak of its own.
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
    """By how many bytes a process grows at most that opens a .tflite and recognises a clip.

    Args:
        model: the file.
        clip: float32 [n, N, 3].

    Returns:
        resident memory at its highest less that before the file was opened; None where the system
        is not Linux and does not tell.

    Raises:
        ExportError: the process failed.
    """
    if not STATUS.is_file():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "clip.npy"
        np.save(path, clip)
        command = [sys.executable, "-m", "asl.export.parity.memory", str(model), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(
            f"{model.name}: LiteRT ended with {done.returncode}: {done.stderr[-500:]}"
        )
    return int(done.stdout.split()[-1])


def _resident(field: str) -> int:
    """VmRSS, what is in memory now, or VmHWM, the most that ever was; bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Recognise, then print the growth in bytes."""
    # LiteRT itself is loaded before the measurement begins.
    import ai_edge_litert.interpreter  # noqa: F401

    from asl.runtime.litert import interpreter, silent_stderr

    model, clip = Path(sys.argv[1]), np.load(sys.argv[2])
    with contextlib.suppress(OSError):  # the highest so far is forgotten, where that is allowed
        Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    runner = interpreter(model)
    inputs = runner.get_input_details()[0]["index"]
    runner.resize_tensor_input(inputs, clip.shape)
    with silent_stderr():
        runner.allocate_tensors()
    runner.set_tensor(inputs, clip)
    runner.invoke()
    print(max(0, _resident("VmHWM") - before))


if __name__ == "__main__":
    main()
