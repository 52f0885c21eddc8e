"""Projects features to a network's width."""

from torch import Tensor, nn

from asl.recognizer.layers.batchnorm import MaskedBatchNorm


class Embedding(nn.Module):
    """A linear layer and batch normalisation.

    Coordinates, their first and their second differences have very different scales; normalised,
    all of them contribute from the first epoch on.

    Args:
        inputs: features per time step.
        width: of the output.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width, bias=False)
        self.norm = MaskedBatchNorm(width)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps `[B, T, width]` from features `[B, T, inputs]`."""
        return self.norm(self.linear(steps), mask)
