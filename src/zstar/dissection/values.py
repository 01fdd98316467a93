"""The values of units where a class is, and where it is not: what they are replaced by."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.dissection.base import Subject
from zstar.dissection.scenes import Scenes
from zstar.generators.reading import read

COVERED = 0.5  # share of a cell from which on a class covers it


@torch.no_grad()
def class_means(subject: Subject, scenes: Scenes, layers: list[str]) -> dict[str, Tensor]:
    """Means of all units of some layers, in one pass.

    Returns:
        ``present/<layer>`` [classes, units]: the mean over the locations whose cell a class covers to one half at
        least; where a class covers none so far, as small things on coarse grids, the mean weighted by how much of each
        cell it covers. ``absent/<layer>``: the mean over the locations without a pixel of the class.
    """
    classes = len(subject.segmenter.classes)
    sums: dict[str, Tensor] = {}
    for part in scenes.batches(subject.batch):
        v = {"latent": subject.generator.bring(part.latents)}
        maps, _ = read(subject.generator, v, subject.space, "const", layers)
        for layer, values in maps.items():
            share = cover(part.labels.to(values.device), classes, (values.shape[2], values.shape[3]))
            flat = values.permute(0, 2, 3, 1).flatten(0, 2).double()  # [locations, units]
            for name, weight in (("covered", share >= COVERED), ("weighted", share), ("absent", share == 0)):
                spread = weight.permute(0, 2, 3, 1).flatten(0, 2).double()  # [locations, classes]
                for key, term in ((f"{name}/{layer}", spread.T @ flat), (f"n {name}/{layer}", spread.sum(dim=0))):
                    sums[key] = sums[key] + term if key in sums else term
    found = {}
    for layer in layers:
        mean = {
            name: sums[f"{name}/{layer}"] / sums[f"n {name}/{layer}"].clamp_min(1e-9)[:, None]
            for name in ("covered", "weighted", "absent")
        }
        enough = sums[f"n covered/{layer}"] > 0
        found[f"present/{layer}"] = torch.where(enough[:, None], mean["covered"], mean["weighted"]).float().cpu()
        found[f"absent/{layer}"] = mean["absent"].float().cpu()
    return found


def cover(labels: Tensor, classes: int, size: tuple[int, int]) -> Float[Tensor, "n k h w"]:
    """The share of each cell of a grid that each class covers."""
    planes = torch.stack([labels == k for k in range(classes)], dim=1).float()
    return F.adaptive_avg_pool2d(planes, size)


def values_off(means: dict[str, Tensor], layer: str, column: int, absent: Literal["zero", "mean"]) -> Tensor:
    """What the units of a layer are replaced by where a class is to go."""
    value = means[f"absent/{layer}"][column]
    return torch.zeros_like(value) if absent == "zero" else value
