"""A list of operators, one after the other."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from zstar.operators.base import AbstractOperator, Named


def degrade(
    operators: Iterable[AbstractOperator], images: Float[Tensor, "b c h w"], targets: Named
) -> Float[Tensor, "b c h2 w2"]:
    """D(images), the operators applied in their order; differentiable."""
    for operator in operators:
        images = operator(images, targets)
    return images


def observe(
    operators: Iterable[AbstractOperator], images: Float[Tensor, "b c h w"], targets: Named
) -> Float[Tensor, "b c h w"]:
    """D(images) as pictures of the size that the images have: what an encoder or a person may see of them."""
    operators, sizes = list(operators), []
    for operator in operators:
        sizes.append((images.shape[-2], images.shape[-1]))
        images = operator(images, targets)
    for operator, size in zip(reversed(operators), reversed(sizes), strict=True):
        images = operator.as_picture(images, targets, size)
    return images
