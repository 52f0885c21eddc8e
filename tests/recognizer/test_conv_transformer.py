import math

import pytest
import torch

from asl.errors import UserError
from asl.recognizer.backbones.conv_transformer import ChannelAttention, ConvTransformer
from asl.recognizer.heads.linear import LinearHead
from asl.recognizer.layers.drop_path import DropPath

LENGTHS = torch.tensor([30, 1, 17])
MASK = torch.arange(30) < LENGTHS[:, None]


def steps(channels=12):
    torch.manual_seed(0)
    return torch.randn(3, 30, channels)


def test_it_has_the_parameter_count_of_the_first_place():
    """1,836,569 in the first place's notebook, where Keras counts untrained numbers too.

    These are the moving mean and variance of each batch normalisation: those of the stem, of six
    convolution blocks twice as wide, and two of each of the two attention blocks; and the late
    dropout's counter of training steps.
    """
    backbone = ConvTransformer(inputs=118 * 2 * 3)
    head = LinearHead(backbone.width, signs=250)

    trained = sum(p.numel() for part in (backbone, head) for p in part.parameters())
    moving = sum(b.numel() for b in backbone.buffers())
    late_dropout = 1

    assert moving == 2 * (192 + 6 * 384 + 2 * 2 * 192)
    assert trained + moving + late_dropout == 1_836_569


@pytest.mark.parametrize("training", [False, True])
def test_padding_affects_neither_summaries_nor_statistics(training):
    torch.manual_seed(0)
    seen = ConvTransformer(12, hidden=16, attention_dropout=0, drop_path=0).train(training)
    torch.manual_seed(0)
    other = ConvTransformer(12, hidden=16, attention_dropout=0, drop_path=0).train(training)
    padded = torch.where(MASK[:, :, None], steps(), 99.0)
    longer = torch.nn.functional.pad(padded, (0, 0, 0, 50), value=-99.0)

    summary = seen(torch.where(MASK[:, :, None], steps(), 0.0), MASK)

    torch.testing.assert_close(
        other(longer, torch.arange(80) < LENGTHS[:, None]), summary, rtol=0, atol=1e-5
    )
    for (name, buffer), (_, same) in zip(seen.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(buffer, same, rtol=0, atol=1e-5, msg=name)


def test_clips_alone_and_in_a_batch_agree_at_the_default_size():
    network = ConvTransformer(12).eval()

    together = network(steps(), MASK)

    for clip, length, summary in zip(steps(), LENGTHS, together, strict=True):
        alone = network(clip[None, :length], MASK[:1, :length])
        torch.testing.assert_close(alone[0], summary, rtol=0, atol=1e-5)


def test_convolutions_are_causal_and_encode_the_order():
    network = ConvTransformer(12, hidden=16, kernel=5).eval()
    block, before = network.blocks[0], steps(16)
    after = before.clone()
    after[:, 20] += 1
    everything = torch.ones_like(MASK)
    block.channel_attention = torch.nn.Identity()  # a clip's mean depends on all steps
    block.channel_attention.forward = lambda steps, mask: steps

    changed = (block(after, everything) - block(before, everything)).abs().sum((0, 2)) > 1e-7

    assert changed.nonzero().flatten().tolist() == [20, 21, 22, 23, 24]
    backwards = network(steps().flip(1), everything)
    assert (network(steps(), everything) - backwards).abs().max() > 1e-3


def test_channel_attention_uses_the_mean_of_the_real_steps():
    attention = ChannelAttention(3)
    with torch.no_grad():
        attention.convolve.weight.copy_(torch.tensor([[[0.0, 1.0, 2.0]]]))
    clip = torch.tensor([[[1.0, 2.0, 3.0], [3.0, 0.0, 1.0], [70.0, 70.0, 70.0]]])

    scaled = attention(clip, torch.tensor([[True, True, False]]))

    means = torch.tensor([2.0, 1.0, 2.0])
    weights = (means + 2 * torch.tensor([1.0, 2.0, 0.0])).sigmoid()
    torch.testing.assert_close(scaled, clip * weights)


def test_attention_scores_are_divided_by_the_root_of_the_whole_width():
    whole, head = (ConvTransformer(12, hidden=64, heads=4, scale=s) for s in ("hidden", "head"))

    assert whole.blocks[3].attention.scale == 8
    assert head.blocks[3].attention.scale == 4


def test_numbers_of_stages_and_blocks():
    network = ConvTransformer(12, hidden=16, stages=3, convolutions=1)

    kinds = [type(block).__name__ for block in network.blocks]
    assert kinds == ["ConvolutionBlock", "AttentionBlock"] * 3


def rates(network):
    return [m.rate for m in network.modules() if isinstance(m, DropPath)]


def test_drop_path_is_constant_or_grows_with_the_depth():
    constant = ConvTransformer(12, hidden=16, drop_path=0.2)
    growing = ConvTransformer(12, hidden=16, drop_path=0.4, drop_path_rule="linear")

    assert rates(constant) == [0.2] * 8
    assert rates(growing) == pytest.approx([0.05 * n for n in range(1, 9)])


def test_drop_path_drops_whole_clips_in_training_and_keeps_the_expectation():
    torch.manual_seed(0)
    drop, branch = DropPath(0.25), torch.ones(4000, 3, 2)

    dropped = drop(branch)

    kept = dropped[:, 0, 0] > 0
    torch.testing.assert_close(dropped, kept[:, None, None] * branch / 0.75)
    assert kept.float().mean() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(drop.eval()(branch), branch)


def test_a_width_that_the_heads_cannot_share_is_one_sentence():
    with pytest.raises(UserError, match=r"model\.hidden=10: choose from multiples of 4"):
        ConvTransformer(12, hidden=10)


def test_keras_initialisation_has_the_norms_of_the_first_places_network():
    """As TensorFlow 2.12 draws them for the published notebook; PyTorch's differ by factors."""
    torch.manual_seed(0)
    backbone = ConvTransformer(inputs=118 * 2 * 3, init="keras")
    head = LinearHead(backbone.width, signs=250, init="keras")

    block, attention = backbone.blocks[0], backbone.blocks[3]
    norms = {
        backbone.stem: 17.4,
        block.expand[0]: 16.0,
        block.project: 16.0,
        block.convolve: 1.41,
        attention.attention.query_key_value: math.sqrt(2 / (4 * 192) * 3 * 192**2),
        head.layers[1]: 17.4,
    }
    for layer, norm in norms.items():
        assert layer.weight.norm().item() == pytest.approx(norm, rel=0.03)
    gates = [b.channel_attention.convolve.weight.norm() for b in backbone.blocks[:3]]
    assert torch.stack(gates).mean().item() == pytest.approx(0.97, abs=0.3), "five numbers a block"
    biases = [p for part in (backbone, head) for n, p in part.named_parameters() if "bias" in n]
    assert biases
    assert not any(bias.any() for bias in biases)
