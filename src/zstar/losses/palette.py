"""Colours of one picture given to another."""

import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 1e-5  # variance of a colour that counts as none


def give_colours(picture: Float[Tensor, "b c h w"], palette: Float[Tensor, "b c h2 w2"]) -> Float[Tensor, "b c h w"]:
    """A picture whose colours have the mean and the covariance of those of another, by the linear map between them.

    Σ_p^½ Σ^−½ with symmetric roots, as for "preserving color in neural artistic style transfer" (Gatys et al. 2016,
    https://arxiv.org/abs/1606.05897); of pictures of one channel it matches the mean and the deviation of luminance.
    Not clamped.
    """
    flat, colours = picture.flatten(2), palette.flatten(2)
    mean, wanted = flat.mean(dim=2, keepdim=True), colours.mean(dim=2, keepdim=True)
    change = _root(_covariance(colours - wanted), 0.5) @ _root(_covariance(flat - mean), -0.5)
    return (change @ (flat - mean) + wanted).view_as(picture)


def _covariance(centred: Float[Tensor, "b c n"]) -> Float[Tensor, "b c c"]:
    return centred @ centred.mT / centred.shape[2]


def _root(covariance: Float[Tensor, "b c c"], power: float) -> Float[Tensor, "b c c"]:
    """A power of a symmetric matrix; of directions without variance none."""
    values, vectors = torch.linalg.eigh(covariance)
    scales = torch.where(values > LEAST, values.clamp_min(LEAST) ** power, 0.0)
    return vectors * scales[:, None] @ vectors.mT
