"""Non-linear walks: fⁿ(z), with f to be learned."""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.directions.base import AbstractDirection, Label
from zstar.directions.nonlinear import Nonlinear, Step
from zstar.edits.base import AbstractEdit
from zstar.spaces.base import AbstractSpace
from zstar.walks.base import AbstractWalk, open_rows, unfit


class NonlinearWalk(AbstractWalk):
    """A small network taken n times: argmin_f E[L(G(fⁿ(z)), edit(G(z), nε))], with another one for the way back.

    From "On the 'steerability' of generative adversarial networks" (Jahanian, Chai and Isola, ICLR 2020,
    https://arxiv.org/abs/1907.07171), whose networks have the same form. The choice where the right step depends on the
    image; it costs n small networks per edit.

    Arguments:
        steps: n at the ends of the edit's range, so ε is a ``steps``-th of it on either side.
        width: Hidden units.
        rows: First row of w_plus that may move and the one behind the last; ``None`` for all.
        keep_norm: Whether each step keeps the distance from the prior's mean; ``None`` does so in z, whose samples all
            have nearly the same, and nowhere else.
        lr: Learning rate of Adam.
    """

    def __init__(
        self,
        space: AbstractSpace,
        edit: AbstractEdit,
        steps: int = 5,
        width: int = 256,
        rows: Sequence[int] | None = None,
        keep_norm: bool | None = None,
        lr: float = 0.002,
    ) -> None:
        super().__init__(space, edit, lr)
        require("walk", Within(1), steps=steps, width=width)
        self.count = steps
        mean = space.mean.flatten().float()
        mask = open_rows(space, rows).expand(space.shape).flatten()
        norm = space.name == "z" if keep_norm is None else keep_norm
        self.ahead, self.back = (Step(mean.numel(), width, mean, space.spread, mask, norm) for _ in range(2))
        # Of an edit that goes one way only, the other network learns nothing but the way back.
        self.epsilon = tuple((end or max(-edit.low, edit.high)) / steps for end in (edit.high, -edit.low))

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
        """Whole numbers of steps, uniform over the range."""
        low = -self.count if self.edit.low else 0
        high = self.count if self.edit.high else 0
        taken = torch.randint(low, high + 1, (n,), generator=rng, device=rng.device).float()
        return torch.where(taken > 0, taken * self.epsilon[0], taken * self.epsilon[1])

    def forward(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        return Nonlinear(self.space, self.ahead, self.back, self.epsilon).move(latent, alpha)

    def adopt(self, direction: AbstractDirection) -> None:
        if not isinstance(direction, Nonlinear) or direction.space != self.space:
            raise unfit(self, direction)
        for step, sign in ((self.ahead, 1), (self.back, -1)):
            step.load_state_dict(direction.steps[sign].state_dict())

    def direction(self, label: Label) -> Nonlinear:
        ahead, back = (copy.deepcopy(step).eval().requires_grad_(False) for step in (self.ahead, self.back))
        return Nonlinear(self.space, ahead, back, self.epsilon, label)
