"""LSTM and GRU, in one direction or two."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import dropout

from asl.recognizer.layers.embedding import Embedding
from asl.recognizer.layers.options import Count, Dropout, Pool
from asl.recognizer.layers.pooling import pool


class Recurrent(nn.Module):
    """Layers of LSTM or GRU cells, pooled over the real time steps.

    Each direction of each layer is a separate module, and the backward ones start at every clip's
    own last step: packed sequences, the usual way to hide padding from them, do not export.

    Args:
        inputs: features per time step.
        cell: `lstm` or `gru`.
        bidirectional: also read each clip backwards.
        embed: width of an embedding before the first recurrent layer; 0 for none.
        hidden: units per layer and direction.
        layers: number of layers.
        pool: over time: `mean`, `max` or `last`; the last state of the backward direction is that
            at the first step.
        dropout: of a layer's inputs, the features themselves excepted.
        recurrent_dropout: of the hidden-to-hidden weights, the same for every step of a batch
            (DropConnect; Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models",
            section 2).
    """

    def __init__(
        self,
        inputs: Count,
        cell: Literal["lstm", "gru"],
        bidirectional: bool = False,
        embed: Annotated[int, Ge(0)] = 0,
        hidden: Count = 64,
        layers: Count = 2,
        pool: Pool = "mean",
        dropout: Dropout = 0.0,
        recurrent_dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.width = hidden * (2 if bidirectional else 1)
        self.embed = Embedding(inputs, embed) if embed else None
        sizes = [embed or inputs] + [self.width] * (layers - 1)
        self.ahead = nn.ModuleList(kind(size, hidden, batch_first=True) for size in sizes)
        self.back = nn.ModuleList(
            kind(size, hidden, batch_first=True) for size in sizes if bidirectional
        )
        self.dropout = nn.Dropout(dropout)
        self.recurrent_dropout = recurrent_dropout
        self.pool = pool

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Summaries `[B, width]` of steps `[B, T, inputs]` with a mask `[B, T]` of real ones."""
        if self.embed is not None:
            steps = self.dropout(self.embed(steps, mask))
        if not self.back:
            return pool(self._one_way(steps), mask, self.pool)
        forwards, backwards = self._both_ways(steps, mask)
        if self.pool == "last":
            return torch.cat([pool(forwards, mask, "last"), backwards[:, 0]], dim=-1)
        return pool(torch.cat([forwards, backwards], dim=-1), mask, self.pool)

    def _one_way(self, steps: Tensor) -> Tensor:
        for number, layer in enumerate(self.ahead):
            steps = self._run(layer, self.dropout(steps) if number else steps)
        return steps

    def _both_ways(self, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        order = reversed_order(mask)
        forwards = backwards = steps
        for number, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            if number:
                steps = self.dropout(torch.cat([forwards, backwards], dim=-1))
            forwards = self._run(ahead, steps)
            backwards = reorder(self._run(back, reorder(steps, order)), order)
        return forwards, backwards

    def _run(self, layer: nn.Module, steps: Tensor) -> Tensor:
        if not self.training or not self.recurrent_dropout:
            return layer(steps)[0]
        name = "weight_hh_l0"
        weight = dropout(layer.get_parameter(name), self.recurrent_dropout)
        return functional_call(layer, {name: weight}, steps)[0]


def reversed_order(mask: Tensor) -> Tensor:
    """The index of each step's counterpart when every clip is reversed in time.

    Args:
        mask: `[B, T]`, true for real steps, which come first.

    Returns:
        `[B, T]`; padding keeps its place.
    """
    place = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - place, place)


def reorder(steps: Tensor, order: Tensor) -> Tensor:
    """The steps `[B, T, C]` of each clip in the order `[B, T]`."""
    return steps.gather(1, order[:, :, None].expand(steps.shape))
