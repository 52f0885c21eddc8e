"""From scaled landmarks of any number of frames to numbers per time step."""

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
    """Time steps, each with positions, differences, or both.

    A difference exists where both its ends do; only then is what is missing filled with 0.

    Args:
        frames: how many time steps come out; with `all`, how many of them count at most.
        length: `resample` reads every clip at that many evenly spaced moments, the first and the
            last frame among them; `last` takes the last frames as they are (a shorter clip leaves
            the steps at the end empty, and the mask says so); `all` takes every frame as it is,
            and of a longer clip the first ones, as the GISLR winner does.
        terms: `position`; `lag1` and `lag2`, what changes until one or two steps later, 0 at the
            end (the GISLR winner's); `second`, the second difference around the step; `distances`, how
            far the hands are from face, shoulders and each other (distances are among the features
            of the GISLR competition's second, fifth and 24th place).
        coordinates: `xyz`, or `xy` because MediaPipe's z is a guess.
        landmarks: what the recognizer looks at; `distances` needs to know.

    Raises:
        UserError: `distances` is asked for, and the landmarks have no two points to measure between.
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
        """How many numbers a time step has for that many landmarks."""
        moving = sum(term != "distances" for term in self.terms)
        return landmarks * self.coordinates * moving + self.ends.shape[1]

    def forward(self, values: Tensor, present: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Make the features of a batch.

        Args:
            values: scaled coordinates `[B, T, L, 3]`, finite everywhere.
            present: `[B, T, L, 3]`, 1.0 or 0.0.
            lengths: `[B]`, in frames.

        Returns:
            features `[B, frames, size(L)]`, 0 where missing, and a mask `[B, frames]`, true where
            there is a time step. With `all` there are `T` instead of `frames` steps.
        """
        values = values[..., : self.coordinates].flatten(2)  # [B, T, L·C]
        present = present[..., : self.coordinates].flatten(2)
        if self.length == "all":
            # Hidden, not cut off: an exported graph would be bound to clips on one side of the cut.
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
        points, there = values.unflatten(2, shape), present.unflatten(2, shape)
        one, other = (points.index_select(2, end) for end in self.ends)
        both = there.index_select(2, self.ends[0]) * there.index_select(2, self.ends[1])
        return (one - other).square().sum(-1).sqrt() * both[..., 0]

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
    """What comes `lag` steps later, 0 behind the end."""
    return pad(steps, (0, 0, 0, lag))[:, lag:]


def _behind(steps: Tensor) -> Tensor:
    """What came one step before, 0 before the start."""
    return pad(steps, (0, 0, 1, 0))[:, :-1]


TERMS = {
    "position": _position,
    "lag1": lambda values, present: _later(values, present, 1),
    "lag2": lambda values, present: _later(values, present, 2),
    "second": _second,
}
