"""A network of your own as the encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.config.constraints import FilePath
from zstar.config.reasons import reason
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents
from zstar.images import require_range, to_range


class Module(AbstractEncoder):
    """Any ``torch.nn.Module`` that maps a batch of images to a batch of latents, such as a VAE's own encoder.

    Choose it for an encoder that came with its generator (VAE, VAE-GAN) or that was trained elsewhere. Its output is
    the latent as it is, without the prior's mean and spread. It comes frozen and in ``eval()``.

    Arguments:
        spec: What it is for: the generator's images, and its latents, with a prior of mean 0 and spread 1. Dimensions
            of length one may be missing in the network's output, or added.
        network: The network; in YAML, a ``_target_`` with the class and beside it the class's own arguments. Its
            ``forward`` takes ``[b, c, h, h]``, each image by itself.
        checkpoint: A file with its state dict, or the name of a shipped one; None keeps the weights as they are.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.
        input_range: Darkest and brightest value that it expects, such as ``[0, 1]``; made from [−1, 1].
        output: Which part of its output is the latent: the place in a tuple, such as 0 for μ of (μ, log σ²), or the
            name in a dict; None where the output is the latent.

    Raises:
        ValueError: The checkpoint does not fit, the network does not take such images, or gives no such latents.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        network: nn.Module,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
        input_range: Sequence[float] = (-1.0, 1.0),
        output: int | str | None = None,
    ) -> None:
        super().__init__(spec)
        if not isinstance(network, nn.Module):
            raise ValueError(f"encoder.network: a {type(network).__name__} is no torch.nn.Module; name such a class")
        self.low, self.high = require_range("encoder.input_range", input_range)
        self.network, self.output = network.float(), output
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            io.load_into(network, io.load_weights(path, checkpoint_key), path)
        self.eval().requires_grad_(False)
        self._try()

    def _try(self) -> None:
        """Run it once, on two black images, so that a network that does not fit is refused before any work is done."""
        kind, size = type(self.network).__name__, (self.channels, self.resolution, self.resolution)
        device = next(self.network.parameters(), torch.empty(0)).device
        try:
            with torch.no_grad():
                output = self.network(torch.full((2, *size), self.low, device=device))
        except Exception as error:  # a network of one's own can fail in any way at images that it is not made for
            raise ValueError(f"encoder.network: {kind} does not take images [b, {size}] ({reason(error)})") from error
        latent = self._latent(output)
        if len(latent) != 2 or _long(latent.shape[1:]) != _long(self.shape):
            raise ValueError(
                f"encoder.network: {kind} makes {tuple(latent.shape)} of two images, and two latents of this space are "
                f"{(2, *self.shape)}; choose the network, or the part of its output, that goes with this generator"
            )

    def _latent(self, output: Any) -> Tensor:
        """The part of an output that is the latent."""
        kind, part = type(self.network).__name__, output
        if isinstance(output, Mapping | Sequence):
            names = list(output) if isinstance(output, Mapping) else list(range(len(output)))
            if self.output not in names:
                choice = ", ".join(map(str, names)) or "nothing"
                other = "" if self.output is None else f", not {self.output}"
                raise ValueError(f"encoder.output: {kind} gives {choice}{other}; say which of them is the latent")
            part = output[self.output]
        elif self.output is not None:
            raise ValueError(f"encoder.output: {kind} has one output, so there is no {self.output}; set it to null")
        if not isinstance(part, Tensor) or part.ndim < 1 or not part.is_floating_point():
            raise ValueError(f"encoder.network: {kind} gives a {type(part).__name__} and no batch of latents")
        return part

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Latents from the images alone."""
        if (self.low, self.high) != (-1, 1):
            images = to_range(images, self.low, self.high)
        return self._latent(self.network(images)).float().reshape(len(images), *self.shape)


def _long(shape: Sequence[int]) -> list[int]:
    """The dimensions that are longer than one."""
    return [length for length in shape if length != 1]
