"""A network of your own as the generator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints.identity import source
from zstar.checkpoints.keras import is_hdf5, match_keras
from zstar.config.constraints import FilePath
from zstar.generators.base import Noise
from zstar.generators.one_space import AbstractOneSpace
from zstar.stats.streams import stream

USUAL = {"prior": "normal", "output_range": [-1.0, 1.0], "network": None}  # traits that tell nothing apart


class Module(AbstractOneSpace):
    """Any ``torch.nn.Module`` that maps a batch of latents to a batch of images, such as a DCGAN or a VAE's decoder.

    Choose it for a generator that the package does not know. It has one space, ``z``. Size and colours of its images,
    and whether it normalises its latents, are found by running it once.

    Arguments:
        network: The network; in YAML, a ``_target_`` with the class and beside it the class's own arguments. Its
            ``forward`` takes ``[b, *latent_shape]`` and returns ``[b, c, h, h]``, each image by itself.
        latent_shape: Shape of one latent, such as ``[100]`` or ``[100, 1, 1]``.
        checkpoint: A file with its state dict, or the name of a shipped one; None keeps the weights as they are. Or an
            HDF5 file of Keras with the weights of the same layers, whose kernels are turned and which layer became
            which is printed; what flattens and the ε of batch norms, 0.001 there, are for the network to have.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.
        prior: What the latents were drawn from in training: ``normal`` (0, 1), or ``uniform`` on [−1, 1].
        output_range: Darkest and brightest value of its images, such as ``[0, 1]``; mapped to [−1, 1].
        layers: Names of sub-modules whose outputs can be read and edited, as ``named_modules()`` spells them.

    Raises:
        ValueError: The checkpoint does not fit, a layer does not exist, or the output is no batch of square images.
    """

    def __init__(
        self,
        network: nn.Module,
        latent_shape: Sequence[int],
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
        prior: Literal["normal", "uniform"] = "normal",
        output_range: Sequence[float] = (-1.0, 1.0),
        layers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"generator.network: a {type(network).__name__} is no torch.nn.Module; name such a class")
        if prior not in ("normal", "uniform"):
            raise ValueError(f"generator.prior: '{prior}' is unknown; choose normal or uniform")
        if len(output_range) != 2 or not output_range[0] < output_range[1]:
            raise ValueError(f"generator.output_range: {list(output_range)} is no range; give e.g. [-1, 1] or [0, 1]")
        self.network = network.float()  # as its latents are, and half precision is slow or missing on CPUs
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            io.load_into(network, self._read(path, checkpoint_key), path)
        self.prior, self.learned = prior, checkpoint is not None
        self.low, self.high = (float(value) for value in output_range)
        traits = {"prior": prior, "output_range": [self.low, self.high], "network": source(network)}
        self.traits = {name: value for name, value in traits.items() if value != USUAL[name]}
        self.spaces = {"z": tuple(latent_shape)}
        self.noise_shapes = {}
        self.layers = tuple(layers)
        for name in self.layers:
            self.layer(name)
        self.freeze()
        self.channels, self.resolution, self.normalizes = self._measure()

    def _read(self, path: Path, key: str | None) -> dict[str, Tensor]:
        """The state dict in a file of PyTorch or, layer by layer, of Keras."""
        if not is_hdf5(path):
            return io.load_weights(path, key)
        weights, table = match_keras(self.network, path, key)
        print("\n".join([f"{path}, layer by layer:", *table]))
        return weights

    @torch.no_grad()
    def _measure(self) -> tuple[int, int, bool]:
        """Colours and size of its images, and whether they stay the same where a latent is doubled."""
        kind, shape = type(self.network).__name__, self.spaces["z"]
        one, other = self.sample(2, stream("probe of a module", 0)).split(1)
        try:
            images = self.network(torch.cat([one, 2 * one, other]))
        except (RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"generator.latent_shape: {kind} does not take [b, {shape}] ({reason})") from error
        if not isinstance(images, Tensor) or images.ndim != 4 or len(images) != 3 or images.shape[2] != images.shape[3]:
            made = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise ValueError(f"generator.network: three latents gave {made}, not three square images [3, c, h, h]")
        self.require_colours("generator.network", images.shape[1])
        doubled, moved = ((images[0] - image).norm().item() for image in images[1:])
        return images.shape[1], images.shape[2], doubled < 1e-3 * moved

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images in [−1, 1]; there is no noise to choose."""
        images = self.network(latent)
        if (self.low, self.high) == (-1, 1):
            return images
        return (images - self.low) * (2 / (self.high - self.low)) - 1

    def layer(self, name: str) -> nn.Module:
        """The sub-module called ``name``; only the ones in ``layers`` are offered."""
        known = [inner for inner, _ in self.network.named_modules() if inner]
        if name not in self.layers or name not in known:
            choice = self.layers if all(layer in known for layer in self.layers) else known
            raise ValueError(f"generator.layers: there is no '{name}'; choose from {', '.join(choice) or 'none'}")
        return self.network.get_submodule(name)
