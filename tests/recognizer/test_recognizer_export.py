"""The graph of torch.export computes what the recognizer does, for any number of frames."""

import pytest
import torch
from torch import nn

from asl.config.plan import choices

SLOWEST = "st_gcn"  # to trace
CHOICES = [(model, "body", "motion") for model in choices("model") if model != SLOWEST]
MORE_CHOICES = [
    (SLOWEST, "body", "motion"),
    *((model, "gislr_1st", "gislr_1st") for model in ("cnn", "transformer", "conv_transformer")),
    *((model, "body", "differences") for model in ("bigru", "transformer")),
    # Not gru: with `length: all` torch.export fixes the number of steps of a recurrent layer, which
    # the export to ONNX replaces (`asl.export.onnx.recurrent`).
    *(("cnn", "body", features) for features in choices("features") if features != "motion"),
    ("gru", "body", "distances"),
    *(("gru", scaler, "positions") for scaler in choices("scaler") if scaler != "body"),
]


class Recognise(nn.Module):
    def __init__(self, recognizer):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, inputs):
        return self.recognizer.recognise(inputs)


@pytest.mark.filterwarnings("ignore:.*were assigned during export")
@pytest.mark.parametrize(
    ("model", "scaler", "features"),
    [*CHOICES, *(pytest.param(*choice, marks=pytest.mark.slow) for choice in MORE_CHOICES)],
)
def test_exported_graph_is_the_recognizer(model, scaler, features, build):
    check_graph(build(model=model, scaler=scaler, features=features))


@pytest.mark.filterwarnings("ignore:.*were assigned during export")
@pytest.mark.parametrize("impute", [name for name in choices("impute") if name != "none"])
def test_exported_graph_fills_what_is_missing(impute, build):
    check_graph(build(model="cnn", scaler="body", features="motion", impute=impute))


def check_graph(recognizer):
    size = recognizer.landmarks.layout.size
    recognise = Recognise(recognizer)
    frames = torch.export.Dim("frames", min=1)

    graph = torch.export.export(
        recognise, (torch.rand(37, size, 3),), dynamic_shapes={"inputs": {0: frames}}
    ).module()

    for length in (1, 2, 3, 30, 400):
        clip = torch.rand(length, size, 3)
        clip[torch.rand(length, size) < 0.3] = torch.nan
        torch.testing.assert_close(graph(clip), recognise(clip), rtol=0, atol=1e-6)
