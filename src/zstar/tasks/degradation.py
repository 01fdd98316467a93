"""What a network in training is shown of its images, and what its reconstructions are compared with."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from zstar.losses.base import AbstractLoss, lack
from zstar.operators.base import AbstractOperator, Named
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
        shows: Name of the target that the network sees: ``image``, or another one whose way to the image is to be
            learned, such as ``source``.

    Raises:
        ValueError: There is no such comparison; one sentence with the key.
    """

    operators: Mapping[str, AbstractOperator] = field(default_factory=dict)
    compare: Compare = "clean"
    shows: str = "image"

    def __post_init__(self) -> None:
        if self.compare not in get_args(Compare):
            names = ", ".join(get_args(Compare))
            raise ValueError(f"task.compare: there is no comparison '{self.compare}'; choose one of {names}")

    def require_fit(self, space: AbstractSpace, names: Collection[str] = ()) -> None:
        """Refuse operators that leave nothing of the generator's images, and what reads a target that there is not.

        Arguments:
            names: The targets that the data have besides the image.
        """
        if self.shows not in ("image", *names):
            raise ValueError(lack("task.shows", self.shows, {"image", *names}))
        size = space.generator.resolution
        require_remains(self.operators.values(), (space.generator.channels, size, size))
        missing = "the data of this training have no '{}'; give data.{}=…, or set what stands in its place, as "
        require_maps(self.operators, set(names) & {"mask"}, missing + "operator.mask.box for the mask")

    def shown(self, named: Named, ids: Sequence[str]) -> Float[Tensor, "b c h w"]:
        """What the network sees of images of these names: the observations, as pictures."""
        return picture(self.operators.values(), named[self.shows], named, ids)

    def goals(
        self, losses: Mapping[str, AbstractLoss], named: Named, ids: Sequence[str]
    ) -> dict[str, Float[Tensor, "b k h2 w2"]]:
        """For each loss what :meth:`made` is compared with, where it is several pictures one behind the other."""
        seen = dict(named)
        if self.compare == "observed":
            wanted = {name for loss in losses.values() for name in loss.pictures.values()}
            seen |= {name: observe(self.operators.values(), named[name], named, ids) for name in wanted}
        return {name: loss.gather(seen) for name, loss in losses.items()}

    def made(self, images: Float[Tensor, "b c h w"], named: Named) -> Float[Tensor, "b c h2 w2"]:
        """What is compared of a reconstruction."""
        return images if self.compare == "clean" else degrade(self.operators.values(), images, named)
