"""Realism of edited images: their distance from the generator's own."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import Within, require
from zstar.editability.base import AbstractEditability, Traversal
from zstar.metrics.distribution import kid, pooled
from zstar.stats.streams import stream


class Realism(AbstractEditability):
    """KID between the images moved by ±1 of the useful range's ends and samples of the generator.

    One value for all images, for each end: ``realism/kid_low`` and ``realism/kid_high``, and ``realism/kid_before``,
    that of the images before they are moved, which is what the others are to be compared with. Few images make it
    uncertain; below eight there is none.

    Arguments:
        network: Images in [−1, 1] → list of feature maps; numbers of different networks can't be compared.
        samples: Samples of the generator to compare with.
        seed: Seed of these.
    """

    def __init__(self, network: nn.Module, samples: int = 500, seed: int = 0) -> None:
        require("editability.realism", Within(8), samples=samples)
        self.network, self.samples, self.seed = network, samples, seed

    @torch.no_grad()
    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        if len(traversal) < 8:
            return {}
        rng, space = stream("samples of realism", self.seed), traversal.generator.drawn
        latents = traversal.generator.sample(self.samples, rng).split(traversal.size)
        real = torch.cat(
            [self.see(traversal.generator.synthesize(part, space, "const").clamp(-1, 1)) for part in latents]
        )
        label = traversal.direction.label
        found = {}
        for name, end in (("before", 0.0), ("low", label.low), ("high", label.high)):
            images = traversal.render(torch.full_like(traversal.latent.flatten(1)[:, 0], end))
            made = torch.cat([self.see(part) for part in images.split(traversal.size)])
            found[f"realism/kid_{name}"] = torch.tensor([kid(real, made, size=100).value])
        return found

    def see(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """A vector per image."""
        return pooled(self.network.to(images.device)(images))
