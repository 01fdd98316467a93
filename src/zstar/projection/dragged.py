"""Pictures of handles: where they are, and where they are to be."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from zstar.images import for_strips, to_float, to_uint8

RED, BLUE, WHITE = (220, 38, 38), (37, 99, 235), (255, 255, 255)


def with_handles(
    image: Float[Tensor, "c h w"], at: Float[Tensor, "k 2"], to: Float[Tensor, "k 2"]
) -> Float[Tensor, "c H W"]:
    """A picture, enlarged if it is small, red rings where handles are, blue ones at their targets.

    Arguments:
        image: In [−1, 1].
        at, to: x and y in pixels of the picture; handles with a NaN are none.
    """
    shown = for_strips(image[None].clamp(-1, 1).cpu())
    scale, pixels = shown.shape[-1] / image.shape[-1], to_uint8(shown)[0].numpy()
    picture = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy(), "RGB")
    pen, radius = ImageDraw.Draw(picture), max(3, shown.shape[-1] // 48)
    there = (at + to).isfinite().all(dim=1)
    for start, end in torch.stack([at[there], to[there]], dim=1).mul(scale).tolist():
        pen.line([*start, *end], fill=WHITE, width=2)
        for (x, y), color in ((end, BLUE), (start, RED)):
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=WHITE, width=3)
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=color, width=2)
    return to_float(np.array(picture))[: len(image)]
