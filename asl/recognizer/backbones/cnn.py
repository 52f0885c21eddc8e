"""A 1-D convolutional network over time."""

from torch import Tensor, nn

from asl.recognizer.layers.batchnorm import MaskedBatchNorm
from asl.recognizer.layers.depthwise import depthwise
from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool
from asl.recognizer.layers.pooling import pool


class Cnn(nn.Module):
    """Residual blocks of depthwise separable convolutions, summarised over the real time steps.

    Args:
        inputs: numbers a time step.
        hidden: channels.
        layers: how many blocks.
        kernel: time steps that a convolution sees, an odd number.
        pool: `mean`, `max` or `last`.
        dropout: share that training zeroes of what a block adds.

    Attributes:
        width: of the summary.
    """

    def __init__(
        self,
        inputs: Count,
        hidden: Count = 128,
        layers: Count = 3,
        kernel: Count = 5,
        pool: Pool = "max",
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.width = hidden
        self.embed = Embedding(inputs, hidden)
        self.blocks = nn.ModuleList(Block(hidden, kernel, dropout) for _ in range(layers))
        self.pool = pool

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Summarise clips.

        Args:
            steps: `[B, T, inputs]`.
            mask: `[B, T]`, true for real steps.

        Returns:
            `[B, width]`.
        """
        steps = self.embed(steps, mask)
        for block in self.blocks:
            steps = block(steps, mask)
        return pool(steps, mask, self.pool)


class Block(nn.Module):
    """Widen, convolve each channel over time, narrow; added to what comes in."""

    def __init__(self, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        inside = 2 * hidden
        self.widen = nn.Linear(hidden, inside)
        self.convolve = nn.Conv1d(inside, inside, kernel, groups=inside, bias=False)
        self.before = (kernel - 1) // 2
        self.after = kernel - 1 - self.before
        self.norm = MaskedBatchNorm(inside)
        self.narrow = nn.Linear(inside, hidden)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps `[B, T, hidden]`."""
        wide = self.activation(self.widen(steps)) * mask[:, :, None]
        seen = depthwise(wide, self.convolve.weight[:, 0], self.before, self.after)
        return steps + self.dropout(self.narrow(self.activation(self.norm(seen, mask))))
