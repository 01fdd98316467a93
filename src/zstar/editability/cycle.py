"""Cycle consistency: the distance that is left when an edited image is encoded and edited back."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.directions.apply import apply
from zstar.editability.base import AbstractEditability, Traversal
from zstar.encoders.trained import find_encoder
from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w_plus import WPlus

Inverse = Callable[..., list[Tensor]]  # space, images → their latents after each pass


class Cycle(AbstractEditability):
    """Latent editing consistency: encode the edited image, take the edit back, and compare with the start.

    ‖move(E(G(move(v, α))), −α) − v₀‖ per coordinate, in units of the prior's spread, where v₀ = E(G(v)) is what the
    encoder makes of the image that was not edited: for a direction that stays among images that the encoder knows it is
    near 0. Per image, at each end of the useful range that is not 0: ``cycle/low`` and ``cycle/high``. e4e's measure
    (Tov et al. 2021), per image, untrimmed and in both directions.

    It takes the shipped encoder for the generator in w_plus; without one it says nothing.

    Arguments:
        samples: Number of samples that the prior's spread is estimated from.
    """

    def __init__(self, samples: int = 2000) -> None:
        self.samples = samples
        self._known: tuple[tuple[int, str], tuple[AbstractSpace, Inverse | None]] | None = None

    @torch.no_grad()
    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        generator = traversal.generator
        if "w_plus" not in generator.spaces or traversal.direction.space not in ("w", "w_plus"):
            return {}
        space, encoder = self.inverse(generator)
        if encoder is None:
            return {}

        def encode(images: Tensor) -> Tensor:
            return torch.cat([encoder(space, part)[-1] for part in images.split(traversal.size)])

        start, found = encode(traversal.before), {}
        for name, end in (("low", traversal.direction.label.low), ("high", traversal.direction.label.high)):
            if end == 0:
                continue
            alpha = torch.full_like(start[:, 0, 0], end)
            reached = {"latent": encode(traversal.render(alpha))}
            back, _ = apply(generator, reached, "w_plus", [(traversal.direction, -alpha)])
            error = ((back["latent"] - start) / max(space.spread, 1e-12)).square().flatten(1).mean(dim=1).sqrt()
            found[f"cycle/{name}"] = error
        return found

    def inverse(self, generator: AbstractGenerator) -> tuple[AbstractSpace, Inverse | None]:
        """w_plus of a generator and the encoder for it, found once for all directions and batches."""
        key = id(generator), generator.fingerprint()
        if self._known is None or self._known[0] != key:
            space = WPlus(generator, self.samples)
            encoder = find_encoder(space)
            if encoder is not None:
                encoder.network.to(space.mean.device)
            self._known = key, (space, encoder)
        return self._known[1]
