"""Ranger: RAdam inside Lookahead."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import RAdam


class Ranger(RAdam):
    """RAdam whose weights return part of the way to where they were `sync` steps before.

    Lookahead (Zhang et al. 2019, arXiv 1907.08610) around RAdam (Liu et al. 2020, arXiv 1908.03265)
    with decoupled weight decay: the optimizer of the GISLR competition's first place, with `sync`
    5, and of the second place's transformers.

    Args:
        parameters: as any optimizer takes them.
        lr: learning rate.
        sync: steps from one synchronisation with the slow weights to the next.
        share: of the way from the slow weights to the fast ones that is kept.
    """

    def __init__(self, parameters: Any, lr: float, sync: int = 5, share: float = 0.5) -> None:
        super().__init__(parameters, lr=lr, decoupled_weight_decay=True)
        self.sync, self.share = sync, share

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of RAdam; every `sync`-th one also synchronises fast and slow weights."""
        loss = None
        if closure is not None:  # before anything else: it computes the gradients
            with torch.enable_grad():
                loss = closure()
        initial = {p: p.clone() for p in self._trained() if "slow" not in self.state[p]}
        super().step()
        for parameter in self._trained():
            state = self.state[parameter]
            if parameter in initial:
                state["slow"] = initial[parameter]
            if int(state["step"]) % self.sync == 0:
                state["slow"].lerp_(parameter, self.share)
                parameter.copy_(state["slow"])
        return loss

    def _trained(self) -> list[Tensor]:
        groups = [group["params"] for group in self.param_groups]
        return [p for params in groups for p in params if p.grad is not None]
