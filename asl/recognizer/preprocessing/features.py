"""Features of every time step from scaled landmarks."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from asl.errors import UserError
from asl.landmarks import LandmarkSet
from asl.recognizer.layers.options import Count
from asl.recognizer.preprocessing.resampling import resample

Term = Literal["position", "lag1", "lag2", "second", "distances"]


class Features(nn.Module):
    """Positions, differences and distances of landmarks at each time step.

    A difference exists where both its ends do. Missing features are filled with 0 afterwards.

    Args:
        frames: number of time steps; with `all`, the largest number.
        length: `resample` samples every clip at that many evenly spaced moments, the first and the
            last frame among them; `last` takes the last frames (of a shorter clip the steps at the
            end are masked); `all` takes every frame, or the first ones of a longer clip, as the
            GISLR competition's first place does.
        terms: `position`; `lag1` and `lag2`, differences to one or two steps later, 0 at the end
            (GISLR's first place); `second`, the second difference around the step; `distances` of
            the hands from face, shoulders and each other (GISLR's second, fifth and 24th place).
        coordinates: `xyz`, or `xy`, for MediaPipe's z is not measured.
        landmarks: the recognizer's landmarks, required by `distances`.

    Raises:
        UserError: `distances` is among the terms and the landmarks have no pair to measure.
    """

    def __init__(
        self,
        frames: Count = 32,
        length: Literal["resample", "last", "all"] = "resample",
        terms: Sequence[Term] = ("position",),
        coordinates: Literal["xyz", "xy"] = "xyz",
        landmarks: LandmarkSet | None = None,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.length = length
        self.terms = tuple(terms)
        self.coordinates = len(coordinates)
        ends = landmarks.distance_pairs if landmarks and "distances" in self.terms else ()
        if "distances" in self.terms and not ends:
            name = landmarks.name if landmarks else None
            raise UserError(
                f"features.terms=distances: landmarks={name} has no two points to measure"
            )
        self.ends: Tensor
        self.register_buffer("ends", torch.tensor(ends).view(-1, 2).T, persistent=False)

    def size(self, landmarks: int) -> int:
        """Number of features per time step for that many landmarks."""
        moving = sum(term != "distances" for term in self.terms)
        return landmarks * self.coordinates * moving + self.ends.shape[1]

    def forward(self, values: Tensor, present: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features of a batch.

        Args:
            values: scaled coordinates `[B, T, L, 3]`, finite everywhere.
            present: `[B, T, L, 3]`, 1.0 or 0.0.
            lengths: `[B]`, in frames.

        Returns:
            features `[B, frames, size(L)]`, 0 where missing, and a mask `[B, frames]`, true for
            real time steps. With `all` there are `T` instead of `frames` steps.
        """
        values = values[..., : self.coordinates].flatten(2)  # [B, T, L·C]
        present = present[..., : self.coordinates].flatten(2)
        if self.length == "all":
            # Masked, because slicing would bind an exported graph to either long or short clips.
            steps = torch.arange(values.shape[1], device=lengths.device)
            mask = steps < lengths.clamp(max=self.frames)[:, None]
            present = present * mask[:, :, None]
        elif self.length == "last":
            start = (lengths - self.frames).clamp(min=0)[:, None]
            frames = start + torch.arange(self.frames, device=lengths.device)
            mask = frames < lengths[:, None]
            clip = torch.arange(len(frames), device=lengths.device)[:, None]
            frames = frames.clamp(max=values.shape[1] - 1)
            values, present = values[clip, frames], present[clip, frames]
            present = present * mask[:, :, None]
        else:
            moments, mask = self._moments(lengths, values.dtype)
            values, present = resample(values, present, moments)
        terms = [
            self._distances(values, present)
            if term == "distances"
            else TERMS[term](values, present)
            for term in self.terms
        ]
        return torch.cat(terms, dim=-1), mask

    def _distances(self, values: Tensor, present: Tensor) -> Tensor:
        """Distances between pairs of landmarks, `[B, T', pairs]`; 0 where an end is missing."""
        shape = (values.shape[2] // self.coordinates, self.coordinates)
        points, seen = values.unflatten(2, shape), present.unflatten(2, shape)
        first, second = (points.index_select(2, end) for end in self.ends)
        both = seen.index_select(2, self.ends[0]) * seen.index_select(2, self.ends[1])
        return (first - second).square().sum(-1).sqrt() * both[..., 0]

    def _moments(self, lengths: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        steps = torch.arange(self.frames, device=lengths.device)
        last = (lengths[:, None] - 1).to(dtype)
        moments = last * steps.to(dtype) / (self.frames - 1) if self.frames > 1 else last / 2
        return moments, torch.ones_like(moments, dtype=torch.bool)


def _position(values: Tensor, present: Tensor) -> Tensor:
    return values * present


def _later(values: Tensor, present: Tensor, lag: int) -> Tensor:
    return (_ahead(values, lag) - values) * (_ahead(present, lag) * present)


def _second(values: Tensor, present: Tensor) -> Tensor:
    after, before = _ahead(values, 1), _behind(values)
    return (after - 2 * values + before) * (_ahead(present, 1) * present * _behind(present))


def _ahead(steps: Tensor, lag: int) -> Tensor:
    """Steps shifted so that each holds the value `lag` later, 0 after the end."""
    return pad(steps, (0, 0, 0, lag))[:, lag:]


def _behind(steps: Tensor) -> Tensor:
    """Steps shifted so that each holds the value one earlier, 0 before the start."""
    return pad(steps, (0, 0, 1, 0))[:, :-1]


TERMS = {
    "position": _position,
    "lag1": lambda values, present: _later(values, present, 1),
    "lag2": lambda values, present: _later(values, present, 2),
    "second": _second,
}
