"""Known faults of converters: each test shows that the fault occurs without our own code.

Two more are tested elsewhere: equal axes in test_operators.py, kept state in test_lstm.py.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from asl.export import ExportError
from asl.export.onnx import convert as onnx
from asl.export.onnx.convert import to_onnx
from asl.recognizer.heads.linear import LinearHead

pytestmark = pytest.mark.filterwarnings("ignore:.*were assigned during export")

# Runs in a process of its own, which may import TensorFlow.
CONVERT = """
import json, sys
import numpy as np
from pathlib import Path
from asl.export.backend.convert import to_keras
for case in sys.argv[1:]:
    x, wanted = (np.load(f"{case}.{name}.npy") for name in ("x", "y"))
    try:
        found = float(np.abs(to_keras(Path(f"{case}.onnx"))(x).numpy() - wanted).max())
    except Exception as error:
        found = str(error)
    print(json.dumps([case, found]))
"""


class Landmarks(torch.nn.Module):
    """Takes a clip [1, T, P, 3], for onnx2tf an image with three colours, or ours, [T, P, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(3 * 6, 4)

    def forward(self, clip):
        clip = clip if clip.ndim == 4 else clip[None]
        return self.mix((clip - clip.mean((1, 2), keepdim=True)).flatten(2)).amax(1)


@pytest.mark.slow
def test_landmarks_are_not_taken_for_the_colours_of_an_image(tmp_path):
    torch.manual_seed(0)
    network, clip = Landmarks().eval(), torch.rand(1, 8, 6, 3)
    for name, given in (("image", clip), ("clip", clip[0])):
        program = torch.onnx.export(
            network, (given,), dynamo=True, input_names=["inputs"], verbose=False
        )
        program.save(tmp_path / f"{name}.onnx")
        np.save(tmp_path / f"{name}.x.npy", given.numpy())
        np.save(tmp_path / f"{name}.y.npy", network(given).detach().numpy())

    command = [sys.executable, "-c", CONVERT, "image", "clip"]
    no_network = {"https_proxy": "http://127.0.0.1:9"}  # onnx2tf downloads sample images
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | no_network,
    )  # fmt: skip
    found = dict(json.loads(line) for line in run.stdout.splitlines() if line.startswith('["'))

    assert isinstance(found["image"], str)
    assert "image_sample_data" in found["image"]
    assert found["clip"] < 1e-5


@pytest.mark.slow
def test_a_time_axis_that_pytorch_froze_is_noticed(recognizer_of, tmp_path, monkeypatch):
    recognizer = recognizer_of("gru", 8, 384, landmarks="kinect20", length="all")
    monkeypatch.setattr(onnx, "replace_recurrent_layers", lambda module: None)

    with pytest.raises(ExportError, match="on a clip of 1 frames"):
        to_onnx(recognizer, tmp_path / "model.onnx")


@pytest.fixture
def with_dropout(recognizer_of):
    recognizer = recognizer_of("cnn", 8, 8, landmarks="kinect20")
    recognizer.head = LinearHead(recognizer.backbone.width, len(recognizer.signs), dropout=0.5)
    return recognizer.eval()


def test_dropout_left_on_in_the_graph_is_noticed(with_dropout, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx.ExportedForward, "eval", lambda self: self.train())

    with pytest.raises(ExportError, match=r"differs from PyTorch .* dropout was left on\."):
        to_onnx(with_dropout, tmp_path / "model.onnx")
