"""The protocol of optimizers: one step of v ← v − …, for each image of a batch by itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Objective = Callable[[list[Tensor]], Tensor]


class AbstractOptimizer(ABC):
    """Minimises one value per image over variables whose first dimension is the batch.

    Nothing may couple the images: a batch of 8 follows the trajectories of 8 runs of 1.

    Attributes:
        lr: Step size; its meaning belongs to the optimizer.
        stochastic: Whether the objective may change from step to step, as it does under exploration noise.
    """

    lr: float
    stochastic: bool

    @abstractmethod
    def start(self, variables: list[Tensor]) -> Any:
        """Fresh state for variables ``[b, ...]``."""

    @abstractmethod
    def step(
        self, variables: list[Tensor], state: Any, objective: Objective, fraction: float
    ) -> tuple[Float[Tensor, " b"], Int[Tensor, " b"]]:
        """Change ``variables`` in place by one step.

        Arguments:
            variables: Leaf tensors ``[b, ...]`` without gradient; updated in place.
            state: What ``start`` returned; updated in place.
            objective: Variables → one differentiable value per image ``[b]``.
            fraction: How much of the run is over before this step, in [0, 1).

        Returns:
            The values ``[b]`` at the variables as they came in, and the number of evaluations ``[b]`` of the objective
            that each image spent (one evaluation = one forward and backward pass of that image).
        """


def value_and_gradient(objective: Objective, variables: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Values ``[b]`` at ``variables``, and the gradient of each image's value to its own part of each variable.

    The sum over the batch is what is differentiated, so that no image's gradient depends on how many others there are.
    """
    leaves = [variable.detach().requires_grad_() for variable in variables]
    with torch.enable_grad():
        values = objective(leaves)
        gradients = torch.autograd.grad(values.sum(), leaves, materialize_grads=True)
    return values.detach(), list(gradients)
