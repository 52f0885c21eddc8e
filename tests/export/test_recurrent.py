import copy

import pytest
import torch

from asl.export.onnx.convert import to_onnx
from asl.export.onnx.recurrent import replace_recurrent_layers
from asl.recognizer.backbones.recurrent import Recurrent


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_stand_ins_compute_what_the_layers_do(cell):
    network = Recurrent(5, cell, bidirectional=True, hidden=4, layers=2).eval()
    stand_in = copy.deepcopy(network)
    steps, mask = torch.randn(2, 7, 5), torch.arange(7) < torch.tensor([[7], [3]])

    replace_recurrent_layers(stand_in)

    assert not any(isinstance(m, torch.nn.RNNBase) for m in stand_in.modules())
    torch.testing.assert_close(stand_in(steps, mask), network(steps, mask))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bilstm", "bigru"])
def test_clips_of_free_length_stay_free(model, recognizer_of, tmp_path):
    recognizer = recognizer_of(model, 8, 384, landmarks="kinect20", length="all")

    to_onnx(recognizer, tmp_path / "model.onnx")  # raises where an axis was frozen
