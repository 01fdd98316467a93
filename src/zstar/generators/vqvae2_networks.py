"""The network of VQ-VAE-2 under its published names: a code book of vectors on each of two levels."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

Maps = Float[Tensor, "b _ _ _"]
Codes = Int64[Tensor, "b _ _"]
DECAY = 0.99  # of the running means that the codes follow in training
UNUSED = 0.05  # of an even share: a code that stands for less begins anew


class CodeBook(nn.Module):
    """Vectors, of which one stands for each pixel of a map; in a training each follows the mean of what it stands for
    (van den Oord et al. 2017, https://arxiv.org/abs/1711.00937), and one that stands for next to nothing begins anew
    as some pixel of the map (as in Dhariwal et al. 2020, https://arxiv.org/abs/2005.00341)."""

    embed: Tensor
    cluster_size: Tensor
    embed_avg: Tensor

    def __init__(self, dim: int, codes: int) -> None:
        super().__init__()
        vectors = torch.randn(dim, codes)
        self.register_buffer("embed", vectors)
        self.register_buffer("cluster_size", torch.zeros(codes))
        self.register_buffer("embed_avg", vectors.clone())

    def codes(self, x: Maps) -> Codes:
        """The number of the nearest vector, in single precision: neighbours are close to each other."""
        with torch.autocast(x.device.type, enabled=False):
            products = x.movedim(1, -1).to(self.embed.dtype) @ self.embed
        return (self.embed.square().sum(dim=0) - 2 * products).argmin(dim=-1)  # but for what is the same of all

    def vectors(self, codes: Codes) -> Maps:
        return F.embedding(codes, self.embed.T).movedim(-1, 1)

    def forward(self, x: Maps) -> Maps:
        """The nearest vectors, with the gradient passed straight through."""
        return x + (self.vectors(self.codes(x)) - x).detach()

    @torch.no_grad()
    def follow(self, x: Maps, rng: torch.Generator) -> None:
        """Move the vectors towards what they stand for; ``rng`` chooses the pixels at which unused ones begin anew."""
        pixels, count = x.movedim(1, -1).flatten(0, 2), len(self.cluster_size)
        share = len(pixels) / count
        places = torch.randint(len(pixels), (count,), generator=rng, device=rng.device).to(x.device)
        taken = F.one_hot(self.codes(x).flatten(), count).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            self.cluster_size.lerp_(taken.sum(dim=0), 1 - DECAY)
            self.embed_avg.lerp_(pixels.T @ taken, 1 - DECAY)
        unused = self.cluster_size < UNUSED * share
        self.embed_avg.copy_(torch.where(unused, share * pixels[places].T, self.embed_avg))
        self.cluster_size.masked_fill_(unused, share)
        self.embed.copy_(self.embed_avg / self.cluster_size)


class ResBlock(nn.Module):
    """Its input is activated inside only."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        first, second = nn.Conv2d(width, inner, 3, padding=1), nn.Conv2d(inner, width, 1)
        self.conv = nn.Sequential(nn.ReLU(), first, nn.ReLU(), second)

    def forward(self, x: Maps) -> Maps:
        return x + self.conv(x)


class Encoder(nn.Module):
    """Maps of a half of the height, or of a quarter."""

    def __init__(self, inputs: int, width: int, blocks: int, inner: int, quarter: bool) -> None:
        super().__init__()
        half = width // 2
        layers = [nn.Conv2d(inputs, half, 4, 2, 1), nn.ReLU()]
        layers += [nn.Conv2d(half, width, 4, 2, 1), nn.ReLU()] if quarter else []
        layers += [nn.Conv2d(width if quarter else half, width, 3, padding=1)]
        layers += [ResBlock(width, inner) for _ in range(blocks)]
        self.blocks = nn.Sequential(*layers, nn.ReLU())

    def forward(self, x: Maps) -> Maps:
        return self.blocks(x)


class Decoder(nn.Module):
    """Maps of twice the height, or of four times."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int, inner: int, quarter: bool) -> None:
        super().__init__()
        layers = [nn.Conv2d(inputs, width, 3, padding=1), *(ResBlock(width, inner) for _ in range(blocks)), nn.ReLU()]
        if quarter:
            half = width // 2
            layers += [nn.ConvTranspose2d(width, half, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(half, outputs, 4, 2, 1)]
        else:
            layers += [nn.ConvTranspose2d(width, outputs, 4, 2, 1)]
        self.blocks = nn.Sequential(*layers)

    def forward(self, x: Maps) -> Maps:
        return self.blocks(x)


class VQVAE2Network(nn.Module):
    """Both halves.

    Arguments:
        channels: Colours.
        width: Channels of the maps.
        blocks, inner: Number of residual blocks of each part, and their channels inside.
        dim, codes_t, codes_b: Length of a code's vector, and number of codes above and below.
    """

    def __init__(
        self, channels: int, width: int, blocks: int, inner: int, dim: int, codes_t: int, codes_b: int
    ) -> None:
        super().__init__()
        self.enc_b = Encoder(channels, width, blocks, inner, quarter=True)
        self.enc_t = Encoder(width, width, blocks, inner, quarter=False)
        self.quantize_conv_t = nn.Conv2d(width, dim, 1)
        self.quantize_t = CodeBook(dim, codes_t)
        self.dec_t = Decoder(dim, dim, width, blocks, inner, quarter=False)
        self.quantize_conv_b = nn.Conv2d(dim + width, dim, 1)
        self.quantize_b = CodeBook(dim, codes_b)
        self.upsample_t = nn.ConvTranspose2d(dim, dim, 4, 2, 1)
        self.dec = Decoder(2 * dim, channels, width, blocks, inner, quarter=True)

    def encode(self, images: Maps) -> tuple[Maps, Maps]:
        """The maps above and below before they are quantised; those below have seen the quantised ones above."""
        below = self.enc_b(images)
        top = self.quantize_conv_t(self.enc_t(below))
        guide = self.dec_t(self.quantize_t(top))
        return top, self.quantize_conv_b(torch.cat([guide, below], dim=1))

    def forward(self, top: Maps, bottom: Maps) -> Maps:
        """Images of maps as they are, quantised or not."""
        return self.dec(torch.cat([self.upsample_t(top), bottom], dim=1))
