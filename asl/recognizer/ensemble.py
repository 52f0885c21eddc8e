"""Ensembles of recognizers."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.answers import Answers
from asl.recognizer.layers.unit import unit
from asl.recognizer.recognizer import Recognizer


class Ensemble(Recognizer):
    """The mean of several recognizers' logits.

    Each member preprocesses clips itself, so that members may differ in all but signs and layout.
    Members are trained beforehand; nothing is fitted here.

    Logits are averaged instead of probabilities: softmax saturates near 0 and 1, and a mean of
    saturated values loses how confident a member was. The second place of the GISLR competition
    (github ffs333/2nd_place_GISLR) reports a hundredth of accuracy from it, "consistently". A
    member whose logits have a wider range counts more; a constant added to all logits of a member
    changes nothing.

    Args:
        members: recognizers of the same signs, in the same order, for clips of one layout.

    Raises:
        ValueError: signs or layouts differ.
    """

    def __init__(self, members: Sequence[Recognizer]) -> None:
        nn.Module.__init__(self)  # instead of Recognizer's: members replace its parts
        first = members[0]
        layouts = {member.landmarks.layout.name for member in members}
        if len(layouts) > 1 or any(member.signs != first.signs for member in members):
            raise ValueError("members of an ensemble have the same signs and the same layout")
        self.members = cast("Sequence[Recognizer]", nn.ModuleList(members))
        self.signs = first.signs
        self.answers = Answers()
        self.landmarks = union([member.landmarks for member in members])
        self.indices = nn.Buffer(torch.tensor(self.landmarks.indices), persistent=False)
        for number, member in enumerate(members):
            rows = self.landmarks.positions(member.landmarks.indices)
            self.register_buffer(f"rows{number}", torch.tensor(rows), persistent=False)

    def summarise(self, clips: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean of the members' logits `[B, S]`, and their summaries of length 1, one long row.

        Arguments are as for `Recognizer.forward`.
        """
        logits, summaries = zip(
            *(
                member.summarise(clips.index_select(2, self.get_buffer(f"rows{number}")), lengths)
                for number, member in enumerate(self.members)
            ),
            strict=True,
        )
        return torch.stack(logits).mean(0), torch.cat([unit(each) for each in summaries], dim=-1)


def union(sets: Sequence[LandmarkSet]) -> LandmarkSet:
    """All landmarks of several sets of one layout, those of the first set first."""
    names = dict.fromkeys(each.name for each in sets)
    rows = dict.fromkeys(row for each in sets for row in each.own)
    return LandmarkSet("+".join(names), sets[0].layout, tuple(rows))
