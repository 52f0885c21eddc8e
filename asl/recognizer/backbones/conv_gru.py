"""Convolutions that see movements, then a GRU that sees their order."""

from torch import Tensor, nn

from asl.recognizer.backbones.cnn import Block
from asl.recognizer.backbones.recurrent import Recurrent
from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool


class ConvGru(nn.Module):
    """Residual blocks of depthwise separable convolutions, then one GRU layer over the time steps.

    Args:
        inputs: numbers a time step.
        hidden: channels of the convolutions, and units of the GRU in each direction.
        layers: how many convolution blocks.
        kernel: time steps that a convolution sees, an odd number.
        bidirectional: whether the GRU also reads each clip backwards.
        pool: `mean`, `max` or `last`.
        dropout: share that training zeroes of what a block adds, and of the GRU's inputs.
        recurrent_dropout: share of the GRU's hidden-to-hidden weights that training zeroes.

    Attributes:
        width: of the summary.
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
        """Summarise clips.

        Args:
            steps: `[B, T, inputs]`.
            mask: `[B, T]`, true for real steps, which come first.

        Returns:
            `[B, width]`.
        """
        steps = self.embed(steps, mask)
        for block in self.blocks:
            steps = block(steps, mask)
        return self.order(self.dropout(steps), mask)
