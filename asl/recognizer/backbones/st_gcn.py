"""A graph convolutional network over the skeleton and time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from asl.errors import UserError
from asl.landmarks import LandmarkSet
from asl.recognizer.layers.batchnorm import MaskedBatchNorm
from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool
from asl.recognizer.layers.pooling import pool

GROUPS = 4
"""Groups of channels: each has a graph of its own, and of its own a look at other time steps."""
DILATIONS = (1, 2, 4)


class StGcn(nn.Module):
    """Blocks that mix landmarks along a learned graph, then time steps at several distances.

    A small ST-GCN (Yan et al. 2018, arXiv 1801.07455) with the improvements of ST-GCN++ (Duan et
    al. 2022, PYSKL, arXiv 2205.09443, section 3): the graph is a weight of each block that starts
    from the bones, with a residual connection around the mixing, and the temporal convolutions have
    parallel branches. Each group of channels has its own graph, as in the decoupled graph
    convolutions (Cheng et al. 2020, ECCV) with which SAM-SLR recognises signs (arXiv 2103.08833);
    the groups start with landmarks 0, 1, 2 and 3 bones away. Widths are those of a CPU: they stay
    where the number of time steps is halved.

    Features that are no single landmark's, distances say, are added to all of them.

    Args:
        inputs: features per time step.
        landmarks: the recognizer's landmarks; its bones are the graph.
        places: for each landmark, where its features are in a time step.
        hidden: channels of a landmark, a multiple of 4.
        layers: number of blocks; each but the first has half as many time steps.
        pool: over time: `mean`, `max` or `last`; over landmarks it is the mean.
        dropout: of whole channels of each block's residual branch.

    Raises:
        UserError: `hidden` can't be divided among the groups, or no feature is a landmark's.
    """

    def __init__(
        self,
        inputs: Count,
        landmarks: LandmarkSet,
        places: Sequence[Sequence[int]],
        hidden: Count = 64,
        layers: Count = 3,
        pool: Pool = "max",
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        if hidden % GROUPS:
            choices = f"multiples of {GROUPS}, because there are {GROUPS} groups of channels"
            raise UserError(f"model.hidden={hidden}: choose from {choices}")
        if not places or not places[0]:
            raise UserError("model=st_gcn: features.terms has nothing that is a single landmark's")
        self.width = hidden
        self.points = len(places)
        own = torch.tensor(places).flatten()
        self.own = nn.Buffer(own, persistent=False)
        others = torch.tensor(sorted({*range(inputs)} - {*own.tolist()}), dtype=torch.long)
        self.others = nn.Buffer(others, persistent=False)
        self.norm = MaskedBatchNorm(len(own))  # of each landmark's features
        self.embed = nn.Linear(len(places[0]), hidden)
        self.embed_others = Embedding(len(others), hidden) if len(others) else None
        graph = bone_graph(landmarks)
        self.blocks = nn.ModuleList(Block(graph, hidden, dropout) for _ in range(layers))
        self.pool = pool

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Summaries `[B, width]` of steps `[B, T, inputs]` with a mask `[B, T]` of real ones."""
        own = self.norm(steps.index_select(2, self.own), mask)
        points = self.embed(own.unflatten(2, (self.points, -1)))  # [B, T, L, hidden]
        if self.embed_others is not None:
            others = self.embed_others(steps.index_select(2, self.others), mask)
            points = points + others[:, :, None]
        for number, block in enumerate(self.blocks):
            if number:
                points, mask = points[:, ::2], mask[:, ::2]
            points = block(points, mask)
        return pool(points.mean(2), mask, self.pool)


class Block(nn.Module):
    """Mixes landmarks, then time steps; residual connections around the first and around both."""

    def __init__(self, graph: Tensor, hidden: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Linear(hidden, hidden, bias=False)
        self.graph = nn.Parameter(graph.clone())
        self.mix_norm = PointNorm(hidden)
        width = hidden // GROUPS
        self.branches = nn.ModuleList(nn.Linear(3 * width, width) for _ in DILATIONS)
        self.out = nn.Linear(hidden, hidden, bias=False)
        self.out_norm = PointNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, points: Tensor, mask: Tensor) -> Tensor:
        """From `[B, T, L, hidden]` to that shape."""
        h = (self.mix_norm(self._along_bones(self.mix(points)), mask) + points).relu()
        h = self._over_time(h * mask[:, :, None, None])
        h = self.out_norm(self.out(h), mask)
        if self.training:
            h = h * self.dropout(torch.ones_like(h[:, :1, :1]))
        return (points + h).relu()

    def _along_bones(self, points: Tensor) -> Tensor:
        """Each group's sum over the landmarks, weighted by its graph."""
        groups = zip(points.chunk(GROUPS, dim=-1), self.graph, strict=True)
        mixed = [linear(group.transpose(2, 3), graph).transpose(2, 3) for group, graph in groups]
        return torch.cat(mixed, dim=-1)

    def _over_time(self, points: Tensor) -> Tensor:
        """All but the last group convolved, each at its dilation, and of the last the maximum."""
        *groups, last = points.chunk(GROUPS, dim=-1)
        # Products, which are several times as fast on CPUs as convolutions of so few channels.
        branches = [
            branch(torch.cat(around(group, dilation), dim=-1)).relu()
            for branch, group, dilation in zip(self.branches, groups, DILATIONS, strict=True)
        ]
        before, here, after = around(last, 1)  # none below 0, the value of padding
        return torch.cat([*branches, before.maximum(here).maximum(after)], dim=-1)


class PointNorm(MaskedBatchNorm):
    """Batch normalisation of each channel over the real time steps and all landmarks."""

    def forward(self, points: Tensor, mask: Tensor) -> Tensor:
        """Normalised `[B, T, L, channels]`; the mask `[B, T]` is true for real time steps."""
        if not self.training:
            return super().forward(points, mask)
        rows = mask.repeat_interleave(points.shape[2], dim=1)
        return super().forward(points.flatten(1, 2), rows).view(points.shape)


def around(points: Tensor, distance: int) -> tuple[Tensor, Tensor, Tensor]:
    """`[B, T, L, C]` that many steps earlier, now, and that many later; 0 outside the clip."""
    padded = pad(points, (0, 0, 0, 0, distance, distance))
    return padded[:, : -2 * distance], points, padded[:, 2 * distance :]


def bone_graph(landmarks: LandmarkSet) -> Tensor:
    """For each group the mean of the landmarks so many bones away, as weights `[GROUPS, L, L]`."""
    graph = torch.zeros(GROUPS, landmarks.size, landmarks.size)
    for position, reached in enumerate(landmarks.hops):
        for other, bones in reached.items():
            if bones < GROUPS:
                graph[bones, position, other] = 1.0
    return graph / graph.sum(-1, keepdim=True).clamp(min=1)
