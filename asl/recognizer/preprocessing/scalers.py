"""Scalers: coordinates in a common position and scale.

Every scaler is made from the landmark set and maps `(values, present)`, both `[B, T, P, 3]`, to
scaled values `[B, T, P, 3]`. What is missing stays missing; the values in its place are arbitrary.
A scaler with statistics of the training clips is a `FittedScaler`, all others depend on the clip
alone. Channels that are no coordinates have `asl.recognizer.preprocessing.measured` instead.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from asl.errors import UserError
from asl.landmarks import LAYOUTS, LandmarkSet
from asl.recognizer.preprocessing.presence import present_mean

SMALLEST = 1e-3
"""Sizes below this, a thousandth of an image or a millimetre, are not divided by."""

MIDDLE_BASE = 9
"""MediaPipe's index of the base of a hand's middle finger; the wrist is 0."""

Batches = Iterable[tuple[Tensor, Tensor]]
"""Values, finite everywhere, and presence, both `[B, T, P, 3]`."""


@runtime_checkable
class FittedScaler(Protocol):
    """A scaler with statistics of training clips, in buffers: they travel with the weights."""

    def fit(self, batches: Batches) -> None:
        """Compute the statistics from what `forward` gets of the training clips."""


class Identity(nn.Module):
    """Coordinates as they were recorded."""

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """The values themselves."""
        return values


class StatisticsScaler(nn.Module):
    """Shift and divide each landmark's coordinates by statistics of the training clips.

    A coordinate that is never present in training clips, or constant, is shifted only.

    Args:
        landmarks: the landmarks of the clips.
        statistic: `minmax` (to 0..1), `standard` (mean 0, deviation 1) or `robust` (median 0,
            interquartile range 1).
    """

    def __init__(
        self, landmarks: LandmarkSet, statistic: Literal["minmax", "standard", "robust"]
    ) -> None:
        super().__init__()
        self.statistic = statistic
        self.centre = nn.Buffer(torch.zeros(len(landmarks.indices), 3))
        self.size = nn.Buffer(torch.ones(len(landmarks.indices), 3))

    def fit(self, batches: Batches) -> None:
        """Compute the statistics over all frames of these clips."""
        centre, size = STATISTICS[self.statistic](batches)
        self.centre.copy_(centre.nan_to_num())
        usable = size > SMALLEST  # False for NaN too
        self.size.copy_(torch.where(usable, size, 1.0))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        return (values - self.centre) / self.size


class ClipDeviation(nn.Module):
    """Centre each clip, and divide it by its standard deviation around that centre.

    With `centre=lip`, `axes=each` and `unseen=picture` this is the normalisation of the GISLR
    competition's first place
    (github hoyso48/Google---Isolated-Sign-Language-Recognition-1st-place-solution).

    Args:
        landmarks: the landmarks of the clips; mean and deviation are those of the set's own.
        centre: the clip's mean, or a reference point of the layout averaged over the clip.
        axes: a deviation for `each` coordinate, which also undoes the picture's aspect ratio, or
            one `shared` by all.
        unseen: the centre of a clip in which the reference point was never detected: the clip's
            `mean`, or .5, the middle of the `picture`.
    """

    def __init__(
        self,
        landmarks: LandmarkSet,
        centre: Literal["mean", "shoulders", "nose", "lip", "hips"] = "mean",
        axes: Literal["each", "shared"] = "each",
        unseen: Literal["mean", "picture"] = "mean",
    ) -> None:
        super().__init__()
        self.n_selected = landmarks.size
        self.axes = axes
        self.fallback = 0.5 if unseen == "picture" else None
        points = None if centre == "mean" else reference_points(landmarks, centre)
        self.points = None if points is None else nn.Buffer(points, persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        centre = clip_centre(values, present, self.n_selected, self.points, self.fallback)
        values = values - centre
        size = deviation(values[:, :, : self.n_selected], present[:, :, : self.n_selected])
        if self.axes == "shared":
            size = size.square().mean(-1, keepdim=True).sqrt()
        return values / safe_divisor(size)


class BodySize(nn.Module):
    """Centre each clip on a point of the body, and divide it by a length of the body.

    Dividing by the shoulders' width is what sign recognisers from ST-GCN to ASL Citizen do.

    Args:
        landmarks: the landmarks of the clips.
        centre: a reference point of the layout, averaged over the clip, so that the body's own
            movement stays. The clip's mean, where the point was never detected.
        length: a length of the layout, measured in the picture's plane and averaged over the clip.
            The clip's deviation, where its ends were never detected together.
    """

    def __init__(
        self,
        landmarks: LandmarkSet,
        centre: Literal["shoulders", "nose", "lip", "hips"] = "shoulders",
        length: Literal["shoulders", "trunk"] = "shoulders",
    ) -> None:
        super().__init__()
        self.n_selected = landmarks.size
        self.points = nn.Buffer(reference_points(landmarks, centre), persistent=False)
        self.ends = list(landmarks.positions(landmarks.layout.lengths[length]))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        values = values - clip_centre(values, present, self.n_selected, self.points)
        spread = deviation(values[:, :, : self.n_selected], present[:, :, : self.n_selected])
        spread = spread.square().mean(-1, keepdim=True).sqrt()
        length = self._length(values, present)
        return values / torch.where(length > SMALLEST, length, safe_divisor(spread))

    def _length(self, values: Tensor, present: Tensor) -> Tensor:
        first, second = self.ends
        vectors = values[:, :, first, :2] - values[:, :, second, :2]  # [B, T, 2]
        both = present[:, :, first, 0] * present[:, :, second, 0]
        mean = (vectors.square().sum(-1).sqrt() * both).sum(1) / both.sum(1).clamp(min=1)
        return mean[:, None, None, None]


class HandShape(BodySize):
    """As `BodySize`, but a hand's points relative to its wrist, in lengths of its palm.

    The wrists keep their position relative to the body. So a hand's position is in two or three
    numbers, and all others describe its shape, independent of position and distance to the camera.
    SPOTER (Boháček & Hrúz 2022, "Sign Pose-Based Transformer for Word-Level Sign Language
    Recognition") normalises each hand by its bounding box, frame by frame; the GISLR competition's
    fifth place (github zhouyuanzhe/kaggleasl5thplacesolution) adds points relative to their hand.
    The palm, from the wrist to the middle finger's base, is averaged over the clip instead: a fist
    stays smaller than an open hand. Where it was never detected, body units stay.

    Args:
        landmarks: the landmarks of the clips.

    Raises:
        UserError: their layout has no hands.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__(landmarks)
        hands = [hand for hand in (landmarks.left_hand, landmarks.right_hand) if hand]
        if not hands:
            with_hands = [name for name, each in LAYOUTS.items() if "left_hand" in each.parts]
            raise UserError(
                f"scaler=hands: {landmarks.layout.name} has no hands; layouts that have them: "
                f"{', '.join(with_hands)}"
            )
        wrist = torch.arange(len(landmarks.indices))  # outside hands: the point itself
        palm, inside = wrist.clone(), torch.zeros(len(wrist), 1)
        for hand in hands:
            points = list(hand[1:])
            wrist[points], palm[points], inside[points] = hand[0], hand[MIDDLE_BASE], 1.0
        self.wrist = nn.Buffer(wrist, persistent=False)
        self.palm = nn.Buffer(palm, persistent=False)
        self.inside = nn.Buffer(inside, persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`; 0 for points of a hand whose wrist is missing."""
        values = super().forward(values, present)
        wrist, seen = (each.index_select(2, self.wrist) for each in (values, present))
        size = self._palm_length(values, present, wrist, seen)
        return (values - wrist * self.inside) * seen / safe_divisor(size)

    def _palm_length(self, values: Tensor, present: Tensor, wrist: Tensor, seen: Tensor) -> Tensor:
        """The palm of each point's hand, `[B, 1, P, 1]`; 0 outside hands."""
        length = (values.index_select(2, self.palm) - wrist)[..., :2].square().sum(-1).sqrt()
        both = present.index_select(2, self.palm)[..., 0] * seen[..., 0]  # [B, T, P]
        mean = (length * both).sum(1) / both.sum(1).clamp(min=1)
        return mean[:, None, :, None]


class ClipMinMax(nn.Module):
    """Map each clip's coordinates to 0..1, separately for x, y and z.

    The scaler of the 2023 notebook; as it is fitted to every clip, it loses the hands' position.

    Args:
        landmarks: the landmarks of the clips; the range is that of the set's own.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()
        self.n_selected = landmarks.size

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`."""
        selected, seen = values[:, :, : self.n_selected], present[:, :, : self.n_selected]
        selected, far = selected * seen, 2e6 * (1 - seen)
        low = (selected + far).amin((1, 2), keepdim=True)
        high = (selected - far).amax((1, 2), keepdim=True)
        return (values - low) / safe_divisor(high - low)


def auto(landmarks: LandmarkSet) -> nn.Module:
    """`HandShape` where the landmarks have hands, else `ClipDeviation`.

    Where a sensor measures more than coordinates, its position is in one unit for everybody, and
    how far the hand goes tells signs apart: `StatisticsScaler`.
    """
    if landmarks.left_hand or landmarks.right_hand:
        return HandShape(landmarks)
    if landmarks.layout.measured:
        return StatisticsScaler(landmarks, "standard")
    return ClipDeviation(landmarks)


def reference_points(landmarks: LandmarkSet, name: str) -> Tensor:
    """Positions of a reference point of the layout, which may be the mean of several landmarks.

    Raises:
        UserError: the layout has no such point.
    """
    if name not in landmarks.layout.reference:
        raise UserError(
            f"landmarks={landmarks.name}: {landmarks.layout.name} has no {name} to centre a clip "
            "on; scaler=clip and scaler=standard need none"
        )
    return torch.tensor(landmarks.positions(landmarks.layout.reference[name]))


def clip_centre(
    values: Tensor,
    present: Tensor,
    n_selected: int,
    points: Tensor | None,
    fallback: float | None = None,
) -> Tensor:
    """Mean of some points over the clip.

    Args:
        values: `[B, T, P, 3]`.
        present: `[B, T, P, 3]`.
        n_selected: number of the set's own landmarks, which come first.
        points: positions; None for the mean of the set's own.
        fallback: the centre where the points are never present; the mean of the set's own where
            None.

    Returns:
        `[B, 1, 1, 3]`; a mean of nothing is 0.
    """
    mean = present_mean(values[:, :, :n_selected], present[:, :, :n_selected])
    if points is None:
        return mean
    values, present = values.index_select(2, points), present.index_select(2, points)
    seen = present.sum((1, 2), keepdim=True) > 0
    unseen = mean if fallback is None else torch.full_like(mean, fallback)
    return torch.where(seen, present_mean(values, present), unseen)


def deviation(values: Tensor, present: Tensor) -> Tensor:
    """Root mean square of centred values over the clip, `[B, 1, 1, 3]`."""
    return present_mean(values.square(), present).sqrt()


def safe_divisor(size: Tensor) -> Tensor:
    """The size, or 1 where it is too small to divide by."""
    return torch.where(size > SMALLEST, size, torch.ones_like(size))


def _minmax(batches: Batches) -> tuple[Tensor, Tensor]:
    lows, highs = [], []
    for values, present in batches:
        lows.append(torch.where(present > 0, values, torch.inf).amin((0, 1)))
        highs.append(torch.where(present > 0, values, -torch.inf).amax((0, 1)))
    low, high = torch.stack(lows).amin(0), torch.stack(highs).amax(0)
    return torch.where(low <= high, low, torch.nan), high - low


def _standard(batches: Batches) -> tuple[Tensor, Tensor]:
    count = total = squares = torch.zeros((), dtype=torch.float64)
    for values, present in batches:
        frames = (values.double() * present).flatten(0, 1)  # [B·T, P, 3], 0 where missing
        count = count + present.sum((0, 1))
        total = total + frames.sum(0)
        squares = squares + frames.square().sum(0)
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0).sqrt()


def _robust(batches: Batches, most: int = 20_000) -> tuple[Tensor, Tensor]:
    """Quartiles of at most `most` frames, evenly spaced over all of them."""
    kept, step = [], 1
    for values, present in batches:
        frames = torch.where(present > 0, values, torch.nan).flatten(0, 1)
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
