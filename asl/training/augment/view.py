"""Augmentation by view: clips rotated about the vertical, with errors in the arm that it hides."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Share
from asl.recognizer.preprocessing.facing import (
    horizontal,
    shoulder_line,
    shoulder_rows,
    turned_away,
)
from asl.recognizer.preprocessing.presence import presence
from asl.recognizer.preprocessing.scalers import SMALLEST
from asl.training.augment.base import Clips, some_of, uniform
from asl.training.augment.space import NotNegative, body_centre

Yaw = Annotated[float, Interval(ge=-90, le=90)]


@dataclass(frozen=True)
class View:
    """Rotate clips about the vertical, and displace the arm that the body then hides.

    For sensors that measure depth. They estimate hidden joints with an error: in the three views of
    isl30 (signers turned by 1, 46 and 61 degrees) the hand of the far arm is on average 29, 27 and
    20 cm in front of the shoulders. Its jitter (second difference over time) is 13 and 72 % higher
    in the second and third view than in the first, that of the near arm 17 and 36 %.

    A clip is rotated so that its shoulders are at an angle drawn uniformly from [low, high]. The
    joints of the far arm are then moved towards the shoulder, by a share that changes slowly over
    the clip, and jittered. Both grow with the part of the arm that only this rotation hides: where
    the arm was `hidden` before, the recording already has the sensor's error.

    MediaPipe estimates depth, and a hand's relative to its wrist: rotate such clips by few degrees,
    if at all.

    Args:
        p: probability.
        low: smallest angle in degrees; positive ones have the layout's second shoulder farther.
        high: largest angle in degrees.
        pull: largest share of the way from a hidden joint to its shoulder.
        shake: deviation of a hidden joint from its place, in shoulder widths, each frame anew.
        lost: share of the hidden joints that are not detected at all, each frame anew.
    """

    spatial = True
    p: Share = 0.5
    low: Yaw = -70.0
    high: Yaw = 70.0
    pull: Share = 0.9
    shake: NotNegative = 0.03
    lost: Share = 0.0

    def __call__(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        present = presence(clips, lengths)
        shoulders = shoulder_rows(landmarks)
        line = shoulder_line(torch.where(present > 0, clips, 0.0), present, shoulders)
        before = turned_away(line, SMALLEST)  # [B], sine
        angle = torch.deg2rad(uniform(clips, self.low, self.high))
        centre = body_centre(clips, lengths, landmarks)
        # MediaPipe has the first shoulder on the right, and a turn is the other way round.
        turn = (angle - before.asin()) * torch.where(line[:, 0] < 0, -1.0, 1.0)
        turned = rotate_xz(clips - centre, turn) + centre
        for number, side in enumerate((-1, 1)):
            more = (hidden(side * angle.sin()) - hidden(side * before)).relu()  # [B]
            arm = [row for row in landmarks.layout.arms[number] if row in landmarks.indices]
            rows = list(landmarks.positions(arm))
            shoulder = turned[:, :, shoulders[number], None]
            width = horizontal(line)
            turned[:, :, rows] = self._astray(turned[:, :, rows], shoulder, more, width)
        return some_of(turned, clips, self.p), lengths

    def _astray(self, arm: Tensor, shoulder: Tensor, share: Tensor, width: Tensor) -> Tensor:
        """An arm `[B, T, joints, 3]` of which this share `[B]` is hidden."""
        pull = self.pull * share[:, None] * drift(arm)  # [B, T]
        way = (shoulder - arm).nan_to_num()  # none where the shoulder was not detected
        shake = (self.shake * share * width)[:, None, None, None] * torch.randn_like(arm)
        lost = torch.rand_like(arm[..., :1]) < (self.lost * share)[:, None, None, None]
        return (arm + pull[:, :, None, None] * way + shake).masked_fill(lost, torch.nan)


def hidden(turn: Tensor) -> Tensor:
    """How much of an arm the body hides: 0 up to a sine of .6, 37 degrees, and 1 in profile."""
    return (turn - 0.6).relu() / 0.4


def drift(clips: Tensor) -> Tensor:
    """Numbers from 0 to 1 that change slowly over the frames, `[B, T]`."""
    start, middle, end = torch.rand(3, len(clips), 1, device=clips.device)
    place = torch.linspace(0, 2, clips.shape[1], device=clips.device)
    return torch.where(place < 1, start.lerp(middle, place), middle.lerp(end, place - 1))


def rotate_xz(clips: Tensor, angle: Tensor) -> Tensor:
    """Clips `[B, T, P, 3]` rotated about the vertical through the origin by angles `[B]`."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x, y, z = clips.unbind(-1)
    return torch.stack([x * cos - z * sin, y, x * sin + z * cos], dim=-1)
