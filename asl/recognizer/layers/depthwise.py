"""Depthwise convolution over time with a fast backward pass on CPUs."""

from typing import Any

import torch
from torch import Tensor
from torch.amp import custom_bwd, custom_fwd
from torch.autograd import Function
from torch.nn.functional import conv1d, conv2d, pad


def depthwise(steps: Tensor, weight: Tensor, before: int, after: int) -> Tensor:
    """Convolve each channel over time, with zero padding.

    Args:
        steps: `[B, T, C]`.
        weight: `[C, K]`.
        before: zeros in front, the number of earlier time steps in the receptive field.
        after: zeros at the end; `K - 1 - before` keeps the number of time steps.

    Returns:
        `[B, T, C]`.
    """
    # Other devices have fast backward passes, and exported graphs are faster with one dimension.
    if steps.device.type != "cpu" or torch.compiler.is_exporting():
        padded = pad(steps.transpose(1, 2), (before, after))
        return conv1d(padded, weight[:, None], groups=len(weight)).transpose(1, 2)
    convolved: Tensor = _Depthwise.apply(steps, weight, before, after)  # type: ignore[no-untyped-call]
    return convolved


class _Depthwise(Function):
    """PyTorch's own backward pass takes five times as long on a CPU.

    In float32 also under autocast: in bfloat16, PyTorch's CPU kernel hangs for wide kernels.
    """

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, steps: Tensor, weight: Tensor, before: int, after: int) -> Tensor:
        padded = pad(steps, (0, 0, before, after))
        ctx.save_for_backward(padded, weight)
        ctx.around = before, after
        return _convolved(padded, weight)

    @staticmethod
    @custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        padded, weight = ctx.saved_tensors
        before, after = ctx.around
        # The gradient of a convolution is the convolution with the flipped kernel.
        grad_steps = _convolved(pad(grad, (0, 0, after, before)), weight.flip(1))
        product = torch.empty_like(grad)
        grad_weight = [
            torch.mul(grad, padded[:, lag : lag + grad.shape[1]], out=product).sum((0, 1))
            for lag in range(weight.shape[1])
        ]
        return grad_steps, torch.stack(grad_weight, dim=1), None, None


def _convolved(steps: Tensor, weight: Tensor) -> Tensor:
    """As conv2d, which keeps channels last in memory and is several times as fast."""
    image = steps.transpose(1, 2)[:, :, None]  # [B, C, 1, T]
    return conv2d(image, weight[:, None, None], groups=len(weight))[:, :, 0].transpose(1, 2)
