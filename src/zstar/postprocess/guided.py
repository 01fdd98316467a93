"""Small fields brought to the size of a photo, along whose edges they change."""

import torch
from jaxtyping import Float
from torch import Tensor

REACH = 2  # pixels of the small grid as far as which a pixel of the photo looks, across and down
FLOOR = 1e-3  # the least weight of a likeness, so that a colour that nothing around has takes the mean


def scale_along(
    field: Float[Tensor, "b k h w"],
    photo: Float[Tensor, "b c H W"],
    small: Float[Tensor, "b c h w"],
    likeness: float,
) -> Float[Tensor, "b k H W"]:
    """Joint bilateral upsampling (Kopf et al. 2007, https://doi.org/10.1145/1276377.1276497): each pixel of the photo
    takes the mean of the values of the 16 pixels of the small grid around it, by how near they are and how like its own
    their colours. A field of zeros stays one.

    Arguments:
        field: What is brought to the photo's size.
        photo: The photo.
        small: The same on the grid of the field.
        likeness: Difference of colours at which a likeness has fallen to 0.6, in [−1, 1], over all channels.
    """
    size = (photo.shape[-2], photo.shape[-1])
    rows, columns = (_around(n, m, photo) for n, m in zip(size, field.shape[-2:], strict=True))
    both = torch.cat([field, small], dim=1)
    total, weights = field.new_zeros(*field.shape[:2], *size), torch.zeros_like(photo[:, :1])
    for row, down in rows:
        line = both.index_select(2, row)
        for column, across in columns:
            value, colour = line.index_select(3, column).split([field.shape[1], small.shape[1]], dim=1)
            alike = torch.exp((photo - colour).square().sum(dim=1, keepdim=True) / (-2 * likeness**2))
            weight = down[:, None] * across * (alike + FLOOR)
            total.addcmul_(weight, value)
            weights.add_(weight)
    return total.div_(weights)


def _around(count: int, small: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The pixels of a small grid around each of ``count`` of a large one along a side, the first of each, the second,
    …: their numbers and how near they are, 1 for the same place."""
    places = (torch.arange(count, device=like.device, dtype=torch.float64) + 0.5) * (small / count) - 0.5
    first = places.floor().long() + 1 - REACH
    pixels = [first + step for step in range(2 * REACH)]
    near = [(1 - (places - pixel).abs() / REACH).clamp_min(0).to(like.dtype) for pixel in pixels]
    return [(pixel.clamp(0, small - 1), share) for pixel, share in zip(pixels, near, strict=True)]
