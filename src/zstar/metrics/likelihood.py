"""How likely a flow takes images to be."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.invertible import Invertible
from zstar.metrics.base import AbstractModelMetric

Of = Literal["reconstruction", "target"]


class Likelihood(AbstractModelMetric):
    """−log₂ p(x) for each colour value of an image: bits per dimension under the generator, as papers on flows report.

    Of the targets it says how well the flow knows such images, whatever the method; of the reconstructions, beside
    that, whether a method has made them smoother, and so likelier, than they were. Images are taken as they are,
    neither clamped nor rounded; p is that of the generator, also where an image has weights of its own.

    Arguments:
        of: Whether ``reconstruction`` or ``target``.
    """

    better = "lower"
    unit = "bits"
    needs = "a flow, such as generator=glow or realnvp"

    def __init__(self, of: Of = "reconstruction") -> None:
        if of not in get_args(Of):
            raise ValueError(f"metric.likelihood.of: '{of}' is unknown; choose reconstruction or target")
        self.of = of

    @torch.no_grad()
    def __call__(
        self, generator: AbstractGenerator, image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, " b"] | None:
        if not isinstance(generator, Invertible):
            return None
        return generator.bits_per_dimension(target if self.of == "target" else image)
