"""The optimizer and its learning-rate schedule, stepped every batch."""

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from asl.training.ranger import Ranger

OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "adamw": (AdamW, {}),
    "adam": (Adam, {}),
    "rmsprop": (RMSprop, {}),
    "ranger": (Ranger, {}),
    "sgd": (SGD, {"momentum": 0.9, "nesterov": True}),
}


def build_optimizer(
    parameters: Iterable[nn.Parameter],
    steps: int,
    name: Literal["adamw", "adam", "rmsprop", "ranger", "sgd"],
    lr: Annotated[float, Gt(0)],
    weight_decay: Annotated[float, Ge(0)],
    warmup: Annotated[float, Ge(0), Lt(1)],
    schedule: Literal["cosine", "constant"],
    final_lr: Annotated[float, Ge(0), Le(1)],
) -> tuple[Optimizer, LambdaLR]:
    """Build an optimizer over `parameters` with a schedule over `steps` batches.

    The rate rises linearly over the first `warmup` share of the steps, then falls along half a
    cosine to `final_lr` (Loshchilov & Hutter 2017, SGDR, without restarts) or stays. Weight decay
    leaves out biases and the scales of normalisation layers, which have one dimension.
    """
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    make, options = OPTIMIZERS[name]
    optimizer = make(groups, lr=lr, **options)
    warm_steps = round(warmup * steps)
    floor = min(final_lr / lr, 1.0)

    def factor(step: int) -> float:
        if step < warm_steps:
            return (step + 1) / (warm_steps + 1)
        if schedule == "constant":
            return 1.0
        progress = min((step - warm_steps) / max(steps - warm_steps, 1), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return optimizer, LambdaLR(optimizer, factor)
