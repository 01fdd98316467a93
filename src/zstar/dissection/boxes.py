"""Boxes to insert things in: of the size that a class usually has, at places where there is room for it."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy import ndimage
from torch import Tensor

from zstar.dissection.base import Subject
from zstar.dissection.scenes import Scenes, picture
from zstar.dissection.units import UnitSet
from zstar.segmenters.base import AbstractSegmenter
from zstar.stats.streams import stream

LARGEST = 0.25  # side of a box, in sides of the picture
SMALLEST = 4  # pixels of a thing that counts


def regions(scenes: Scenes, column: int) -> Int64[np.ndarray, "m 4"]:
    """Top, left, height and width of the connected regions of a class, in pixels."""
    found = []
    for labels in scenes.labels:
        numbered, _ = ndimage.label((labels == column).numpy())
        for rows, columns in ndimage.find_objects(numbered):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            if height * width >= SMALLEST:
                found.append((rows.start, columns.start, height, width))
    if not found:
        raise ValueError("classes: no picture of the samples has the class; leave it out, or draw more samples")
    return np.array(found)


def usual_size(scenes: Scenes, column: int) -> tuple[int, int]:
    """The median height and width of the connected regions of a class, in pixels; at most a quarter of the picture."""
    most = [max(2, int(LARGEST * side)) for side in scenes.labels.shape[1:]]
    height, width = np.median(regions(scenes, column)[:, 2:], axis=0).round().astype(int).clip(2, most)
    return int(height), int(width)


def usual_places(scenes: Scenes, column: int, box: tuple[int, int]) -> Float[Tensor, "y x"]:
    """How often a box that is centred on a region of a class has its upper left corner at each place."""
    size = [side - edge + 1 for side, edge in zip(scenes.labels.shape[1:], box, strict=True)]
    places = regions(scenes, column)
    corners = (places[:, :2] + (places[:, 2:] - np.array(box)) // 2).clip(0, np.array(size) - 1)
    counts = np.zeros(size)
    np.add.at(counts, tuple(corners.T), 1.0)
    return torch.from_numpy(ndimage.gaussian_filter(counts, 1.0)).float()


def fill(tops: Tensor, lefts: Tensor, box: tuple[int, int], size: tuple[int, int]) -> Float[Tensor, "n 1 h w"]:
    """A mask for each box, 1 within it."""
    rows, columns = torch.arange(size[0])[None, :, None], torch.arange(size[1])[None, None, :]
    tops, lefts = tops[:, None, None], lefts[:, None, None]
    inside = (rows >= tops) & (rows < tops + box[0]) & (columns >= lefts) & (columns < lefts + box[1])
    return inside[:, None].float()


def free_boxes(
    scenes: Scenes, box: tuple[int, int], column: int, likely: Float[Tensor, "y x"], purpose: str, seed: int
) -> tuple[Float[Tensor, "m 1 h w"], Bool[Tensor, " n"]]:
    """A box at a random place of each scene where the class is not yet; scenes that are full of it have none.

    Arguments:
        scenes: The scenes.
        box: Height and width of a box.
        column: The class.
        likely: How likely each place of its upper left corner is; where there is no room at these, any is as likely.
        purpose, seed: What the random numbers are for.

    Returns:
        The masks of those that have one, and which these are.
    """
    size = (scenes.labels.shape[1], scenes.labels.shape[2])
    anywhere = _corners(scenes.labels != column, box)
    room = anywhere * likely
    room = torch.where(room.sum(dim=(1, 2), keepdim=True) > 0, room, anywhere)
    return _draw(room, box, size, stream(purpose, seed, column))


def boxes_within(
    scenes: Scenes, box: tuple[int, int], on: list[int], purpose: str, seed: int
) -> tuple[Float[Tensor, "m 1 h w"], Bool[Tensor, " n"]]:
    """A box at a random place that lies in some classes altogether; as :func:`free_boxes`."""
    inside = torch.stack([scenes.labels == k for k in on]).any(dim=0)
    size = (scenes.labels.shape[1], scenes.labels.shape[2])
    return _draw(_corners(inside, box), box, size, stream(purpose, seed, *on))


def _corners(allowed: Tensor, box: tuple[int, int]) -> Float[Tensor, "n y x"]:
    """1 for each place of a box's upper left corner at which the whole box is allowed."""
    windows = allowed.float().unfold(1, box[0], 1).unfold(2, box[1], 1)
    return (windows.flatten(3).amin(dim=3) > 0).float()


def _draw(room: Tensor, box: tuple[int, int], size: tuple[int, int], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    flat = room.flatten(1)
    fits = flat.sum(dim=1) > 0
    if not fits.any():
        return torch.zeros(0, 1, *size), fits
    place = torch.multinomial(flat[fits], 1, generator=rng)[:, 0]
    return fill(place // room.shape[2], place % room.shape[2], box, size), fits


@torch.no_grad()
def candidates(
    subject: Subject,
    reader: AbstractSegmenter,
    scenes: Scenes,
    whole: UnitSet,
    box: tuple[int, int],
    column: int,
    likely: Float[Tensor, "y x"],
    tries: int,
    keep: float,
) -> tuple[Scenes, Float[Tensor, "m 1 h w"]]:
    """Scenes and boxes in them where a class can be made to appear at all.

    ``tries`` boxes in each scene, one at a place where other scenes have the class, the next one anywhere, are filled
    with the mean of *all* units of the layer; the share ``keep`` of all of them in which that raises the class's
    probability most is left. The probability is read in the box itself.
    """
    found: list[Scenes] = []
    masks, gains = [], []
    before = torch.cat(
        [chances(reader, picture(subject, part.latents), column) for part in scenes.batches(subject.batch)]
    )
    for number in range(tries):
        places = likely if number % 2 == 0 else torch.ones_like(likely)
        mask, fits = free_boxes(scenes, box, column, places, f"boxes {number}", subject.seed)
        if not fits.any():
            continue
        some = scenes[fits]
        after = [
            chances(reader, picture(subject, part.latents, whole, 1.0, subject.generator.bring(where)), column)
            for part, where in zip(some.batches(subject.batch), mask.split(subject.batch), strict=True)
        ]
        gain = torch.cat(after) - before[fits.to(before.device)]
        gains.append((gain.cpu() * mask[:, 0]).sum(dim=(1, 2)) / mask.sum(dim=(1, 2, 3)))
        found.append(some)
        masks.append(mask)
    if not gains:
        return scenes[:0], torch.zeros(0, 1, *scenes.labels.shape[1:])
    order = torch.cat(gains).argsort(descending=True)
    order = order[: max(1, round(keep * len(order)))]
    latents, labels = (torch.cat([getattr(one, name) for one in found]) for name in ("latents", "labels"))
    return Scenes(latents, labels)[order], torch.cat(masks)[order]


def chances(reader: AbstractSegmenter, images: Float[Tensor, "b c h w"], column: int) -> Float[Tensor, "b h w"]:
    """The probability of a class at each pixel."""
    return reader.to(images.device).logits(images.clamp(-1, 1)).softmax(dim=1)[:, column]
