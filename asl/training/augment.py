"""Augmentation: training clips as other signers, other cameras and other days would have made them.

Every operation takes clips `[B, T, P, 3]` with NaN where nothing was detected, their lengths `[B]`
and the landmark set, acts on each clip with probability `p`, and gives clips and lengths back; the
number of frames `T` may grow. It works on whole batches on the device that holds them. Random
numbers come from torch's global generator, so a seed fixes them.

Sizes are relative to the clip (to its body's place and to the spread of its landmarks), so the
operations serve image units and metres alike.
"""

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Count, Dropout, Positive, Share
from asl.recognizer.preprocessing.handedness import activity
from asl.recognizer.preprocessing.presence import presence, present_mean
from asl.recognizer.preprocessing.scalers import clip_centre, deviation, reference_points

Clips = tuple[Tensor, Tensor]
"""Clips `[B, T, P, 3]` and their lengths `[B]`."""


class Augmentation(nn.Module):
    """Some operations, one after the other.

    Args:
        operations: name to operation, in order.
        landmarks: the landmarks of the clips.
    """

    def __init__(self, operations: Mapping[str, nn.Module], landmarks: LandmarkSet) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(operations)
        self.landmarks = landmarks

    @torch.no_grad()
    def forward(self, clips: Tensor, lengths: Tensor) -> Clips:
        """Augmented clips and their lengths."""
        for operation in self.operations.values():
            clips, lengths = operation(clips, lengths, self.landmarks)
        return clips, lengths


class TimeStretch(nn.Module):
    """Slow clips down or speed them up.

    A recognizer that resamples to a fixed number of frames undoes this but for what interpolation
    loses; it matters to the ones that see the last frames or all of them.

    Args:
        p: probability.
        low: of the length's factor, drawn evenly.
        high: of the length's factor.
    """

    def __init__(self, p: Share = 0.5, low: Positive = 0.7, high: Positive = 1.4) -> None:
        super().__init__()
        self.p, self.low, self.high = p, low, high

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips with other lengths."""
        factor = chosen(clips, self.p, uniform(clips, self.low, self.high), 1.0)
        stretched = (lengths * factor).round().long().clamp(min=1)
        # A bound instead of the longest: asking a GPU for a number would make it wait.
        frames = math.ceil(clips.shape[1] * max(self.high, 1.0))
        steps = torch.arange(frames, device=clips.device, dtype=clips.dtype)
        pace = (lengths - 1) / (stretched - 1).clamp(min=1)
        moments = steps * pace[:, None]
        return read(clips, moments, stretched), stretched


class TimeWarp(nn.Module):
    """Change the pace within clips: some parts slower, others faster, first and last frame kept.

    Args:
        p: probability.
        strength: the most that a moment is displaced, in lengths of the clip, at most a sixth, so
            that time never runs backwards.
    """

    def __init__(
        self, p: Share = 0.5, strength: Annotated[float, Interval(ge=0, le=1 / 6)] = 0.1
    ) -> None:
        super().__init__()
        self.p, self.strength = p, strength

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        strength = chosen(clips, self.p, uniform(clips, -self.strength, self.strength), 0.0)
        waves = torch.randint(1, 3, lengths.shape, device=clips.device)
        last = (lengths - 1).clamp(min=1)[:, None]
        steps = torch.arange(clips.shape[1], device=clips.device, dtype=clips.dtype)
        done = steps / last  # [B, T], 0 to 1 over the clip
        bend = (strength / waves)[:, None] * torch.sin(math.pi * waves[:, None] * done)
        moments = ((done + bend).clamp(0, 1) * last).expand(clips.shape[:2])
        return read(clips, moments, lengths), lengths


class TimeCrop(nn.Module):
    """Cut frames off both ends, as a hand quicker or slower on the button would.

    Args:
        p: probability.
        most: share of the clip that is cut off at each end at most.
    """

    def __init__(
        self, p: Share = 0.5, most: Annotated[float, Interval(ge=0, lt=0.5)] = 0.15
    ) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of smaller lengths."""
        most = chosen(clips, self.p, torch.full_like(lengths, self.most, dtype=clips.dtype), 0.0)
        start = (lengths * most * torch.rand_like(most)).floor().long()
        end = lengths - (lengths * most * torch.rand_like(most)).floor().long()
        moments = start[:, None] + torch.arange(clips.shape[1], device=clips.device)
        return read(clips, moments.to(clips.dtype), end - start), end - start


class TimeWindow(nn.Module):
    """Keep some neighbouring frames of clips that are long, from a place drawn evenly.

    The GISLR winner's temporal crop, to the 384 frames that his network sees.

    Args:
        p: probability.
        most: frames that are kept.
    """

    def __init__(self, p: Share = 1.0, most: Count = 384) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of at most that many frames."""
        kept = torch.where(coin(clips, self.p), lengths.clamp(max=self.most), lengths)
        start = first_frame(clips, lengths, kept).long()
        steps = torch.arange(clips.shape[1], device=clips.device)
        frames = (start[:, None] + steps).clamp(max=clips.shape[1] - 1)
        window = clips.gather(1, frames[:, :, None, None].expand_as(clips))
        return lose(window, (steps >= kept[:, None])[:, :, None]), kept


class EmptyFrames(nn.Module):
    """Leave out the frames in which none of the set's own landmarks was detected.

    The GISLR winner's training clips have no such frames.

    Args:
        p: probability.
    """

    def __init__(self, p: Share = 1.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of smaller lengths; one with nothing in it keeps its own."""
        seen = (presence(clips[:, :, : landmarks.size], lengths) > 0).flatten(2).any(2)  # [B, T]
        here = coin(clips, self.p) & seen.any(1)
        order = (~seen & here[:, None]).to(torch.uint8).argsort(dim=1, stable=True)
        kept = torch.where(here, seen.sum(1), lengths)
        clips = clips.gather(1, order[:, :, None, None].expand_as(clips))
        steps = torch.arange(clips.shape[1], device=clips.device)
        return lose(clips, (steps >= kept[:, None])[:, :, None]), kept


class Mirror(nn.Module):
    """Left becomes right: reflect clips about the body's middle and swap the paired landmarks.

    Args:
        p: probability.
    """

    def __init__(self, p: Share = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        partners = torch.tensor(landmarks.mirror, device=clips.device)
        mirrored = clips.index_select(2, partners)
        mirrored[..., 0] = 2 * centre[..., 0] - mirrored[..., 0]
        return torch.where(coin(clips, self.p)[:, None, None, None], mirrored, clips), lengths


class Rotate(nn.Module):
    """Turn clips in the picture's plane, about the body's middle.

    Args:
        p: probability.
        degrees: largest turn, either way.
    """

    def __init__(
        self, p: Share = 0.5, degrees: Annotated[float, Interval(ge=0, le=180)] = 15.0
    ) -> None:
        super().__init__()
        self.p, self.degrees = p, degrees

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        most = math.radians(self.degrees)
        angle = chosen(clips, self.p, uniform(clips, -most, most), 0.0)
        return turned(clips - centre, angle) + centre, lengths


class Scale(nn.Module):
    """Resize clips about the body's middle, and change their width against their height.

    Most scalers undo the one and leave the other.

    Args:
        p: probability.
        most: largest change of size, as a share: .2 is from .8 to 1.2.
        aspect: largest change of the width alone, likewise.
    """

    def __init__(self, p: Share = 0.5, most: Share = 0.2, aspect: Share = 0.1) -> None:
        super().__init__()
        self.p, self.most, self.aspect = p, most, aspect

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        here = coin(clips, self.p)
        size = torch.where(here, uniform(clips, 1 - self.most, 1 + self.most), 1.0)
        width = torch.where(here, uniform(clips, 1 - self.aspect, 1 + self.aspect), 1.0)
        factors = torch.stack([size * width, size, size], dim=-1)[:, None, None]  # [B, 1, 1, 3]
        return (clips - centre) * factors + centre, lengths


class Shear(nn.Module):
    """Lean clips over in the picture's plane, as a camera that is not upright before them does.

    Args:
        p: probability.
        most: largest displacement along x for a step along y.
    """

    def __init__(self, p: Share = 0.5, most: Annotated[float, Interval(ge=0)] = 0.1) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        lean = chosen(clips, self.p, uniform(clips, -self.most, self.most), 0.0)[:, None, None]
        x, y, z = clips.unbind(-1)
        return torch.stack([x + lean * (y - centre[..., 1]), y, z], dim=-1), lengths


class Affine(nn.Module):
    """Resize, lean over, turn and move clips in the picture's plane, all at once.

    The GISLR winner's spatial augmentation: its four parts share one coin, and a clip leans along
    x or along y. Most scalers undo the size and the move.

    Args:
        p: probability.
        scale: largest change of size, as a share.
        shear: largest displacement along one axis for a step along the other.
        degrees: largest turn, either way.
        shift: largest move along x and y, the same for both, in standard deviations of the clip's
            landmarks.
    """

    def __init__(
        self,
        p: Share = 0.75,
        scale: Share = 0.2,
        shear: Annotated[float, Interval(ge=0)] = 0.15,
        degrees: Annotated[float, Interval(ge=0, le=180)] = 30.0,
        shift: Annotated[float, Interval(ge=0)] = 0.1,
    ) -> None:
        super().__init__()
        self.p, self.scale, self.shear, self.degrees, self.shift = p, scale, shear, degrees, shift

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        centre = body_centre(clips, lengths, landmarks)
        size = uniform(clips, 1 - self.scale, 1 + self.scale)[:, None, None, None]
        lean = uniform(clips, -self.shear, self.shear)[:, None, None]
        along_x = coin(clips, 0.5)[:, None, None]
        x, y, z = ((clips - centre) * size).unbind(-1)
        leant = torch.where(along_x, x + lean * y, x), torch.where(along_x, y, y + lean * x)
        most = math.radians(self.degrees)
        varied = turned(torch.stack([*leant, z], dim=-1), uniform(clips, -most, most))
        move = uniform(clips, -self.shift, self.shift)[:, None, None, None]
        flat = torch.tensor([1.0, 1.0, 0.0], device=clips.device)
        varied = varied + centre + move * flat * spread(clips, lengths, landmarks)
        return torch.where(coin(clips, self.p)[:, None, None, None], varied, clips), lengths


class Shift(nn.Module):
    """Move clips in the picture's plane.

    Args:
        p: probability.
        most: largest move along x and y, in standard deviations of the clip's landmarks.
    """

    def __init__(self, p: Share = 0.5, most: Annotated[float, Interval(ge=0)] = 0.2) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        here = coin(clips, self.p)[:, None]
        way = torch.rand(len(clips), 3, device=clips.device) * 2 - 1
        flat = torch.tensor([1.0, 1.0, 0.0], device=clips.device)
        move = torch.where(here, way * flat * self.most, 0.0)[:, None, None]  # [B, 1, 1, 3]
        return clips + move * spread(clips, lengths, landmarks), lengths


class HandVariation(nn.Module):
    """Turn, resize and move each hand on its own, the same way for the whole clip.

    Signers' hands differ in size and in how they are held more than their bodies do; moving parts
    against one another is in the recipes of the GISLR competition's second and third place.

    Args:
        p: probability, for each hand.
        degrees: largest turn about the hand's middle, either way.
        scale: largest change of size, as a share.
        shift: largest move along x, y and z, in standard deviations of the clip's landmarks.
    """

    def __init__(
        self,
        p: Share = 0.5,
        degrees: Annotated[float, Interval(ge=0, le=180)] = 10.0,
        scale: Share = 0.15,
        shift: Annotated[float, Interval(ge=0)] = 0.1,
    ) -> None:
        super().__init__()
        self.p, self.degrees, self.scale, self.shift = p, degrees, scale, shift

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        move = self.shift * spread(clips, lengths, landmarks)
        clips = clips.clone()
        for hand in (landmarks.left_hand, landmarks.right_hand):
            if hand:
                rows = torch.tensor(hand, device=clips.device)
                clips.index_copy_(2, rows, self._vary(clips.index_select(2, rows), move))
        return clips, lengths

    def _vary(self, hand: Tensor, move: Tensor) -> Tensor:
        most = math.radians(self.degrees)
        angle = uniform(hand, -most, most)
        size = uniform(hand, 1 - self.scale, 1 + self.scale)[:, None, None, None]
        way = torch.rand(len(hand), 1, 1, 3, device=hand.device) * 2 - 1
        middle = hand.nanmean(2, keepdim=True)  # [B, T, 1, 3]
        varied = turned((hand - middle) * size, angle) + middle + way * move
        return torch.where(coin(hand, self.p)[:, None, None, None], varied, hand)


class FrameDropout(nn.Module):
    """Lose frames: nothing is detected in them. One frame of a clip is always left.

    Args:
        p: probability.
        share: of a clip's frames that is lost, on average.
    """

    def __init__(self, p: Share = 0.5, share: Dropout = 0.1) -> None:
        super().__init__()
        self.p, self.share = p, share

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        luck = torch.rand(clips.shape[:2], device=clips.device)
        empty = presence(clips, lengths).sum((2, 3)) == 0
        luck = luck.masked_fill(empty, -1.0)
        lost = (luck < self.share) & (luck < luck.amax(1, keepdim=True))
        return lose(clips, (lost & coin(clips, self.p)[:, None])[:, :, None]), lengths


class TimeMask(nn.Module):
    """Lose everything for one stretch of time, as if nothing had been detected.

    The GISLR winner's temporal mask; the eighth place calls cutting sequences out the most
    important augmentation.

    Args:
        p: probability.
        low: of the stretch's share of the clip, drawn evenly.
        high: of the stretch's share.
    """

    def __init__(self, p: Share = 0.5, low: Dropout = 0.2, high: Dropout = 0.4) -> None:
        super().__init__()
        self.p, self.low, self.high = p, low, high

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        long = (lengths * uniform(clips, self.low, self.high)).floor()
        lost = (
            stretch(clips, first_frame(clips, lengths, long), long) & coin(clips, self.p)[:, None]
        )
        return lose(clips, lost[:, :, None]), lengths


class SpaceMask(nn.Module):
    """Lose what lies in one box of the picture, the same box for the whole clip.

    The GISLR winner's spatial cutout. His picture is measured from 0 to 1; here it is the smallest
    one that holds the clip's landmarks, so that it may be measured in anything.

    Args:
        p: probability.
        low: of each side of the box, as a share of the picture's, drawn evenly.
        high: of each side.
    """

    def __init__(self, p: Share = 0.5, low: Dropout = 0.2, high: Dropout = 0.4) -> None:
        super().__init__()
        self.p, self.low, self.high = p, low, high

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        there = presence(clips, lengths)[..., :2] > 0
        start = torch.where(there, clips[..., :2], torch.inf).amin((1, 2), keepdim=True)
        extent = torch.where(there, clips[..., :2], -torch.inf).amax((1, 2), keepdim=True) - start
        place, size = torch.rand(2, len(clips), 1, 1, 2, device=clips.device)
        corner = start + place * extent
        opposite = corner + (self.low + size * (self.high - self.low)) * extent
        inside = ((clips[..., :2] >= corner) & (clips[..., :2] < opposite)).all(-1)
        return lose(clips, inside & coin(clips, self.p)[:, None, None]), lengths


class LandmarkDropout(nn.Module):
    """Lose landmarks for the whole clip.

    Args:
        p: probability.
        share: of the landmarks that is lost, on average.
    """

    def __init__(self, p: Share = 0.5, share: Dropout = 0.05) -> None:
        super().__init__()
        self.p, self.share = p, share

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        lost = torch.rand(len(clips), clips.shape[2], device=clips.device) < self.share
        return lose(clips, (lost & coin(clips, self.p)[:, None])[:, None]), lengths


class HandDropout(nn.Module):
    """Lose a hand for a stretch of time, as the detector does when it moves fast or is hidden.

    Args:
        p: probability, for each hand.
        most: share of the clip that the stretch is long at most.
    """

    def __init__(self, p: Share = 0.2, most: Share = 0.5) -> None:
        super().__init__()
        self.p, self.most = p, most

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths."""
        lost = torch.zeros(clips.shape[:3], dtype=torch.bool, device=clips.device)
        for hand in (landmarks.left_hand, landmarks.right_hand):
            if hand:
                long = lengths * uniform(clips, 0, self.most)
                start = (lengths - long) * uniform(clips, 0, 1)
                missing = stretch(clips, start, long) & coin(clips, self.p)[:, None]
                lost[:, :, hand] = missing[:, :, None]
        return lose(clips, lost), lengths


class MissingHand(nn.Module):
    """Lose the hand that does less for the whole clip, as if it rested outside the picture.

    `HandDropout` loses either hand for a while. In the GISLR competition nearly every clip shows
    one hand alone, where other data sets show both.

    Args:
        p: probability.
    """

    def __init__(self, p: Share = 0.2) -> None:
        super().__init__()
        self.p = p

    def forward(self, clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Clips:
        """Clips of the same lengths; of one that shows a single hand nothing is lost."""
        present = presence(clips, lengths)
        values = torch.where(present > 0, clips, 0.0)
        hands = (landmarks.left_hand, landmarks.right_hand)
        lost = torch.zeros(clips.shape[0], clips.shape[2], dtype=torch.bool, device=clips.device)
        if all(hands):
            left, right = (activity(values, present, torch.tensor(hand)) for hand in hands)
            here = coin(clips, self.p)
            lost[:, hands[0]] = (here & (left < right))[:, None]
            lost[:, hands[1]] = (here & (right < left))[:, None]
        return lose(clips, lost[:, None]), lengths


def coin(clips: Tensor, p: float) -> Tensor:
    """True with probability `p` for each clip, `[B]`."""
    return torch.rand(len(clips), device=clips.device) < p


def uniform(clips: Tensor, low: float, high: float) -> Tensor:
    """A number between `low` and `high` for each clip, `[B]`."""
    return low + (high - low) * torch.rand(len(clips), device=clips.device)


def chosen(clips: Tensor, p: float, drawn: Tensor, otherwise: float) -> Tensor:
    """What was drawn with probability `p` for each clip, else the other value, `[B]`."""
    return torch.where(coin(clips, p), drawn, otherwise)


def read(clips: Tensor, moments: Tensor, new_lengths: Tensor) -> Tensor:
    """Clips `[B, M, P, 3]` read at moments `[B, M]`, NaN where missing or behind the new length.

    What `resample` does, by picking frames instead of by a matrix: a graph for the phone cannot
    pick, and of long clips picking is several times as fast.
    """
    last = clips.shape[1] - 1
    before = moments.long().clamp(0, last)
    after = (before + 1).clamp(max=last)
    share = (moments - before)[:, :, None, None]
    values = _frames(clips, before).lerp(_frames(clips, after), share)
    # A missing neighbour leaves the nearer one's value.
    nearest = _frames(clips, moments.round().long().clamp(0, last))
    values = torch.where(values.isnan(), nearest, values)
    real = torch.arange(moments.shape[1], device=clips.device) < new_lengths[:, None]
    return values.masked_fill_(~real[:, :, None, None], torch.nan)


def _frames(clips: Tensor, picked: Tensor) -> Tensor:
    """The frames `picked` `[B, M]` of clips; `[B, M, P, 3]`."""
    starts = torch.arange(len(clips), device=clips.device)[:, None] * clips.shape[1]
    rows = clips.flatten(0, 1).index_select(0, (starts + picked).flatten())
    return rows.unflatten(0, picked.shape)


def first_frame(clips: Tensor, lengths: Tensor, long: Tensor) -> Tensor:
    """Where a stretch of `long` whole frames may begin, drawn evenly for each clip, `[B]`."""
    return ((lengths - long + 1) * uniform(clips, 0, 1)).floor().clamp(max=lengths - long)


def stretch(clips: Tensor, start: Tensor, long: Tensor) -> Tensor:
    """True for the frames from `start` on for `long` ones, both `[B]`; `[B, T]`."""
    steps = torch.arange(clips.shape[1], device=clips.device)
    return (steps >= start[:, None]) & (steps < (start + long)[:, None])


def lose(clips: Tensor, lost: Tensor) -> Tensor:
    """Clips `[B, T, P, 3]` with NaN where `lost`, `[B, T or 1, P or 1]`, is true."""
    return clips.masked_fill(lost[..., None], torch.nan)


def turned(clips: Tensor, angle: Tensor) -> Tensor:
    """Clips `[B, T, P, 3]` turned about the origin in the picture's plane by angles `[B]`."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x, y, z = clips.unbind(-1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos, z], dim=-1)


def body_centre(clips: Tensor, lengths: Tensor, landmarks: LandmarkSet) -> Tensor:
    """Between the shoulders, over the whole clip; the clip's mean without them. `[B, 1, 1, 3]`."""
    rows = reference_points(landmarks, "shoulders").to(clips.device)
    shoulders = clips.index_select(2, rows)
    present = presence(shoulders, lengths)
    # Most bodies show their shoulders, and then nothing else matters; a GPU would wait to be asked.
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
