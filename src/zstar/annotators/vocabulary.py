"""The meaning of an annotator's outputs: names, ranges, and the object that each factor belongs to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.stats.constants import Constant


@dataclass(frozen=True)
class Meaning:
    """One factor of an image.

    Attributes:
        low, high: Its range in ``unit``.
        flag: Whether it is a presence flag (0 or 1) rather than a value in [low, high].
        needs: Flags of which at least one must be 1, or 0 if written ``!flag``, for the factor to show in the image.
    """

    name: str
    low: float
    high: float
    unit: str = ""
    flag: bool = False
    needs: tuple[str, ...] = ()


class Vocabulary:
    """Carries factors to the scale of the network's outputs and back, and compares the two.

    Arguments:
        classes: Name of each class, in the order of the logits.
        factors: Meaning of each factor, in the order of the outputs.
    """

    def __init__(self, classes: Sequence[str], factors: Sequence[Meaning]) -> None:
        self.classes, self.factors = tuple(classes), tuple(factors)
        names = [factor.name for factor in factors]
        self.low = Constant(torch.tensor([float(factor.low) for factor in factors]))
        self.high = Constant(torch.tensor([float(factor.high) for factor in factors]))
        self.flag = Constant(torch.tensor([factor.flag for factor in factors]))
        self.needs = [[(names.index(n.lstrip("!")), not n.startswith("!")) for n in f.needs] for f in factors]

    def scale(self, factors: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """Factors in their units → [0, 1]; flags stay 0 or 1."""
        low, high, flag = (limit.on(factors.device) for limit in (self.low, self.high, self.flag))
        return torch.where(flag, factors, (factors - low) / (high - low))

    def read(self, outputs: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """Network outputs → factors in their units; flags become probabilities."""
        low, high, flag = (limit.on(outputs.device) for limit in (self.low, self.high, self.flag))
        return torch.where(flag, outputs.sigmoid(), low + outputs * (high - low))

    def known(self, factors: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """1 where a factor shows in its image, 0 where its object is absent."""
        on, columns = factors > 0.5, []
        for needs in self.needs:
            columns.append(
                torch.stack([on[:, k] == present for k, present in needs]).any(dim=0)
                if needs
                else torch.ones_like(on[:, 0])
            )
        return torch.stack(columns, dim=1).to(factors.dtype)

    def distance(self, outputs: Float[Tensor, "b k"], factors: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
        """Cross entropy of the flags plus squared error of the known values in [0, 1], meaned over the factors."""
        target = self.scale(factors)
        entropy = F.binary_cross_entropy_with_logits(outputs, target.clamp(0, 1), reduction="none")
        error = torch.where(self.flag.on(outputs.device), entropy, (outputs - target).square())
        return (error * self.known(factors)).mean(dim=1)

    def card(self) -> dict[str, Any]:
        """The meanings as plain containers."""
        return {"classes": list(self.classes), "factors": [asdict(factor) for factor in self.factors]}

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "Vocabulary":
        """The vocabulary that ``card`` was made from."""
        return cls(card["classes"], [Meaning(**{**f, "needs": tuple(f["needs"])}) for f in card["factors"]])
