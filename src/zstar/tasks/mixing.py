"""The images of an encoder's step: real ones, and samples of the generator with their latents."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.check import COMPANIONS
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream


@dataclass(frozen=True)
class Mixture:
    """The images of a step.

    Attributes:
        images: The images to invert, ``[b, c, h, w]``.
        real: The same, but with the real images in the places that samples of G have taken.
        latents: Latents ``[b, ...]``, arbitrary where they are not known; ``None`` if none is.
        known: 1 for each image whose latent is known, else 0.
        named: What else the data show of the images: name → ``[b, k, h, w]``.
    """

    images: Float[Tensor, "b c h w"]
    real: Float[Tensor, "b c h w"]
    latents: Float[Tensor, "b ..."] | None
    known: Float[Tensor, " b"]
    named: Mapping[str, Float[Tensor, "b k h w"]]


class Mix:
    """Mirrors a share of the real images and replaces a share of a batch by samples of G.

    Arguments:
        space: Where the latents of samples are drawn.
        batch: Images per step, over all processes.
        seed: Seed of mirrors and samples; what a step gets depends on it and on the step.
        samples: Share of a batch that is drawn.
        flip: Probability that a real image is mirrored; it is an error where the latents of the data are known.
    """

    def __init__(self, space: AbstractSpace, batch: int, seed: int, samples: float, flip: float) -> None:
        self.space, self.batch, self.seed, self.drawn, self.flip = space, batch, seed, round(samples * batch), flip

    def __call__(self, batch: dict[str, Tensor], step: int, rows: slice) -> Mixture:
        """The images of one process, which are ``rows`` of the batch of all."""
        real, latents, named = batch["images"], batch.get("latent"), companions(batch)
        rng = stream("mixture", self.seed, index=step, device=real.device)
        self.space.generator.require_size(real)
        if self.flip and latents is not None:
            raise ValueError(
                f"task.flip: {self.flip:g} mirrors images, but the latents of this data set are known and would not be "
                "those of the mirrored ones; set it to 0"
            )
        if self.flip:
            mirrored = (torch.rand(self.batch, 1, 1, 1, generator=rng, device=rng.device) < self.flip)[rows]
            mirrored = mirrored.to(real.device, non_blocking=True)
            real = torch.where(mirrored, real.flip(3), real)
            named = {name: torch.where(mirrored, value.flip(3), value) for name, value in named.items()}
        known = real.new_full((len(real),), float(latents is not None))
        if not self.drawn:
            return Mixture(real, real, latents, known, named)
        with torch.no_grad(), torch.autocast(real.device.type, enabled=False):  # what is known is known exactly
            fresh = self.space.sample(self.drawn, rng)[rows].to(real.device, non_blocking=True)
            images = torch.cat([self.space.decode(fresh), real[len(fresh) :]])
        rest = real.new_zeros(len(real), *self.space.shape) if latents is None else latents
        known[: len(fresh)] = 1
        return Mixture(images, real, torch.cat([fresh, rest[len(fresh) :]]), known, named)


def companions(extras: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "b k h w"]]:
    """The further targets among what is known of some images."""
    return {name: extras[name] for name in COMPANIONS if name in extras}
