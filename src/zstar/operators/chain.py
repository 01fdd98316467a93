"""A list of operators, one after the other."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from zstar.operators.base import AbstractOperator, Named, Shape


def degrade(
    operators: Iterable[AbstractOperator], images: Float[Tensor, "b c h w"], targets: Named
) -> Float[Tensor, "b c h2 w2"]:
    """D(images) as of G(v), the operators applied in their order; differentiable."""
    for operator in operators:
        images = operator(images, targets)
    return images


def observe(
    operators: Iterable[AbstractOperator], images: Float[Tensor, "b c h w"], targets: Named, ids: Sequence[str]
) -> Float[Tensor, "b c h2 w2"]:
    """The observation of images named ``ids``, which D(G(v)) is compared with."""
    for operator in operators:
        images = operator.observe(images, targets, ids)
    return images


def picture(
    operators: Iterable[AbstractOperator], images: Float[Tensor, "b c h w"], targets: Named, ids: Sequence[str]
) -> Float[Tensor, "b c h w"]:
    """The observation as pictures of the size that the images have: what an encoder or a person may see of them."""
    operators, sizes = list(operators), []
    for operator in operators:
        sizes.append((images.shape[-2], images.shape[-1]))
        images = operator.observe(images, targets, ids)
    for operator, size in zip(reversed(operators), reversed(sizes), strict=True):
        images = operator.as_picture(images, targets, size)
    return images


def require_remains(operators: Iterable[AbstractOperator], shape: Shape) -> None:
    """Refuse operators that leave nothing of images of ``shape``, or are not for them.

    Raises:
        ValueError: One sentence with the key.
    """
    for operator in operators:
        shape = operator.shape(shape)


def require_maps(operators: Mapping[str, AbstractOperator], maps: Collection[str], lack: str) -> None:
    """Refuse operators that read a target which there is not.

    Arguments:
        operators: Name → D.
        maps: The targets that can weigh or hide pixels.
        lack: What to say of one that is missing, ``{}`` for its name.

    Raises:
        ValueError: One sentence with the key.
    """
    for name, operator in operators.items():
        for wanted in operator.reads:
            if wanted not in maps:
                raise ValueError(f"operator.{name}: {lack.format(wanted, wanted)}")
