"""Which way a signer faces, where a layout measures in space: from the line of the shoulders."""

import torch
from torch import Tensor

from asl.errors import UserError
from asl.landmarks import LandmarkSet


def shoulder_rows(landmarks: LandmarkSet) -> list[int]:
    """Positions of the two shoulders, in the order of the layout's `lengths`.

    Raises:
        UserError: the layout has none.
    """
    if "shoulders" not in landmarks.layout.lengths:
        raise UserError(
            f"landmarks={landmarks.name}: {landmarks.layout.name} shows no shoulders, from which "
            "it would be seen which way a signer faces"
        )
    return list(landmarks.positions(landmarks.layout.lengths["shoulders"]))


def shoulder_line(values: Tensor, present: Tensor, shoulders: list[int]) -> Tensor:
    """From the first shoulder to the second one, a mean over the frames that show both. `[B, 3]`.

    Args:
        values: `[B, T, P, 3]`, finite everywhere.
        present: `[B, T, P, 3]`, 1.0 or 0.0.
        shoulders: their positions.

    Returns:
        0 where no frame shows both.
    """
    first, second = values[:, :, shoulders].unbind(2)
    both = present[:, :, shoulders[0]] * present[:, :, shoulders[1]]  # [B, T, 3]
    return ((second - first) * both).sum(1) / both.sum(1).clamp(min=1)


def horizontal(line: Tensor) -> Tensor:
    """How long lines `[B, 3]` are in the horizontal plane, `[B]`."""
    return line[:, ::2].square().sum(-1).sqrt()


def turned_away(line: Tensor, smallest: float) -> Tensor:
    """Sine of the angle by which a line of shoulders is turned from the picture's plane, `[B]`.

    Args:
        line: `[B, 3]`, see `shoulder_line`; a larger z is farther away.
        smallest: lines shorter than this count as not turned.

    Returns:
        Positive where the second shoulder is the farther one, negative where the first is.
    """
    length = horizontal(line)
    usable = length > smallest
    return torch.where(usable, line[:, 2], 0.0) / torch.where(usable, length, 1.0)
