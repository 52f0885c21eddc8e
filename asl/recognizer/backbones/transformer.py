"""A small pre-norm transformer encoder."""

import math

import torch
from torch import Tensor, nn

from asl.errors import UserError
from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool
from asl.recognizer.layers.pooling import VERY_LOW, pool


class Transformer(nn.Module):
    """Self-attention over time, pooled over the real time steps.

    Pre-norm as in Xiong et al. 2020 ("On Layer Normalization in the Transformer Architecture"),
    sinusoidal positions as in Vaswani et al. 2017 ("Attention Is All You Need").

    Args:
        inputs: features per time step.
        hidden: width of a time step inside, a multiple of twice `heads`.
        layers: number of blocks of attention and feed-forward.
        heads: attention heads.
        expansion: width of the feed-forward layer, in `hidden`s.
        pool: over time: `mean`, `max` or `last`.
        dropout: of each block's residual branches, and of its input.
        attention_dropout: of attention weights.

    Raises:
        UserError: `hidden` can't be divided among the heads.
    """

    def __init__(
        self,
        inputs: Count,
        hidden: Count = 128,
        layers: Count = 2,
        heads: Count = 4,
        expansion: Count = 2,
        pool: Pool = "mean",
        dropout: Dropout = 0.0,
        attention_dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        if hidden % (2 * heads):
            choices = f"multiples of {2 * heads}, because there are {heads} heads"
            raise UserError(f"model.hidden={hidden}: choose from {choices}")
        self.width = hidden
        self.embed = Embedding(inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(hidden, heads, expansion, dropout, attention_dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.pool = pool

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Summaries `[B, width]` of steps `[B, T, inputs]` with a mask `[B, T]` of real ones."""
        steps = self.embed(steps, mask)
        steps = self.dropout(steps + sinusoids(steps.shape[1], self.width).to(steps))
        for block in self.blocks:
            steps = block(steps, mask)
        return pool(self.norm(steps), mask, self.pool)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each with a residual connection."""

    def __init__(
        self, hidden: int, heads: int, expansion: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, attention_dropout)
        self.attention_norm = nn.LayerNorm(hidden)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden * expansion),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden * expansion, hidden),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps `[B, T, hidden]` after self-attention and feed-forward."""
        steps = steps + self.dropout(self.attention(self.attention_norm(steps), mask))
        return steps + self.dropout(self.feed_forward(steps))


class Attention(nn.Module):
    """Multi-head self-attention in elementary operations.

    A boolean mask of torch's own attention becomes NaN in some runtimes; a finite one that is added
    to the scores does not.

    Args:
        hidden: width of a time step.
        heads: number of heads.
        dropout: of attention weights.
        bias: whether the linear layers have one.
        scale: divisor of the scores; the square root of a head's width where None.
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        dropout: float,
        bias: bool = True,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale or math.sqrt(hidden // heads)
        self.query_key_value = nn.Linear(hidden, 3 * hidden, bias)
        self.out = nn.Linear(hidden, hidden, bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps `[B, T, hidden]`, each attending to the real ones."""
        query, key, value = (self._split(x) for x in self.query_key_value(steps).chunk(3, dim=-1))
        scores = query @ key.transpose(-2, -1) / self.scale  # [B, heads, T, T]
        bias = torch.where(mask, 0.0, VERY_LOW).to(scores.dtype)[:, None, None]
        weights = self.dropout((scores + bias).softmax(-1))
        return self.out((weights @ value).transpose(1, 2).flatten(2))

    def _split(self, steps: Tensor) -> Tensor:
        return steps.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, T, hidden/heads]


def sinusoids(steps: int, width: int) -> Tensor:
    """Positions `[steps, width]` as sines and cosines (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    angles = torch.arange(steps)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
