"""The outputs of an exported file, computed from a clip's logits and summary."""

import torch
from torch import Tensor, nn

from asl.recognizer.layers.unit import unit


class Answers(nn.Module):
    """The probability of each sign, an embedding, and whether the clip shows any of the signs.

    The embedding is a vector of length 1 that is near those of like clips. Summaries point more or
    less in one direction, whatever the sign; what they have in common is subtracted before their
    length is made 1, so that the angle between two clips says more.

    Args:
        centre: mean summary of training clips, `[width]`; None for zeros.
        rejection: `asl.recognizer.rejection.Rejection`; None where nothing is known of clips that
            show no sign.
    """

    def __init__(self, centre: Tensor | None = None, rejection: nn.Module | None = None) -> None:
        super().__init__()
        zero = torch.zeros(())
        self.centre = nn.Buffer(zero if centre is None else centre, persistent=False)
        self.rejection = rejection

    def forward(self, logits: Tensor, summary: Tensor) -> dict[str, Tensor]:
        """The answers by the names of a file's outputs.

        Args:
            logits: `[B, S]`.
            summary: `[B, width]`.

        Returns:
            `outputs`, probabilities `[B, S]`; `embedding` `[B, width]`; with a rejection `unknown`,
            from 0 to 1, `[B, 1]`.
        """
        centred = summary - self.centre
        answers = {"outputs": logits.softmax(-1), "embedding": unit(centred)}
        if self.rejection is not None:
            answers["unknown"] = self.rejection(logits, centred)
        return answers
