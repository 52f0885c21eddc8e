"""Ghost batches: a batch split into groups, each computed as on a device of its own.

A group has its own statistics of batch normalisation (ghost batch normalisation: Hoffer, Hubara &
Soudry 2017, arXiv 1705.08741) and is perturbed by its own gradient (`asl.training.awp`); gradients
and running statistics are means over the groups. So the GISLR competition's first place trained:
batches of 512 clips, 64 on each of eight TPU cores. It takes the memory of one group.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn


def loss_of_groups(
    loss_of: Callable[[Tensor], Tensor],
    groups: Sequence[Tensor],
    parameters: Iterable[nn.Parameter],
    statistics: Iterable[Tensor],
    restore: Callable[[], None],
) -> Tensor:
    """The mean loss of groups of rows; its gradient is the mean of the groups' own.

    Args:
        loss_of: the mean loss of some rows, called for one group after the other.
        groups: rows of the batch.
        parameters: of the network.
        statistics: its running statistics, each of which every group starts from.
        restore: called after each group, to undo what `loss_of` did to the parameters.
    """
    trained = [p for p in parameters if p.requires_grad]
    running = [each for each in statistics if each.is_floating_point()]
    start = [each.clone() for each in running]
    moved = [torch.zeros_like(each) for each in running]
    gradients: list[Tensor | None] = [None] * len(trained)
    losses = []
    rows = sum(len(group) for group in groups)
    for group in groups:
        share = len(group) / rows
        loss = loss_of(group) * share
        losses.append(loss.detach())
        found = torch.autograd.grad(loss, trained, allow_unused=True)
        restore()
        for place, gradient in enumerate(found):
            if gradient is not None:
                before = gradients[place]
                gradients[place] = gradient if before is None else before + gradient
        for now, before_it, change in zip(running, start, moved, strict=True):
            change.add_(now - before_it, alpha=share)
            now.copy_(before_it)
    for now, change in zip(running, moved, strict=True):
        now.add_(change)
    # Nothing is added to the loss, but its gradient becomes that of the groups.
    linear = [
        ((parameter - parameter.detach()) * gradient).sum()
        for parameter, gradient in zip(trained, gradients, strict=True)
        if gradient is not None
    ]
    return torch.stack(losses).sum() + torch.stack(linear).sum()
