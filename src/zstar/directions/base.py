"""The protocols of directions and of their finders."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.reasons import Unfit
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables
from zstar.spaces.base import AbstractSpace


@dataclass(frozen=True)
class Label:
    """The facts about a direction beside its numbers.

    Attributes:
        meaning: The effect of a positive α, in words.
        unit: Unit of α, e.g. ``"octaves"``, or ``"σ"`` for standard deviations of the prior along the direction.
        low, high: The useful range of α.
        found: How it was found: the method and its settings, plain values.
        scores: Measurements of it, by name.
        curve: What it achieves on latents that it was not learned from: a row for each strength with ``alpha`` and the
            mean ``achieved`` strength, in the same unit. Empty where nobody has measured it.
    """

    meaning: str = ""
    unit: str = "σ"
    low: float = -2.0
    high: float = 2.0
    found: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()

    def strengths(self, count: int) -> Float[Tensor, " count"]:
        """``count`` values of α over the useful range, with 0 among them where ``count`` is odd and ≥ 3.

        Each side of 0 is divided evenly by itself, so a range that is no mirror image still has 0 in the middle; one
        that begins or ends at 0 has it there. A single one is the upper end, or the lower one where the upper is 0.
        """
        if count == 1:
            return torch.tensor([self.high or self.low], dtype=torch.float32)
        if count < 3 or count % 2 == 0 or 0 in (self.low, self.high):
            return torch.linspace(self.low, self.high, count)
        half = count // 2
        return torch.cat([torch.linspace(self.low, 0, half + 1), torch.linspace(0, self.high, half + 1)[1:]])


class AbstractDirection(ABC):
    """Δv: changes what images are made of by a strength α. α = 0 changes nothing, bit for bit.

    Attributes:
        space: Name of the latent space that it moves latents of; ``None`` where it leaves latents as they are, and
            changes what the generator makes of them.
        label: What is known of it.
    """

    space: str | None
    label: Label

    @abstractmethod
    def carry(
        self, generator: AbstractGenerator, v: Variables, space: str, alpha: Float[Tensor, " b"]
    ) -> tuple[dict[str, Tensor], str]:
        """v changed, each image by its own α, and the space that its latents are in then; differentiable.

        Raises:
            ValueError: There is no way to it from latents of ``space``.
        """

    @abstractmethod
    def require_fit(self, generator: AbstractGenerator) -> None:
        """Raise ``ValueError`` where it can't be one of this generator, by the sizes."""

    @abstractmethod
    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors, and the plain settings that rebuild it with them (without label and space)."""

    @classmethod
    @abstractmethod
    def unpack(
        cls, space: str | None, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> "AbstractDirection":
        """The direction that :meth:`pack` has packed; ``ValueError`` if they do not belong together."""


class AbstractLatentDirection(AbstractDirection):
    """Δz: moves latents of one space.

    Attributes:
        space: Name of the latent space.
    """

    space: str  # ty: ignore[incompatible-mutable-override]

    @abstractmethod
    def move(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        """The latents moved, each by its own α; differentiable."""

    def carry(
        self, generator: AbstractGenerator, v: Variables, space: str, alpha: Float[Tensor, " b"]
    ) -> tuple[dict[str, Tensor], str]:
        """Move the latents; a direction of w moves every row of w_plus as a latent of its own, and for one of a richer
        space they are lifted there."""
        latent = v["latent"]
        if (self.space, space) == ("w", "w_plus"):
            moved = self.move(latent.flatten(0, 1), alpha.repeat_interleave(latent.shape[1])).view_as(latent)
            return {**v, "latent": moved}, space
        if self.space != space:
            require_way(generator, space, self.space)
            latent, space = generator.lift(latent, space, self.space), self.space
        return {**v, "latent": self.move(latent, alpha)}, space

    def require_fit(self, generator: AbstractGenerator) -> None:
        """Its tensors have to move latents of its space."""
        shape = generator.shape(self.space)
        try:
            fine = self.move(torch.zeros(1, *shape), torch.ones(1)).shape == (1, *shape)
        except (RuntimeError, TypeError):  # torch's, of sizes; and of whoever checks annotations
            fine = False
        if not fine:
            raise ValueError(f"its tensors do not move latents of {self.space}, {shape}")


def require_way(generator: AbstractGenerator, space: str, target: str | None) -> None:
    """Refuse a direction of ``target`` that latents of ``space`` can't be moved along."""
    if target is None:
        return
    order = list(generator.spaces)
    generator.shape(target)
    if (target, space) != ("w", "w_plus") and order.index(target) < order.index(space):
        raise Unfit(
            f"direction: it moves latents of {target}, and these images were projected into {space}, which leads no "
            f"way back; project them with space={target}, or choose a direction of {space}"
        )


class AbstractFinder(ABC):
    """A way of finding directions in a generator that is given. Its settings come from conf/direction/<name>.yaml.

    Attributes:
        candidates: Names of which :meth:`find` gives some or all, where they are known before anything is sought.
    """

    candidates: Sequence[str] | None = None

    @abstractmethod
    def find(self, space: AbstractSpace) -> dict[str, AbstractDirection]:
        """Directions by name, in ``space`` or in another one of the same generator."""
