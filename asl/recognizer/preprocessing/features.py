"""Features of every time step from scaled landmarks."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from asl.errors import UserError, unknown
from asl.landmarks import LAYOUTS, LandmarkSet
from asl.recognizer.layers.options import Count
from asl.recognizer.preprocessing.resampling import resample

Term = Literal["position", "lag1", "lag2", "second", "bone", "bone_lag1", "distances", "trust"]


class Features(nn.Module):
    """Positions, bones, differences and distances of landmarks at each time step.

    A difference exists where both its ends do. Missing features are filled with 0 afterwards.

    Args:
        frames: number of time steps; with `all`, the largest number.
        length: `resample` samples every clip at that many evenly spaced moments, the first and the
            last frame among them; `last` takes the last frames (of a shorter clip the steps at the
            end are masked); `all` takes every frame, or the first ones of a longer clip, as the
            GISLR competition's first place does.
        terms: `position`; `lag1` and `lag2`, differences to one or two steps later, 0 at the end
            (GISLR's first place); `second`, the second difference around the step; `bone`, each
            landmark as seen from the next one towards the middle of the skeleton, and `bone_lag1`,
            its difference (with `position` and `lag1` the four streams of 2s-AGCN and ST-GCN++,
            arXiv 1805.07694 and 2205.09443); `distances` of the hands from face, shoulders and each
            other (GISLR's second, fifth and 24th place); `trust`, how visible the sensor finds each
            arm: 1 for both where the signer faces it, falling to 0 for the one that the body hides
            where the signer stands in profile.
        coordinates: `xyz`, or `xy`, for MediaPipe's z is not measured.
        landmarks: the recognizer's landmarks, required by bones, `distances`, `trust` and measured
            channels, of which there are positions and differences as of coordinates.
        measured: the layout's measured channels that count, by name, or `all`.

    Raises:
        UserError: the landmarks have no pair to measure for `distances`, no bones, for `trust` no
            depth that was measured, or no such measured channel.
    """

    def __init__(
        self,
        frames: Count = 32,
        length: Literal["resample", "last", "all"] = "resample",
        terms: Sequence[Term] = ("position",),
        coordinates: Literal["xyz", "xy"] = "xyz",
        landmarks: LandmarkSet | None = None,
        measured: Literal["all"] | Sequence[str] = "all",
    ) -> None:
        super().__init__()
        self.frames = frames
        self.length = length
        self.terms = tuple(terms)
        self.coordinates = len(coordinates)
        channels = landmarks.layout.measured if landmarks else ()
        chosen = channels if measured == "all" else tuple(measured)
        if missing := [channel for channel in chosen if channel not in channels]:
            raise unknown("features.measured", missing[0], ["all", *channels])
        self._channels = self.coordinates + len(chosen)
        columns = torch.tensor([3 + channels.index(each) for each in chosen], dtype=torch.long)
        self.measured = nn.Buffer(columns, persistent=False)
        ends = landmarks.distance_pairs if landmarks and "distances" in self.terms else ()
        bony = landmarks is not None and bool(landmarks.bones)
        name = landmarks.name if landmarks else None
        if "distances" in self.terms and not ends:
            raise UserError(
                f"features.terms=distances: landmarks={name} has no two points to measure"
            )
        if {"bone", "bone_lag1"} & {*self.terms} and not bony:
            raise UserError(f"features.terms=bone: landmarks={name} has no bones")
        self.sees_turn = "trust" in self.terms
        if self.sees_turn and not (landmarks and landmarks.layout.skeleton):
            deep = [each.name for each in LAYOUTS.values() if each.skeleton]
            raise UserError(
                f"features.terms=trust: landmarks={name} measures no depth; layouts that do: "
                f"{', '.join(deep)}"
            )
        self.ends = nn.Buffer(torch.tensor(ends).view(-1, 2).T, persistent=False)
        parents = landmarks.parents if landmarks and bony else ()
        self.parents = nn.Buffer(torch.tensor(parents), persistent=False)

    def size(self, landmarks: int) -> int:
        """Number of features per time step for that many landmarks."""
        return sum(self._sizes(landmarks))

    def places(self, landmarks: int) -> tuple[tuple[int, ...], ...]:
        """Where each landmark's own numbers are among the features of a time step.

        Distances and trust are no single landmark's.

        Args:
            landmarks: how many there are.

        Returns:
            For each landmark its places, equally many and in the same order for all.
        """
        sizes = self._sizes(landmarks)
        starts = [
            (sum(sizes[:number]), sizes[number] // landmarks)
            for number, term in enumerate(self.terms)
            if term not in ("distances", "trust")
        ]
        return tuple(
            tuple(start + landmark * own + axis for start, own in starts for axis in range(own))
            for landmark in range(landmarks)
        )

    def _sizes(self, landmarks: int) -> list[int]:
        """Numbers that each term has per time step."""
        others = {"distances": self.ends.shape[1], "trust": 2}
        others |= dict.fromkeys(BONES, landmarks * self.coordinates)
        return [others.get(term, landmarks * self._channels) for term in self.terms]

    def forward(
        self, values: Tensor, present: Tensor, lengths: Tensor, turn: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the features of a batch.

        Args:
            values: scaled channels `[B, T, L, C]`, finite everywhere.
            present: `[B, T, L, C]`, 1.0 or 0.0.
            lengths: `[B]`, in frames.
            turn: `[B]`, by how much the signer was turned from the sensor before scaling, see
                `asl.recognizer.preprocessing.facing.turned_away`; required where `sees_turn`.

        Returns:
            features `[B, frames, size(L)]`, 0 where missing, and a mask `[B, frames]`, true for
            real time steps. With `all` there are `T` instead of `frames` steps.
        """
        values = self._used(values).flatten(2)  # [B, T, L·channels]
        present = self._used(present).flatten(2)
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
        terms = [self._term(term, values, present, mask, turn) for term in self.terms]
        return torch.cat(terms, dim=-1), mask

    def _term(
        self, term: Term, values: Tensor, present: Tensor, mask: Tensor, turn: Tensor | None
    ) -> Tensor:
        """One term's features, `[B, T', size]`."""
        if term == "distances":
            return self._distances(values, present)
        if term == "trust":
            assert turn is not None
            hidden = torch.stack([-turn, turn], dim=-1).relu()  # [B, 2]
            return (1 - hidden)[:, None] * mask[:, :, None]
        if term in BONES:
            return BONES[term](*self._bones(values, present))
        return TERMS[term](values, present)

    def _used(self, channels: Tensor) -> Tensor:
        """The coordinates and the measured channels that count, `[B, T, L, channels]`."""
        coordinates = channels[..., : self.coordinates]
        if self._channels == self.coordinates:
            return coordinates
        return torch.cat([coordinates, channels.index_select(-1, self.measured)], dim=-1)

    def _points(self, steps: Tensor) -> Tensor:
        """The coordinates among `[B, T', L·channels]`, `[B, T', L, coordinates]`."""
        points = steps.unflatten(2, (steps.shape[2] // self._channels, self._channels))
        return points if self._channels == self.coordinates else points[..., : self.coordinates]

    def _bones(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Each landmark from its parent, and whether both are there, `[B, T', L·coordinates]`."""
        values, present = self._points(values), self._points(present)
        bones = values - values.index_select(2, self.parents)
        both = present * present.index_select(2, self.parents)
        return bones.flatten(2), both.flatten(2)

    def _distances(self, values: Tensor, present: Tensor) -> Tensor:
        """Distances between pairs of landmarks, `[B, T', pairs]`; 0 where an end is missing."""
        points, seen = self._points(values), self._points(present)
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
BONES = {"bone": _position, "bone_lag1": TERMS["lag1"]}
