"""The numbers of an image's variables as one row, for optimizers that need products of all of them."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def rows(variables: Mapping[str, Tensor]) -> Float[Tensor, "b n"]:
    """A copy of the variables, one row for each image."""
    return torch.cat([variable.detach().reshape(len(variable), -1) for variable in variables.values()], dim=1).clone()


def spread(numbers: Float[Tensor, "b n"], units: Float[Tensor, " n"] | None, variables: Mapping[str, Tensor]) -> None:
    """Write rows, in these units, into the variables."""
    parts = (numbers if units is None else numbers * units).split(
        [variable[0].numel() for variable in variables.values()], dim=1
    )
    for variable, part in zip(variables.values(), parts, strict=True):
        variable.copy_(part.view_as(variable))


def lengths(variables: Mapping[str, Tensor], rates: Mapping[str, float], usual: float) -> Float[Tensor, " n"] | None:
    """Length of each coordinate, in which variables with a step size of their own are measured; ``None`` for 1."""
    if not rates:
        return None
    sizes = (torch.full_like(v[0], rates.get(name, usual) / usual) for name, v in variables.items())
    return torch.cat([size.flatten() for size in sizes])


def dot(a: Float[Tensor, "b n"], b: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Scalar product of two rows."""
    return (a * b).sum(dim=1)


def pick(condition: Bool[Tensor, " b"], yes: Float[Tensor, "b n"], no: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Row by row one of two."""
    return torch.where(condition[:, None], yes, no)
