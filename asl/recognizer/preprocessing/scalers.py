"""Bringing coordinates to a common place and size.

Every scaler takes the landmark set, then maps `(values, present)`, both `[B, T, P, 3]`, to scaled
values `[B, T, P, 3]`; what is missing stays missing, and what stands in its place does not matter.
Those with `fitted = True` hold statistics of the training clips and are given them by `fit` before
training; the others look at nothing but the clip itself.
"""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from asl.errors import UserError
from asl.landmarks import LAYOUTS, LandmarkSet
from asl.recognizer.preprocessing.presence import presence, present_mean

SMALLEST = 1e-3
"""What is smaller than a thousandth of an image or a millimetre is no size to divide by."""

MIDDLE_BASE = 9
"""MediaPipe's number of a hand's middle finger's base; the wrist is 0."""

Batches = Iterable[tuple[Tensor, Tensor]]
"""Clips `[B, T, P, 3]` with NaN, and their lengths `[B]`."""


class Identity(nn.Module):
    """Coordinates as they were recorded."""

    fitted = False

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """The values themselves."""
        return values


class StatisticsScaler(nn.Module):
    """Shift and divide each landmark's coordinates by statistics of the training clips.

    A coordinate that training never shows, or that never changes there, is shifted only.

    Args:
        landmarks: the landmarks of the clips.
        statistic: `minmax` (to 0..1), `standard` (mean 0, deviation 1) or `robust` (median 0,
            interquartile range 1).
    """

    fitted = True

    def __init__(
        self, landmarks: LandmarkSet, statistic: Literal["minmax", "standard", "robust"]
    ) -> None:
        super().__init__()
        self.statistic = statistic
        self.centre: Tensor
        self.size: Tensor
        self.register_buffer("centre", torch.zeros(len(landmarks.indices), 3))
        self.register_buffer("size", torch.ones(len(landmarks.indices), 3))

    def fit(self, batches: Batches) -> None:
        """Learn the statistics of these clips; they count frame by frame.

        Args:
            batches: clips `[B, T, P, 3]` with NaN, and their lengths `[B]`.
        """
        centre, size = STATISTICS[self.statistic](batches)
        self.centre.copy_(centre.nan_to_num())
        # False for NaN too
        usable = size > SMALLEST
        self.size.copy_(torch.where(usable, size, 1.0))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        return (values - self.centre) / self.size


class ClipDeviation(nn.Module):
    """Centre each clip, and divide it by its own standard deviation around that centre.

    With `centre=lip`, `axes=each` and `unseen=picture` this is the normalisation of the GISLR
    competition's winner
    (github hoyso48/Google---Isolated-Sign-Language-Recognition-1st-place-solution).

    Args:
        landmarks: the landmarks of the clips; only the set's own count for mean and deviation.
        centre: the clip's mean, or a reference point of the layout averaged over the clip.
        axes: a deviation for `each` coordinate, which also undoes the shape of the picture, or one
            `shared` by all.
        unseen: the centre of a clip in which the reference point was never seen: the clip's
            `mean`, or .5, the middle of the `picture`.
    """

    fitted = False

    def __init__(
        self,
        landmarks: LandmarkSet,
        centre: Literal["mean", "shoulders", "nose", "lip", "hips"] = "mean",
        axes: Literal["each", "shared"] = "each",
        unseen: Literal["mean", "picture"] = "mean",
    ) -> None:
        super().__init__()
        self.own = landmarks.size
        self.axes = axes
        self.otherwise = 0.5 if unseen == "picture" else None
        self.points: Tensor | None
        points = None if centre == "mean" else reference_points(landmarks, centre)
        self.register_buffer("points", points, persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        centre = clip_centre(values, present, self.own, self.points, self.otherwise)
        values = values - centre
        size = deviation(values[:, :, : self.own], present[:, :, : self.own])
        if self.axes == "shared":
            size = size.square().mean(-1, keepdim=True).sqrt()
        return values / usable_or_one(size)


class BodySize(nn.Module):
    """Centre each clip on a point of the body, and divide it by a length of the body.

    Dividing by the shoulders' width is what sign recognisers from ST-GCN to ASL Citizen do.

    Args:
        landmarks: the landmarks of the clips.
        centre: a reference point of the layout; averaged over the clip, so that the body's own
            movement stays. The clip's mean, where the point was never seen.
        length: a length of the layout, measured in the picture's plane and averaged over the clip.
            The clip's deviation, where its ends were never seen together.
    """

    fitted = False

    def __init__(
        self,
        landmarks: LandmarkSet,
        centre: Literal["shoulders", "nose", "lip", "hips"] = "shoulders",
        length: Literal["shoulders", "trunk"] = "shoulders",
    ) -> None:
        super().__init__()
        self.own = landmarks.size
        self.points: Tensor
        self.register_buffer("points", reference_points(landmarks, centre), persistent=False)
        self.ends = list(landmarks.positions(landmarks.layout.lengths[length]))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        values = values - clip_centre(values, present, self.own, self.points)
        spread = deviation(values[:, :, : self.own], present[:, :, : self.own])
        spread = spread.square().mean(-1, keepdim=True).sqrt()
        length = self._length(values, present)
        return values / torch.where(length > SMALLEST, length, usable_or_one(spread))

    def _length(self, values: Tensor, present: Tensor) -> Tensor:
        one, other = self.ends
        apart = (values[:, :, one, :2] - values[:, :, other, :2]).square().sum(-1).sqrt()  # [B, T]
        both = present[:, :, one, 0] * present[:, :, other, 0]
        mean = (apart * both).sum(1) / both.sum(1).clamp(min=1)
        return mean[:, None, None, None]


class HandShape(BodySize):
    """As `BodySize`, but a hand's points from that hand's wrist, in lengths of its own palm.

    The wrists stay where the body has them. So the place of a hand is in two or three numbers, and
    all others are its shape, which is the same near the camera and far from it, at the chin and at
    the chest. SPOTER (Boháček & Hrúz 2022, "Sign Pose-Based Transformer for Word-Level Sign
    Language Recognition") gives each hand a box of its own, frame by frame; the GISLR competition's
    fifth place (github zhouyuanzhe/kaggleasl5thplacesolution) adds points relative to their hand.
    The palm, from the wrist to the middle finger's base, is averaged over the clip instead: a fist
    stays smaller than an open hand. Body units stay where it was never seen.

    Args:
        landmarks: the landmarks of the clips.

    Raises:
        UserError: their layout has no hands.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__(landmarks)
        hands = [hand for hand in (landmarks.left_hand, landmarks.right_hand) if hand]
        if not hands:
            having = [name for name, each in LAYOUTS.items() if "left_hand" in each.parts]
            raise UserError(
                f"scaler=hands: {landmarks.layout.name} has no hands; layouts that have them: "
                f"{', '.join(having)}"
            )
        wrist = torch.arange(len(landmarks.indices))  # of no hand: the point itself
        palm, inside = wrist.clone(), torch.zeros(len(wrist), 1)
        for hand in hands:
            points = list(hand[1:])
            wrist[points], palm[points], inside[points] = hand[0], hand[MIDDLE_BASE], 1.0
        self.wrist: Tensor
        self.palm: Tensor
        self.inside: Tensor
        for name, buffer in (("wrist", wrist), ("palm", palm), ("inside", inside)):
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`; 0, as if missing, for points of a hand without wrist."""
        values = super().forward(values, present)
        wrist, there = (each.index_select(2, self.wrist) for each in (values, present))
        size = self._palm_length(values, present, wrist, there)
        return (values - wrist * self.inside) * there / usable_or_one(size)

    def _palm_length(self, values: Tensor, present: Tensor, wrist: Tensor, there: Tensor) -> Tensor:
        """Of each point's hand, `[B, 1, P, 1]`; 0 for a point of no hand."""
        apart = (values.index_select(2, self.palm) - wrist)[..., :2].square().sum(-1).sqrt()
        both = present.index_select(2, self.palm)[..., 0] * there[..., 0]  # [B, T, P]
        mean = (apart * both).sum(1) / both.sum(1).clamp(min=1)
        return mean[:, None, :, None]


class ClipMinMax(nn.Module):
    """Stretch each clip's coordinates to 0..1, x, y and z each on its own.

    The 2023 notebook's scaler; fitted anew for every file, it loses where the hands are.

    Args:
        landmarks: the landmarks of the clips; only the set's own count.
    """

    fitted = False

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()
        self.own = landmarks.size

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        own, there = values[:, :, : self.own], present[:, :, : self.own]
        own, far = own * there, 2e6 * (1 - there)
        low = (own + far).amin((1, 2), keepdim=True)
        high = (own - far).amax((1, 2), keepdim=True)
        return (values - low) / usable_or_one(high - low)


def auto(landmarks: LandmarkSet) -> nn.Module:
    """`HandShape` where the landmarks have hands, else `ClipDeviation`."""
    if landmarks.left_hand or landmarks.right_hand:
        return HandShape(landmarks)
    return ClipDeviation(landmarks)


def reference_points(landmarks: LandmarkSet, name: str) -> Tensor:
    """Positions of a named reference point of the layout, `[number of landmarks it is made of]`."""
    return torch.tensor(landmarks.positions(landmarks.layout.reference[name]))


def clip_centre(
    values: Tensor,
    present: Tensor,
    own: int,
    points: Tensor | None,
    otherwise: float | None = None,
) -> Tensor:
    """Mean of some points over the clip.

    Args:
        values: `[B, T, P, 3]`.
        present: `[B, T, P, 3]`.
        own: how many landmarks are the set's own.
        points: positions; None for the mean of the set's own.
        otherwise: the centre where the points are never seen; the mean of the set's own where None.

    Returns:
        `[B, 1, 1, 3]`; a mean of nothing is 0.
    """
    mean = present_mean(values[:, :, :own], present[:, :, :own])
    if points is None:
        return mean
    values, present = values.index_select(2, points), present.index_select(2, points)
    seen = present.sum((1, 2), keepdim=True) > 0
    unseen = mean if otherwise is None else torch.full_like(mean, otherwise)
    return torch.where(seen, present_mean(values, present), unseen)


def deviation(values: Tensor, present: Tensor) -> Tensor:
    """Root mean square of centred values over the clip, `[B, 1, 1, 3]`."""
    return present_mean(values.square(), present).sqrt()


def usable_or_one(size: Tensor) -> Tensor:
    """The size, or 1 where it is too small to divide by."""
    return torch.where(size > SMALLEST, size, torch.ones_like(size))


def _with_nan(batches: Batches) -> Iterable[Tensor]:
    """Each batch's frames `[F, P, 3]`, everything missing as NaN."""
    for clips, lengths in batches:
        yield torch.where(presence(clips, lengths) > 0, clips, torch.nan).flatten(0, 1)


def _minmax(batches: Batches) -> tuple[Tensor, Tensor]:
    lows, highs = [], []
    for frames in _with_nan(batches):
        lows.append(frames.nan_to_num(nan=torch.inf).amin(0))
        highs.append(frames.nan_to_num(nan=-torch.inf).amax(0))
    low, high = torch.stack(lows).amin(0), torch.stack(highs).amax(0)
    return torch.where(low <= high, low, torch.nan), high - low


def _standard(batches: Batches) -> tuple[Tensor, Tensor]:
    count = total = squares = torch.zeros((), dtype=torch.float64)
    for frames in _with_nan(batches):
        there = ~frames.isnan()
        values = frames.double().nan_to_num()
        count = count + there.sum(0)
        total = total + values.sum(0)
        squares = squares + values.square().sum(0)
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0).sqrt()


def _robust(batches: Batches, most: int = 20_000) -> tuple[Tensor, Tensor]:
    """Quartiles of at most `most` frames, evenly spread over all of them."""
    kept, step = [], 1
    for frames in _with_nan(batches):
        kept.append(frames[::step])
        if sum(map(len, kept)) > most:
            kept, step = [torch.cat(kept)[::2]], step * 2
    quartiles = torch.cat(kept).nanquantile(torch.tensor([0.25, 0.5, 0.75]), dim=0)
    return quartiles[1], quartiles[2] - quartiles[0]


STATISTICS: dict[str, Callable[[Batches], tuple[Tensor, Tensor]]] = {
    "minmax": _minmax,
    "standard": _standard,
    "robust": _robust,
}
