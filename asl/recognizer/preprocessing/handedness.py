"""Which hand signs, and clips of left-handed signers as right-handed ones would sign them.

A left-handed signer makes a sign's mirror image. In the GISLR competition nine of 21 signers are
said to be left-handed; its second, fourth and eleventh places bring the hand that signs to one side
before the network sees a clip, and need no mirrored training clips then.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from asl.landmarks import LandmarkSet
from asl.recognizer.preprocessing.scalers import clip_centre, reference_points


class AsRecorded(nn.Module):
    """Clips as they are.

    Args:
        landmarks: the landmarks of the clips.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()

    def forward(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """The values and their presence themselves."""
        return values, present


class CanonicalHandedness(nn.Module):
    """Mirror the clips in which the left side does more, so that the right one always does.

    A side is its hand; in layouts without fingers it is all that has a partner on the other side,
    and which one is called right does not matter.

    Args:
        landmarks: the landmarks of the clips.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()
        self.own = landmarks.size
        left, right = landmarks.left_hand, landmarks.right_hand
        if not (left and right):
            pairs = [(a, b) for a, b in enumerate(landmarks.mirror) if a < b]
            left, right = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        self.left: Tensor
        self.right: Tensor
        self.partners: Tensor
        self.shoulders: Tensor
        for name, rows in (("left", left), ("right", right), ("partners", landmarks.mirror)):
            self.register_buffer(name, torch.tensor(rows), persistent=False)
        self.register_buffer("shoulders", reference_points(landmarks, "shoulders"), False)

    def forward(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Values and presence `[B, T, P, 3]`, mirrored about the body's middle or as they were."""
        left = activity(values, present, self.left)
        swap = (left > activity(values, present, self.right))[:, None, None, None]
        centre = clip_centre(values, present, self.own, self.shoulders)
        middle, side = centre[..., :1], values.index_select(2, self.partners)
        mirrored = torch.cat([2 * middle - side[..., :1], side[..., 1:]], dim=-1)
        there = present.index_select(2, self.partners)
        return torch.where(swap, mirrored, values), torch.where(swap, there, present)


def activity(values: Tensor, present: Tensor, rows: Tensor) -> Tensor:
    """How much some landmarks do: the way that their middle goes, and a little for being there.

    Args:
        values: `[B, T, P, 3]`, finite everywhere.
        present: `[B, T, P, 3]`, 1.0 or 0.0.
        rows: positions among the landmarks.

    Returns:
        `[B]`.
    """
    rows = rows.to(values.device)
    values, present = values.index_select(2, rows), present.index_select(2, rows)
    middle = (values * present).sum(2) / present.sum(2).clamp(min=1)  # [B, T, 3]
    seen = present[..., 0].amax(2)  # [B, T]
    after = pad(seen, (0, 1))[:, 1:]
    step = (pad(middle, (0, 0, 0, 1))[:, 1:] - middle)[..., :2].abs().sum(-1)
    return (step * seen * after).sum(1) + LITTLE * seen.sum(1)


LITTLE = 1e-3
"""What a frame counts in which a hand is seen: less than any movement, more than nothing."""
