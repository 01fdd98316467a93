"""The protocol of optimizers: one step of v ← v − …, for each image of a batch by itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Objective = Callable[[dict[str, Tensor]], Tensor]


class AbstractOptimizer(ABC):
    """Minimises one value per image over named variables whose first dimension is the batch.

    Nothing may couple the images: a batch of 8 follows the trajectories of 8 runs of 1.

    Attributes:
        lr: Step size of variables that have none of their own; its meaning belongs to the optimizer.
        stochastic: Whether the objective may change from step to step, as it does under exploration noise, or
            is rounded as coarsely as in bfloat16.
        recovers: Whether it goes on from a trial whose value is not finite; if not, the image ends there.
        quadratic: Whether it is for objectives alone that are quadratic in the variables.
    """

    lr: float
    stochastic: bool
    recovers: bool
    quadratic: bool = False

    @abstractmethod
    def start(self, variables: Mapping[str, Tensor], rates: Mapping[str, float]) -> Any:
        """Fresh state for variables ``[b, ...]``; ``rates`` are step sizes of their own, for some of them."""

    @abstractmethod
    def step(
        self, variables: dict[str, Tensor], state: Any, objective: Objective, fraction: float
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

    @abstractmethod
    def finish(self, variables: dict[str, Tensor], state: Any) -> None:
        """Bring ``variables``, in place, to the points that the steps have come to: no trial stands for a result."""


def value_and_gradient(objective: Objective, variables: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Values ``[b]`` at ``variables``, and the gradient of each image's value to its own part of each variable.

    The sum over the batch is what is differentiated, so that no image's gradient depends on how many others there are.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in variables.items()}
    with torch.enable_grad():
        values = objective(leaves)
        gradients = torch.autograd.grad(values.sum(), list(leaves.values()), materialize_grads=True)
    return values.detach(), dict(zip(leaves, gradients, strict=True))
