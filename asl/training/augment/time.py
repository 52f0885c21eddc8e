"""Augmentation in time: pace, crops, and frames without detections."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Count, Positive, Share
from asl.recognizer.preprocessing.presence import presence
from asl.training.augment.base import Clips, bernoulli, cut_off, uniform, where_drawn


@dataclass(frozen=True)
class TimeStretch:
    """Play clips slower or faster.

    A recognizer that resamples to a fixed number of frames undoes this up to interpolation error;
    it matters to those that see the last frames or all of them.

    Args:
        p: probability.
        low: smallest factor of the length; the factor is uniform in [low, high].
        high: largest factor of the length.
    """

    p: Share = 0.5
    low: Positive = 0.7
    high: Positive = 1.4

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of new lengths."""
        factor = where_drawn(clips, self.p, uniform(clips, self.low, self.high), 1.0)
        stretched = (lengths * factor).round().long().clamp(min=1)
        # An upper bound instead of the longest: reading a number from a GPU would block.
        frames = math.ceil(clips.shape[1] * max(self.high, 1.0))
        steps = torch.arange(frames, device=clips.device, dtype=clips.dtype)
        pace = (lengths - 1) / (stretched - 1).clamp(min=1)
        moments = steps * pace[:, None]
        return sample_at(clips, moments, stretched), stretched


@dataclass(frozen=True)
class TimeWarp:
    """Change the pace within clips: some parts slower, others faster, both ends fixed.

    Args:
        p: probability.
        strength: largest displacement of a moment, as a share of the clip's length; at most 1/6,
            so that time stays monotonic.
    """

    p: Share = 0.5
    strength: Annotated[float, Interval(ge=0, le=1 / 6)] = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        strength = where_drawn(clips, self.p, uniform(clips, -self.strength, self.strength), 0.0)
        waves = torch.randint(1, 3, lengths.shape, device=clips.device)
        last = (lengths - 1).clamp(min=1)[:, None]
        steps = torch.arange(clips.shape[1], device=clips.device, dtype=clips.dtype)
        progress = steps / last  # [B, T], 0 to 1 over the clip
        bend = (strength / waves)[:, None] * torch.sin(math.pi * waves[:, None] * progress)
        moments = ((progress + bend).clamp(0, 1) * last).expand(clips.shape[:2])
        return sample_at(clips, moments, lengths), lengths


@dataclass(frozen=True)
class TimeCrop:
    """Cut frames off both ends, as if recording had started later and stopped earlier.

    Args:
        p: probability.
        most: largest share of the clip that is cut off at each end.
    """

    p: Share = 0.5
    most: Annotated[float, Interval(ge=0, lt=0.5)] = 0.15

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Shorter clips."""
        limit = torch.full_like(lengths, self.most, dtype=clips.dtype)
        most = where_drawn(clips, self.p, limit, 0.0)
        start = (lengths * most * torch.rand_like(most)).floor().long()
        end = lengths - (lengths * most * torch.rand_like(most)).floor().long()
        moments = start[:, None] + torch.arange(clips.shape[1], device=clips.device)
        return sample_at(clips, moments.to(clips.dtype), end - start), end - start


@dataclass(frozen=True)
class TimeWindow:
    """Keep a window of consecutive frames of long clips, at a uniformly drawn position.

    The temporal crop of the GISLR competition's first place, to the 384 frames that its network
    sees.

    Args:
        p: probability.
        most: frames that are kept.
    """

    p: Share = 1.0
    most: Count = 384

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of at most that many frames."""
        kept = torch.where(bernoulli(clips, self.p), lengths.clamp(max=self.most), lengths)
        start = first_frame(clips, lengths, kept).long()
        steps = torch.arange(clips.shape[1], device=clips.device)
        frames = (start[:, None] + steps).clamp(max=clips.shape[1] - 1)
        return cut_off(frames_at(clips, frames), kept), kept


@dataclass(frozen=True)
class EmptyFrames:
    """Remove the frames in which no landmark of the set was detected.

    The training clips of the GISLR competition's first place have no such frames.

    Args:
        p: probability.
    """

    p: Share = 1.0

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Shorter clips; one without any detection keeps its length."""
        seen = (presence(clips[:, :, : landmarks.size], lengths) > 0).flatten(2).any(2)  # [B, T]
        applied = bernoulli(clips, self.p) & seen.any(1)
        order = (~seen & applied[:, None]).to(torch.uint8).argsort(dim=1, stable=True)
        kept = torch.where(applied, seen.sum(1), lengths)
        return cut_off(frames_at(clips, order), kept), kept


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
    values = frames_at(clips, before).lerp(frames_at(clips, after), share)
    # Where one neighbour is missing, the nearest frame counts alone.
    nearest = frames_at(clips, moments.round().long().clamp(0, last))
    values = torch.where(values.isnan(), nearest, values)
    real = torch.arange(moments.shape[1], device=clips.device) < new_lengths[:, None]
    return values.masked_fill_(~real[:, :, None, None], torch.nan)


def frames_at(clips: Tensor, index: Tensor) -> Tensor:
    """The frames `index` `[B, M]` of clips; `[B, M, P, C]`."""
    starts = torch.arange(len(clips), device=clips.device)[:, None] * clips.shape[1]
    rows = clips.flatten(0, 1).index_select(0, (starts + index).flatten())
    return rows.unflatten(0, index.shape)


def first_frame(clips: Tensor, lengths: Tensor, duration: Tensor) -> Tensor:
    """A uniformly drawn start for a span of `duration` whole frames in each clip, `[B]`."""
    latest = lengths - duration
    return ((latest + 1) * uniform(clips, 0, 1)).floor().clamp(max=latest)
