"""The vector of a class, beside a z that stays as it is."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.reasons import Unfit
from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import AbstractSpace


class Embedding(AbstractSpace):
    """The class alone: a free vector of the classes' embedding, while z stays what the start says.

    A point is a latent of ``z_class``, of which ``optimization``, ``starts`` and ``cma`` move the last coordinates
    alone; so z is the prior's mean, that of the best draw, or with ``projector=[saved,optimization]`` that of a run in
    z or z_class. The choice for asking what of a picture is a matter of its class.

    Arguments:
        generator: The fixed generator G, with classes that have vectors.
        prior_samples: Number of samples that the prior statistics are estimated from.
    """

    name = "z_class"
    title = "embedding"

    def __init__(self, generator: AbstractGenerator, prior_samples: int = 10_000) -> None:
        if "z_class" not in generator.spaces:
            kind = type(generator).__name__
            raise Unfit(f"space.embedding: {kind} has no vectors of classes; choose generator=biggan or biggan_deep")
        super().__init__(generator, prior_samples)
        self.fixed_rows = generator.z_dim

    def constrain(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The identity: every vector is allowed."""
        return latent
