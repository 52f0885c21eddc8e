"""Augmentation of measured channels: sensors that are set otherwise, and sensors that fail."""

from dataclasses import dataclass

import torch
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Dropout, Share
from asl.training.augment.base import Clips, bernoulli


@dataclass(frozen=True)
class Gain:
    """Multiply each measured channel by a factor of its own, the same for the whole clip.

    A glove is set to a hand once a session, so that the same bend is another number on another day.
    Clips of a layout without measured channels stay as they are.

    Args:
        p: probability.
        most: largest change, as a share: .2 is from .8 to 1.2.
    """

    p: Share = 0.5
    most: Share = 0.2

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        coordinates, measured = clips[..., :3], clips[..., 3:]
        factors = 1 + self.most * (2 * torch.rand_like(measured[:, :1]) - 1)
        factors = torch.where(bernoulli(clips, self.p)[:, None, None, None], factors, 1.0)
        return torch.cat([coordinates, measured * factors], dim=-1), lengths


@dataclass(frozen=True)
class ChannelDropout:
    """Remove random measured channels for the whole clip.

    Clips of a layout without measured channels stay as they are.

    Args:
        p: probability.
        share: average share of the channels.
    """

    p: Share = 0.5
    share: Dropout = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        coordinates, measured = clips[..., :3], clips[..., 3:]
        missing = torch.rand_like(measured[:, :1]) < self.share
        missing &= bernoulli(clips, self.p)[:, None, None, None]
        return torch.cat([coordinates, measured.masked_fill(missing, torch.nan)], dim=-1), lengths
