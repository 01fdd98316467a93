"""The pictures that units are most active in, with the outline of where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from contourpy import contour_generator
from jaxtyping import Float
from PIL import Image, ImageChops, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from zstar.dissection.base import Subject
from zstar.generators.reading import read
from zstar.images import shrink, to_float, to_pil
from zstar.reports.captions import labelled

FRAME = 256  # outlines are in a square of this side, in whole numbers
APART = 3  # points of an outline that are nearer to each other are one
FINEST = 64  # locations a side of the map that outlines are drawn of
TILE = 128  # pixels of a picture that is kept, at most
SHOWN = 112  # pixels of a picture in a sheet, about
OUTSIDE = 0.5  # how much darker it is outside of the outline
INK = (255, 225, 60)

Outline = list[list[tuple[int, int]]]


@dataclass(frozen=True)
class Tops:
    """Pictures and outlines.

    Attributes:
        samples: Numbers of the samples that are shown, increasing.
        pictures: Their pictures, small ones, ``[n, c, h, w]``.
        outlines: Layer, unit and rank → where the unit is above its level there.
    """

    samples: list[int]
    pictures: Float[Tensor, "n c h w"]
    outlines: Mapping[tuple[str, int, int], Outline]


@torch.no_grad()
def find_tops(subject: Subject, tops: Mapping[str, Tensor], levels: Mapping[str, Tensor]) -> Tops:
    """Draw again the samples that units are most active in.

    Arguments:
        tops: Layer → the numbers of the samples of each unit, ``[u, n]``.
        levels: Layer → the level of each unit, ``[u]``.
    """
    samples = sorted(set(torch.cat([numbers.flatten() for numbers in tops.values()]).tolist()))
    wanted: dict[int, list[tuple[str, int, int]]] = {sample: [] for sample in samples}
    for layer, numbers in tops.items():
        for unit, row in enumerate(numbers.tolist()):
            for rank, sample in enumerate(row):
                wanted[sample].append((layer, unit, rank))
    pictures, outlines, begin = [], {}, 0
    for latent in subject.latents("dissected"):
        here = [sample for sample in samples if begin <= sample < begin + len(latent)]
        if here:
            rows = torch.tensor(here) - begin
            # All of the batch: floating point may differ with its size, and levels are compared with what was seen.
            maps, images = read(subject.generator, {"latent": latent}, subject.space, "const", subject.layers)
            pictures.append(shrink(images[rows].clamp(-1, 1), TILE).cpu())
            for sample in here:
                for layer, unit, rank in wanted[sample]:
                    own = maps[layer][sample - begin, unit]
                    outlines[layer, unit, rank] = outline(own, float(levels[layer][unit]))
        begin += len(latent)
    return Tops(samples, torch.cat(pictures), outlines)


def outline(values: Float[Tensor, "h w"], level: float) -> Outline:
    """The lines around the part of a map that is above a level, in a square of ``FRAME`` points a side."""
    size = min(FINEST, max(values.shape) * 4)
    large = F.interpolate(values[None, None].float(), (size, size), mode="bilinear", align_corners=False)[0, 0].cpu()
    # Beyond the edge is below the level, so that lines are closed there.
    padded = F.pad(large, (1, 1, 1, 1), value=min(float(large.min()), level) - 1e-3).numpy()
    found = []
    for line in contour_generator(z=padded.astype(np.float64)).lines(level):
        points = np.clip(np.rint((line - 0.5) * (FRAME / size)), 0, FRAME).astype(int).tolist()
        kept = points[:1]
        for point in points[1:]:
            if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= APART:
                kept.append(point)
        if len(kept) > 2:
            found.append([(x, y) for x, y in kept])
    return found


def path(lines: Outline) -> str:
    """Lines as the path of an SVG: ``M12 30l4-2 3 1z``."""
    parts = []
    for line in lines:
        steps = [(x - a, y - b) for (a, b), (x, y) in zip(line, line[1:], strict=False)]
        moves = " ".join(f"{x} {y}" for x, y in steps).replace(" -", "-")
        parts.append(f"M{line[0][0]} {line[0][1]}l{moves}z")
    return "".join(parts)


def sheet(rows: Sequence[tuple[str, Sequence[tuple[Tensor, Outline]]]], title: str) -> Float[Tensor, "3 H W"]:
    """A row of pictures for each unit, with its outlines drawn on the upscaled ones; the text is below the first."""
    columns = max(len(cells) for _, cells in rows)
    scale = max(1, round(SHOWN / rows[0][1][0][0].shape[-1]))
    cells, labels = [], []
    for text, own in rows:
        drawn = [trace(picture, lines, scale) for picture, lines in own]
        blank = [torch.ones_like(drawn[0])] * (columns - len(drawn))
        cells += drawn + blank
        labels += [text] + [""] * (columns - 1)
    return labelled(torch.stack(cells), labels, columns, title)


def trace(picture: Float[Tensor, "c h w"], lines: Outline, scale: int = 1) -> Float[Tensor, "3 H W"]:
    """A picture, ``scale`` times as large, with lines drawn over it, and darker outside of them."""
    large = picture.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    image = to_pil(large).convert("RGB")
    width, height = image.size
    closed = [[(x * width / FRAME, y * height / FRAME) for x, y in [*line, line[0]]] for line in lines]
    inside = Image.new("1", image.size)
    for points in closed:
        one = Image.new("1", image.size)
        ImageDraw.Draw(one).polygon(points, fill=1)
        inside = ImageChops.logical_xor(inside, one)  # a line within another is around a hole
    image = Image.composite(image, Image.blend(image, Image.new("RGB", image.size), OUTSIDE), inside.convert("L"))
    draw = ImageDraw.Draw(image)
    for points in closed:
        draw.line(points, fill=INK, width=2, joint="curve")
    return to_float(np.array(image))
