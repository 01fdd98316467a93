"""VQ-VAE-2."""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from zstar.checkpoints import io
from zstar.checkpoints.families import load_family, whole
from zstar.checkpoints.image_size import image_size, require_halvings
from zstar.checkpoints.vqvae2 import vqvae2_sizes
from zstar.config.constraints import POSITIVE, FilePath, RunPath, Within, require
from zstar.config.paths import place
from zstar.generators.autoencoder import TrainableAutoencoder
from zstar.generators.base import AbstractGenerator, Noise
from zstar.generators.vqvae2_networks import VQVAE2Network

CHAIN = ("quantised", "continuous")
Codes = Int64[Tensor, "b _ _"]


class VQVAE2(AbstractGenerator, TrainableAutoencoder):
    """The decoder of VQ-VAE-2 (Razavi et al. 2019, https://arxiv.org/abs/1906.00446), with its encoder
    (``encoder=own``).

    An image is two maps of codes, one of an eighth of its height and one of a quarter, and each code stands for a
    vector. It reconstructs nearly all pictures, also those that it does not know, and knows little of which are likely.

    Spaces, each lifted to the next, the map above and then the one below side by side, flat: ``quantised``
    [embed_dim · (h/8 · w/8 + h/4 · w/4)], numbers before they are quantised: an image is that of the nearest codes,
    with the gradient passed straight through; ``continuous``, of the same shape, which the decoder takes as they are.

    Samples are no pictures that a person would take for real ones: the published ones come from large networks that
    know which codes go together, and here each code is drawn by itself. Without ``prior_run`` that is by how often it
    stood for something at the end of the training (``cluster_size``), the same everywhere; with it, by how often the
    images of that run have it in this place. Below a ``truncation`` of 1, rare codes are rarer.

    Feature layers: ``upsample_t`` (what the decoder sees of the map above), ``b16``, ``b32``, … by their height: a
    quarter and a half of the image's.

    Arguments:
        resolution: Height and width of the images, a multiple of 8. No tensor tells it; None is what the card of the
            checkpoint says, else 64.
        channels: Colours, 3 or 1.
        width: Channels of the maps; 128 as published.
        num_blocks, inner: Residual blocks of each part, and their channels inside; 2 and 32 as published.
        embed_dim, num_codes: Length of a code's vector, 64 as published, and number of codes, 512 as published.
        prior_run: A finished run of ``invert.py`` into a space of this generator (``projector=[encoder]``), or its
            latents, that samples are drawn like.
        checkpoint: A file in the layout of rosinality/vq-vae-2-pytorch. All sizes but that of the images come from it.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.

    Raises:
        ValueError: A size, the checkpoint or the run can't be used.
    """

    prior = None
    encoded = "quantised"
    penalty = "commitment"

    def __init__(
        self,
        resolution: int | None = None,
        channels: int = 3,
        width: int = 64,
        num_blocks: int = 2,
        inner: int = 32,
        embed_dim: int = 32,
        num_codes: int = 256,
        prior_run: RunPath | None = None,
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        path = None if checkpoint is None else io.resolve(checkpoint)
        self.trained = path is not None
        if path is None:
            require("generator", Within(2), width=width)
            require("generator", Within(1), inner=inner, embed_dim=embed_dim, num_codes=num_codes)
            require("generator", Within(0), num_blocks=num_blocks)
            self.network = VQVAE2Network(channels, width, num_blocks, inner, embed_dim, num_codes, num_codes)
        else:
            self.network, channels = _load(path, checkpoint_key)
        self.network.to(memory_format=torch.channels_last)
        self.require_colours("generator.channels" if path is None else "generator.checkpoint", channels)
        self.resolution, self.channels = image_size(resolution, path, 64), channels
        require_halvings(self.resolution, 3)
        self.books = {"top": self.network.quantize_t, "bottom": self.network.quantize_b}
        self.sides = {"top": self.resolution // 8, "bottom": self.resolution // 4}
        self.dim = len(self.network.quantize_t.embed)
        size = self.dim * sum(side**2 for side in self.sides.values())
        self.spaces, self.noise_shapes = dict.fromkeys(CHAIN, (size,)), {}
        *_, first, _, second, _ = self.network.dec.blocks
        names = (f"b{self.resolution // 4}", f"b{self.resolution // 2}")
        self._places = dict(zip(("upsample_t", *names), (self.network.upsample_t, first, second), strict=True))
        self.layers = tuple(self._places)
        self.traits = {"resolution": self.resolution}
        self.counts = None if prior_run is None else self._count(prior_run)
        if self.counts is not None:
            rows = b"".join(count.numpy().tobytes() for count in self.counts.values())
            self.traits["prior"] = hashlib.sha256(rows).hexdigest()
        self.freeze()

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        """``n`` draws; the shares of codes are raised to the power 1 / ``truncation``."""
        self.shape(space or "quantised")
        if truncation not in POSITIVE:
            raise ValueError(f"truncation: {truncation} is no power of shares; set it to {POSITIVE}")
        found, seen = {}, {name: book.cluster_size[None] for name, book in self.books.items()}
        for name, count in (self.counts or seen).items():
            count = count.to(rng.device)
            known = count.where(count.sum(dim=1, keepdim=True) > 0, torch.ones_like(count))  # fresh ones have seen none
            shares = (known.log() / truncation).softmax(dim=1).expand(self.sides[name] ** 2, -1)
            drawn = torch.multinomial(shares, n, replacement=True, generator=rng).T
            found[name] = self.bring(drawn).reshape(n, self.sides[name], self.sides[name])
        return self.embed(**found)

    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        """Quantise; the gradient is passed straight through."""
        self.shape(source), self.shape(target)
        if CHAIN.index(source) > CHAIN.index(target):
            raise ValueError(f"space: {source} can't be lifted to {target}; the order is {' → '.join(CHAIN)}")
        if source == target:
            return latent
        return self.join(*(book(part) for book, part in zip(self.books.values(), self.split(latent), strict=True)))

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images; there is no noise to choose."""
        return self.network(*self.split(self.lift(latent, space, "continuous")))

    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        self.require_size(image)
        return self.join(*self.network.encode(image))

    def training_pass(
        self, image: Float[Tensor, "b c h w"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Images of an image's codes; distances are the sum of both levels. In ``train()`` the codes then follow what
        they stand for."""
        self.require_size(image)
        parts = [part.float() for part in self.network.encode(image)]
        found = [book(part) for book, part in zip(self.books.values(), parts, strict=True)]
        errors = [
            (code.detach() - part).square().flatten(1).mean(dim=1) for code, part in zip(found, parts, strict=True)
        ]
        for book, part in zip(self.books.values(), parts, strict=True) if self.training else ():
            book.follow(part, rng)
        return self.network(*found).float(), errors[0] + errors[1]

    def codes(self, latent: Float[Tensor, "b d"]) -> tuple[Codes, Codes]:
        """The numbers of the nearest codes, ``[b, h/8, w/8]`` and ``[b, h/4, w/4]``."""
        top, bottom = (book.codes(part) for book, part in zip(self.books.values(), self.split(latent), strict=True))
        return top, bottom

    def embed(self, top: Codes, bottom: Codes) -> Float[Tensor, "b d"]:
        """The latents of codes: their vectors."""
        return self.join(self.books["top"].vectors(top), self.books["bottom"].vectors(bottom))

    def split(self, latent: Float[Tensor, "b d"]) -> list[Float[Tensor, "b c _ _"]]:
        """The map above and the one below."""
        sides = list(self.sides.values())
        parts = latent.split([self.dim * side**2 for side in sides], dim=1)
        return [part.unflatten(1, (self.dim, side, side)) for part, side in zip(parts, sides, strict=True)]

    def join(self, top: Float[Tensor, "b c _ _"], bottom: Float[Tensor, "b c _ _"]) -> Float[Tensor, "b d"]:
        """Both maps as one flat latent."""
        return torch.cat([top.flatten(1), bottom.flatten(1)], dim=1)

    def layer(self, name: str) -> nn.Module:
        if name not in self._places:
            raise ValueError(f"layer: VQVAE2 has no layer '{name}'; choose one of {', '.join(self.layers)}")
        return self._places[name]

    @torch.no_grad()
    def _count(self, run: RunPath) -> dict[str, Float[Tensor, "p n"]]:
        """How often the images of a run have each code in each place, on both levels."""
        path = place(run)
        file = path / "latents.safetensors" if path.is_dir() else path
        card, latent = io.read_card(file), io.load_weights(file).get("latent")
        if card.get("kind") != "inversion" or latent is None or tuple(latent.shape[1:]) != self.spaces["quantised"]:
            raise ValueError(f"generator.prior_run: {file} holds no latents of this generator; give a run of its own")
        codes = dict(zip(self.books, self.codes(latent), strict=True))
        return {
            name: F.one_hot(found.flatten(1), len(self.books[name].cluster_size)).sum(dim=0).float()
            for name, found in codes.items()
        }


def _load(path: Path, key: str | None) -> tuple[VQVAE2Network, int]:
    """The network in a file, and the colours of its images."""
    weights = load_family(path, key, "vqvae2")
    with whole(path, "VQ-VAE-2"):
        sizes = vqvae2_sizes(weights)
    network = VQVAE2Network(**sizes)
    io.load_into(network, weights, path)
    for name, value in network.named_buffers():
        if not value.isfinite().all():
            raise ValueError(f"checkpoint: '{name}' in {path} holds numbers that are not finite; give another file")
    return network, sizes["channels"]
