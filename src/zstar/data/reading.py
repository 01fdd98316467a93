"""Picture files → square images in [−1, 1]."""

import math
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
    # At four times the resolution the filter hardly notices that a JPEG was decoded at a fraction of its size.
    planes = decode(_content(file), least=4 * resolution)
    width, height = planes[0].size
    return _stack(planes, (resolution, resolution), channels, fit), (height, width)


def read_large(
    file: str | Path | bytes, channels: int = 3, fit: Fit = "crop", megapixels: float = math.inf
) -> tuple[Float[Tensor, "c H W"], tuple[int, int]]:
    """Read an image file (or its content) at its own resolution, and the height and width that it was read at.

    The view is that of :func:`read_picture`: the largest central square, the whole image centred on a white square, or
    for ``"resize"`` the whole image as it is. No pixel is resampled, unless there are more than ``megapixels``, to
    which the image is scaled down.
    """
    planes = decode(_content(file))
    width, height = planes[0].size
    side = max(width, height) if fit == "pad" else min(width, height)
    size = (width, height) if fit == "resize" else (side, side)
    scale = min(1.0, math.sqrt(megapixels * 1e6 / (size[0] * size[1])))
    size = (max(1, math.floor(scale * size[0])), max(1, math.floor(scale * size[1]))) if scale < 1 else size
    return _stack(planes, size, channels, fit), (height, width)


def read_sized(
    file: str | Path | bytes, size: tuple[int, int], channels: int = 3, fit: Fit = "crop"
) -> tuple[Float[Tensor, "c h w"], tuple[int, int]]:
    """Read an image file (or its content) in this height and width, which is a square unless ``fit`` is ``resize``;
    otherwise as :func:`read_picture`."""
    planes = decode(_content(file), least=4 * max(size))
    width, height = planes[0].size
    return _stack(planes, (size[1], size[0]), channels, fit), (height, width)


def _content(file: str | Path | bytes) -> bytes:
    try:
        return file if isinstance(file, bytes) else Path(file).read_bytes()
    except OSError as error:
        raise BadImage(f"the file can't be opened ({error.strerror})") from error


def _stack(planes: list[Image.Image], size: tuple[int, int], channels: int, fit: Fit) -> Float[Tensor, "c h w"]:
    """Planes of one size as channels of another width and height."""
    if channels not in (1, 3):
        raise ValueError(f"data.channels: images have 1 or 3 channels, not {channels}")
    image = torch.cat([_to_tensor(_fit(plane, size, fit)) for plane in planes])
    if channels == 1 and image.shape[0] == 3:
        image = (image * torch.tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    return image.expand(channels, -1, -1).contiguous()


def _fit(plane: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    width, height = plane.size
    if fit == "pad":
        scale = size[0] / max(width, height)
        inner = (max(round(width * scale), 1), max(round(height * scale), 1))
        square = Image.new(plane.mode, size, 1.0 if plane.mode == "F" else "white")
        square.paste(_scale(plane, inner), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
        return square
    if fit == "crop" and width != height:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        plane = plane.crop((left, top, left + side, top + side))
    return _scale(plane, size)


def _scale(plane: Image.Image, size: tuple[int, int]) -> Image.Image:
    return plane if plane.size == size else plane.resize(size, Image.Resampling.LANCZOS)


def _to_tensor(plane: Image.Image) -> Float[Tensor, "k h w"]:
    pixels = np.array(plane)
    if plane.mode == "F":  # the filter overshoots at edges; 8-bit planes are clipped by Pillow
        return torch.from_numpy(pixels).clamp(0, 1)[None] * 2 - 1
    return to_float(pixels.reshape(*pixels.shape[:2], -1))
