"""Layers with a hand-written backward pass agree with PyTorch's and with finite differences."""

import pytest
import torch
from torch.nn import functional as F

from asl.recognizer.layers.batchnorm import MaskedBatchNorm
from asl.recognizer.layers.depthwise import depthwise

MASK = torch.arange(7) < torch.tensor([7, 1, 4])[:, None]


def steps():
    torch.manual_seed(0)
    return torch.randn(3, 7, 4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("kernel", "before"), [(1, 0), (3, 1), (4, 1), (5, 4), (9, 8)])
def test_depthwise_equals_pytorchs_convolution(kernel, before):
    clips, weight = steps(), torch.randn(4, kernel, dtype=torch.float64, requires_grad=True)
    after = kernel - 1 - before

    convolved = depthwise(clips, weight, before, after)

    padded = F.pad(clips.transpose(1, 2), (before, after))
    expected = F.conv1d(padded, weight[:, None], groups=4).transpose(1, 2)
    torch.testing.assert_close(convolved, expected)
    assert torch.autograd.gradcheck(lambda c, w: depthwise(c, w, before, after), (clips, weight))


def test_real_steps_are_normalised_independently_of_padding():
    norm = MaskedBatchNorm(4, epsilon=0.0).double()
    clips = steps()

    real = norm(clips, MASK)[MASK]
    other = norm(torch.where(MASK[:, :, None], clips, 99.0), MASK)[MASK]

    torch.testing.assert_close(real.mean(0), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(real.std(0, correction=0), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(real, other)


def test_gradients_of_the_normalisation_are_exact_on_padding_too():
    norm = MaskedBatchNorm(4).double()

    def normalised(clips, weight, bias):
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(norm, parameters, (clips, MASK))

    weight, bias = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(normalised, (steps(), weight, bias))


def test_evaluation_uses_the_running_statistics():
    norm = MaskedBatchNorm(4, momentum=1.0).double()
    clips = steps()

    trained = norm(clips, MASK)

    torch.testing.assert_close(norm.eval()(clips, MASK), trained)


@pytest.mark.parametrize("model", ["cnn", "conv_transformer", "conv_gru"])
def test_bfloat16_trains_on_a_cpu(model, build, ragged):
    recognizer = build(model=model, options={"model": {"hidden": 8}}).train()
    clips, lengths = ragged(len(recognizer.landmarks.indices))

    with torch.autocast("cpu", torch.bfloat16):
        loss = recognizer(clips, lengths).float().square().sum()
    loss.backward()

    assert all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in recognizer.parameters())
