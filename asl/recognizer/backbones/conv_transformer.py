"""The network of the GISLR competition's first place: causal convolutions and attention."""

import math
from typing import Literal

from torch import Tensor, nn

from asl.errors import UserError
from asl.recognizer.backbones.transformer import Attention
from asl.recognizer.layers.batchnorm import MaskedBatchNorm
from asl.recognizer.layers.depthwise import depthwise
from asl.recognizer.layers.drop_path import DropPath
from asl.recognizer.layers.initialisation import Initialisation, initialise_as_keras
from asl.recognizer.layers.options import Count, Dropout, Pool
from asl.recognizer.layers.pooling import pool


class ConvTransformer(nn.Module):
    """Stages of convolution blocks and one attention block each, pooled over the real steps.

    The defaults are those of the first place of "Google - Isolated Sign Language Recognition"
    (github hoyso48/Google---Isolated-Sign-Language-Recognition-1st-place-solution). The
    convolutions are causal, which gives the attention blocks the order of the time steps: there is
    no positional encoding.

    Args:
        inputs: features per time step.
        hidden: width of a time step inside, a multiple of `heads`.
        stages: number of stages.
        convolutions: convolution blocks per stage.
        kernel: width of a convolution in time steps, the present one and those before it.
        expansion: width inside a convolution block, in `hidden`s.
        channel_kernel: neighbouring channels that determine a channel's weight, an odd number.
        heads: attention heads.
        scale: attention scores are divided by the square root of this width: `hidden`, as in the
            first place's network, or that of one `head`, as is usual.
        feed_forward: width of an attention block's feed-forward layer, in `hidden`s.
        top: width of the summary, in `hidden`s.
        pool: over time: `mean`, `max` or `last`.
        dropout: of each block's residual branch.
        attention_dropout: of attention weights.
        drop_path: share of the clips for which training skips a block's residual branch.
        drop_path_rule: the same share for every block (`constant`), or one that grows with the
            depth of the block up to `drop_path` for the last one (`linear`; Huang et al. 2016,
            section 3).
        init: whose fresh weights: those of `torch`, or of `keras` as in the first place's network.

    Raises:
        UserError: `hidden` can't be divided among the heads.
    """

    def __init__(
        self,
        inputs: Count,
        hidden: Count = 192,
        stages: Count = 2,
        convolutions: Count = 3,
        kernel: Count = 17,
        expansion: Count = 2,
        channel_kernel: Count = 5,
        heads: Count = 4,
        scale: Literal["hidden", "head"] = "hidden",
        feed_forward: Count = 2,
        top: Count = 2,
        pool: Pool = "mean",
        dropout: Dropout = 0.0,
        attention_dropout: Dropout = 0.2,
        drop_path: Dropout = 0.2,
        drop_path_rule: Literal["constant", "linear"] = "constant",
        init: Initialisation = "torch",
    ) -> None:
        super().__init__()
        if hidden % heads:
            choices = f"multiples of {heads}, because there are {heads} heads"
            raise UserError(f"model.hidden={hidden}: choose from {choices}")
        self.width = top * hidden
        self.stem = nn.Linear(inputs, hidden, bias=False)
        self.norm = norm(hidden)
        self.blocks = nn.ModuleList()
        blocks = stages * (convolutions + 1)
        for number in range(1, blocks + 1):
            rate = drop_path * number / blocks if drop_path_rule == "linear" else drop_path
            drop = nn.Sequential(nn.Dropout(dropout), DropPath(rate))
            if number % (convolutions + 1):
                block: nn.Module = ConvolutionBlock(
                    hidden, expansion * hidden, kernel, channel_kernel, drop
                )
            else:
                root = math.sqrt(hidden if scale == "hidden" else hidden // heads)
                attention = Attention(hidden, heads, attention_dropout, bias=False, scale=root)
                block = AttentionBlock(hidden, attention, feed_forward * hidden, drop)
            self.blocks.append(block)
        self.top = nn.Linear(hidden, self.width)
        self.pool = pool
        if init == "keras":
            initialise_as_keras(self)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Summaries `[B, width]` of steps `[B, T, inputs]` with a mask `[B, T]` of real ones."""
        steps = self.norm(self.stem(steps), mask)
        for block in self.blocks:
            steps = block(steps, mask)
        return pool(self.top(steps), mask, self.pool)


class ConvolutionBlock(nn.Module):
    """Inverted residual block: expand, causal depthwise convolution, channel attention, project."""

    def __init__(
        self, hidden: int, expanded: int, kernel: int, channel_kernel: int, drop: nn.Module
    ) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Linear(hidden, expanded), nn.SiLU())
        self.before = kernel - 1
        self.convolve = nn.Conv2d(expanded, expanded, (1, kernel), groups=expanded, bias=False)
        self.norm = norm(expanded)
        self.channel_attention = ChannelAttention(channel_kernel)
        self.project = nn.Linear(expanded, hidden)
        self.drop = drop

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """From steps `[B, T, hidden]` to steps of that shape; padding must follow the real ones."""
        h = depthwise(self.expand(steps), self.convolve.weight[:, 0, 0], self.before, 0)
        h = self.channel_attention(self.norm(h, mask), mask)
        return steps + self.drop(self.project(h))


class ChannelAttention(nn.Module):
    """Scale each channel by a gate computed from its own and its neighbours' mean over time.

    Wang et al. 2020, "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks".
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(1, 1, kernel, padding="same", bias=False)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """From steps `[B, T, channels]` to steps of that shape."""
        means = pool(steps, mask, "mean")[:, None]  # [B, 1, channels]
        return steps * self.convolve(means).sigmoid()


class AttentionBlock(nn.Module):
    """Attention, then a feed-forward layer, each pre-normalised with a residual connection."""

    def __init__(self, hidden: int, attention: Attention, expanded: int, drop: nn.Module) -> None:
        super().__init__()
        self.attention_norm = norm(hidden)
        self.attention = attention
        self.feed_forward_norm = norm(hidden)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden, expanded, bias=False),
            nn.SiLU(),
            nn.Linear(expanded, hidden, bias=False),
        )
        self.drop = drop

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps `[B, T, hidden]` after self-attention and feed-forward."""
        steps = steps + self.drop(self.attention(self.attention_norm(steps, mask), mask))
        return steps + self.drop(self.feed_forward(self.feed_forward_norm(steps, mask)))


def norm(channels: int) -> MaskedBatchNorm:
    """Batch normalisation with the first place's momentum and Keras's epsilon."""
    return MaskedBatchNorm(channels, momentum=0.05, epsilon=1e-3)
