"""The GISLR competition's first place's augmentation to the letter, measured in the picture.

Of its operations those that the others of this package resemble without being the same. Coordinates
are shares of a picture, whose x and y run from 0 to 1, as MediaPipe's are.

Source: github hoyso48/Google---Isolated-Sign-Language-Recognition-1st-place-solution.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Dropout, Positive, Share
from asl.training.augment.base import Clips, bernoulli, cut_off, set_missing, some_of, uniform
from asl.training.augment.space import Degrees, NotNegative, rotate_xy

LINEAR, CUBIC, NEAREST = range(3)


@dataclass(frozen=True)
class TimeResize:
    """Play clips slower or faster, each read between its frames in one of three ways.

    A third each are read linearly, cubically, or at the nearest frame, as `tf.image.resize` does:
    frames are spans of time, of which the first begins and the last ends with the clip. Where a
    frame that is read from lacks a landmark, so does the new one; `TimeStretch` reads the other.

    Args:
        p: probability.
        low: smallest factor of the length; the factor is uniform in [low, high].
        high: largest factor of the length.
    """

    p: Share = 0.8
    low: Positive = 0.5
    high: Positive = 1.5

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of new lengths."""
        drawn = bernoulli(clips, self.p)
        factor = torch.where(drawn, uniform(clips, self.low, self.high), 1.0)
        resized = (lengths * factor).long().clamp(min=1)
        way = torch.where(drawn, torch.randint_like(lengths, 3), NEAREST)
        # An upper bound instead of the longest: reading a number from a GPU would block.
        steps = torch.arange(math.ceil(clips.shape[1] * max(self.high, 1.0)), device=clips.device)
        moments = (steps + 0.5) * (lengths / resized)[:, None] - 0.5  # [B, M], in frames
        values = read_between(clips, lengths, moments, way)
        return cut_off(values, resized), resized


def read_between(clips: Tensor, lengths: Tensor, moments: Tensor, way: Tensor) -> Tensor:
    """Clips at moments between their frames, missing where one of the frames that count is.

    Args:
        clips: `[B, T, P, C]`, NaN where missing.
        lengths: `[B]`.
        moments: `[B, M]`, in frames; 0 is the middle of the first frame.
        way: `[B]`, each LINEAR, CUBIC (Keys 1981, with a = -1/2) or NEAREST.

    Returns:
        `[B, M, P, C]`.
    """
    before = moments.floor()
    frames = before[:, :, None] + torch.arange(-1, 3, device=clips.device)  # [B, M, 4]
    distance = (moments[:, :, None] - frames).abs()
    near, far = distance.clamp(max=1), distance.clamp(1, 2)
    cubic = 1.5 * near**3 - 2.5 * near**2 + 1 - 0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
    inside = (frames >= 0) & (frames < lengths[:, None, None])
    cubic = cubic * inside  # frames beyond the ends do not count
    linear = (1 - distance).clamp(min=0)
    nearest = frames == (moments + 0.5).floor()[:, :, None]
    ways = torch.stack([linear, cubic / cubic.sum(-1, keepdim=True), nearest.to(linear.dtype)])
    weights = ways[way, torch.arange(len(clips), device=clips.device)]  # [B, M, 4]
    counts = (weights != 0) | ((way == CUBIC)[:, None, None] & inside)
    last = (lengths - 1)[:, None, None]
    rows = torch.minimum(frames.long().clamp(min=0), last)
    total = torch.zeros((), device=clips.device)
    for tap in range(4):
        row = rows[:, :, tap, None, None].expand(-1, -1, *clips.shape[2:])
        value = clips.gather(1, row) * weights[:, :, tap, None, None]
        total = total + torch.where(counts[:, :, tap, None, None], value, 0.0)
    return total


@dataclass(frozen=True)
class PictureAffine:
    """Resize, shear, rotate and shift clips in the picture, all at once.

    Size and shear start from the picture's corner; the rotation is about its centre, which moves
    with the shear. `Affine` does the same about the body's centre.

    Args:
        p: probability.
        scale: largest change of size, as a share.
        shear: largest displacement along one axis for a step along the other.
        degrees: largest angle, in either direction.
        shift: largest shift along x and y, the same for both, in sides of the picture.
    """

    spatial = True
    p: Share = 0.75
    scale: Share = 0.2
    shear: NotNegative = 0.15
    degrees: Degrees = 30.0
    shift: NotNegative = 0.1

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        size = uniform(clips, 1 - self.scale, 1 + self.scale)
        shear = uniform(clips, -self.shear, self.shear)
        of_x = torch.where(bernoulli(clips, 0.5), shear, 0.0)
        of_y = shear - of_x
        most = math.radians(self.degrees)
        shift = uniform(clips, -self.shift, self.shift)
        x, y, z = (clips * size[:, None, None, None]).unbind(-1)
        sheared = x + of_x[:, None, None] * y, y + of_y[:, None, None] * x
        centre = torch.stack([0.5 + of_x, 0.5 + of_y, torch.zeros_like(shear)], -1)[:, None, None]
        mapped = rotate_xy(torch.stack([*sheared, z], dim=-1) - centre, uniform(clips, -most, most))
        in_plane = torch.tensor([1.0, 1.0, 0.0], device=clips.device)
        mapped = mapped + centre + shift[:, None, None, None] * in_plane
        return some_of(mapped, clips, self.p), lengths


@dataclass(frozen=True)
class PictureMask:
    """Remove the detections inside one square of the picture, the same one for the whole clip.

    Its corner lies anywhere in the picture, so that it may reach beyond. `SpaceMask` lies within
    the landmarks of the clip, and so hits more of them.

    Args:
        p: probability.
        low: smallest side, as a share of the picture's; uniform in [low, high].
        high: largest side.
    """

    spatial = True
    p: Share = 0.5
    low: Dropout = 0.2
    high: Dropout = 0.4

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        corner = torch.rand(len(clips), 1, 1, 2, device=clips.device)
        side = uniform(clips, self.low, self.high)[:, None, None, None]
        inside = ((clips[..., :2] > corner) & (clips[..., :2] < corner + side)).all(-1)
        return set_missing(clips, inside & bernoulli(clips, self.p)[:, None, None]), lengths
