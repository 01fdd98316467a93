"""The protocol of editability: how well a direction does what it is for."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.directions.apply import apply
from zstar.directions.base import AbstractDirection
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables


@dataclass(frozen=True)
class Traversal:
    """Images and a direction to move them along.

    Attributes:
        name: Name of the direction.
        direction: The direction.
        generator: What makes the images.
        v: Where they start: ``latent`` [n, ...], and what else belongs to each image.
        space: Space of the latents.
        alphas: Strengths that curves are measured at, ``[s]``, ascending.
        noise: Which noise there is where v has no maps.
        size: Images made at once.
        memory: What measures have found and may ask for again.
    """

    name: str
    direction: AbstractDirection
    generator: AbstractGenerator
    v: Variables
    space: str
    alphas: Float[Tensor, " s"]
    noise: str = "const"
    size: int = 32
    memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @property
    def latent(self) -> Float[Tensor, "n ..."]:
        """The latents that they start at."""
        return self.v["latent"]

    def __len__(self) -> int:
        return len(self.latent)

    @torch.no_grad()
    def render(self, alpha: Float[Tensor, " n"], rows: Int64[Tensor, " m"] | None = None) -> Float[Tensor, "m c h w"]:
        """Each image, or each of some, moved by its own of the strengths of all of them, clamped to [−1, 1]."""
        made = []
        for part in (torch.arange(len(self), device=alpha.device) if rows is None else rows).split(self.size):
            v = {name: value[part] for name, value in self.v.items()}
            with self.generator.conditioned(v.get("class")):
                moved, space = apply(self.generator, v, self.space, [(self.direction, alpha[part])])
            made.append(self.generator.render(moved, space, self.noise).clamp(-1, 1))
        return torch.cat(made)

    @cached_property
    def before(self) -> Float[Tensor, "n c h w"]:
        """The images as they are, at α = 0."""
        return self.render(self.latent.new_zeros(len(self)))

    @cached_property
    def images(self) -> Float[Tensor, "s n c h w"]:
        """The images at each of the strengths."""
        return torch.stack(
            [self.render(torch.full_like(self.latent.flatten(1)[:, 0], a)) for a in self.alphas.tolist()]
        )


class AbstractEditability(ABC):
    """Something that is measured of a direction on images.

    Attributes:
        unit: Unit to print behind the values; empty for none.
    """

    unit: str = ""

    @abstractmethod
    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        """Name → value per image; not-a-number where it is not defined. Empty if it says nothing of this direction."""
