"""Convolutions over time that treat each channel on its own, fast to train on a processor."""

from typing import Any

import torch
from torch import Tensor
from torch.amp import custom_bwd, custom_fwd
from torch.autograd import Function
from torch.nn.functional import conv1d, conv2d, pad


def depthwise(steps: Tensor, weight: Tensor, before: int, after: int) -> Tensor:
    """Convolve each channel over time, zeros around the clip.

    Args:
        steps: `[B, T, C]`.
        weight: `[C, K]`.
        before: zeros in front; as many time steps before the present one are seen.
        after: zeros behind, `K - 1 - before` for as many time steps as came in.

    Returns:
        `[B, T, C]`.
    """
    # Other devices have fast backward passes, and in a graph for the phone one dimension is faster.
    if steps.device.type != "cpu" or torch.compiler.is_exporting():
        padded = pad(steps.transpose(1, 2), (before, after))
        return conv1d(padded, weight[:, None], groups=len(weight)).transpose(1, 2)
    convolved: Tensor = _Depthwise.apply(steps, weight, before, after)  # type: ignore[no-untyped-call]
    return convolved


class _Depthwise(Function):
    """PyTorch's own backward pass takes five times as long on a processor.

    In float32 also under autocast: in bfloat16, kernels of more than some steps never come back.
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
        # What a step did to the later ones: the same convolution, the other way round.
        of_steps = _convolved(pad(grad, (0, 0, after, before)), weight.flip(1))
        product = torch.empty_like(grad)
        of_weight = [
            torch.mul(grad, padded[:, lag : lag + grad.shape[1]], out=product).sum((0, 1))
            for lag in range(weight.shape[1])
        ]
        return of_steps, torch.stack(of_weight, dim=1), None, None


def _convolved(steps: Tensor, weight: Tensor) -> Tensor:
    """In two dimensions the channels stay last in memory, which is several times as fast."""
    image = steps.transpose(1, 2)[:, :, None]  # [B, C, 1, T]
    return conv2d(image, weight[:, None, None], groups=len(weight))[:, :, 0].transpose(1, 2)
