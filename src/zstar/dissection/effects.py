"""The effect of each unit alone."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.dissection.base import Subject
from zstar.dissection.scenes import Scenes, count_pixels, picture, see
from zstar.dissection.units import UnitSet


@torch.no_grad()
def single_effects(subject: Subject, scenes: Scenes, layer: str, shape: tuple[int, int, int]) -> Float[Tensor, "u n k"]:
    """Pixels of each class that each picture loses with one unit of a layer set to zero, as the segmenter sees it."""
    k, rows = len(subject.segmenter.classes), []
    before = count_pixels(scenes.labels, k)
    for unit in range(shape[0]):
        alone = UnitSet(layer, shape, torch.tensor([unit]), torch.ones(1), torch.zeros(1), torch.zeros(1))
        after = [
            count_pixels(see(subject.segmenter, picture(subject, part.latents, alone)), k)
            for part in scenes.batches(subject.batch)
        ]
        rows.append(before - torch.cat(after))
    return torch.stack(rows)
