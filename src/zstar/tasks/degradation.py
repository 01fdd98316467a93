"""What a network in training is shown of its images, and what its reconstructions are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from zstar.operators.base import AbstractOperator
from zstar.operators.chain import degrade, observe, picture, require_maps, require_remains
from zstar.spaces.base import AbstractSpace

Compare = Literal["clean", "observed"]


@dataclass(frozen=True)
class Degradation:
    """Operators D before a network, so that it learns to restore: E(D(x)).

    Training has the clean pictures, so that G(E(D(x))) can be compared with x itself, ``clean``: what D has taken away
    is learned from the data as well as from G. With ``observed``, D(G(E(D(x)))) is compared with D(x), as a projection
    does, which needs no picture that is whole.

    Attributes:
        operators: Name → D, one after the other.
        compare: ``clean`` or ``observed``.

    Raises:
        ValueError: There is no such comparison; one sentence with the key.
    """

    operators: Mapping[str, AbstractOperator] = field(default_factory=dict)
    compare: Compare = "clean"

    def __post_init__(self) -> None:
        if self.compare not in get_args(Compare):
            names = ", ".join(get_args(Compare))
            raise ValueError(f"task.compare: there is no comparison '{self.compare}'; choose one of {names}")

    def require_fit(self, space: AbstractSpace) -> None:
        """Refuse operators that leave nothing of the generator's images, or read what a training does not have."""
        size = space.generator.resolution
        require_remains(self.operators.values(), (space.generator.channels, size, size))
        lack = "a training of encoders has no '{}'; set what stands in its place, as operator.mask.box for the mask"
        require_maps(self.operators, (), lack)

    def shown(self, images: Float[Tensor, "b c h w"], ids: Sequence[str]) -> Float[Tensor, "b c h w"]:
        """What the network sees of images of these names: the observations, as pictures."""
        return picture(self.operators.values(), images, {}, ids)

    def goal(self, images: Float[Tensor, "b c h w"], ids: Sequence[str]) -> Float[Tensor, "b c h2 w2"]:
        """What :meth:`made` is compared with."""
        return images if self.compare == "clean" else observe(self.operators.values(), images, {}, ids)

    def made(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """What is compared of a reconstruction."""
        return images if self.compare == "clean" else degrade(self.operators.values(), images, {})
