"""Adversarial weight perturbation (AWP): the gradient is taken at weights with a higher loss.

Wu, Xia & Wang 2020, "Adversarial Weight Perturbation Helps Robust Generalization" (arXiv
2004.05884), as the GISLR competition's first place has it: each step moves every parameter by
`delta` along its own gradient's direction, takes the gradient there, and updates the parameter from
its original value. There delta is .2, from epoch 15 on. A step costs two passes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class WeightPerturbation:
    """Moves parameters to a higher loss, and restores them.

    Args:
        delta: length of the move, for each parameter tensor.
    """

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self._clean: list[tuple[nn.Parameter, Tensor]] = []

    def perturb(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
        """Move the parameters up the gradient of a loss, whose graph is freed."""
        trainable = [p for p in parameters if p.requires_grad]
        gradients = torch.autograd.grad(loss, trainable, allow_unused=True)
        self._clean = [(p, p.detach().clone()) for p in trainable]
        with torch.no_grad():
            for parameter, gradient in zip(trainable, gradients, strict=True):
                if gradient is not None:
                    norm = gradient.norm()
                    parameter.add_(gradient * torch.where(norm > 0, self.delta / norm, 0.0))
        # Autocast caches casts of the weights within a step.
        torch.clear_autocast_cache()

    def restore(self) -> None:
        """Set the parameters back to their exact values before `perturb`, if it was called."""
        with torch.no_grad():
            for parameter, clean in self._clean:
                parameter.copy_(clean)
        if self._clean:
            torch.clear_autocast_cache()  # a group of clips follows, in the same step
        self._clean = []
