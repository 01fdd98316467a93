"""Smoothness: evenness of the perceptual steps along α."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import Within, require
from zstar.editability.base import AbstractEditability, Traversal
from zstar.losses.base import AbstractLoss


class Smoothness(AbstractEditability):
    """Perceptual distances between neighbours on the path from one end of the useful range to the other.

    Per image: ``smoothness/length``, their sum; ``smoothness/unevenness``, the largest of them over their mean, which
    is 1 for a path without jumps.

    Arguments:
        distance: The perceptual distance.
        steps: Number of steps on the path.
    """

    def __init__(self, distance: AbstractLoss, steps: int = 16) -> None:
        require("editability.smoothness", Within(2), steps=steps)
        self.distance, self.steps = distance, steps

    @torch.no_grad()
    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        label, found = traversal.direction.label, []
        old: Tensor | None = None
        for alpha in torch.linspace(label.low, label.high, self.steps + 1).tolist():
            new = traversal.render(torch.full_like(traversal.latent.flatten(1)[:, 0], alpha))
            if old is not None:
                pairs = zip(new.split(traversal.size), old.split(traversal.size), strict=True)
                distance = self.distance.to(new.device)
                found.append(torch.cat([distance(a, b) for a, b in pairs]))
            old = new
        steps = torch.stack(found)
        return {
            "smoothness/length": steps.sum(dim=0),
            "smoothness/unevenness": steps.amax(dim=0) / steps.mean(dim=0).clamp_min(1e-12),
        }
