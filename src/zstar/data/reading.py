"""Picture files → square images in [−1, 1]."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zstar.data.decoding import BadImage, decode
from zstar.images import LUMA, to_float

Fit = Literal["crop", "pad", "resize"]


def read_image(
    file: str | Path | bytes, resolution: int, channels: int = 3, fit: Fit = "crop"
) -> Float[Tensor, "c {resolution} {resolution}"]:
    """Read an image file (or its content) as a square image in [−1, 1]: :func:`read_picture` without its shape."""
    return read_picture(file, resolution, channels, fit)[0]


def read_picture(
    file: str | Path | bytes, resolution: int, channels: int = 3, fit: Fit = "crop"
) -> tuple[Float[Tensor, "c {resolution} {resolution}"], tuple[int, int]]:
    """Read an image file (or its content) as a square image in [−1, 1], and the height and width that it was read at.

    Formats are described at :func:`zstar.data.decoding.decode`. Scaling is by Pillow's Lanczos filter,
    widened when scaling down so that nothing aliases, in 8 bits for 8-bit files. An image that has the size already is
    not resampled.

    Arguments:
        resolution: Height and width of the result, in pixels. Smaller images are scaled up.
        channels: 3, with grey repeated; or 1, with colour weighted by ``LUMA``.
        fit: ``"crop"`` keeps the largest central square, ``"pad"`` the whole image, centred on white, ``"resize"`` the
            whole image, squashed to a square.

    Raises:
        BadImage: with the reason, for a file that can't be read.
    """
    if channels not in (1, 3):
        raise ValueError(f"data.channels: images have 1 or 3 channels, not {channels}")
    try:
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
    except OSError as error:
        raise BadImage(f"the file can't be opened ({error.strerror})") from error
    # At four times the resolution the filter hardly notices that a JPEG was decoded at a fraction of its size.
    planes = decode(data, least=4 * resolution)
    width, height = planes[0].size
    image = torch.cat([_to_tensor(_fit(plane, resolution, fit)) for plane in planes])
    return _colours(image, channels), (height, width)


def read_whole(content: bytes, channels: int = 3) -> Float[Tensor, "c h w"]:
    """Read the content of an image file as it is, in [−1, 1], for a crop of its own.

    Raises:
        BadImage: with the reason, for a file that can't be read.
    """
    return _colours(torch.cat([_to_tensor(plane) for plane in decode(content)]), channels)


def _colours(image: Float[Tensor, "k h w"], channels: int) -> Float[Tensor, "c h w"]:
    """A picture of 1 or 3 channels with as many as are asked for."""
    if channels == 1 and image.shape[0] == 3:
        image = (image * torch.tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    return image.expand(channels, -1, -1).contiguous()


def _fit(plane: Image.Image, resolution: int, fit: Fit) -> Image.Image:
    width, height = plane.size
    if fit == "pad":
        scale = resolution / max(width, height)
        inner = (max(round(width * scale), 1), max(round(height * scale), 1))
        square = Image.new(plane.mode, (resolution, resolution), 1.0 if plane.mode == "F" else "white")
        square.paste(_scale(plane, inner), ((resolution - inner[0]) // 2, (resolution - inner[1]) // 2))
        return square
    if fit == "crop" and width != height:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        plane = plane.crop((left, top, left + side, top + side))
    return _scale(plane, (resolution, resolution))


def _scale(plane: Image.Image, size: tuple[int, int]) -> Image.Image:
    return plane if plane.size == size else plane.resize(size, Image.Resampling.LANCZOS)


def _to_tensor(plane: Image.Image) -> Float[Tensor, "k h w"]:
    pixels = np.array(plane)
    if plane.mode == "F":  # the filter overshoots at edges; 8-bit planes are clipped by Pillow
        return torch.from_numpy(pixels).clamp(0, 1)[None] * 2 - 1
    return to_float(pixels.reshape(*pixels.shape[:2], -1))
