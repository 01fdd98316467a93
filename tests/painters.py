"""Units for brushes, found in a second: those that are more active where a class is seen than elsewhere."""

from pathlib import Path

import torch
from torch.nn import functional as F

from zstar.directions.base import Label
from zstar.directions.library import save_directions
from zstar.directions.units import Units
from zstar.dissection.units import UnitSet
from zstar.generators.reading import read
from zstar.generators.stylegan2 import StyleGAN2
from zstar.segmenters.annotator import Annotator
from zstar.stats.streams import stream

LAYERS = {"tree": "b32.conv1", "door": "b32.conv0", "cloud": "b32.conv1"}


@torch.no_grad()
def write_units(path: Path, count: int = 96, most: int = 24) -> Path:
    """Write a file of units for trees, doors and clouds of the shipped generator."""
    generator, segmenter = StyleGAN2(checkpoint="cottages64"), Annotator()
    latent = generator.sample(count, stream("units of tests", 0))
    maps, images = read(generator, {"latent": latent}, "z", "const", sorted(set(LAYERS.values())))
    classes, found = segmenter(images), {}
    for name, layer in LAYERS.items():
        seen, acts = (classes == segmenter.column(name, "units")).float()[:, None], maps[layer]
        here = F.adaptive_avg_pool2d(seen, acts.shape[-2:])
        with_it, without = ((acts * w).sum((0, 2, 3)) / w.sum() for w in (here, 1 - here))
        units = ((with_it - without) / acts.std(dim=(0, 2, 3))).topk(most).indices
        one = UnitSet(layer, tuple(acts.shape[1:]), units, torch.ones(most), with_it[units], torch.zeros(most))
        found[name] = Units(one, label=Label(meaning=name, unit="", low=-1.0, high=1.0))
    save_directions(path, found, generator)
    return path
