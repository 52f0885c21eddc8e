"""The optimizer and its learning-rate schedule, stepped every batch."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from asl.training.ranger import Ranger

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "rmsprop": RMSprop,
    "ranger": Ranger,
    "sgd": partial(SGD, momentum=0.9, nesterov=True),
}
if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(OPTIMIZERS)]  # configs are checked against it


def build_optimizer(
    parameters: Iterable[nn.Parameter],
    steps: int,
    name: Name,
    lr: Annotated[float, Gt(0)],
    weight_decay: Annotated[float, Ge(0)],
    warmup: Annotated[float, Ge(0), Lt(1)],
    schedule: Literal["cosine", "constant"],
    final_lr: Annotated[float, Ge(0), Le(1)],
) -> tuple[Optimizer, LambdaLR]:
    """Build an optimizer over `parameters` with a schedule over `steps` batches.

    Weight decay leaves out biases and the scales of normalisation layers, which have one dimension.

    Args:
        parameters: of the network.
        steps: batches of the whole training.
        name: a key of `OPTIMIZERS`.
        lr: highest learning rate.
        weight_decay: of parameters with two dimensions or more.
        warmup: share of the steps in which the rate rises linearly.
        schedule: `cosine` falls along half a cosine to `final_lr` after the warm-up (Loshchilov &
            Hutter 2017, SGDR, without restarts), `constant` stays.
        final_lr: learning rate at the end of `cosine`.
    """
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = OPTIMIZERS[name](groups, lr=lr)
    warmup_steps = round(warmup * steps)
    floor = min(final_lr / lr, 1.0)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if schedule == "constant":
            return 1.0
        progress = min((step - warmup_steps) / max(steps - warmup_steps, 1), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return optimizer, LambdaLR(optimizer, factor)
