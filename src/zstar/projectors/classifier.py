"""A classifier of pictures, which says what classes an image may have."""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.config.constraints import FilePath, Within, require
from zstar.config.reasons import reason
from zstar.segmenters.foreign import MEAN, STD, standardized

KEY = "projector.classes.classifier"


class Classifier:
    """Any network that scores the classes of a generator, in their order, such as one of ``torchvision.models``.

    Nothing is downloaded.

    Arguments:
        network: The network; in YAML, a ``_target_`` with a ``torch.nn.Module`` class, or a function that makes one,
            and its arguments. It takes ``[b, 3, size, size]`` and returns ``[b, k]``.
        checkpoint: A file with its state dict; None keeps the weights as they are.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.
        size: Pixels of the images that it gets; None leaves them as they are.
        mean, std: Of the colours in [0, 1] that it expects images less and in units of; those of ImageNet by default.

    Raises:
        ValueError: It is no network, or the checkpoint does not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
        size: Annotated[int, Within(1)] | None = 224,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise ValueError(f"{KEY}.network: a {type(network).__name__} is no torch.nn.Module; name such a class")
        if size is not None:
            require(KEY, Within(1), size=size)
        for name, three in (("mean", mean), ("std", std)):
            if len(three) != 3 or (name == "std" and min(three) <= 0):
                raise ValueError(f"{KEY}.{name}: {list(three)} says nothing of three colours; give e.g. {list(MEAN)}")
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            io.load_into(network, io.load_weights(path, checkpoint_key), path)
        self.network = network.float().eval().requires_grad_(False)
        self.size, self.mean, self.std = size, tuple(mean), tuple(std)

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b c h w"], count: int) -> Float[Tensor, "b {count}"]:
        """The scores of images in [−1, 1]; a sentence where they are not of ``count`` classes."""
        self.network.to(images.device)
        try:
            scores = self.network(standardized(images.clamp(-1, 1), self.size, self.mean, self.std))
        except Exception as error:  # a network of somebody else can fail in any way at images it is not made for
            raise ValueError(f"{KEY}.network: it does not take these images ({reason(error)}); set size") from error
        if not isinstance(scores, Tensor) or tuple(scores.shape) != (len(images), count):
            made = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(f"{KEY}.network: it gives {made} for {len(images)} images and G's {count} classes")
        return scores.float()
