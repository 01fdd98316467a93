"""The identity as an operator."""

from jaxtyping import Float
from torch import Tensor

from zstar.operators.base import AbstractOperator, Named


class Identity(AbstractOperator):
    """D(x) = x: plain projection. The member of a sweep over operators that takes nothing away."""

    linear = True

    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h w"]:
        """The images themselves."""
        return images
