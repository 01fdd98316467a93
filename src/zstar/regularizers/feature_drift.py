"""How far changed weights move the generator's feature maps."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.config.signatures import nearest
from zstar.generators.base import AbstractGenerator
from zstar.generators.reading import MAPS, read, unchanged
from zstar.generators.variables import Variables, kinds_of
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream


class FeatureDrift(AbstractRegularizer):
    """Mean square of g(z; θ) − g(z; θ0) over that of g(z; θ0), of the maps g of some layers and of the image.

    At the image's own latent it holds back what a photo changes of its maps, which weights far from the image may do at
    no price in ``weight_norm``; at random latents it keeps all other images as they are. The choice where G is to stay
    what it is for edits and for other photos.

    Arguments:
        space: The space that the latents live in; it holds the generator.
        weight: μ, the factor of this regularizer in the objective.
        layers: Names of the layers whose maps are compared, beside the images; null for all that the generator offers.
        at_latent: Compare at the image's own latent.
        samples: Number of random latents to compare at, the same ones in each step and for each image.
        noise: Noise maps where v has none, as in the data term.
    """

    of = ("weights",)

    def __init__(
        self,
        space: AbstractSpace,
        weight: float = 1.0,
        layers: Sequence[str] | None = None,
        at_latent: bool = False,
        samples: int = 4,
        noise: str = "const",
    ) -> None:
        super().__init__(space, weight)
        require("regularizer.feature_drift", Within(0), samples=samples)
        if not samples and not at_latent:
            raise ValueError(
                "regularizer.feature_drift: it compares nowhere; set samples to 1 or more, or at_latent=true"
            )
        self.layers = list(space.generator.layers) if layers is None else list(layers)
        for layer in self.layers:
            require_layer(space.generator, layer)
        self.at_latent, self.noise = at_latent, noise
        self.samples = space.sample(samples, stream("latents of feature drift", 0)).split(1) if samples else ()
        self.syntheses = 2 * (samples + at_latent)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        if "weights" not in kinds_of(v):
            return image.new_zeros(len(image))
        places = [v["latent"]] if self.at_latent else []
        places += [sample.expand_as(v["latent"]) for sample in self.samples]
        drifts = [self._drift({**v, "latent": place}) for place in places]
        return torch.stack(drifts).mean(dim=0)

    def _drift(self, v: Variables) -> Float[Tensor, " b"]:
        with torch.no_grad():
            wanted = self._maps(unchanged(v))
        found = self._maps(unchanged(v, MAPS))
        drifts = [
            (new - old).flatten(1).square().mean(dim=1) / old.flatten(1).square().mean(dim=1).clamp_min(1e-12)
            for new, old in zip(found, wanted, strict=True)
        ]
        return torch.stack(drifts).mean(dim=0)

    def _maps(self, v: Variables) -> list[Tensor]:
        maps, image = read(self.space.generator, v, self.space.name, self.noise, self.layers)
        return [*maps.values(), image]


def require_layer(generator: AbstractGenerator, layer: str) -> None:
    """Refuse a layer that G does not have."""
    try:
        generator.layer(layer)
    except ValueError:
        advice = nearest(layer, generator.layers)
        raise ValueError(f"regularizer.feature_drift.layers: G has no layer '{layer}'; {advice}") from None
