"""Captions drawn into pictures: a label below each cell of a grid, and a title above it."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, cat, stack

from zstar.images import grid, to_float

SMALLEST = 11  # pixels; smaller letters can't be read
INK = 40  # grey of the letters, of 255


def labelled(
    images: Float[Tensor, "b c h w"], labels: Sequence[str], columns: int, title: str, gap: int = 4
) -> Float[Tensor, "c H W"]:
    """Pictures in rows of ``columns``, each with its label below it, and the title above all; an empty label is blank.

    Letters grow with the pictures.
    """
    size = letters(images.shape[-1])
    bars = [bar(label, images.shape[-1], size, images.shape[1]) for label in labels]
    cells = [cat([image, label.to(image)], dim=1) for image, label in zip(images, bars, strict=True)]
    return titled(grid(stack(cells), columns, gap), title, size)


def titled(picture: Float[Tensor, "c h w"], title: str, size: int) -> Float[Tensor, "c H w"]:
    """A picture with a title of ``size`` pixels above it."""
    top = bar(title, picture.shape[-1], size, picture.shape[0], left=True)
    return cat([top.to(picture), picture], dim=1)


def letters(width: int) -> int:
    """Size of the letters that suits pictures of this width, in pixels."""
    return max(SMALLEST, width // 13)


def bar(text: str, width: int, size: int, channels: int, left: bool = False) -> Float[Tensor, "c h w"]:
    """A line of dark text on white, in the middle or at the left; what does not fit ends in ``…``."""
    font, height = _font(size), round(1.7 * size)
    while text and font.getlength(text) > width - 2:
        text = text.rstrip("…")[:-1] + "…" if len(text) > 1 else ""
    image = Image.new("L", (width, height), 255)
    place, anchor = ((0, height / 2), "lm") if left else ((width / 2, height / 2), "mm")
    ImageDraw.Draw(image).text(place, text, fill=INK, font=font, anchor=anchor)
    return to_float(np.array(image)[..., None]).expand(channels, -1, -1)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has Greek letters and signs; it comes with matplotlib, which need not be imported for it."""
    spec = find_spec("matplotlib")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)
