"""Old fakes for a discriminator, and the part of a step's images that a process holds."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.generators.variables import choose


@dataclass(frozen=True)
class Share:
    """The images of a step that are here, where several processes share the work; by default all of them.

    Attributes:
        count: Images of the step, over all processes.
        rows: Which of them are this process's.
        gather: This process's part of a tensor → the whole of it, in the order of the batch.
    """

    count: int
    rows: slice = field(default_factory=lambda: slice(None))
    gather: Callable[[Tensor], Tensor] = lambda part: part


class Pool(nn.Module):
    """Fakes of earlier steps, so that a discriminator does not forget what it has once seen through.

    It fills up first. Then each new fake is, with probability ½, put away in exchange for an old one (Shrivastava et
    al. 2017, https://arxiv.org/abs/1612.07828). Several processes that see the whole batch keep the same pool.

    Arguments:
        size: Fakes that are kept; 0 for none.
        shape: Shape of one.
    """

    kept: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(size, *shape))

    @torch.no_grad()
    def exchange(self, fakes: Float[Tensor, "b ..."], step: int, rng: torch.Generator) -> Float[Tensor, "b ..."]:
        """New fakes in, as many out, some of them old.

        Arguments:
            fakes: Those of this step.
            step: Steps before this one; each has brought as many, so it says how full the pool is.
            rng: Random numbers of this step.
        """
        size, count = len(self.kept), len(fakes)
        filled = min(size, step * count)
        if filled < size:
            self.kept[filled : filled + count] = fakes[: size - filled].to(self.kept)
            return fakes
        slots = torch.randperm(size, generator=rng, device=rng.device)[:count]
        swapped = torch.rand(len(slots), generator=rng, device=rng.device) < 0.5
        slots, swapped = slots.to(fakes.device), swapped.to(fakes.device)
        out, old = fakes.clone(), self.kept[slots]
        # Chosen and not gathered, as nobody but the GPU knows how many are swapped.
        out[: len(slots)] = choose(swapped, old.to(fakes), fakes[: len(slots)])
        self.kept[slots] = choose(swapped, fakes[: len(slots)].to(old), old)
        return out
