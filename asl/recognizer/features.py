"""From scaled landmarks of any number of frames to numbers per time step."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from asl.recognizer.options import Count
from asl.recognizer.resampling import resample

Term = Literal["position", "lag1", "lag2", "second"]


class Features(nn.Module):
    """A fixed number of time steps, each with positions, differences, or both.

    A difference exists where both its ends do; only then is what is missing filled with 0.

    Args:
        frames: how many time steps come out.
        length: `resample` reads every clip at that many evenly spaced moments, the first and the
            last frame among them; `last` takes the last frames as they are (a shorter clip leaves
            the steps at the end empty, and the mask says so).
        terms: `position`; `lag1` and `lag2`, what changes until one or two steps later, 0 at the
            end (the GISLR winner's); `second`, the second difference around the step.
        coordinates: `xyz`, or `xy` because MediaPipe's z is a guess.
    """

    def __init__(
        self,
        frames: Count = 32,
        length: Literal["resample", "last"] = "resample",
        terms: Sequence[Term] = ("position",),
        coordinates: Literal["xyz", "xy"] = "xyz",
    ) -> None:
        super().__init__()
        self.frames = frames
        self.length = length
        self.terms = tuple(terms)
        self.coordinates = len(coordinates)

    def size(self, landmarks: int) -> int:
        """How many numbers a time step has for that many landmarks."""
        return landmarks * self.coordinates * len(self.terms)

    def forward(self, values: Tensor, present: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Make the features of a batch.

        Args:
            values: scaled coordinates `[B, T, L, 3]`, finite everywhere.
            present: `[B, T, L, 3]`, 1.0 or 0.0.
            lengths: `[B]`, in frames.

        Returns:
            features `[B, frames, size(L)]`, 0 where missing, and a mask `[B, frames]`, true where
            there is a time step.
        """
        values = values[..., : self.coordinates].flatten(2)  # [B, T, L·C]
        present = present[..., : self.coordinates].flatten(2)
        moments, mask = self._moments(lengths, values.dtype)
        values, present = resample(values, present, moments)
        terms = [TERMS[term](values, present) for term in self.terms]
        return torch.cat(terms, dim=-1), mask

    def _moments(self, lengths: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        steps = torch.arange(self.frames, device=lengths.device)
        if self.length == "last":
            start = (lengths - self.frames).clamp(min=0)[:, None]
            return (start + steps).to(dtype), steps < lengths[:, None]
        last = (lengths[:, None] - 1).to(dtype)
        moments = last * steps.to(dtype) / (self.frames - 1) if self.frames > 1 else last / 2
        return moments, torch.ones_like(moments, dtype=torch.bool)


def _position(values: Tensor, present: Tensor) -> Tensor:
    return values * present


def _later(values: Tensor, present: Tensor, lag: int) -> Tensor:
    lag = min(lag, values.shape[1])
    until = values.shape[1] - lag
    change = (values[:, lag:] - values[:, :until]) * (present[:, lag:] * present[:, :until])
    return pad(change, (0, 0, 0, lag))


def _second(values: Tensor, present: Tensor) -> Tensor:
    if values.shape[1] < 3:
        return torch.zeros_like(values)
    bend = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    return pad(bend * (present[:, 2:] * present[:, 1:-1] * present[:, :-2]), (0, 0, 1, 1))


TERMS = {
    "position": _position,
    "lag1": lambda values, present: _later(values, present, 1),
    "lag2": lambda values, present: _later(values, present, 2),
    "second": _second,
}
