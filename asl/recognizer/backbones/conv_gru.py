"""Convolutions for short movements, then a GRU for their order."""

from torch import Tensor, nn

from asl.recognizer.backbones.cnn import Block
from asl.recognizer.backbones.recurrent import Recurrent
from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool


class ConvGru(nn.Module):
    """Residual blocks of depthwise separable convolutions, then one GRU layer over the time steps.

    Args:
        inputs: features per time step.
        hidden: channels of the convolutions, and units of the GRU in each direction.
        layers: number of convolution blocks.
        kernel: width of a convolution in time steps, an odd number.
        bidirectional: whether the GRU also reads each clip backwards.
        pool: over time: `mean`, `max` or `last`.
        dropout: of each block's residual branch, and of the GRU's inputs.
        recurrent_dropout: of the GRU's hidden-to-hidden weights.
    """

    def __init__(
        self,
        inputs: Count,
        hidden: Count = 128,
        layers: Count = 2,
        kernel: Count = 5,
        bidirectional: bool = True,
        pool: Pool = "max",
        dropout: Dropout = 0.0,
        recurrent_dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.embed = Embedding(inputs, hidden)
        self.blocks = nn.ModuleList(Block(hidden, kernel, dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.order = Recurrent(
            hidden,
            "gru",
            bidirectional,
            hidden=hidden,
            layers=1,
            pool=pool,
            recurrent_dropout=recurrent_dropout,
        )
        self.width = self.order.width

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Summaries `[B, width]` of steps `[B, T, inputs]` with a mask `[B, T]` of real ones."""
        steps = self.embed(steps, mask)
        for block in self.blocks:
            steps = block(steps, mask)
        return self.order(self.dropout(steps), mask)
