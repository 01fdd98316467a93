"""Conversion of images: the one place where ranges and layouts change.

Inside, an image is float32 ``[b, c, h, w]`` in [−1, 1]. Everything else is turned into that, and back, here.
"""

import math
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zstar.runs.folder import write_atomic

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


def to_range(images: Float[Tensor, "*b c h w"], low: float, high: float) -> Float[Tensor, "*b c h w"]:
    """[−1, 1] → [low, high], not clamped."""
    return low + (images + 1) * ((high - low) / 2)


def require_range(key: str, values: Sequence[float]) -> tuple[float, float]:
    """Darkest and brightest value of a network's images; ``ValueError`` unless they are two in this order."""
    if len(values) != 2 or not values[0] < values[1]:
        raise ValueError(f"{key}: {list(values)} is no range; give e.g. [-1, 1] or [0, 1]")
    return float(values[0]), float(values[1])


def write_png(path: str | Path, image: Float[Tensor, "c h w"]) -> None:
    """Write an image in [−1, 1] with 1 or 3 channels as an 8-bit PNG, atomically."""
    write_pixels(path, to_uint8(image[None])[0].cpu())


def write_pixels(path: str | Path, pixels: UInt8[Tensor, "h w c"]) -> None:
    """Write pixels on the CPU, grey with 1 channel or RGB with 3, as a PNG, atomically.

    Only runs of bytes are compressed, at the lowest level: a photo takes a fifth of the time and hardly more bytes.
    """
    content = encode_png(pixels)  # first, else Pillow would not say why a disk takes no more
    write_atomic(path, lambda file: file.write_bytes(content))


def encode_png(pixels: UInt8[Tensor, "h w c"]) -> bytes:
    """The content of a PNG, as :func:`write_pixels` writes it."""
    buffer = BytesIO()
    _as_pil(pixels).save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def to_pil(image: Float[Tensor, "c h w"]) -> Image.Image:
    """An image in [−1, 1] as one of Pillow: grey with 1 channel, RGB with 3."""
    return _as_pil(to_uint8(image[None])[0].cpu())


def _as_pil(pixels: UInt8[Tensor, "h w c"]) -> Image.Image:
    array = pixels.numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def enlarge(images: Float[Tensor, "*b c h w"], limit: int = 192) -> Float[Tensor, "*b c H W"]:
    """Small images two or three times as large, pixel by pixel, as far as ``limit`` pixels; others as they are."""
    factor = max(1, min(3, limit // max(images.shape[-2:])))
    return images.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def shrink(images: Float[Tensor, "b c h w"], limit: int) -> Float[Tensor, "b c h2 w2"]:
    """Images of more than ``limit`` pixels in this size, by the mean of the pixels that become one."""
    if max(images.shape[-2:]) <= limit:
        return images
    scale = limit / max(images.shape[-2:])
    return functional.interpolate(images, scale_factor=scale, mode="area")


def for_strips(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Images in a size for strips and films: small ones enlarged, those of more than 256 pixels shrunk to that."""
    return enlarge(shrink(images, 256))


def grid(images: Float[Tensor, "b c h w"], columns: int, gap: int = 2) -> Float[Tensor, "c H W"]:
    """Lay images out in rows of ``columns``, with ``gap`` white pixels between them; missing ones are white."""
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    tiles = images.new_ones(rows * columns, channels, height + gap, width + gap)
    tiles[:count, :, :height, :width] = images
    sheet = tiles.reshape(rows, columns, channels, height + gap, width + gap).permute(2, 0, 3, 1, 4)
    sheet = sheet.reshape(channels, rows * (height + gap), columns * (width + gap))
    return sheet[:, : rows * (height + gap) - gap, : columns * (width + gap) - gap]
