"""Adversarial weight perturbation: learn from the gradient at weights worse than one's own.

Wu, Xia & Wang 2020, "Adversarial Weight Perturbation Helps Robust Generalization" (arXiv
2004.05884), in the form that the GISLR competition's winner has: each step moves every parameter by
`delta` along its own gradient's direction, takes the gradient there, and steps from where the
parameter was. His delta is .2, from epoch 15 on. A step costs two passes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class WeightPerturbation:
    """Moves parameters to where the loss is higher, and back.

    Args:
        delta: length of the move, for each parameter tensor.
    """

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self._clean: list[tuple[nn.Parameter, Tensor]] = []

    @property
    def perturbed(self) -> bool:
        """Whether the parameters are away from their own place."""
        return bool(self._clean)

    def perturb(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
        """Move the parameters up the gradient of a loss, which is used up by it."""
        wanted = [p for p in parameters if p.requires_grad]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        self._clean = [(p, p.detach().clone()) for p in wanted]
        with torch.no_grad():
            for parameter, gradient in zip(wanted, gradients, strict=True):
                if gradient is not None:
                    norm = gradient.norm()
                    parameter.add_(gradient * torch.where(norm > 0, self.delta / norm, 0.0))
        # Mixed precision keeps rounded copies of the weights for as long as a step lasts.
        torch.clear_autocast_cache()

    def restore(self) -> None:
        """Put the parameters back, to the last bit."""
        with torch.no_grad():
            for parameter, clean in self._clean:
                parameter.copy_(clean)
        self._clean = []
