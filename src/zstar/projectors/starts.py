"""Several solutions of the equation, from several starts."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.callbacks import Callback
from zstar.config.constraints import Within, require
from zstar.generators.variables import Variables
from zstar.inversion import Inversion
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractDescent


class Starts(AbstractDescent):
    """Descends from several starts at once and ranks what comes of them: the alternatives of iGAN (Zhu et al. 2016,
    https://arxiv.org/abs/1609.03552), which optimises 64 and shows the best 16.

    A few strokes leave much open, and descents from different starts fill it in differently. The starts lie on the way
    from where the chain stands, v₀, to draws from the prior: the first is v₀ itself, the others are as far on their
    ways as to be spread evenly between it and ``reach``. The latent alone moves; noise maps, weights and the class stay
    those of v₀. The result is the alternative of the lowest value of the equation; the next ones come with it, in v as
    ``alternatives/latent`` and ``alternatives/value``, and v₀ as ``origin``, which ``origin_norm`` holds to.

    Arguments:
        problem: The equation without its targets.
        count: Number of starts; 1 descends from v₀ alone.
        reach: Where on the way to its draw the farthest start is: 0 at v₀, 1 at the draw itself.
        keep: Alternatives that are kept, the best ones, at the most.
        steps: Optimizer steps of each of them.
        keep_best: Take for each of them the best v seen instead of the last one, if it is better.
    """

    def __init__(
        self,
        problem: Problem,
        count: int = 16,
        reach: float = 1.0,
        keep: int = 8,
        steps: int = 100,
        keep_best: bool = True,
    ) -> None:
        super().__init__(problem, steps, keep_best)
        require("projector.starts", Within(1), count=count, keep=keep)
        require("projector.starts", Within(0), steps=steps, reach=reach)
        self.count, self.reach, self.keep = count, reach, keep

    @property
    def random(self) -> bool:
        return self.count > 1

    @property
    def cost(self) -> int:
        return self.count * super().cost

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The best alternative of each image."""
        problem, count, ids = self.problem, self.count, objective.targets.ids
        v = problem.start(objective.targets) if inversion is None else dict(inversion.v)
        v.setdefault("origin", v["latent"])
        many = {name: value.repeat_interleave(count, dim=0) for name, value in v.items()}
        many["latent"] = self.starts(objective, v).flatten(0, 1)
        each = copy(self)  # which has its share of the time that an image may take
        each.seconds = None if self.seconds is None else self.seconds / count
        latent, *_ = problem.groups(many)
        found = each.descend(objective.repeated(count), many, [latent], callbacks)
        values = found.loss.nan_to_num(torch.inf, torch.inf, torch.inf).view(len(ids), count)
        order = values.argsort(dim=1, stable=True)[:, : self.keep]
        first = torch.arange(len(ids), device=order.device)[:, None] * count
        best = found.select((first + order)[:, 0].tolist())
        kept = {
            "alternatives/latent": found.latent.index_select(0, (first + order).flatten()).unflatten(0, order.shape),
            "alternatives/value": values.gather(1, order),
        }
        spent = {name: getattr(found, name).view(len(ids), count).sum(dim=1) for name in ("evaluations", "seconds")}
        return replace(best, ids=ids, v={**best.v, **kept}, **spent).after(inversion)

    def starts(self, objective: Objective, v: Variables) -> Float[Tensor, "b {self.count} ..."]:
        """The latents that each image begins with."""
        problem, targets, latent = self.problem, objective.targets, v["latent"]
        shares = torch.linspace(0, self.reach, self.count).to(latent).view(-1, *[1] * (latent.dim() - 1))
        found = []
        for row, rng in enumerate(problem.rngs(targets.ids, "several starts")):
            with problem.generator.conditioned(None if targets.classes is None else targets.classes[row : row + 1]):
                draws = problem.space.sample(self.count, rng).to(latent)
            start = latent[row].expand_as(draws)
            found.append(problem.space.hold(problem.space.constrain(torch.lerp(start, draws, shares)), start))
        started = torch.stack(found)
        return torch.cat([latent[:, None], started[:, 1:]], dim=1)  # v₀ as it is, to the last bit
