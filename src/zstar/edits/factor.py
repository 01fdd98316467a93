"""Factors of the cottage world as edits, drawn by the renderer itself."""

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import load_annotator
from zstar.annotators.vocabulary import Vocabulary
from zstar.data.cottages import FACTORS, render
from zstar.edits.base import AbstractEdit

RESOLUTION = 64  # that the shipped annotator reads; others are scaled to it
ANEW = 0.5  # change in units of [−1, 1] from which on a pixel is drawn anew


class Factor(AbstractEdit):
    """Moves one factor of an image of cottages: its season, its hour, where the house stands, whether it has windows.

    The shipped annotator reads the factors of the image, and the renderer draws them with and without the change. A
    small change of a pixel is added to it, so that what the renderer knows nothing of stays; a large one, where
    something else is seen, is drawn anew. All pixels are valid. For images of cottages only, the ones of a generator
    included; a gradient passes where pixels are not drawn anew, and α gets none.

    Arguments:
        factor: Name of the factor. α counts its range: 1 leads from one end of it to the other. A flag fades, as its
            object does in the renderer: 1 leads from absent to present, −1 from present to absent. A factor moves no
            further than its range; from there on α changes nothing more.
        low, high: The range of α.

    Errors: ``ValueError`` for a factor that cottages have not, and for images that are not square or not in colour.
    """

    unit = "of the factor's range"

    def __init__(self, factor: str, low: float = -0.5, high: float = 0.5) -> None:
        super().__init__(low, high)
        _column(factor)
        self.factor = factor

    def apply(
        self, images: Float[Tensor, "b c h w"], alpha: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        with torch.no_grad():
            factors = read_factors(images)
            before = render(factors, images.shape[-1])[0]
            after = render(moved(factors, self.factor, alpha), images.shape[-1])[0]
            change = after - before
            anew = _widen((change.abs().amax(dim=1, keepdim=True) / ANEW).clamp(0, 1))
        edited = ((images + change) * (1 - anew) + after * anew).clamp(-1, 1)
        return edited, torch.ones_like(images[:, :1])

    def measure_strength(self, before: Float[Tensor, "b c h w"]) -> Callable[[Tensor], Tensor]:
        column, factor = _column(self.factor), FACTORS[self.factor]
        start = _read(before)[:, column]
        return lambda after: (_read(after)[:, column] - start) / (factor.high - factor.low)


def moved(factors: Float[Tensor, "b k"], name: str, alpha: Float[Tensor, " b"]) -> Float[Tensor, "b k"]:
    """Factors with the one of this name moved by α of its range, and kept in it; columns as in ``FACTORS``.

    Where the factors are known, ``render(moved(factors, name, alpha))`` is what the edit is to come to.
    """
    column, factor = _column(name), FACTORS[name]
    result = factors.clone()
    result[:, column] = (factors[:, column] + alpha * (factor.high - factor.low)).clamp(factor.low, factor.high)
    return result


def _widen(weights: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """The largest weight within 1/32 of the width, with soft edges.

    The factors are read to a pixel or so only: a contour of the image lies beside the one that the renderer takes away,
    and would stay behind.
    """
    reach = max(1, weights.shape[-1] // 32)
    wide = F.max_pool2d(weights, 2 * reach + 1, stride=1, padding=reach)
    return F.avg_pool2d(F.pad(wide, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def read_factors(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
    """The factors of images of cottages as the shipped annotator reads them, within their ranges; flags are 0 or 1."""
    read, vocabulary = _read(images), _annotator()[1]
    low, high, flag = (limit.on(read.device) for limit in (vocabulary.low, vocabulary.high, vocabulary.flag))
    return torch.where(flag, read.round(), read).clamp(low, high)


@torch.no_grad()
def _read(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
    """The annotator's outputs: values in their units, at times somewhat beyond their ranges; flags as probabilities."""
    if images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise ValueError(
            f"edit.factor: images of {list(images.shape[1:])} are no cottages, which are square and in colour; "
            "choose another edit, or another generator"
        )
    network, vocabulary = _annotator()
    if images.shape[-1] != RESOLUTION:
        images = F.interpolate(images, size=(RESOLUTION, RESOLUTION), mode="bilinear", antialias=True)
    return vocabulary.read(network.to(images.device)(images).factors)


@cache
def _annotator() -> tuple[AbstractAnnotator, Vocabulary]:
    """One for all edits of factors."""
    return load_annotator("annotator64")


def _column(name: str) -> int:
    if name not in FACTORS:
        raise ValueError(f"edit.factor.factor: there is no factor '{name}'; choose one of {', '.join(FACTORS)}")
    return list(FACTORS).index(name)
