"""The protocol of walks: directions in training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import POSITIVE, require
from zstar.directions.base import AbstractDirection, Label
from zstar.edits.base import AbstractEdit
from zstar.spaces.base import AbstractSpace


class AbstractWalk(nn.Module, ABC):
    """The trainable part of argmin E[L(walk(z, α), edit(G(z), α))].

    Arguments:
        space: Where it walks.
        edit: The edit to imitate; its range of α is that of the training.
        lr: Learning rate of Adam that suits its parameters.
    """

    def __init__(self, space: AbstractSpace, edit: AbstractEdit, lr: float) -> None:
        super().__init__()
        require("walk", POSITIVE, lr=lr)
        self.space, self.edit, self.lr = space.name, edit, lr

    @abstractmethod
    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
        """Strengths to train on."""

    @abstractmethod
    def forward(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        """The latents moved by α; differentiable with respect to the weights."""

    @abstractmethod
    def adopt(self, direction: AbstractDirection) -> None:
        """Go on from a direction of the same kind and space; ``ValueError`` or torch's of shapes if it is none."""

    @abstractmethod
    def direction(self, label: Label) -> AbstractDirection:
        """The walk as it is now, as a direction that further training does not change."""


def unfit(walk: AbstractWalk, direction: AbstractDirection) -> ValueError:
    """The error for a direction that a walk can't go on from."""
    found, wanted = (f"{type(one).__name__} of {one.space}" for one in (direction, walk))
    return ValueError(f"its direction is a {found} and the walk is a {wanted}")


def open_rows(space: AbstractSpace, rows: Sequence[int] | None) -> Float[Tensor, "..."]:
    """1 for the rows of a latent that may move and 0 for the others, to be multiplied with a latent.

    Arguments:
        rows: First row and the one behind the last, of w_plus; ``None`` for all of them.
    """
    if rows is None:
        return torch.ones([1] * len(space.shape))
    if len(space.shape) != 2:
        raise ValueError(f"walk.rows: {space.name} has no rows to choose from; set space=w_plus or walk.rows=null")
    count = space.shape[0]
    if len(rows) != 2 or not 0 <= rows[0] < rows[1] <= count:
        raise ValueError(f"walk.rows: {list(rows)} is no range of rows; give two numbers from [0,1] to [0,{count}]")
    index = torch.arange(count)[:, None]
    return ((index >= rows[0]) & (index < rows[1])).float()
