"""The runtime starts fast and runs where neither torch nor TensorFlow is installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import asl.runtime

PREDICT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "tensorflow", "mlflow"):
            raise ImportError(f"{name} cannot be imported here")

sys.meta_path.insert(0, Blocked())
import importlib
for module in sys.argv[3:]:
    importlib.import_module(f"asl.runtime.{module}")
from asl.runtime.litert import load
from asl.runtime.clips import read_clip
print(load(sys.argv[1])(read_clip(sys.argv[2])).shape)
"""


def test_a_clip_is_recognised_where_torch_tensorflow_and_mlflow_cannot_be_imported(
    tiny_tflite, tmp_path
):
    model, clip = tiny_tflite(tmp_path / "model.tflite"), tmp_path / "clip.npy"
    np.save(clip, np.zeros((2, 543, 3), np.float32))
    modules = [path.stem for path in Path(asl.runtime.__file__).parent.glob("*.py")]
    assert {"litert", "labels", "predict"} <= set(modules)
    names = [name for name in modules if name != "__init__"]
    command = [sys.executable, "-c", PREDICT, str(model), str(clip), *names]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "(3,)\n"
