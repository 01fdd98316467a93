"""The networks of VAEs under their published names: images in [0, 1] → μ and log σ² of z → images in [0, 1]."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.generators.mixture import Mixture

Images = Float[Tensor, "b c h w"]
Latents = Float[Tensor, "b z"]


class AbstractVAE(nn.Module, ABC):
    """An encoder and a decoder.

    Attributes:
        resolution, channels, latents: Sizes of its images, and length of z.
        maps: Name of each of the decoder's feature maps, in their order → where it is; none where it has none.
        density: Where the latents of images lie, if that is known.
    """

    resolution: int
    channels: int
    latents: int
    maps: nn.ModuleDict
    density: Mixture | None

    def __init__(self) -> None:
        super().__init__()
        self.density = None
        self.register_load_state_dict_pre_hook(know_density)

    @abstractmethod
    def encode(self, images: Images) -> tuple[Latents, Latents]:
        """μ and log σ² of z."""

    @abstractmethod
    def forward(self, z: Latents) -> Images:
        """Images of latents."""


def know_density(network: AbstractVAE, weights: Mapping[str, Tensor], *_: object) -> None:
    """Weights that tell where latents lie have a place for that."""
    if (shares := weights.get("density.shares")) is not None:
        network.density = Mixture(len(shares), network.latents).to(shares.device)


class LinearVAE(AbstractVAE):
    """Two layers each way, as in the examples of PyTorch (vae/main.py)."""

    def __init__(self, resolution: int, channels: int, hidden: int, latents: int) -> None:
        super().__init__()
        self.resolution, self.channels, self.latents = resolution, channels, latents
        values = channels * resolution**2
        self.fc1, self.fc21, self.fc22 = nn.Linear(values, hidden), *(nn.Linear(hidden, latents) for _ in range(2))
        self.fc3, self.fc4 = nn.Linear(latents, hidden), nn.Linear(hidden, values)
        self.maps = nn.ModuleDict()

    def encode(self, images: Images) -> tuple[Latents, Latents]:
        hidden = self.fc1(images.flatten(1)).relu()
        return self.fc21(hidden), self.fc22(hidden)

    def forward(self, z: Latents) -> Images:
        values = self.fc4(self.fc3(z).relu()).sigmoid()
        return values.unflatten(1, (self.channels, self.resolution, self.resolution))


class ConvolutionalVAE(AbstractVAE):
    """Strided 4×4 convolutions with batch norm down to some pixels, and transposed ones back.

    Arguments:
        resolution, channels: Of the images.
        widths: Channels after each convolution, and in the other order before each transposed one.
        latents: Length of z.
    """

    def __init__(self, resolution: int, channels: int, widths: Sequence[int], latents: int) -> None:
        super().__init__()
        self.resolution, self.channels, self.latents, self.count = resolution, channels, latents, len(widths)
        self.side = resolution // 2**self.count
        for i, (source, width) in enumerate(pairwise([channels, *widths]), start=1):
            self.add_module(f"e{i}", nn.Conv2d(source, width, 4, 2, 1))
            self.add_module(f"bn{i}", nn.BatchNorm2d(width))
        inner = widths[-1] * self.side**2
        self.fc1, self.fc2, self.d1 = nn.Linear(inner, latents), nn.Linear(inner, latents), nn.Linear(latents, inner)
        for i, (source, width) in enumerate(pairwise([*reversed(widths), channels]), start=2):
            self.add_module(f"d{i}", nn.ConvTranspose2d(source, width, 4, 2, 1))
            if i <= self.count:
                self.add_module(f"bn{self.count + i}", nn.BatchNorm2d(width))
        self.maps = nn.ModuleDict({f"b{self.side * 2**i}": nn.Identity() for i in range(self.count)})

    def encode(self, images: Images) -> tuple[Latents, Latents]:
        x = images
        for i in range(1, self.count + 1):
            x = F.leaky_relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"e{i}")(x)), 0.2)
        x = x.flatten(1)
        return self.fc1(x), self.fc2(x)

    def forward(self, z: Latents) -> Images:
        first, *others = self.maps.values()
        x = first(F.elu(self.d1(z)).unflatten(1, (-1, self.side, self.side)))
        for i, place in enumerate(others, start=2):
            x = self.get_submodule(f"bn{self.count + i}")(self.get_submodule(f"d{i}")(x))
            x = place(F.leaky_relu(x, 0.2))
        return torch.sigmoid(self.get_submodule(f"d{self.count + 1}")(x))
