"""The protocol of regularizers R(v): one value per image."""

from abc import ABC, abstractmethod
from copy import copy
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within
from zstar.generators.variables import Variables
from zstar.spaces.base import AbstractSpace


class AbstractRegularizer(ABC):
    """A penalty on variables that are unlikely: under the generator's prior, or as changes of the generator itself.

    Attributes:
        syntheses: How often it runs the generator itself each time that it is taken; budgets count them.
        of: Kinds of variables that it is about, such as ``weights``; where v has none of them, its value is zero and
            takes no synthesis. Empty where it is about what every v has.
        quadratic: Whether it is a quadratic function of the latent, if G(v) is a linear one.

    Arguments:
        space: The space that the latents live in.
        weight: μ, the factor of this regularizer in the objective.
    """

    syntheses: int = 0
    of: ClassVar[tuple[str, ...]] = ()
    quadratic: ClassVar[bool] = False

    def __init__(self, space: AbstractSpace, weight: float = 1.0) -> None:
        if weight not in Within(0):
            name = type(self).__name__
            raise ValueError(f"regularizer.*.weight: {weight} can't weigh {name}; set it to a finite number, 0 or more")
        self.space = space
        self.weight = weight

    def at(self, space: AbstractSpace) -> "AbstractRegularizer":
        """The same penalty on latents of another space, such as that of pictures of another size."""
        other = copy(self)
        other.space = space
        return other

    @abstractmethod
    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """Price per image, unweighted by μ; differentiable in all that it reads.

        Arguments:
            v: The variables by name, batch first.
            image: G(v) in [−1, 1], synthesized already and still in the graph of v.
        """
