"""From features to the width that a network works in."""

from torch import Tensor, nn

from asl.recognizer.layers.batchnorm import MaskedBatchNorm


class Embedding(nn.Module):
    """A linear layer and batch normalisation.

    Coordinates, their first and their second differences are of very different sizes; normalised,
    all of them count from the first epoch on.

    Args:
        inputs: numbers a time step.
        width: numbers a time step afterwards.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width, bias=False)
        self.norm = MaskedBatchNorm(width)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps `[B, T, width]` of steps `[B, T, inputs]`."""
        return self.norm(self.linear(steps), mask)
