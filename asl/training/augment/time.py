"""Augmentation in time: pace, crops, and frames without detections."""

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Count, Positive, Share
from asl.recognizer.preprocessing.presence import presence
from asl.training.augment.base import Clips, bernoulli, set_missing, uniform, where_drawn


class TimeStretch(nn.Module):
    """Play clips slower or faster.

    A recognizer that resamples to a fixed number of frames undoes this up to interpolation error;
    it matters to those that see the last frames or all of them.

    Args:
        p: probability.
        low: smallest factor of the length; the factor is uniform in [low, high].
        high: largest factor of the length.
    """

    def __init__(self, p: Share = 0.5, low: Positive = 0.7, high: Positive = 1.4) -> None:
        super().__init__()
        self.p, self.low, self.high = p, low, high

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of new lengths."""
        factor = where_drawn(clips, self.p, uniform(clips, self.low, self.high), 1.0)
        stretched = (lengths * factor).round().long().clamp(min=1)
        # An upper bound instead of the longest: reading a number from a GPU would block.
        frames = math.ceil(clips.shape[1] * max(self.high, 1.0))
        steps = torch.arange(frames, device=clips.device, dtype=clips.dtype)
        pace = (lengths - 1) / (stretched - 1).clamp(min=1)
        moments = steps * pace[:, None]
        return sample_at(clips, moments, stretched), stretched


class TimeWarp(nn.Module):
    """Change the pace within clips: some parts slower, others faster, both ends fixed.

    Args:
        p: probability.
        strength: largest displacement of a moment, as a share of the clip's length; at most 1/6,
            so that time stays monotonic.
    """

    def __init__(
        self, p: Share = 0.5, strength: Annotated[float, Interval(ge=0, le=1 / 6)] = 0.1
    ) -> None:
        super().__init__()
        self.p, self.strength = p, strength

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        strength = where_drawn(clips, self.p, uniform(clips, -self.strength, self.strength), 0.0)
        waves = torch.randint(1, 3, lengths.shape, device=clips.device)
        last = (lengths - 1).clamp(min=1)[:, None]
        steps = torch.arange(clips.shape[1], device=clips.device, dtype=clips.dtype)
        progress = steps / last  # [B, T], 0 to 1 over the clip
        bend = (strength / waves)[:, None] * torch.sin(math.pi * waves[:, None] * progress)
        moments = ((progress + bend).clamp(0, 1) * last).expand(clips.shape[:2])
        return sample_at(clips, moments, lengths), lengths


class TimeCrop(nn.Module):
    """Cut frames off both ends, as if recording had started later and stopped earlier.

    Args:
        p: probability.
        most: largest share of the clip that is cut off at each end.
    """

    def __init__(
        self, p: Share = 0.5, most: Annotated[float, Interval(ge=0, lt=0.5)] = 0.15
    ) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Shorter clips."""
        limit = torch.full_like(lengths, self.most, dtype=clips.dtype)
        most = where_drawn(clips, self.p, limit, 0.0)
        start = (lengths * most * torch.rand_like(most)).floor().long()
        end = lengths - (lengths * most * torch.rand_like(most)).floor().long()
        moments = start[:, None] + torch.arange(clips.shape[1], device=clips.device)
        return sample_at(clips, moments.to(clips.dtype), end - start), end - start


class TimeWindow(nn.Module):
    """Keep a window of consecutive frames of long clips, at a uniformly drawn position.

    The temporal crop of the GISLR competition's first place, to the 384 frames that its network
    sees.

    Args:
        p: probability.
        most: frames that are kept.
    """

    def __init__(self, p: Share = 1.0, most: Count = 384) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of at most that many frames."""
        kept = torch.where(bernoulli(clips, self.p), lengths.clamp(max=self.most), lengths)
        start = first_frame(clips, lengths, kept).long()
        steps = torch.arange(clips.shape[1], device=clips.device)
        frames = (start[:, None] + steps).clamp(max=clips.shape[1] - 1)
        window = clips.gather(1, frames[:, :, None, None].expand_as(clips))
        return set_missing(window, (steps >= kept[:, None])[:, :, None]), kept


class EmptyFrames(nn.Module):
    """Remove the frames in which no landmark of the set was detected.

    The training clips of the GISLR competition's first place have no such frames.

    Args:
        p: probability.
    """

    def __init__(self, p: Share = 1.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Shorter clips; one without any detection keeps its length."""
        seen = (presence(clips[:, :, : landmarks.size], lengths) > 0).flatten(2).any(2)  # [B, T]
        applied = bernoulli(clips, self.p) & seen.any(1)
        order = (~seen & applied[:, None]).to(torch.uint8).argsort(dim=1, stable=True)
        kept = torch.where(applied, seen.sum(1), lengths)
        clips = clips.gather(1, order[:, :, None, None].expand_as(clips))
        steps = torch.arange(clips.shape[1], device=clips.device)
        return set_missing(clips, (steps >= kept[:, None])[:, :, None]), kept


def sample_at(clips: Tensor, moments: Tensor, new_lengths: Tensor) -> Tensor:
    """Interpolate clips linearly in time.

    The same as `resample`, by indexing instead of by a matrix product: an exported graph cannot
    index so, and for long clips indexing is several times as fast.

    Args:
        clips: `[B, T, P, C]`, NaN where missing.
        moments: `[B, M]`, in frames; 0 is the first frame.
        new_lengths: `[B]`, how many of the moments are real.

    Returns:
        `[B, M, P, C]`, NaN where missing and from the new length on.
    """
    last = clips.shape[1] - 1
    before = moments.long().clamp(0, last)
    after = (before + 1).clamp(max=last)
    share = (moments - before)[:, :, None, None]
    values = _frames(clips, before).lerp(_frames(clips, after), share)
    # Where one neighbour is missing, the nearest frame counts alone.
    nearest = _frames(clips, moments.round().long().clamp(0, last))
    values = torch.where(values.isnan(), nearest, values)
    real = torch.arange(moments.shape[1], device=clips.device) < new_lengths[:, None]
    return values.masked_fill_(~real[:, :, None, None], torch.nan)


def _frames(clips: Tensor, index: Tensor) -> Tensor:
    """The frames `index` `[B, M]` of clips; `[B, M, P, C]`."""
    starts = torch.arange(len(clips), device=clips.device)[:, None] * clips.shape[1]
    rows = clips.flatten(0, 1).index_select(0, (starts + index).flatten())
    return rows.unflatten(0, index.shape)


def first_frame(clips: Tensor, lengths: Tensor, duration: Tensor) -> Tensor:
    """A uniformly drawn start for a span of `duration` whole frames in each clip, `[B]`."""
    latest = lengths - duration
    return ((latest + 1) * uniform(clips, 0, 1)).floor().clamp(max=latest)
