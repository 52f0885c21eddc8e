"""Networks with equal axes, whose layout onnx2tf alone guesses by their sizes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:.*were assigned during export")

# Runs in a process of its own, which may import TensorFlow.
CONVERT = """
import json, sys
import numpy as np
from asl.export.backend import operators
if sys.argv[1] == "without":
    operators.install = lambda: None
from asl.export.backend.convert import to_keras
from pathlib import Path
for case in sys.argv[2:]:
    x, wanted = (np.load(f"{case}.{name}.npy") for name in ("x", "y"))
    try:
        got = to_keras(Path(f"{case}.onnx"))(x).numpy()
        print(json.dumps([case, float(np.abs(got - wanted).max())]))
    except Exception as error:
        print(json.dumps([case, str(error)]))
"""


class Rnn(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], inputs: int, hidden: int, both: bool):
        super().__init__()
        sizes = [inputs, hidden * (2 if both else 1)]
        layers = [kind(size, hidden, batch_first=True, bidirectional=both) for size in sizes]
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)[0]
        return x.mean(1)


class Attention(nn.Module):
    def __init__(self, size: int, heads: int):
        super().__init__()
        self.heads = heads
        self.mix = nn.Linear(size, 3 * size)

    def forward(self, x):
        steps, size = x.shape[1:]
        q, k, v = self.mix(x).reshape(1, steps, 3, self.heads, size // self.heads).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        weights = (q @ k.transpose(2, 3)).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(1, steps, size)


class Convolution(nn.Module):
    def __init__(self, size: int, groups: int):
        super().__init__()
        self.conv = nn.Conv1d(size, size, 5, padding=2, groups=groups)
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x):
        return self.norm(self.conv(x.transpose(1, 2))).relu().transpose(1, 2)


# (network, frames, features of a frame)
NETWORKS = {
    "lstm T=H": (lambda: Rnn(nn.LSTM, 60, 64, False), 64, 60),
    "attention T=F": (lambda: Attention(16, 2), 16, 16),
    "depthwise T=F": (lambda: Convolution(16, 16), 16, 16),
}
MORE_NETWORKS = {
    "lstm T=F=H": (lambda: Rnn(nn.LSTM, 32, 32, False), 32, 32),
    "bilstm T=2H": (lambda: Rnn(nn.LSTM, 20, 16, True), 32, 20),
    "gru T=H": (lambda: Rnn(nn.GRU, 60, 64, False), 64, 60),
    "bigru T=F=H": (lambda: Rnn(nn.GRU, 16, 16, True), 16, 16),
    "attention T=heads=size of a head": (lambda: Attention(16, 4), 4, 16),
    "convolution T=F": (lambda: Convolution(16, 1), 16, 16),
    "two groups T=F": (lambda: Convolution(16, 2), 16, 16),
}


def write_onnx(folder: Path, networks: dict) -> None:
    for name, (network, frames, features) in networks.items():
        torch.manual_seed(0)
        module, x = network().eval(), torch.randn(1, frames, features)
        program = torch.onnx.export(
            module, (x,), dynamo=True, input_names=["inputs"], verbose=False
        )
        program.save(folder / f"{name}.onnx")
        np.save(folder / f"{name}.x.npy", x.numpy())
        np.save(folder / f"{name}.y.npy", module(x).detach().numpy())


def differences(folder: Path, operators: str, cases: list[str]) -> dict[str, float | str]:
    command = [sys.executable, "-c", CONVERT, operators, *cases]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return dict(json.loads(line) for line in run.stdout.splitlines() if line.startswith('["'))


def wrong(differences: dict[str, float | str]) -> dict[str, float | str]:
    return {name: d for name, d in differences.items() if not (isinstance(d, float) and d < 1e-5)}


@pytest.mark.slow
def test_an_lstm_with_equal_axes_is_silently_wrong_only_without_our_operators(tmp_path):
    write_onnx(tmp_path, NETWORKS)

    assert differences(tmp_path, "without", ["lstm T=H"])["lstm T=H"] > 1e-3

    found = differences(tmp_path, "with", list(NETWORKS))
    assert found.keys() == NETWORKS.keys()
    assert wrong(found) == {}


@pytest.mark.slow
def test_more_networks_with_equal_axes(tmp_path):
    write_onnx(tmp_path, MORE_NETWORKS)

    found = differences(tmp_path, "with", list(MORE_NETWORKS))

    assert found.keys() == MORE_NETWORKS.keys()
    assert wrong(found) == {}
