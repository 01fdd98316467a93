"""Total variation of the image."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer

FLAT = 3e-3  # slope below which it is a square, so that its gradient ends where nothing varies


class TotalVariation(AbstractRegularizer):
    """Mean over pixels of the slope of G(v), the root of the squared differences to the right and the lower neighbour.

    The prior of images that are flat but for sharp edges (Rudin, Osher and Fatemi 1992,
    https://doi.org/10.1016/0167-2789(92)90242-F), of all channels under one root, so that their edges fall together
    (Bresson and Chan 2008, https://doi.org/10.3934/ipi.2008.2.455). With ``generator=pixels`` it restores what no
    generator knows; ``optimizer=lbfgs`` is at its end within 200 steps.

    Arguments:
        space: Any space.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        right = F.pad(image.diff(dim=3), [0, 1, 0, 0])
        below = F.pad(image.diff(dim=2), [0, 0, 0, 1])
        squares = (right.square() + below.square()).sum(dim=1)
        return ((squares + FLAT**2).sqrt() - FLAT).mean(dim=(1, 2))
