"""Where pictures are unreal: locations whose features no real picture has, or boxes that someone drew."""

import json
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.paths import place, read_text
from zstar.config.reasons import reason
from zstar.losses.networks import as_rgb
from zstar.stats.streams import stream

BANK = 20_000  # features of real locations that are kept
ROWS = 1024  # locations compared at once
GRID = 16  # most locations along a side of the map that is compared


class Realism:
    """The distance of each location's features to the nearest of real pictures', in units of what is usual for real
    ones: 1 is the distance that one in twenty locations of other real pictures exceeds.

    Arguments:
        network: Takes images in [−1, 1] and returns a list of feature maps, or something whose ``features`` it is.
        real: Real pictures; the bank is made of the first half, and what is usual is found on the second.
        seed: Of the locations that are kept.
        size: Pictures at a time.
    """

    def __init__(self, network: nn.Module, real: Float[Tensor, "n c h w"], seed: int, size: int) -> None:
        self.network, self.size = network, size
        half = len(real) // 2
        maps = [self._map(part) for part in real[:half].split(size)]
        flat = torch.cat([one.movedim(1, -1).flatten(0, 2) for one in maps])
        self.mean, self.deviation = flat.mean(dim=0), flat.std(dim=0).clamp_min(1e-6)
        kept = torch.randperm(len(flat), generator=stream("real locations", seed))[:BANK]
        self.bank = (flat[kept.to(flat.device)] - self.mean) / self.deviation
        self.unit = 1.0
        self.unit = float(torch.cat([self(part).flatten() for part in real[half:].split(size)]).quantile(0.95))

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b y x"]:
        """The distance at each location of a coarse grid."""
        values = self._map(images)
        flat = (values.movedim(1, -1).flatten(0, 2) - self.mean) / self.deviation
        near = torch.cat([torch.cdist(part, self.bank).amin(dim=1) for part in flat.split(ROWS)])
        return near.view(len(values), *values.shape[2:]) / self.unit

    @torch.no_grad()
    def _map(self, images: Tensor) -> Tensor:
        found = self.network.to(images.device)(as_rgb(images.clamp(-1, 1)))
        maps = list(getattr(found, "features", found))
        return next((one for one in maps if max(one.shape[2:]) <= GRID), maps[-1]).float()


def read_boxes(path: str | Path, samples: int, size: tuple[int, int]) -> Float[Tensor, "n h w"]:
    """What a user has marked as unreal: 1 within the boxes of each of ``samples`` pictures.

    Arguments:
        path: A JSON file: a list of ``{"sample": 3, "box": [top, left, height, width]}``, in pixels; samples are
            counted from 0.
        samples: Number of samples.
        size: Height and width of the pictures.

    Raises:
        ValueError: The file is none, or a box lies outside; one sentence with the path.
    """
    try:
        rows = json.loads(read_text(place(path)))
        found = torch.zeros(samples, *size)
        for row in rows:
            sample, (top, left, height, width) = int(row["sample"]), map(int, row["box"])
            inside = 0 <= top and 0 <= left and top + height <= size[0] and left + width <= size[1]
            if not (0 <= sample < samples and inside and min(height, width) > 0):
                raise ValueError(f"{row} lies outside of the {samples} samples of {size[0]}×{size[1]} pixels")
            found[sample, top : top + height, left : left + width] = 1
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(
            f"analysis.artefacts.boxes: {path} can't be used ({reason(error)}); write a list of "
            '{"sample": 3, "box": [top, left, height, width]}'
        ) from None
    if not found.any():
        raise ValueError(f"analysis.artefacts.boxes: {path} has no box; mark some, or leave it null")
    return found


def most_unreal(distance: Float[Tensor, "n y x"], share: float) -> Float[Tensor, "n y x"]:
    """1 at the share of all locations with the largest distance."""
    flat = distance.flatten()
    level = flat.sort().values[min(len(flat) - 1, round((1 - share) * len(flat)))]
    return (distance >= level).float()
