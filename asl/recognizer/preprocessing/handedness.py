"""The dominant hand, and clips of left-handed signers mirrored to right-handed ones.

A left-handed signer makes a sign's mirror image. In the GISLR competition nine of 21 signers are
said to be left-handed; its second, fourth and eleventh places mirror clips so that the dominant
hand is on one side, and do without mirrored training clips.
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import pad

from asl.errors import UserError
from asl.landmarks import LandmarkSet
from asl.recognizer.preprocessing.scalers import clip_centre, reference_points


class AsRecorded(nn.Module):
    """Clips as recorded.

    Args:
        landmarks: the landmarks of the clips.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()

    def forward(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Values and presence, unchanged."""
        return values, present


class CanonicalHandedness(nn.Module):
    """Mirror the clips in which the left side is more active, so that the right one is.

    A side is its hand; in layouts without hands it is every landmark that has a counterpart on the
    other side. In signs of two hands that do the same, chance says which one does more; a margin
    keeps these clips as they are.

    Args:
        landmarks: the landmarks of the clips.
        margin: how many times as active as the right side the left one is in mirrored clips. With
            1 a clip and its mirror image are the same to the network.

    Raises:
        UserError: the layout shows one side of the body alone.
    """

    def __init__(self, landmarks: LandmarkSet, margin: Annotated[float, Ge(1)] = 1.0) -> None:
        super().__init__()
        if not landmarks.layout.has_sides:
            raise UserError(
                f"handedness=mirror_left: {landmarks.layout.name} shows one hand, which has no "
                "other side to mirror; choose handedness=recorded"
            )
        self.n_selected = landmarks.size
        self.margin = margin
        left, right = landmarks.left_hand, landmarks.right_hand
        if not (left and right):
            pairs = [(a, b) for a, b in enumerate(landmarks.mirror) if a < b]
            left, right = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        self.left = nn.Buffer(torch.tensor(left), persistent=False)
        self.right = nn.Buffer(torch.tensor(right), persistent=False)
        self.partners = nn.Buffer(torch.tensor(landmarks.mirror), persistent=False)
        self.shoulders = nn.Buffer(reference_points(landmarks, "shoulders"), persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Values and presence `[B, T, P, 3]`, mirrored about the body's centre or unchanged."""
        left, right = (activity(values, present, rows) for rows in (self.left, self.right))
        swap = (left > self.margin * right)[:, None, None, None]
        centre = clip_centre(values, present, self.n_selected, self.shoulders)
        partners = values.index_select(2, self.partners)
        mirrored = torch.cat([2 * centre[..., :1] - partners[..., :1], partners[..., 1:]], dim=-1)
        seen = present.index_select(2, self.partners)
        return torch.where(swap, mirrored, values), torch.where(swap, seen, present)


def activity(values: Tensor, present: Tensor, rows: Tensor) -> Tensor:
    """Activity of some landmarks: the path length of their centroid, and a little for presence.

    Args:
        values: `[B, T, P, 3]`, finite everywhere.
        present: `[B, T, P, 3]`, 1.0 or 0.0.
        rows: positions among the landmarks.

    Returns:
        `[B]`.
    """
    rows = rows.to(values.device)
    values, present = values.index_select(2, rows), present.index_select(2, rows)
    centroid = (values * present).sum(2) / present.sum(2).clamp(min=1)  # [B, T, 3]
    seen = present[..., 0].amax(2)  # [B, T]
    after = pad(seen, (0, 1))[:, 1:]
    step = (pad(centroid, (0, 0, 0, 1))[:, 1:] - centroid)[..., :2].abs().sum(-1)
    return (step * seen * after).sum(1) + PRESENCE_WEIGHT * seen.sum(1)


PRESENCE_WEIGHT = 1e-3
"""Of a frame in which a hand is present: less than any movement, and more than nothing."""
