"""A VAE of 64×64 faces (CelebA) with 32 latents: a generator that brings its own encoder to ``zstar``."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class VAE(nn.Module):
    """The layers of both halves under the names that their common state dict has, so that nothing in it is left over.

    Arguments:
        latents: Length of z.
    """

    def __init__(self, latents: int = 32) -> None:
        super().__init__()
        self.e1, self.bn1 = nn.Conv2d(3, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.e2, self.bn2 = nn.Conv2d(32, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.e3, self.bn3 = nn.Conv2d(32, 64, 4, 2, 1), nn.BatchNorm2d(64)
        self.e4, self.bn4 = nn.Conv2d(64, 64, 4, 2, 1), nn.BatchNorm2d(64)
        self.fc1, self.fc2 = nn.Linear(64 * 4 * 4, latents), nn.Linear(64 * 4 * 4, latents)
        self.d1 = nn.Linear(latents, 64 * 4 * 4)
        self.d2, self.bn6 = nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.BatchNorm2d(64)
        self.d3, self.bn7 = nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.d4, self.bn8 = nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.d5 = nn.ConvTranspose2d(32, 3, 4, 2, 1)


class Encoder(VAE):
    """Images [b, 3, 64, 64] in [0, 1] → μ and log σ² of z, each [b, latents]."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images
        for layer, norm in ((self.e1, self.bn1), (self.e2, self.bn2), (self.e3, self.bn3), (self.e4, self.bn4)):
            x = F.leaky_relu(norm(layer(x)), 0.2)
        x = x.flatten(1)
        return self.fc1(x), self.fc2(x)


class Decoder(VAE):
    """z [b, latents] → images [b, 3, 64, 64] in [0, 1]."""

    def forward(self, z: Tensor) -> Tensor:
        x = F.elu(self.d1(z)).unflatten(1, (64, 4, 4))
        for layer, norm in ((self.d2, self.bn6), (self.d3, self.bn7), (self.d4, self.bn8)):
            x = F.leaky_relu(norm(layer(x)), 0.2)
        return torch.sigmoid(self.d5(x))
