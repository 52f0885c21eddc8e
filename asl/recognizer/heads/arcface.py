"""A head that classifies by the angle between a summary and each sign's centres."""

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from asl.recognizer.layers.options import Count, Dropout, Positive
from asl.recognizer.layers.unit import TINY, unit


class ArcFace(nn.Module):
    """Sub-centre ArcFace: logits are scaled cosines; training adds an angular margin.

    Deng et al. 2019, "ArcFace" (arXiv 1801.07698), adds an angle to that of the true sign during
    training; Deng et al. 2020, "Sub-center ArcFace" (ECCV), gives a sign several centres, of which
    the nearest counts, so that variants and wrong labels can have their own. In the GISLR
    competition wonjun-dev (K = 3, margin .2, scale 32) reports a point of accuracy from it; the
    fourth place uses cosines without a margin.

    Args:
        width: of the summary.
        signs: number of logits.
        centres: per sign.
        margin: angle in radians that training adds; 0 for none.
        scale: logit of a cosine of 1.
        dropout: of the summary.
    """

    def __init__(
        self,
        width: Count,
        signs: Count,
        centres: Count = 3,
        margin: Annotated[float, Interval(ge=0, lt=1.5)] = 0.2,
        scale: Positive = 32.0,
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale
        self.dropout = nn.Dropout(dropout)
        self.centres = nn.Parameter(torch.empty(centres, signs, width))
        nn.init.xavier_normal_(self.centres.view(centres * signs, width))

    def forward(self, summary: Tensor, targets: Tensor | None = None) -> Tensor:
        """Logits `[B, signs]`.

        Args:
            summary: `[B, width]`.
            targets: `[B, signs]`, probability of each sign. In training that share of the margin
                is added to each sign's angle; evaluation ignores them.
        """
        cosines = self._cosines(self.dropout(summary))
        if self.training and targets is not None and self.margin:
            cosines = self._with_margin(cosines, self.margin * targets)
        return self.scale * cosines

    def penalised(self) -> list[Tensor]:
        """The weights that L1 and L2 penalties act on."""
        return [self.centres]

    def _cosines(self, summary: Tensor) -> Tensor:
        centres = unit(self.centres).flatten(0, 1)  # [centres · signs, width]
        cosines = unit(summary) @ centres.T
        return cosines.unflatten(1, self.centres.shape[:2]).amax(1)

    def _with_margin(self, cosines: Tensor, margins: Tensor) -> Tensor:
        """The cosines of the angles plus margins, continued linearly where an angle exceeds pi."""
        sines = (1 - cosines.square()).clamp(min=TINY).sqrt()
        shifted = cosines * margins.cos() - sines * margins.sin()
        return torch.where(cosines > -margins.cos(), shifted, cosines - margins * margins.sin())
