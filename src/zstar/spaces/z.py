"""The space of the prior."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import POSITIVE, require
from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import EXACT, AbstractSpace

BOUNDS = {"uniform": 1.0, "truncated": 2.0}


class Z(AbstractSpace):
    """The latent space that the generator samples from.

    Choose it for generators without a style network, and where the result must be as likely as a sample. It is the
    most editable space and reconstructs worst (iGAN, Zhu et al., 2016, https://arxiv.org/abs/1609.03552).

    Arguments:
        constraint: ``"none"``; ``"clamp"`` keeps each coordinate in [−limit, limit], for truncated priors; ``"prior"``
            keeps it where the prior is, which for a uniform one is [−1, 1], for a truncated one [−2, 2] times the
            truncation, and for a normal one everywhere; ``"sphere"`` keeps the norm where nearly all of a d-dimensional
            prior lies, at √d for a normal one and √(d/3) for a uniform one (PULSE, Menon et al., 2020,
            https://arxiv.org/abs/2003.03808).
        limit: Bound of ``"clamp"``; unused otherwise.
    """

    name = "z"

    def __init__(
        self,
        generator: AbstractGenerator,
        prior_samples: int = 10_000,
        constraint: Literal["none", "clamp", "prior", "sphere"] = "none",
        limit: float = 2.0,
    ) -> None:
        super().__init__(generator, prior_samples)
        require("space", POSITIVE, limit=limit)
        if constraint not in ("none", "clamp", "prior", "sphere"):
            raise ValueError(f"space.constraint: '{constraint}' is unknown; choose none, clamp, prior or sphere")
        self.constraint = constraint
        self.limit = limit

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Clamp or rescale to the sphere, as configured."""
        if self.constraint == "clamp":
            return latent.clamp(-self.limit, self.limit)
        if self.constraint == "prior":
            bound = BOUNDS.get(self.generator.prior or "", math.inf) * self.generator.prior_scale
            return latent if bound == math.inf else latent.clamp(-bound, bound)
        if self.constraint == "sphere":
            flat = latent.flatten(1)
            radius = EXACT.get(self.generator.prior or "", 1.0) * self.generator.prior_scale * flat.shape[1] ** 0.5
            norm = flat.norm(dim=1, keepdim=True)
            # The prior mean is the centre of the sphere: from there any direction is as good, so a fixed one is taken.
            flat = torch.where(norm > 1e-6, flat, torch.ones_like(flat))
            return (flat * (radius / flat.norm(dim=1, keepdim=True))).view_as(latent)
        return latent
