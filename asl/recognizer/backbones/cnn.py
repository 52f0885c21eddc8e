"""A 1-D convolutional network over time."""

from torch import Tensor, nn

from asl.recognizer.layers.batchnorm import MaskedBatchNorm
from asl.recognizer.layers.depthwise import depthwise
from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool
from asl.recognizer.layers.pooling import pool


class Cnn(nn.Module):
    """Residual blocks of depthwise separable convolutions, pooled over the real time steps.

    Args:
        inputs: features per time step.
        hidden: channels.
        layers: number of blocks.
        kernel: width of a convolution in time steps, an odd number.
        pool: over time: `mean`, `max` or `last`.
        dropout: of each block's residual branch.
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
        """Summaries `[B, width]` of steps `[B, T, inputs]` with a mask `[B, T]` of real ones."""
        steps = self.embed(steps, mask)
        for block in self.blocks:
            steps = block(steps, mask)
        return pool(steps, mask, self.pool)


class Block(nn.Module):
    """Inverted residual block: expand, depthwise convolution over time, project."""

    def __init__(self, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        expanded = 2 * hidden
        self.expand = nn.Linear(hidden, expanded)
        self.convolve = nn.Conv1d(expanded, expanded, kernel, groups=expanded, bias=False)
        self.before = (kernel - 1) // 2
        self.after = kernel - 1 - self.before
        self.norm = MaskedBatchNorm(expanded)
        self.project = nn.Linear(expanded, hidden)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """From steps `[B, T, hidden]` to steps of that shape."""
        h = self.activation(self.expand(steps)) * mask[:, :, None]
        h = depthwise(h, self.convolve.weight[:, 0], self.before, self.after)
        return steps + self.dropout(self.project(self.activation(self.norm(h, mask))))
