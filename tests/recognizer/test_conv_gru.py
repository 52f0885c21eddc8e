import torch

from asl.recognizer.backbones.cnn import Cnn
from asl.recognizer.backbones.conv_gru import ConvGru


def test_the_order_of_two_movements_changes_the_summary():
    torch.manual_seed(0)
    movements = torch.randn(2, 3, 6)
    clips = torch.zeros(2, 50, 6)
    for clip, order in zip(clips, ((0, 1), (1, 0)), strict=True):
        clip[20:23], clip[31:34] = movements[order[0]], movements[order[1]]
    # Two convolutions of five steps never see both of them.
    whole = torch.ones(2, 50, dtype=torch.bool)

    one, other = Cnn(6, hidden=16, layers=2, kernel=5).eval()(clips, whole)
    torch.testing.assert_close(one, other)
    one, other = ConvGru(6, hidden=16, kernel=5).eval()(clips, whole)
    assert (one - other).abs().max() > 1e-3
