"""Linear walks: z + αw, with w to be learned."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.directions.base import AbstractDirection, Label
from zstar.directions.linear import Linear
from zstar.edits.base import AbstractEdit
from zstar.spaces.base import AbstractSpace
from zstar.walks.base import AbstractWalk, open_rows, unfit


class LinearWalk(AbstractWalk):
    """One vector w for all latents: argmin_w E[L(G(z + αw), edit(G(z), α))].

    From "On the 'steerability' of generative adversarial networks" (Jahanian, Chai and Isola, ICLR 2020,
    https://arxiv.org/abs/1907.07171). In w_plus, w has a row for each layer. It starts at zero, where the paper starts
    at small random numbers: nothing has to be unlearned first.

    Arguments:
        rows: First row of w_plus that may move and the one behind the last; ``None`` for all.
        lr: Learning rate of Adam, in units of the prior's spread at the end of the range.
    """

    def __init__(
        self, space: AbstractSpace, edit: AbstractEdit, rows: Sequence[int] | None = None, lr: float = 0.03
    ) -> None:
        super().__init__(space, edit, lr)
        self.vector = nn.Parameter(torch.zeros(space.shape))
        self.register_buffer("open", open_rows(space, rows))
        self.scale = space.spread / max(-edit.low, edit.high)  # so that one learning rate suits every unit of α

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
        return self.edit.draw(n, rng)

    def forward(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        return Linear(self.space, self.scale * self.open * self.vector).move(latent, alpha)

    def adopt(self, direction: AbstractDirection) -> None:
        if not isinstance(direction, Linear) or direction.space != self.space:
            raise unfit(self, direction)
        with torch.no_grad():
            self.vector.copy_(direction.vector / self.scale)

    def direction(self, label: Label) -> Linear:
        return Linear(self.space, (self.scale * self.open * self.vector).detach().clone(), label)
