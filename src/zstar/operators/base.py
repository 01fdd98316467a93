"""The protocol of operators D: what stands between G(v) and the losses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

Named = Mapping[str, Tensor]
Shape = tuple[int, int, int]  # channels, height, width


class AbstractOperator(ABC):
    """A degradation of images, so that v* = argmin Σ λ L(D(G(v)), D(x)) + Σ μ R(v) restores what D has taken away.

    D acts on each image by itself and is differentiable in it. The losses compare D(G(v)) with the observation D(x), so
    that nothing of x but its observation counts. What happens to observations alone, and to no G(v), is
    :meth:`observe`: noise. In a real restoration the picture at hand is an observation already; D of it is, up to
    rounding and resampling, that picture again, or the operator has a setting that says so.

    Attributes:
        reads: Names of the targets that D depends on, besides the images.
        linear: Whether D(G(v)) is a linear function of G(v), up to a constant.
    """

    reads: tuple[str, ...] = ()
    linear: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, images: Float[Tensor, "b c h w"], targets: Named) -> Float[Tensor, "b c h2 w2"]:
        """D(images), as of G(v).

        Arguments:
            images: In [−1, 1], of any size.
            targets: The named targets of the same images, each ``[b, …, h0, w0]`` at the size of G's images.
        """

    def as_picture(
        self, observation: Float[Tensor, "b c h2 w2"], targets: Named, size: tuple[int, int]
    ) -> Float[Tensor, "b c h w"]:
        """An observation as a picture of the height and width ``size`` that D's images had: for encoders and people.

        It is one by itself where D keeps the size.
        """
        return observation

    def observe(
        self, images: Float[Tensor, "b c h w"], targets: Named, ids: Sequence[str]
    ) -> Float[Tensor, "b c h2 w2"]:
        """The observation of what G(v) is compared with: D(images), and what happens to observations alone.

        Arguments:
            images, targets: As in a call.
            ids: Name of each image; what is random in its observation depends on it, never on the batch.
        """
        return self(images, targets)

    def shape(self, shape: Shape) -> Shape:
        """Channels, height and width of D(images), from those of the images.

        Raises:
            ValueError: D leaves nothing of such images, or is not for them; one sentence with the key.
        """
        return shape
