"""Several recognizers that answer as one."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.recognizer import Recognizer


class Ensemble(Recognizer):
    """The mean of some recognizers' logits.

    Each member preprocesses clips by itself, so members may differ in all but signs and layout.
    Nothing is fitted here: members are trained before they meet.

    Logits are averaged and not probabilities: softmax squeezes all that a member is sure of to
    nearly 0 or 1, and a mean of these forgets how sure it was. The second place of the GISLR
    competition (github ffs333/2nd_place_GISLR) reports a hundredth of accuracy from it,
    "consistently". A member whose logits lie further apart counts more; what a member adds to all
    its logits alike changes nothing.

    Args:
        members: recognizers of the same signs, in the same order, in clips of one layout.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, members: Sequence[Recognizer]) -> None:
        nn.Module.__init__(self)  # it has members where a recognizer has its own parts
        first = members[0]
        layouts = {member.landmarks.layout.name for member in members}
        if len(layouts) > 1 or any(member.signs != first.signs for member in members):
            raise ValueError("members of an ensemble have the same signs and the same layout")
        self.members = cast("Sequence[Recognizer]", nn.ModuleList(members))
        self.signs = first.signs
        self.landmarks = together([member.landmarks for member in members])
        self.register_buffer("indices", torch.tensor(self.landmarks.indices), persistent=False)
        for number, member in enumerate(members):
            rows = self.landmarks.positions(member.landmarks.indices)
            self.register_buffer(f"rows{number}", torch.tensor(rows), persistent=False)

    def forward(self, clips: Tensor, lengths: Tensor | None) -> Tensor:
        """The logits of a batch, `[B, S]`; the arguments are those of `Recognizer.forward`."""
        logits = [
            member(clips.index_select(2, self.get_buffer(f"rows{number}")), lengths)
            for number, member in enumerate(self.members)
        ]
        return torch.stack(logits).mean(0)


def together(sets: Sequence[LandmarkSet]) -> LandmarkSet:
    """All landmarks of some sets of one layout, those of the first one first."""
    names = dict.fromkeys(each.name for each in sets)
    rows = dict.fromkeys(row for each in sets for row in each.own)
    return LandmarkSet("+".join(names), sets[0].layout, tuple(rows))
