"""The protocol of operators D: what stands between G(v) and the losses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

Named = Mapping[str, Tensor]


class AbstractOperator(ABC):
    """A degradation of images, so that v* = argmin Σ λ L(D(G(v)), D(x)) + Σ μ R(v) restores what D has taken away.

    D acts on each image by itself and is differentiable in it. The losses compare D(G(v)) with the observation D(x), so
    that nothing of x but its observation counts. In a real restoration the picture at hand is an observation already;
    D of it is, up to rounding and resampling, that picture again.

    Attributes:
        reads: Names of the targets that D depends on, besides the images.
    """

    reads: tuple[str, ...] = ()

    @abstractmethod
    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h2 w2"]:
        """D(images).

        Arguments:
            images: In [−1, 1], of any size.
            targets: The named targets of the same images, each ``[b, …, h0, w0]`` at the size of G's images.
        """

    @abstractmethod
    def as_picture(
        self, observation: Float[Tensor, "b c h2 w2"], targets: Named, size: tuple[int, int]
    ) -> Float[Tensor, "b c h w"]:
        """An observation as a picture of the height and width ``size`` that D's images had: for encoders and people."""
