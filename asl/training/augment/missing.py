"""Augmentation by missing detections: frames, spans of time, regions, landmarks and hands."""

from dataclasses import dataclass

import torch
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Dropout, Share
from asl.recognizer.preprocessing.handedness import activity
from asl.recognizer.preprocessing.presence import presence
from asl.training.augment.base import Clips, bernoulli, set_missing, uniform
from asl.training.augment.time import first_frame


@dataclass(frozen=True)
class FrameDropout:
    """Remove all detections from random frames. At least one frame of a clip keeps its own.

    Args:
        p: probability.
        share: average share of a clip's frames.
    """

    p: Share = 0.5
    share: Dropout = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        priority = torch.rand(clips.shape[:2], device=clips.device)
        empty = presence(clips, lengths).sum((2, 3)) == 0
        priority = priority.masked_fill(empty, -1.0)
        missing = (priority < self.share) & (priority < priority.amax(1, keepdim=True))
        return set_missing(
            clips, (missing & bernoulli(clips, self.p)[:, None])[:, :, None]
        ), lengths


@dataclass(frozen=True)
class TimeMask:
    """Remove all detections from one span of time.

    The temporal mask of the GISLR competition's first place; the eighth place calls cutting
    sequences out the most important augmentation.

    Args:
        p: probability.
        low: smallest share of the clip's length; the share is uniform in [low, high].
        high: largest share of the clip's length.
    """

    p: Share = 0.5
    low: Dropout = 0.2
    high: Dropout = 0.4

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        duration = (lengths * uniform(clips, self.low, self.high)).floor()
        span = time_span(clips, first_frame(clips, lengths, duration), duration)
        missing = span & bernoulli(clips, self.p)[:, None]
        return set_missing(clips, missing[:, :, None]), lengths


@dataclass(frozen=True)
class SpaceMask:
    """Remove the detections inside one box of the picture, the same box for the whole clip.

    The spatial cutout of the GISLR competition's first place. Its picture has the unit square's
    coordinates; here it is the bounding box of the clip's landmarks, so that any unit will do.

    Args:
        p: probability.
        low: smallest side of the box, as a share of the picture's; uniform in [low, high].
        high: largest side of the box.
    """

    spatial = True
    p: Share = 0.5
    low: Dropout = 0.2
    high: Dropout = 0.4

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        present = presence(clips, lengths)[..., :2] > 0
        start = torch.where(present, clips[..., :2], torch.inf).amin((1, 2), keepdim=True)
        end = torch.where(present, clips[..., :2], -torch.inf).amax((1, 2), keepdim=True)
        place, size = torch.rand(2, len(clips), 1, 1, 2, device=clips.device)
        corner = start + place * (end - start)
        opposite = corner + (self.low + size * (self.high - self.low)) * (end - start)
        inside = ((clips[..., :2] >= corner) & (clips[..., :2] < opposite)).all(-1)
        return set_missing(clips, inside & bernoulli(clips, self.p)[:, None, None]), lengths


@dataclass(frozen=True)
class LandmarkDropout:
    """Remove random landmarks for the whole clip. At least one of them is kept.

    Args:
        p: probability.
        share: average share of the landmarks.
    """

    p: Share = 0.5
    share: Dropout = 0.05

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        missing = torch.rand(len(clips), clips.shape[2], device=clips.device) < self.share
        missing &= ~missing.all(1, keepdim=True)
        return set_missing(clips, (missing & bernoulli(clips, self.p)[:, None])[:, None]), lengths


@dataclass(frozen=True)
class HandDropout:
    """Remove a hand for a span of time, as a detector does when it is fast or hidden.

    Args:
        p: probability, for each hand.
        most: largest duration, as a share of the clip's length.
    """

    p: Share = 0.2
    most: Share = 0.5

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        missing = torch.zeros(clips.shape[:3], dtype=torch.bool, device=clips.device)
        for hand in (landmarks.left_hand, landmarks.right_hand):
            if hand:
                duration = lengths * uniform(clips, 0, self.most)
                start = (lengths - duration) * uniform(clips, 0, 1)
                span = time_span(clips, start, duration) & bernoulli(clips, self.p)[:, None]
                missing[:, :, hand] = span[:, :, None]
        return set_missing(clips, missing), lengths


@dataclass(frozen=True)
class MissingHand:
    """Remove the less active hand for the whole clip, as if it rested outside the picture.

    `HandDropout` removes either hand for a while. In the GISLR competition nearly every clip shows
    a single hand, where other data sets show both.

    Args:
        p: probability.
    """

    p: Share = 0.2

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths; one that shows a single hand stays as it is."""
        present = presence(clips, lengths)
        values = torch.where(present > 0, clips, 0.0)
        hands = (landmarks.left_hand, landmarks.right_hand)
        missing = torch.zeros(clips.shape[0], clips.shape[2], dtype=torch.bool, device=clips.device)
        if all(hands):
            left, right = (activity(values, present, torch.tensor(hand)) for hand in hands)
            applied = bernoulli(clips, self.p)
            missing[:, hands[0]] = (applied & (left < right))[:, None]
            missing[:, hands[1]] = (applied & (right < left))[:, None]
        return set_missing(clips, missing[:, None]), lengths


def time_span(clips: Tensor, start: Tensor, duration: Tensor) -> Tensor:
    """True for `duration` frames from `start` on, both `[B]`; `[B, T]`."""
    steps = torch.arange(clips.shape[1], device=clips.device)
    return (steps >= start[:, None]) & (steps < (start + duration)[:, None])
