"""The protocol of annotations: latents with scores of attributes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from zstar.spaces.base import AbstractSpace


@dataclass(frozen=True)
class ScoredLatents:
    """Latents with a score of each attribute.

    Attributes:
        latents: ``[n, ...]`` in one space.
        scores: ``[n, k]``: the more, the more of the attribute; labels are 0 and 1; NaN where it is unknown.
        names: Name of each attribute, in the order of the scores.
        origin: Source of the scores, plain values for cards.
    """

    latents: Float[Tensor, "n ..."]
    scores: Float[Tensor, "n k"]
    names: tuple[str, ...]
    origin: dict[str, object]

    def column(self, name: str) -> Float[Tensor, " n"]:
        """The scores of one attribute; asking for one that is not there names the ones that are."""
        if name not in self.names:
            raise ValueError(f"attribute: there is no '{name}'; choose from {', '.join(self.names)}")
        return self.scores[:, self.names.index(name)]


class AbstractAnnotation(ABC):
    """A source of scored latents.

    Attributes:
        names: Name of each attribute, known before any latent is scored.
        home: Name of the space of its latents, where they are given; ``None`` where they can be of any.
    """

    names: tuple[str, ...]
    home: str | None = None

    @abstractmethod
    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        """Latents of ``space`` with their scores; the same ones each time."""


class AbstractScorer(AbstractAnnotation):
    """An annotation that can score any image, not only those that it has latents of."""

    @abstractmethod
    def score(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The scores of images in [−1, 1], in the order of ``names``; NaN where an attribute does not apply."""
