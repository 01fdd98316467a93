"""Progressive widening: from w to w_plus, row by row."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Widening:
    """The rows of a w_plus latent that an encoder may use at a step (e4e, Tov et al. 2021, section 4.2).

    Attributes:
        after: Steps during which all rows are the first one; ``None`` opens all from the start.
        every: Steps after which one more row is opened.
    """

    after: int | None = None
    every: int = 2000

    def last(self, rows: int) -> int:
        """The first step in which all of so many rows are open."""
        return 0 if self.after is None or rows < 2 else self.after + (rows - 2) * self.every

    def require_fit(self, shape: tuple[int, ...], name: str, steps: int) -> None:
        """Raise ``ValueError`` unless latents of the space ``name`` have rows, all open before the training ends."""
        if self.after is not None and len(shape) != 2:
            raise ValueError(f"task.widen_after: {name} has no rows to open; set space=w_plus or remove it")
        if steps <= (last := self.last(shape[0])):
            raise ValueError(
                f"task.widen_after: {self.after} and task.widen_every={self.every} open the last of "
                f"{shape[0]} rows after {last} steps, and task.steps={steps} end before it is trained; "
                f"set task.steps={last + 1} or more, or open the rows sooner"
            )

    def open(self, latent: Float[Tensor, "b ..."], step: int) -> Float[Tensor, "b ..."]:
        """The rows that are open."""
        if self.after is None:
            return latent
        opened = 1 if step < self.after else 2 + (step - self.after) // self.every
        return latent[:, :opened]

    def close(self, latent: Float[Tensor, "b ..."], step: int) -> Float[Tensor, "b ..."]:
        """The whole latent with the first row in the place of those that are not open."""
        opened = self.open(latent, step)
        if opened.shape[1] == latent.shape[1]:
            return latent
        return torch.cat([opened, latent[:, :1].expand(-1, latent.shape[1] - opened.shape[1], -1)], dim=1)
