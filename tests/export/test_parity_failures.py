"""Verification notices a fault put into an export; dropout left on: test_converter_faults.py."""

import copy

import numpy as np
import pytest
import torch

import asl.export.export as exporting
from asl.export import ExportError
from asl.export.export import export
from asl.export.passes.flatbuffer import pack, parse
from asl.recognizer.preprocessing.scalers import Identity, StatisticsScaler


@pytest.fixture(scope="module")
def sound(recognizer_of):
    """A small network behind a scaler that was fitted, as trained ones are."""
    recognizer = recognizer_of("cnn", hidden=16, frames=16, terms=("position", "lag1"))
    recognizer.scaler = StatisticsScaler(recognizer.landmarks, "standard")
    points = len(recognizer.landmarks.indices)
    torch.manual_seed(1)
    recognizer.fit([(torch.randn(4, 20, points, 3) * 3 + 1, torch.full((4,), 20))])
    return recognizer.eval()


def wrong_weight(recognizer):
    with torch.no_grad():
        recognizer.head.layers[-1].weight[0] *= 1.5


def swapped_landmark(recognizer):
    recognizer.indices[[0, -1]] = recognizer.indices[[-1, 0]]


def scaler_not_exported(recognizer):
    recognizer.scaler = Identity(recognizer.landmarks)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (wrong_weight, r"It begins at head\.layers\.1 \(Linear\)"),
        (swapped_landmark, r"looks at other landmarks: number 0 of \d+ is row \d+ of the clip"),
        (scaler_not_exported, r"The graph lacks scaler \(StatisticsScaler\)"),
    ],
)
def test_a_fault_in_the_graph_is_caught_and_named(
    sound, clips, tmp_path, monkeypatch, fault, named
):
    to_onnx = exporting.to_onnx

    def sabotaged(recognizer, path):
        other = copy.deepcopy(recognizer)
        fault(other)
        to_onnx(other, path)

    monkeypatch.setattr(exporting, "to_onnx", sabotaged)
    with pytest.raises(ExportError, match=rf"^onnx: .*clip .*{named}"):
        export(sound, tmp_path, clips, ["float32"])
    assert not list(tmp_path.glob("*.tflite"))
    assert not list(tmp_path.glob("*.onnx"))
    assert "do not use" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_a_wrong_weight_in_one_variant_is_caught(sound, clips, tmp_path, monkeypatch):
    to_tflite = exporting.to_tflite

    def sabotaged(onnx_path, directory, *arguments):
        converted = to_tflite(onnx_path, directory, *arguments)
        path = converted.files["float16"]
        model = parse(path.read_bytes())
        largest = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
        largest.data = np.array(largest.data)  # the parsed one is read-only
        largest.data[: len(largest.data) // 2] = 0
        path.write_bytes(pack(model))
        return converted

    monkeypatch.setattr(exporting, "to_tflite", sabotaged)
    with pytest.raises(ExportError, match=r"^float16: .*clip "):
        export(sound, tmp_path, clips, ["float32", "float16"])
    assert not list(tmp_path.glob("*.tflite"))
