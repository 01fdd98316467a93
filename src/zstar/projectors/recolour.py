"""The colours of the image in what was found."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.callbacks import Callback
from zstar.images import LUMA
from zstar.inversion import Inversion, clock
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractProjector
from zstar.projectors.pictures import require_pixels


class Recolour(AbstractProjector):
    """v with its own luminance and the chrominance of a target, for ``generator=pixels``: the last step of a style
    transfer that keeps the colours of the content.

    What neural-style calls original colours (Gatys et al. 2016, https://arxiv.org/abs/1606.05897, "luminance only").
    The other way of that paper, colours of the style that are matched before, is ``loss.gram.palette=image``. The
    result is taken whatever the equation says of it.

    Arguments:
        problem: The equation without its targets.
        target: Name of the target whose colours are kept.
    """

    def __init__(self, problem: Problem, target: str = "image") -> None:
        super().__init__(problem)
        require_pixels(problem, "projector.recolour")
        self.target = target

    @property
    def cost(self) -> int:
        return self.problem.cost()

    @property
    def reads(self) -> dict[str, str]:
        return {"projector.recolour.target": self.target}

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """The target, lit as what was found so far."""
        targets = objective.targets
        began = clock(targets.images.device)
        self.require_targets(targets.named, targets.maps)
        picture, start = targets.named[self.target], self.problem.start(targets)
        found = (start if inversion is None else inversion.v)["latent"]
        v = self.problem.start(targets, picture + luminance(found) - luminance(picture))
        return self.candidate(objective, v, 0, began).after(inversion)


def luminance(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """The luma (BT.601) of images of three channels, and those of one as they are."""
    if image.shape[1] == 1:
        return image
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return (image * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
