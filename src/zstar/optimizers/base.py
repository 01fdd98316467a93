"""The protocol of optimizers: one step of v ← v − …, for each image of a batch by itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

Objective = Callable[[list[Tensor]], Tensor]


class AbstractOptimizer(ABC):
    """Minimises one value per image over variables whose first dimension is the batch.

    Nothing may couple the images: a batch of 8 follows the trajectories of 8 runs of 1.

    Attributes:
        lr: Step size; its meaning belongs to the optimizer.
    """

    lr: float

    @abstractmethod
    def start(self, variables: list[Tensor]) -> Any:
        """Fresh state for variables ``[b, ...]``."""

    @abstractmethod
    def step(self, variables: list[Tensor], state: Any, objective: Objective, fraction: float) -> tuple[Tensor, int]:
        """Change ``variables`` in place by one step.

        Arguments:
            variables: Leaf tensors ``[b, ...]`` without gradient; updated in place.
            state: What ``start`` returned; updated in place.
            objective: Variables → one differentiable value per image ``[b]``.
            fraction: How much of the run is over before this step, in [0, 1).

        Returns:
            The values ``[b]`` at the variables as they came in, and the number of evaluations of the objective spent
            (one evaluation = one forward and backward pass of an image).
        """
