"""Deep image analogy: the look of one picture on the things of another."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zstar.callbacks import Callback
from zstar.config.constraints import Within, require
from zstar.inversion import Inversion, clock
from zstar.losses.maps import FeatureMaps
from zstar.losses.networks import unit_length
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.matching import nearest, refined, taken, voted
from zstar.projectors.pictures import require_pixels

STEEP, LEAST = 300.0, 0.05  # of the sigmoid that says where there is something to be kept

Maps = Float[Tensor, "_ _ _ _"]
Places = Int[Tensor, "_ 2 _ _"]


class Analogy(AbstractProjector):
    """A′ of A : A′ :: B : B′, for ``generator=pixels``: A made of pixels of B′ that mean the same (Liao et al. 2017,
    https://arxiv.org/abs/1705.01088).

    From the coarsest maps of a network to the finest, the places of A and B′ are matched in both directions. At each
    step the features of A′ are those of A where something is, and those of B′ at the matched places elsewhere, the less
    of A the finer they are; likewise for B. A and B′ should show things of one kind, such as a photo and a painting of
    a face: this looks for counterparts, where style transfer looks for textures. For B, exchange the pictures.

    The paper finds the features of A′ at a finer layer by inverting the network; here they are those of B′ at the
    matched places, which needs no network of a certain make. Where maps are small all pairs are compared.

    Arguments:
        problem: The equation without its targets.
        network, layers, size: As for :class:`zstar.losses.maps.FeatureMaps`.
        target: Name of the target A.
        style: Name of the target B′.
        keep: How much of A's features A′ keeps where something is, at the finest and at the second coarsest layer;
            linear in between.
        patch: Side of the patches, odd.
        reach: How far matches of a coarser layer are searched around.
    """

    def __init__(
        self,
        problem: Problem,
        network: nn.Module,
        layers: Sequence[int] | Sequence[str] | None = None,
        size: int | None = None,
        target: str = "image",
        style: str = "style",
        keep: Sequence[float] = (0.1, 0.8),
        patch: int = 3,
        reach: int = 3,
    ) -> None:
        super().__init__(problem)
        require_pixels(problem, "projector.analogy")
        require("projector.analogy", Within(1), patch=patch, reach=reach)
        if patch % 2 == 0:
            raise ValueError(f"projector.analogy.patch: {patch} is even, and a patch has a middle; set it to 3 or 5")
        if len(keep) != 2 or not all(0 <= share <= 1 for share in keep):
            raise ValueError(f"projector.analogy.keep: {list(keep)} are not two shares; give two from 0 to 1")
        self.maps = FeatureMaps(network, layers, size, "projector.analogy")
        self.target, self.style, self.keep, self.patch, self.reach = target, style, tuple(keep), patch, reach

    @property
    def cost(self) -> int:
        return self.problem.cost()

    @property
    def reads(self) -> dict[str, str]:
        return {"projector.analogy.target": self.target, "projector.analogy.style": self.style}

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """A′, in the place of what was found so far."""
        targets = objective.targets
        began = clock(targets.images.device)
        self.require_targets(targets.named, targets.maps)
        self.maps.network.to(targets.images.device)
        with torch.no_grad():
            made = self.make(targets.named[self.target], targets.named[self.style])
        found = self.candidate(objective, self.problem.start(targets, made), 0, began)
        return found.after(inversion)

    def make(self, a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """A′ from A and B′."""
        places = self.match(a, b)
        return voted(b, places, self.patch)

    def match(self, a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Places:
        """For each pixel of A the row and the column of the pixel of B′ that means the same."""
        raw = list(zip(self.maps(a), self.maps(b), strict=True))
        pyramid = [(unit_length(x), unit_length(y)) for x, y in raw]
        strong = [(strength(x), strength(y)) for x, y in raw]
        order = sorted(range(len(pyramid)), key=lambda k: pyramid[k][0][0, 0].numel())  # coarse to fine
        to_b: Places | None = None
        to_a: Places | None = None
        last = pyramid[order[0]]
        for step, k in enumerate(order):
            one, other = pyramid[k]
            if to_b is None or to_a is None:
                to_b, to_a = nearest(one, other, None, self.patch), nearest(other, one, None, self.patch)
                continue
            to_b, to_a = finer(to_b, last[1], one, other), finer(to_a, last[0], other, one)
            share = self.share(step, len(order))
            made = mixed(one, taken(other, to_b), share * strong[k][0])
            back = mixed(other, taken(one, to_a), share * strong[k][1])
            mine, theirs = torch.cat([one, made], dim=1), torch.cat([back, other], dim=1)
            to_b = nearest(mine, theirs, to_b, self.patch, self.reach)
            to_a = nearest(theirs, mine, to_a, self.patch, self.reach)
            last = pyramid[k]
        assert to_b is not None
        return finer(to_b, last[1], a, b)

    def share(self, step: int, steps: int) -> float:
        """How much of A's features is kept at a step, from the second one to the last."""
        fine, coarse = self.keep
        return fine if steps <= 2 else coarse + (fine - coarse) * (step - 1) / (steps - 2)


def finer(places: Places, old: Maps, a: Maps, b: Maps) -> Places:
    """Places of a coarse map, which were in ``old``, for the finer map ``a``, in ``b``."""
    sizes = [(each.shape[-2], each.shape[-1]) for each in (old, a, b)]
    return refined(places, *sizes)


def strength(maps: Maps) -> Float[Tensor, "b 1 h w"]:
    """Near 1 where a network responds, near 0 where it hardly does."""
    power = maps.square().sum(dim=1, keepdim=True)
    low, high = power.amin(dim=(2, 3), keepdim=True), power.amax(dim=(2, 3), keepdim=True)
    return torch.sigmoid(STEEP * ((power - low) / (high - low).clamp_min(1e-12) - LEAST))


def mixed(kept: Maps, other: Maps, share: Float[Tensor, "b 1 h w"]) -> Maps:
    """The one as far as the share goes, the other beyond."""
    return unit_length(share * kept + (1 - share) * other)
