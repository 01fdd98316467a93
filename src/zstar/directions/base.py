"""The protocols of directions and of their finders."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

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
    """Δz: moves latents of one space by a strength α. α = 0 moves nothing, bit for bit.

    Attributes:
        space: Name of the latent space.
        label: What is known of it.
    """

    space: str
    label: Label

    @abstractmethod
    def move(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        """The latents moved, each by its own α; differentiable."""

    @abstractmethod
    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors, and the plain settings that rebuild it with them (without label and space)."""

    @classmethod
    @abstractmethod
    def unpack(
        cls, space: str, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> "AbstractDirection":
        """The direction that :meth:`pack` has packed; ``ValueError`` if they do not belong together."""


class AbstractFinder(ABC):
    """A way of finding directions in a generator that is given. Its settings come from conf/direction/<name>.yaml.

    Attributes:
        candidates: Names of which :meth:`find` gives some or all, where they are known before anything is sought.
    """

    candidates: Sequence[str] | None = None

    @abstractmethod
    def find(self, space: AbstractSpace) -> dict[str, AbstractDirection]:
        """Directions by name, in ``space`` or in another one of the same generator."""
