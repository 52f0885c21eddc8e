"""Training clips combined from two clips of a batch.

Clips are `[B, T, P, C]` with NaN where nothing was detected, lengths `[B]`. The partner clip is
first moved and resized to match the other one, so that neither camera nor build jumps. Random
numbers come from torch's global generator.
"""

import torch
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.preprocessing.scalers import safe_divisor
from asl.training.augment.base import Clips, bernoulli, cut_off, some_of, uniform
from asl.training.augment.space import body_centre, spread
from asl.training.augment.time import frames_at, sample_at


def join_clips(
    clips: Tensor, lengths: Tensor, signs: Tensor, landmarks: LandmarkSet, p: float
) -> Clips:
    """Same-class temporal concatenation: the first part of a clip, then the rest of another.

    The GISLR competition's third place calls combining clips of one sign its key augmentation; it
    is in the recipes of the second, fifth and sixth too. Both clips are cut after the same share of
    their frames, between a quarter and three quarters, so that the movement is continuous.

    Args:
        clips: `[B, T, P, C]`.
        lengths: `[B]`.
        signs: `[B]`.
        landmarks: of the clips.
        p: share of clips; one whose sign is alone in the batch is left unchanged.
    """
    other = draw_partners(signs)
    cut = uniform(clips, 0.25, 0.75)
    before = (cut * lengths).floor().long()
    skipped = (cut * lengths[other]).floor().long()
    joined_lengths = before + lengths[other] - skipped
    steps = torch.arange(clips.shape[1], device=clips.device)
    late = (steps - before[:, None] + skipped[:, None]).clamp(0, clips.shape[1] - 1)  # [B, T]
    others = _matched(clips, lengths, other, landmarks)
    rest = frames_at(others, late)
    joined = torch.where((steps < before[:, None])[:, :, None, None], clips, rest)
    joined = cut_off(joined, joined_lengths)
    applied = bernoulli(clips, p) & (other != torch.arange(len(other), device=other.device))
    return (
        torch.where(applied[:, None, None, None], joined, clips),
        torch.where(applied, joined_lengths, lengths),
    )


def swap_hands(
    clips: Tensor, lengths: Tensor, signs: Tensor, landmarks: LandmarkSet, p: float
) -> Tensor:
    """The hands of another clip of the same sign, resampled to this clip's length.

    Hands of one clip, lips of another: in the recipe of the GISLR competition's third place.

    Args:
        clips: `[B, T, P, C]`.
        lengths: `[B]`.
        signs: `[B]`.
        landmarks: of the clips; without hands nothing changes.
        p: share of clips; one whose sign is alone in the batch is left unchanged.
    """
    hands = [*landmarks.left_hand, *landmarks.right_hand]
    other = draw_partners(signs)
    pace = (lengths[other] - 1) / (lengths - 1).clamp(min=1)
    steps = torch.arange(clips.shape[1], device=clips.device, dtype=clips.dtype)
    others = sample_at(_matched(clips, lengths, other, landmarks), steps * pace[:, None], lengths)
    swapped = clips.clone()
    swapped[:, :, hands] = others[:, :, hands]
    return some_of(swapped, clips, p)


def mixup(
    steps: Tensor, mask: Tensor, targets: Tensor, p: float, alpha: float, copies: int = 1
) -> tuple[Tensor, Tensor]:
    """Blend clips' features with those of other clips of the batch, and their targets likewise.

    Zhang et al. 2018, "mixup" (arXiv 1710.09412); GISLR's ninth place calls it crucial (p about
    .7), the second has p .49 and Beta(1.26), the first saw no gain. Features are blended instead of
    landmarks: the mean of two skeletons is no skeleton, and a scaler would measure it. A blend has
    the length of its heavier clip: the lighter one is sampled at as many moments, evenly spaced.

    Args:
        steps: `[B, T, F]`, 0 where something is missing.
        mask: `[B, T]`, true for real time steps, which come first.
        targets: `[B, S]`, probability of each sign.
        p: share of clips.
        alpha: of the Beta(alpha, alpha) distribution that a clip's weight is drawn from.
        copies: the clips are so many versions of the same ones, which stand one after the other:
            each version of a clip is blended with that version of the same other clip, alike.

    Returns:
        Features and targets; the mask stays.
    """
    clips = len(steps) // copies
    shape = torch.full((clips,), alpha, device=steps.device)
    weight = torch.distributions.Beta(shape, shape).sample()
    weight = torch.where(bernoulli(weight, p), torch.maximum(weight, 1 - weight), 1.0)
    weight = weight.repeat(copies)[:, None]
    other = torch.randperm(clips, device=steps.device)
    other = torch.cat([other + clips * copy for copy in range(copies)])
    last = mask.sum(1) - 1
    pace = last[other] / last.clamp(min=1)
    moments = (torch.arange(steps.shape[1], device=steps.device) * pace[:, None]).round().long()
    moments = torch.minimum(moments, last[other].clamp(min=0)[:, None])  # [B, T]
    others = steps[other].gather(1, moments[:, :, None].expand_as(steps)) * mask[:, :, None]
    mixed = weight[:, :, None] * steps + (1 - weight[:, :, None]) * others
    return mixed, weight * targets + (1 - weight) * targets[other]


def draw_partners(signs: Tensor) -> Tensor:
    """For each clip another one of the same sign, uniformly; itself, if it is alone. `[B]`."""
    priority = 1 + torch.rand(len(signs), len(signs), device=signs.device)
    priority = priority.fill_diagonal_(0.5) * (signs[:, None] == signs)
    return priority.argmax(1)


def _matched(clips: Tensor, lengths: Tensor, other: Tensor, landmarks: LandmarkSet) -> Tensor:
    """The clips `other` `[B]`, each with the position and size of its partner.

    Measured channels are those of the other clip.
    """
    coordinates = clips[..., :3]
    centre = body_centre(coordinates, lengths, landmarks)
    size = safe_divisor(spread(coordinates, lengths, landmarks))
    matched = (coordinates[other] - centre[other]) * (size / size[other]) + centre
    return torch.cat([matched, clips[other, ..., 3:]], dim=-1)
