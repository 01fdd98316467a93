"""How unlikely the image is."""

from jaxtyping import Float
from torch import Tensor

from zstar.generators.invertible import require_invertible
from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace


class Likelihood(AbstractRegularizer):
    """−log₂ p(G(v)) for each colour value of the image: bits per dimension, as a flow (``generator=glow``, ``realnvp``)
    is trained with.

    The prior that a maximum a posteriori estimate asks for where the image is not all there: inpainting,
    super-resolution (Asim et al. 2020, https://arxiv.org/abs/1905.11672). Beside log p(z), which ``latent_norm`` is, it
    knows how much the flow stretches the prior at z: smooth pictures are likelier than their latents are. p is that of
    the generator as it is, also where an image has weights of its own.

    Arguments:
        space: The space that the latents live in; it holds the flow.
        weight: μ, the factor of this regularizer in the objective. A mean squared error E of images in [−1, 1] beside
            it is Gaussian noise of variance weight / (2 ln 2) in them.
    """

    syntheses = 1  # what the inverse costs

    def __init__(self, space: AbstractSpace, weight: float = 1.0) -> None:
        super().__init__(space, weight)
        otherwise = "generator=glow or realnvp, or regularizer=[latent_norm]"
        self.flow = require_invertible(space.generator, "regularizer.likelihood", otherwise)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return self.flow.bits_per_dimension(image)
