"""Networks of others as segmenters: what they take, and what they give."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.reasons import reason
from zstar.config.signatures import nearest
from zstar.generators.base import AbstractGenerator
from zstar.segmenters.base import AbstractSegmenter

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours in [0, 1]


def standardized(
    images: Float[Tensor, "b c h w"], size: int | None, mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "b 3 _ _"]:
    """Images in [−1, 1] as networks for photos take them: in colour, of ``size`` pixels where that is given, and less
    the mean of colours in units of their deviation."""
    if size is not None and images.shape[-2:] != (size, size):
        images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
    shift, scale = (images.new_tensor(list(values)).view(1, 3, 1, 1) for values in (mean, std))
    return ((images.expand(-1, 3, -1, -1) + 1) / 2 - shift) / scale


def at_size(logits: Float[Tensor, "b k _ _"], images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
    """Scores for each pixel of images, where a network gives coarser ones."""
    if logits.shape[-2:] == images.shape[-2:]:
        return logits
    return F.interpolate(logits, tuple(images.shape[-2:]), mode="bilinear", align_corners=False)


def require_colours(values: Mapping[str, Sequence[float]]) -> None:
    """Refuse other than three numbers for the mean and the deviation of colours."""
    for name, three in values.items():
        if len(three) != 3 or (name == "std" and min(three) <= 0):
            raise ValueError(f"segmenter.{name}: {list(three)} says nothing of three colours; give e.g. {list(MEAN)}")


def require_names(names: Sequence[str]) -> list[str]:
    """Names of classes, each once."""
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"segmenter.names: '{twice[0]}' is there twice; give one name for each class")
    if not names:
        raise ValueError("segmenter.names: there is no class; give one name for each class")
    return list(names)


def choose_from(name: str, known: Sequence[str], key: str) -> str:
    """A name among those that are known."""
    if name not in known:
        raise ValueError(f"{key}: there is no '{name}'; {nearest(name, known)}")
    return name


@torch.no_grad()
def try_on(segmenter: AbstractSegmenter, generator: AbstractGenerator) -> None:
    """Run a network of others on two black images of the generator's size: one that does not fit is refused before any
    work is done."""
    images = torch.full((2, generator.channels, generator.resolution, generator.resolution), -1.0)
    images = images.to(next(segmenter.parameters(), images).device)
    kind = type(segmenter).__name__.lower()
    try:
        logits = segmenter.logits(images)
    except Exception as error:  # a network of somebody else can fail in any way at images that it is not made for
        raise ValueError(
            f"segmenter.network: this {kind} does not take images {tuple(images.shape[1:])} ({reason(error)}); choose "
            "one for the generator's size, or a size that it takes"
        ) from None
    if not isinstance(logits, Tensor) or logits.dim() != 4:
        made = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"segmenter.network: it gives {made} for two images, and not scores [2, classes, h, w]")
    if logits.shape[1] != len(segmenter.classes):
        raise ValueError(
            f"segmenter.names: there are {len(segmenter.classes)}, and the network scores {logits.shape[1]} classes; "
            "give one name for each class"
        )
