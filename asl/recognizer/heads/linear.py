"""From a clip's summary to a logit for each sign."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from asl.recognizer.layers.initialisation import Initialisation, initialise_as_keras
from asl.recognizer.layers.options import Count, Dropout


class LinearHead(nn.Module):
    """A linear layer, optionally after a hidden one.

    Args:
        width: of the summary.
        signs: number of logits.
        hidden: units of a ReLU layer in between; 0 for none.
        dropout: before every linear layer.
        init: whose fresh weights: those of `torch` or of `keras`.
    """

    def __init__(
        self,
        width: Count,
        signs: Count,
        hidden: Annotated[int, Ge(0)] = 0,
        dropout: Dropout = 0.0,
        init: Initialisation = "torch",
    ) -> None:
        super().__init__()
        dense = [nn.Dropout(dropout), nn.Linear(width, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*dense, nn.Dropout(dropout), nn.Linear(hidden or width, signs))
        if init == "keras":
            initialise_as_keras(self)

    def forward(self, summary: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits `[B, signs]` of summaries `[B, width]`; the targets are ignored."""
        return self.layers(summary)

    def penalised(self) -> list[Tensor]:
        """The weights that L1 and L2 penalties act on: every linear layer's, without biases."""
        return [layer.weight for layer in self.layers if isinstance(layer, nn.Linear)]
