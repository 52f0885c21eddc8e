import pytest
import torch
from torch.optim import RAdam

from asl.training.ranger import Ranger


def _steps(optimizer_of, steps, with_closure):
    """A point on a paraboloid after some steps; Lightning passes a closure, plain loops do not."""
    place = torch.nn.Parameter(torch.tensor([3.0, -1.0]))
    optimizer = optimizer_of([place])

    def closure():
        optimizer.zero_grad()
        loss = (place**2).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        if with_closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return place.detach()


@pytest.mark.parametrize("with_closure", [True, False])
@pytest.mark.parametrize("sync", [1, 5])
def test_synchronisation_goes_half_the_way_back_to_the_slow_weights(sync, with_closure):
    fast = _steps(lambda p: RAdam(p, lr=0.1, decoupled_weight_decay=True), sync, with_closure)
    got = _steps(lambda p: Ranger(p, lr=0.1, sync=sync), sync, with_closure)
    torch.testing.assert_close(got, (torch.tensor([3.0, -1.0]) + fast) / 2)


def test_between_synchronisations_it_is_radam():
    fast = _steps(lambda p: RAdam(p, lr=0.1, decoupled_weight_decay=True), 4, True)
    torch.testing.assert_close(_steps(lambda p: Ranger(p, lr=0.1, sync=5), 4, True), fast)
