"""Alignment of faces: the square of a photo that a generator of faces knows, and how it is cut out."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.data.entries import stem
from zstar.data.reading import read_large

Alignment = Literal["ffhq", "celeba", "eyes", "none"]
Corners = Float[np.ndarray, "4 2"]
"""Of a crop in its photo: upper left, lower left, lower right, upper right; x and y in pixels, where 0 is the middle of
the first one, so that a whole photo has its corners at −0.5 and its size − 0.5."""

CELEBA_EYES = ((69.0, 111.0), (108.0, 111.0))  # where they are in the aligned pictures
CELEBA_SIZE = (178, 218)
BORDER = 0.1  # of the crop's side: the border in which FFHQ's crops fade out where the photo ends
BLUR = 0.02  # of the crop's side: the blur there


def five_points(points: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "5 2"]:
    """The eyes, the nose and the corners of the mouth of 5 landmarks or of iBUG's 68."""
    if len(points) == 5:
        return points
    eyes = (points[36:42].mean(axis=0), points[42:48].mean(axis=0))
    return np.stack([*eyes, points[30], points[48], points[54]])


def ffhq_corners(points: Float[np.ndarray, "k 2"]) -> Corners:
    """The square of FFHQ (Karras et al. 2019, https://arxiv.org/abs/1812.04948, appendix A): upright to the face, its
    side four times the distance of the eyes or 3.6 times that from them to the mouth, whichever is larger.

    Raises:
        ValueError: Eyes and mouth coincide.
    """
    left, right, _, mouth_left, mouth_right = five_points(points)
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    across, down = right - left, mouth - eyes
    # The x axis is the mean of the line of the eyes and of the normal to the line from them to the mouth.
    axis = across + np.array([down[1], -down[0]])
    length = np.hypot(*axis)
    if not length > 0:
        raise ValueError("its landmarks coincide, so that no crop has a direction")
    half = axis / length * max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    return _square(eyes + 0.1 * down, half)


def celeba_corners(points: Float[np.ndarray, "k 2"], square: bool = True) -> Corners:
    """The crop of CelebA's aligned pictures: 178 × 218 pixels with the eyes at (69, 111) and (108, 111).

    Arguments:
        points: The landmarks.
        square: Whether only the middle 178 × 178 of it are meant.

    Raises:
        ValueError: The eyes coincide.
    """
    width, height = CELEBA_SIZE
    above = (height - width) / 2 if square else 0
    eyes = [[(x + 0.5) / width, (y + 0.5 - above) / width] for x, y in CELEBA_EYES]
    return eyes_corners(points, eyes, 1.0 if square else height / width)


def eyes_corners(points: Float[np.ndarray, "k 2"], eyes: Sequence[Sequence[float]], ratio: float = 1.0) -> Corners:
    """The crop that has the eyes at given places, whatever else is in it.

    Arguments:
        points: The landmarks.
        eyes: x and y of the left eye and of the right one, from the crop's upper left corner, in shares of its width.
        ratio: Height of the crop by its width.

    Raises:
        ValueError: The eyes coincide.
    """
    left, right = (complex(*point) for point in five_points(points)[:2])
    first, second = (complex(*place) for place in eyes)
    across = (right - left) / (second - first)  # the crop's upper side, in the photo: a similarity is a product
    if not abs(across) > 0:
        raise ValueError("its eyes coincide, so that no crop has a direction")
    corners = [left + across * (corner - first) for corner in (0, 1j * ratio, 1 + 1j * ratio, 1)]
    return np.array([[corner.real, corner.imag] for corner in corners])


def _square(middle: Float[np.ndarray, " 2"], half: Float[np.ndarray, " 2"]) -> Corners:
    """The corners around a middle; ``half`` leads from it to the right side."""
    down = np.array([-half[1], half[0]])
    return np.stack([middle - half - down, middle - half + down, middle + half + down, middle + half - down])


def longer_side(corners: Corners) -> float:
    """Of a crop, in pixels of its photo."""
    return float(max(np.hypot(*(corners[3] - corners[0])), np.hypot(*(corners[1] - corners[0]))))


def cut_out(photo: Float[Tensor, "c h w"], corners: Corners, resolution: int) -> Float[Tensor, "c n n"]:
    """The crop of a photo in [−1, 1], as a square of ``resolution`` pixels.

    It is read bilinearly, at its own size or a multiple of what is asked for, and brought down by an area filter, so
    that nothing aliases. Where the photo ends, it goes on mirrored, and fades into blur and median, as FFHQ's do.
    """
    side = longer_side(corners)
    photo, corners = _part(photo, corners, side)
    if (factor := int(side / (4 * resolution))) > 1:  # a small version is enough for a small crop
        photo = F.avg_pool2d(photo[None], factor, ceil_mode=True, count_include_pad=False)[0]
        corners, side = (corners + 0.5) / factor - 0.5, side / factor
    photo, corners = _with_border(photo, corners, side)
    times = max(1, int(np.ceil(side / resolution)))
    grid = crop_grid(corners, resolution * times, tuple(photo.shape[-2:])).to(photo)
    # Up to here everything was linear in the pixels; "border" as the mirrored photo reaches everywhere.
    found = F.grid_sample(photo[None], grid[None], "bilinear", "border", align_corners=False)
    return F.avg_pool2d(found, times)[0] if times > 1 else found[0]


def read_crop(
    content: bytes, corners: Corners, shape: tuple[int, int] | None, resolution: int, channels: int = 3
) -> tuple[Float[Tensor, "c n n"], tuple[int, int]]:
    """The crop of an image file, and the height and width of the file.

    Arguments:
        content: Of the file.
        corners: Of the crop, in a photo of height and width ``shape``, or in this file if that is ``None``.

    Raises:
        BadImage: with the reason, for a file that can't be read.
    """
    photo = read_large(content, channels, "resize")[0]
    own = (photo.shape[1], photo.shape[2])
    scale = np.array([1.0, 1.0] if shape is None else [own[1] / shape[1], own[0] / shape[0]])
    return cut_out(photo, (corners + 0.5) * scale - 0.5, resolution), own


def photo_of(name: str) -> str:
    """The stem of the photo that a face is from: ``a#2.jpg`` is the second one of ``a.jpg``."""
    return re.sub(r"#\d+$", "", stem(name))


def crop_grid(corners: Corners, resolution: int, size: tuple[int, int]) -> Float[Tensor, "n n 2"]:
    """Where the pixels of a crop lie in a photo of height and width ``size``, as ``grid_sample`` counts."""
    steps = (torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution
    low, down, right = (
        torch.from_numpy(part) for part in (corners[0], corners[1] - corners[0], corners[3] - corners[0])
    )
    places = low + steps[:, None, None] * down + steps[None, :, None] * right
    return (places + 0.5) / torch.tensor([size[1], size[0]]) * 2 - 1


def bounds(corners: Corners, size: tuple[int, int], margin: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The first column and row that a crop touches of a photo of height and width ``size``, and those behind the last.

    Arguments:
        margin: So many pixels around it count as well.
    """
    low = np.maximum(np.floor(corners.min(axis=0)) - margin, 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + margin + 1, [size[1], size[0]]).astype(int)
    return low, high


def _part(photo: Float[Tensor, "c h w"], corners: Corners, side: float) -> tuple[Float[Tensor, "c h2 w2"], Corners]:
    """What of a photo matters for a crop, and the corners in it."""
    margin = max(round(BORDER * side), 3)
    low, high = bounds(corners, (photo.shape[1], photo.shape[2]), margin)
    if (high <= low).any():
        raise ValueError("its landmarks lie outside of the photo")
    return photo[:, low[1] : high[1], low[0] : high[0]], corners - low


def _with_border(
    photo: Float[Tensor, "c h w"], corners: Corners, side: float
) -> tuple[Float[Tensor, "c h2 w2"], Corners]:
    """A photo that goes on beyond its ends where a crop needs it, and the corners in it."""
    size = np.array([photo.shape[2], photo.shape[1]])
    beyond = np.concatenate([-np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0)) - size + 1]).clip(min=0)
    if beyond.max() <= 4:  # a few pixels are mirrored below notice
        return photo, corners
    from scipy.ndimage import gaussian_filter  # a library that runs without such photos are spared

    left, top, right, bottom = (int(each) for each in np.maximum(beyond, round(0.3 * side)))
    pixels = np.pad(photo.numpy(), ((0, 0), (top, bottom), (left, right)), mode="reflect")
    fade = _fade(pixels.shape[1:], (left, top, right, bottom))
    blurred = gaussian_filter(pixels, (0, BLUR * side, BLUR * side))
    pixels = pixels + (blurred - pixels) * np.clip(3 * fade + 1, 0, 1)
    pixels = pixels + (np.median(pixels, axis=(1, 2), keepdims=True) - pixels) * np.clip(fade, 0, 1)
    return torch.from_numpy(pixels.astype(np.float32)), corners + [left, top]


def _fade(shape: tuple[int, ...], border: tuple[int, int, int, int]) -> Float[np.ndarray, "1 h w"]:
    """1 at the ends of a bordered photo, 0 where the photo itself begins, negative within it."""
    height, width = shape
    left, top, right, bottom = (max(each, 1) for each in border)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    across = np.minimum(x / left, (width - 1 - x) / right)
    along = np.minimum(y / top, (height - 1 - y) / bottom)
    return 1 - np.minimum(across[None, :], along[:, None])[None]
