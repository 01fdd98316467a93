"""How far changed weights move images beside the one that they are for."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import POSITIVE, Within, require
from zstar.generators.reading import MAPS, unchanged
from zstar.generators.variables import Variables, kinds_of
from zstar.losses.base import AbstractLoss
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream


class Locality(AbstractRegularizer):
    """‖G(w_r; θ) − G(w_r; θ0)‖² at latents w_r around the image's own, so that what a photo needs stays with it.

    That is PTI's locality (Roich et al. 2022, https://arxiv.org/abs/2106.05744). w_r lies from the pivot towards a
    random latent, at a distance in the space's own units: 1 is as far as random latents are from their mean. The
    published one is 30 in raw units of w, whatever the generator, and compares under other noise than the data term.

    Arguments:
        space: The space that the latents live in; it holds the generator.
        weight: μ, the factor of this regularizer in the objective.
        distance: Of w_r from the pivot.
        samples: Number of random latents, the same ones in each step and for each image.
        perceptual: Weight of ``network`` beside the squared error of the images; 0 leaves the network out.
        network: A loss that compares images, such as ``zstar.losses.perceptual.Perceptual``.
        noise: Noise maps where v has none, as in the data term.
    """

    of = ("weights",)

    def __init__(
        self,
        space: AbstractSpace,
        weight: float = 1.0,
        distance: float = 1.0,
        samples: int = 1,
        perceptual: float = 0.0,
        network: AbstractLoss | None = None,
        noise: str = "const",
    ) -> None:
        super().__init__(space, weight)
        require("regularizer.locality", POSITIVE, distance=distance)
        require("regularizer.locality", Within(1), samples=samples)
        require("regularizer.locality", Within(0), perceptual=perceptual)
        if perceptual and network is None:
            raise ValueError("regularizer.locality.network: perceptual compares by one; name it, or set perceptual=0")
        self.distance, self.noise, self.perceptual = distance, noise, perceptual
        self.samples = space.sample(samples, stream("latents of locality", 0))
        self.network = network.to(self.samples.device) if network is not None and perceptual else None
        self.syntheses = 2 * samples

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        if "weights" not in kinds_of(v):
            return image.new_zeros(len(image))
        render, noise, space = self.space.generator.render, self.noise, self.space.name
        own, values = unchanged(v, MAPS), []
        for sample in self.samples.split(1):
            near = {**own, "latent": self.beside(v["latent"].detach(), sample)}
            with torch.no_grad():
                wanted = render(unchanged(near), space, noise)
            values.append(self._difference(render(near, space, noise), wanted))
        return torch.stack(values).mean(dim=0)

    def beside(self, pivot: Float[Tensor, "b ..."], sample: Float[Tensor, "1 ..."]) -> Float[Tensor, "b ..."]:
        """Latents at the distance from the pivots, towards a sample, brought into the space."""
        way = sample - pivot
        length = way.flatten(1).square().mean(dim=1).sqrt().clamp_min(1e-12)
        step = self.distance * self.space.spread / length
        return self.space.constrain(pivot + way * step.view(-1, *[1] * (way.dim() - 1)))

    def _difference(self, found: Tensor, wanted: Tensor) -> Float[Tensor, " b"]:
        squares = (found - wanted).flatten(1).square().mean(dim=1)
        if self.network is None:
            return squares
        with torch.no_grad():
            features = self.network.look(wanted)
        return squares + self.perceptual * self.network.compare(self.network.look(found), features, None)
