"""Images: the one place where ranges, layouts and files are converted.

Inside, an image is float32 ``[b, c, h, w]`` in [−1, 1]. Everything else is turned into that, and back, here.
"""

import base64
import math
import os
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from zstar.decoding import BadImage, decode

Fit = Literal["crop", "pad", "resize"]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def to_float(pixels: UInt8[Tensor, "*b h w c"] | UInt8[np.ndarray, "*b h w c"]) -> Float[Tensor, "*b c h w"]:
    """8-bit pixels, channel last → float32 in [−1, 1], channel first."""
    pixels = torch.as_tensor(pixels)
    return (pixels.to(torch.float32) / 127.5 - 1).movedim(-1, -3).contiguous()


def to_uint8(images: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b h w c"]:
    """Images in [−1, 1] → 8-bit pixels, channel last; clamped, rounded to nearest, not-a-number shown as black."""
    pixels = ((images.detach().float() + 1) * 127.5).nan_to_num(nan=0.0).clamp(0, 255)
    return pixels.round().to(torch.uint8).movedim(-3, -1).contiguous()


def to_unit(images: Float[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
    """[−1, 1] → [0, 1], not clamped."""
    return (images + 1) / 2


def read_image(
    file: str | Path | bytes, resolution: int, channels: int = 3, fit: Fit = "crop"
) -> Float[Tensor, "c {resolution} {resolution}"]:
    """Read an image file (or its content) as a square image in [−1, 1].

    What is decoded, and how, is said at :func:`zstar.decoding.decode`. Scaling is by Pillow's Lanczos filter, widened
    when scaling down so that nothing aliases, in 8 bits for 8-bit files. An image that has the size already is not
    resampled.

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
    planes = [_fit(plane, resolution, fit) for plane in decode(data, least=4 * resolution)]
    image = torch.cat([_to_tensor(plane) for plane in planes])
    if channels == 1 and image.shape[0] == 3:
        return (image * torch.tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
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


def write_png(path: str | Path, image: Float[Tensor, "c h w"]) -> None:
    """Write an image in [−1, 1] with 1 or 3 channels as an 8-bit PNG; whoever sees the file sees all of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(_png(image))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def data_uri(image: Float[Tensor, "c h w"]) -> str:
    """An image in [−1, 1] as a ``data:`` address that a self-contained HTML page can show."""
    return "data:image/png;base64," + base64.b64encode(_png(image)).decode()


def _png(image: Float[Tensor, "c h w"]) -> bytes:
    pixels = to_uint8(image[None])[0].cpu().numpy()
    buffer = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def grid(images: Float[Tensor, "b c h w"], columns: int, gap: int = 2) -> Float[Tensor, "c H W"]:
    """Lay images out in rows of ``columns``, with ``gap`` white pixels between them; missing ones are white."""
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    cells = images.new_ones(rows * columns, channels, height + gap, width + gap)
    cells[:count, :, :height, :width] = images
    sheet = cells.reshape(rows, columns, channels, height + gap, width + gap).permute(2, 0, 3, 1, 4)
    sheet = sheet.reshape(channels, rows * (height + gap), columns * (width + gap))
    return sheet[:, : rows * (height + gap) - gap, : columns * (width + gap) - gap]
