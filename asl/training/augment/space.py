"""Augmentation in space: mirror images, affine maps, and hands varied on their own."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Share
from asl.recognizer.preprocessing.presence import presence, present_mean
from asl.recognizer.preprocessing.scalers import clip_centre, deviation, reference_points
from asl.training.augment.base import Clips, bernoulli, some_of, uniform, where_drawn

NotNegative = Annotated[float, Interval(ge=0)]
Degrees = Annotated[float, Interval(ge=0, le=180)]


@dataclass(frozen=True)
class Mirror:
    """Reflect clips left to right about the body's centre and swap the paired landmarks.

    Clips of a layout that shows one side of the body alone stay as they are.

    Args:
        p: probability.
    """

    spatial = True
    p: Share = 0.5

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        if not landmarks.layout.has_sides:
            return clips, lengths
        centre = body_centre(clips, lengths, landmarks)
        partners = torch.tensor(landmarks.mirror, device=clips.device)
        mirrored = clips.index_select(2, partners)
        mirrored[..., 0] = 2 * centre[..., 0] - mirrored[..., 0]
        return some_of(mirrored, clips, self.p), lengths


@dataclass(frozen=True)
class Rotate:
    """Rotate clips in the picture's plane about the body's centre.

    Args:
        p: probability.
        degrees: largest angle, in either direction.
    """

    spatial = True
    p: Share = 0.5
    degrees: Degrees = 15.0

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        most = math.radians(self.degrees)
        angle = where_drawn(clips, self.p, uniform(clips, -most, most), 0.0)
        return rotate_xy(clips - centre, angle) + centre, lengths


@dataclass(frozen=True)
class Scale:
    """Resize clips about the body's centre, and change their aspect ratio.

    Most scalers undo the former and keep the latter.

    Args:
        p: probability.
        most: largest change of size, as a share: .2 is from .8 to 1.2.
        aspect: largest change of the width alone, likewise.
    """

    spatial = True
    p: Share = 0.5
    most: Share = 0.2
    aspect: Share = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        applied = bernoulli(clips, self.p)
        size = torch.where(applied, uniform(clips, 1 - self.most, 1 + self.most), 1.0)
        width = torch.where(applied, uniform(clips, 1 - self.aspect, 1 + self.aspect), 1.0)
        factors = torch.stack([size * width, size, size], dim=-1)[:, None, None]  # [B, 1, 1, 3]
        return (clips - centre) * factors + centre, lengths


@dataclass(frozen=True)
class Shear:
    """Shear clips along x in the picture's plane, as a tilted camera does.

    Args:
        p: probability.
        most: largest displacement along x for a step along y.
    """

    spatial = True
    p: Share = 0.5
    most: NotNegative = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        shear = where_drawn(clips, self.p, uniform(clips, -self.most, self.most), 0.0)
        x, y, z = clips.unbind(-1)
        x = x + shear[:, None, None] * (y - centre[..., 1])
        return torch.stack([x, y, z], dim=-1), lengths


@dataclass(frozen=True)
class Affine:
    """Resize, shear, rotate and shift clips in the picture's plane, all at once.

    The spatial augmentation of the GISLR competition's first place: its four parts share one draw,
    and a clip is sheared along x or along y. Most scalers undo size and shift.

    Args:
        p: probability.
        scale: largest change of size, as a share.
        shear: largest displacement along one axis for a step along the other.
        degrees: largest angle, in either direction.
        shift: largest shift along x and y, the same for both, in standard deviations of the clip's
            landmarks.
    """

    spatial = True
    p: Share = 0.75
    scale: Share = 0.2
    shear: NotNegative = 0.15
    degrees: Degrees = 30.0
    shift: NotNegative = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        size = uniform(clips, 1 - self.scale, 1 + self.scale)[:, None, None, None]
        shear = uniform(clips, -self.shear, self.shear)[:, None, None]
        along_x = bernoulli(clips, 0.5)[:, None, None]
        x, y, z = ((clips - centre) * size).unbind(-1)
        sheared = torch.where(along_x, x + shear * y, x), torch.where(along_x, y, y + shear * x)
        most = math.radians(self.degrees)
        mapped = rotate_xy(torch.stack([*sheared, z], dim=-1), uniform(clips, -most, most))
        shift = uniform(clips, -self.shift, self.shift)[:, None, None, None]
        in_plane = torch.tensor([1.0, 1.0, 0.0], device=clips.device)
        mapped = mapped + centre + shift * in_plane * spread(clips, lengths, landmarks)
        return some_of(mapped, clips, self.p), lengths


@dataclass(frozen=True)
class Shift:
    """Shift clips in the picture's plane.

    Args:
        p: probability.
        most: largest shift along x and y, in standard deviations of the clip's landmarks.
    """

    spatial = True
    p: Share = 0.5
    most: NotNegative = 0.2

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        applied = bernoulli(clips, self.p)[:, None]
        direction = torch.rand(len(clips), 3, device=clips.device) * 2 - 1
        in_plane = torch.tensor([1.0, 1.0, 0.0], device=clips.device)
        shift = torch.where(applied, direction * in_plane * self.most, 0.0)[:, None, None]
        return clips + shift * spread(clips, lengths, landmarks), lengths


@dataclass(frozen=True)
class HandVariation:
    """Rotate, resize and shift each hand on its own, the same way for the whole clip.

    Signers' hands differ in size and in how they are held more than their bodies do; moving parts
    against one another is in the recipes of the GISLR competition's second and third place.

    Args:
        p: probability, for each hand.
        degrees: largest angle about the hand's centre, in either direction.
        scale: largest change of size, as a share.
        shift: largest shift along x, y and z, in standard deviations of the clip's landmarks.
    """

    spatial = True
    p: Share = 0.5
    degrees: Degrees = 10.0
    scale: Share = 0.15
    shift: NotNegative = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        shift = self.shift * spread(clips, lengths, landmarks)
        clips = clips.clone()
        for hand in (landmarks.left_hand, landmarks.right_hand):
            if hand:
                rows = torch.tensor(hand, device=clips.device)
                clips.index_copy_(2, rows, self._vary(clips.index_select(2, rows), shift))
        return clips, lengths

    def _vary(self, hand: Tensor, shift: Tensor) -> Tensor:
        most = math.radians(self.degrees)
        angle = uniform(hand, -most, most)
        size = uniform(hand, 1 - self.scale, 1 + self.scale)[:, None, None, None]
        direction = torch.rand(len(hand), 1, 1, 3, device=hand.device) * 2 - 1
        centre = hand.nanmean(2, keepdim=True)  # [B, T, 1, 3]
        varied = rotate_xy((hand - centre) * size, angle) + centre + direction * shift
        return some_of(varied, hand, self.p)


def rotate_xy(clips: Tensor, angle: Tensor) -> Tensor:
    """Clips `[B, T, P, 3]` rotated about the origin in the picture's plane by angles `[B]`."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x, y, z = clips.unbind(-1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos, z], dim=-1)


def body_centre(clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Tensor:
    """The point between the shoulders, a mean over the clip. `[B, 1, 1, 3]`.

    The mean of the set's landmarks, where the shoulders were never detected or the layout has none.
    """
    if "shoulders" not in landmarks.layout.reference:
        present = presence(clips, lengths)
        values = torch.where(present > 0, clips, 0.0)
        return clip_centre(values, present, landmarks.size, None)
    rows = reference_points(landmarks, "shoulders").to(clips.device)
    shoulders = clips.index_select(2, rows)
    present = presence(shoulders, lengths)
    # Nearly every batch shows all shoulders; then this is enough. On a GPU the test would block.
    if clips.device.type == "cpu" and bool((present.sum((1, 2)) > 0).all()):
        return present_mean(torch.where(present > 0, shoulders, 0.0), present)
    present = presence(clips, lengths)
    values = torch.where(present > 0, clips, 0.0)
    return clip_centre(values, present, landmarks.size, rows)


def spread(clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Tensor:
    """Standard deviation of the set's own landmarks over the clip, `[B, 1, 1, 3]`."""
    own = clips[:, :, : landmarks.size]
    present = presence(own, lengths)
    values = torch.where(present > 0, own, 0.0)
    return deviation(values - clip_centre(values, present, landmarks.size, None), present)
