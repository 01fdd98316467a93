"""What drags handles: the pull on the generator's features, and the handles that follow them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.variables import Variables
from zstar.losses.base import spatial_mean
from zstar.regularizers.base import AbstractRegularizer
from zstar.runs.precision import single
from zstar.spaces.base import AbstractSpace


class Pull(AbstractRegularizer):
    """Motion supervision and point tracking of DragGAN (Pan et al. 2023, https://arxiv.org/abs/2305.10973).

    With F the features of the layer at v, p_i where handle i is, t_i where it is to be, and d_i the step from p_i to
    t_i, cut to a pixel of the picture:

        Σ_i mean_{q, |q − p_i| ≤ radius} |sg(F(q)) − F(q + d_i)| + hold · mean_{1−M} |F − F₀|

    where sg lets no gradient through, so that what is one step further on is to become what is here now. F is taken at
    any place of the picture by bilinear interpolation. Means over channels and places stand for the paper's sums, and
    all is in units of the mean |F₀ − its mean over the picture|, so that it weighs as much beside other terms whatever
    the generator and the layer.

    Before that, each handle follows what it was on: p_i is the place q, by whole pixels up to ``reach`` from where it
    was, with the least |F(q) − F₀(p_i⁰)|, the nearest of several. Where they are goes to ``handles/tracked`` of v; an
    evaluation changes nothing else, so that it may be done again and gives the same.

    Arguments:
        space: The space that the latents live in.
        seen: Where the output of the layer is left when an image is drawn.
        layer: Its name.
        radius: Of the disc around a handle that is pulled, in pixels of the picture.
        reach: How far a handle is looked for from where it was, in the same.
        hold: λ of what may not move.
    """

    def __init__(
        self, space: AbstractSpace, seen: Mapping[str, Tensor], layer: str, radius: float, reach: int, hold: float
    ) -> None:
        super().__init__(space)
        self.seen, self.layer, self.hold = seen, layer, hold
        bring = space.generator.bring
        self.disc = bring(around(radius, norm=2))
        self.square = bring(around(reach, norm=torch.inf))

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        maps, size, to = single(self.seen[self.layer]), image.shape[-1], v["handles/to"]
        there = to.isfinite().all(dim=-1)
        with torch.no_grad():
            at = self.track(maps, v["handles/at"], v["handles/content"], size)
            v["handles/tracked"].copy_(at)
            way = torch.where(there[..., None], to - at, 0.0)
            step = way / way.norm(dim=-1, keepdim=True).clamp_min(1)
            disc = at[:, :, None] + self.disc
            wanted = sample(maps, disc, size)
        found = sample(maps, disc + step[:, :, None], size)
        pull = ((found - wanted).abs().mean(dim=(1, 3)) * there).sum(dim=1)
        if "handles/before" in v:
            moved = (maps - v["handles/before"]).abs()
            pull = pull + self.hold * spatial_mean(moved, v["handles/still"])
        return pull / v["handles/scale"]

    def track(
        self, maps: Float[Tensor, "b c h w"], at: Float[Tensor, "b k 2"], content: Float[Tensor, "b c k"], size: int
    ) -> Float[Tensor, "b k 2"]:
        """Where handles are that were at some places, by what they were on at first."""
        places = at[:, :, None] + self.square
        far = (sample(maps, places, size) - content[..., None]).abs().mean(dim=1)
        inside = ((places >= 0) & (places <= size)).all(dim=-1)
        nearest = far.where(inside, torch.inf).argmin(dim=-1)  # the first of several, and these come outwards
        return at + self.square[nearest]


def sample(maps: Float[Tensor, "b c h w"], places: Float[Tensor, "b k n 2"], size: int) -> Float[Tensor, "b c k n"]:
    """Features at places of a picture of ``size`` pixels, x and y from its corner."""
    return F.grid_sample(maps, places * (2 / size) - 1, padding_mode="border", align_corners=False)


def around(reach: float, norm: float) -> Float[Tensor, "n 2"]:
    """Steps of whole pixels up to ``reach``, by a norm, the shortest first."""
    axis = torch.arange(-int(reach), int(reach) + 1, dtype=torch.float32)
    steps = torch.cartesian_prod(axis, axis)
    steps = steps[torch.linalg.vector_norm(steps, norm, dim=1) <= reach]
    return steps[steps.norm(dim=1).argsort(stable=True)]
