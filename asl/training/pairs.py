"""Training clips made of two clips of a batch.

Clips are `[B, T, P, 3]` with NaN where nothing was detected, lengths `[B]`. The other clip is first
brought to the place and size of the one that it joins, so that neither camera nor build jumps.
Random numbers come from torch's global generator.
"""

import torch
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.preprocessing.scalers import safe_divisor
from asl.training.augment import Clips, body_centre, coin, read, spread, uniform


def join(clips: Tensor, lengths: Tensor, signs: Tensor, landmarks: LandmarkSet, p: float) -> Clips:
    """The first part of a clip, then the rest of another clip of the same sign.

    Combining clips of one sign is called the key augmentation by the GISLR competition's third
    place and is in the recipes of the second, fifth and sixth. Both are cut after the same share of
    their frames, between a quarter and three quarters, so the movement goes on where it stopped.

    Args:
        clips: `[B, T, P, 3]`.
        lengths: `[B]`.
        signs: `[B]`.
        landmarks: of the clips.
        p: share of clips; one whose sign is alone in the batch stays as it is.
    """
    other = partners(signs)
    cut = uniform(clips, 0.25, 0.75)
    before = (cut * lengths).floor().long()
    skipped = (cut * lengths[other]).floor().long()
    joined = before + lengths[other] - skipped
    steps = torch.arange(clips.shape[1], device=clips.device)
    late = (steps - before[:, None] + skipped[:, None]).clamp(0, clips.shape[1] - 1)  # [B, T]
    others = _alike(clips, lengths, other, landmarks)
    rest = others.gather(1, late[:, :, None, None].expand_as(clips))
    made = torch.where((steps < before[:, None])[:, :, None, None], clips, rest)
    made = made.masked_fill((steps >= joined[:, None])[:, :, None, None], torch.nan)
    here = coin(clips, p) & (other != torch.arange(len(other), device=other.device))
    return torch.where(here[:, None, None, None], made, clips), torch.where(here, joined, lengths)


def swap_hands(
    clips: Tensor, lengths: Tensor, signs: Tensor, landmarks: LandmarkSet, p: float
) -> Tensor:
    """The hands of another clip of the same sign, in the pace of this one.

    Hands of one clip, lips of another: in the recipe of the GISLR competition's third place.

    Args:
        clips: `[B, T, P, 3]`.
        lengths: `[B]`.
        signs: `[B]`.
        landmarks: of the clips; without hands nothing changes.
        p: share of clips; one whose sign is alone in the batch stays as it is.
    """
    hands = [*landmarks.left_hand, *landmarks.right_hand]
    others = _in_pace(clips, lengths, partners(signs), landmarks)
    made = clips.clone()
    made[:, :, hands] = others[:, :, hands]
    return torch.where(coin(clips, p)[:, None, None, None], made, clips)


def mix(
    steps: Tensor, mask: Tensor, targets: Tensor, p: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """Blend clips' features with those of any others of the batch, and their targets likewise.

    Zhang et al. 2018, "mixup" (arXiv 1710.09412); GISLR's ninth place calls it crucial (p about
    .7), the second has p .49 and Beta(1.26), the winner saw no gain. Features are blended, not
    landmarks: half of two skeletons is none, and a scaler would measure it. A blend keeps the
    length of its heavier clip: the lighter one is read at as many moments, evenly spread.

    Args:
        steps: `[B, T, F]`, 0 where something is missing.
        mask: `[B, T]`, true for real time steps, which come first.
        targets: `[B, S]`, how much of a clip is of each sign.
        p: share of clips.
        alpha: of the Beta(alpha, alpha) distribution that a clip's weight comes from.

    Returns:
        Features and targets; the mask stays.
    """
    shape = torch.full((len(steps),), alpha, device=steps.device)
    weight = torch.distributions.Beta(shape, shape).sample()
    weight = torch.where(coin(steps, p), torch.maximum(weight, 1 - weight), 1.0)[:, None]
    other = torch.randperm(len(steps), device=steps.device)
    last = mask.sum(1) - 1
    pace = last[other] / last.clamp(min=1)
    moments = (torch.arange(steps.shape[1], device=steps.device) * pace[:, None]).round().long()
    moments = torch.minimum(moments, last[other].clamp(min=0)[:, None])  # [B, T]
    others = steps[other].gather(1, moments[:, :, None].expand_as(steps)) * mask[:, :, None]
    mixed = weight[:, :, None] * steps + (1 - weight[:, :, None]) * others
    return mixed, weight * targets + (1 - weight) * targets[other]


def partners(signs: Tensor) -> Tensor:
    """For each clip another one of the same sign, drawn evenly; itself, if it is alone. `[B]`."""
    luck = 1 + torch.rand(len(signs), len(signs), device=signs.device)
    luck = luck.fill_diagonal_(0.5) * (signs[:, None] == signs)
    return luck.argmax(1)


def _alike(clips: Tensor, lengths: Tensor, other: Tensor, landmarks: LandmarkSet) -> Tensor:
    """The other clips, each at the place and in the size of the clip that it meets."""
    centre = body_centre(clips, lengths, landmarks)
    size = safe_divisor(spread(clips, lengths, landmarks))
    return (clips[other] - centre[other]) * (size / size[other]) + centre


def _in_pace(clips: Tensor, lengths: Tensor, other: Tensor, landmarks: LandmarkSet) -> Tensor:
    """The other clips, alike, and as long as the clip that each meets."""
    others = _alike(clips, lengths, other, landmarks)
    pace = (lengths[other] - 1) / (lengths - 1).clamp(min=1)
    steps = torch.arange(clips.shape[1], device=clips.device, dtype=clips.dtype)
    return read(others, steps * pace[:, None], lengths)
