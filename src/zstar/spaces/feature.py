"""A feature map, and the style codes of the layers above it."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import POSITIVE, require
from zstar.config.reasons import Unfit
from zstar.config.signatures import nearest
from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import chunks, stream

MAPS = 256  # that the statistics of a layer are estimated from, at the most: each of them is a synthesis


class Feature(AbstractSpace):
    """F/W+: the feature map F of one layer, and a code of w_plus for each layer above it.

    F holds where things are, which no code of w_plus can, and the codes how they look (BDInvert, Kang et al. 2021,
    https://arxiv.org/abs/2108.08998; Feature-Style Encoder, Yao et al. 2022, https://arxiv.org/abs/2202.02183). The
    choice for photos whose layout G does not know. F is kept as its difference δ from the map of the latent, so that a
    point is a latent of w_plus with ``features/<layer>``: any latent of w_plus is one, with δ = 0, and a direction of
    w_plus moves F by what it moves the latent's own map by, while δ stays. The rows of the latent below the layer stay
    where they are.

    Arguments:
        generator: The fixed generator G, with style codes for its layers.
        prior_samples: Number of samples that the prior statistics are estimated from.
        layer: Name of the layer; the finer it is, the better the picture and the less an edit reaches. Null is the one
            in the middle.
        rate: Step size of δ over the optimizer's, in units of the map's spread.
    """

    name = "w_plus"
    title = "feature"

    def __init__(
        self, generator: AbstractGenerator, prior_samples: int = 10_000, layer: str | None = None, rate: float = 1.0
    ) -> None:
        if "w_plus" not in generator.spaces:
            kind = type(generator).__name__
            raise Unfit(f"space.feature: {kind} has no style codes for its layers; choose projector=[mean,features]")
        layer = generator.layers[(len(generator.layers) - 1) // 2] if layer is None else layer
        if layer not in generator.layers:
            raise ValueError(f"space.layer: G has no layer '{layer}'; {nearest(layer, generator.layers)}")
        if layer == generator.layers[-1]:
            raise ValueError(f"space.layer: no layer of G is above '{layer}'; choose one of {generator.layers[:-1]}")
        require("space", POSITIVE, rate=rate)
        super().__init__(generator, prior_samples)
        self.layer = layer
        above = generator.layers[list(generator.layers).index(layer) + 1]
        self.fixed_rows = min(
            row for name, row in generator.synthesis.style_rows.items() if name.split(".")[0] == above
        )
        self.maps = {layer: tuple(self.map_mean.shape)}
        self.map_rates = {layer: rate * self.map_spread}

    @property
    def map_mean(self) -> Float[Tensor, "c h w"]:
        """Mean of the layer's map over the prior."""
        return self._once(f"map of {self.layer}", self._estimate_map)[0]

    @property
    def map_spread(self) -> float:
        """Root mean square distance of a map of the prior from its mean, for each of its numbers."""
        return self._once(f"map of {self.layer}", self._estimate_map)[1]

    @torch.no_grad()
    def _estimate_map(self) -> tuple[Tensor, float]:
        rng, count = stream("statistics of a feature map", 0), 0
        total = square = torch.zeros((), dtype=torch.float64)
        for size in chunks(min(self.prior_samples, MAPS), 32):
            with self.generator.reading(self.layer) as seen:
                self.decode(self.sample(size, rng))
            found = seen[self.layer].double()
            total, square, count = total + found.sum(dim=0), square + found.square().sum(dim=0), count + len(found)
        mean = total / count
        return mean.float(), (square / count - mean.square()).clamp_min(0).mean().sqrt().item()

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every latent is allowed."""
        return latent
