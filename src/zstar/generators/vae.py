"""Variational autoencoders."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.checkpoints.families import load_family, whole
from zstar.checkpoints.image_size import require_halvings
from zstar.checkpoints.vae import convolutional_vae_sizes, linear_vae_sizes
from zstar.config.constraints import FilePath, Within, require
from zstar.config.reasons import reason
from zstar.generators.autoencoder import TrainableAutoencoder
from zstar.generators.base import Noise
from zstar.generators.mixture import Mixture
from zstar.generators.one_space import AbstractOneSpace
from zstar.generators.vae_networks import AbstractVAE, ConvolutionalVAE, LinearVAE, know_density
from zstar.images import to_unit


class VAE(AbstractOneSpace, TrainableAutoencoder):
    """The decoder of a variational autoencoder (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114), with its
    encoder (``encoder=own``), whose latent is μ.

    The choice where an image is to have a latent at once, and one near its prior; its pictures are blurred, since each
    is the mean of all that the latent may stand for. Files of two layouts are read: that of PyTorch's examples, two
    linear layers each way, and one of strided convolutions, ``e1``, … to ``d1``, …, which a fresh network has.

    The one space, ``z`` [z_dim], is standard normal, as far as the training has come to that. What ``train.py`` has
    trained also knows where the latents of its images really lie, a mixture of normal distributions, and samples are
    drawn from that: far better ones, since the decoder has never seen what is elsewhere. Feature layers, of the
    convolutional one: ``b4``, ``b8``, … by their height, up to half of the image's.

    Arguments:
        resolution: Height and width of the images, a multiple of 2 to the power of the number of ``widths``.
        channels: Colours, 3 or 1.
        z_dim: Length of z.
        widths: Channels behind each convolution of the encoder, and in the decoder in the other order.
        checkpoint: A file of both halves. All sizes then come from it, and the arguments above are ignored.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.

    Raises:
        ValueError: A size or the checkpoint can't be used.
    """

    encoded = "z"
    penalty = "kl"

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        z_dim: int = 64,
        widths: Sequence[int] = (32, 32, 64, 64),
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
    ) -> None:
        super().__init__()
        if checkpoint is None:
            require("generator", Within(1), z_dim=z_dim, **{f"widths.{i}": width for i, width in enumerate(widths)})
            self.network: AbstractVAE = _fresh(resolution, channels, widths, z_dim)
        else:
            self.network = _load(checkpoint, checkpoint_key)
        self.network.to(memory_format=torch.channels_last)
        self.trained = checkpoint is not None
        self.resolution, self.channels = self.network.resolution, self.network.channels
        self.require_colours("generator.channels" if checkpoint is None else "generator.checkpoint", self.channels)
        self.spaces, self.noise_shapes = {"z": (self.network.latents,)}, {}
        self.layers = tuple(self.network.maps)
        self.freeze()

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images within [−1, 1]; there is no noise to choose."""
        return 2 * self.network(latent) - 1

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n z"]:
        """``n`` draws from where the latents of images lie, if that is known, else from the prior; scaled towards their
        mean by ``truncation``."""
        if self.network.density is None:
            return super().sample(n, rng, truncation, space)
        self.shape(space or self.drawn)
        return self.bring(self.network.density.sample(n, rng, truncation))

    def sample_posterior(self, image: Float[Tensor, "b c h w"], rng: torch.Generator) -> Float[Tensor, "b z"]:
        """One of the latents that may stand for each image in [−1, 1]."""
        return drawn(*self.posterior(image), rng)

    def learn_density(self, latent: Float[Tensor, "n z"], components: int, seed: int) -> None:
        """Draw samples from now on from a mixture of so many components that these latents of images are explained
        by."""
        self.network.density = Mixture.fitted(latent, components, seed)

    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        return self.posterior(image)[0]

    def posterior(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b z"], Float[Tensor, "b z"]]:
        """μ and log σ² of the latents that may stand for each image in [−1, 1]."""
        self.require_size(image)
        return self.network.encode(to_unit(image))

    def training_pass(
        self, image: Float[Tensor, "b c h w"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Images of latents that are drawn from those that may stand for each."""
        mean, log_variance = (part.float() for part in self.posterior(image))
        made = self.synthesize(drawn(mean, log_variance, rng), "z").float()
        nats = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)
        return made, nats / image[0].numel()

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers:
            choice = f"choose one of {', '.join(self.layers)}" if self.layers else "its layers are no maps"
            raise ValueError(f"layer: VAE has no layer '{name}'; {choice}")
        return self.network.maps[name]


def drawn(mean: Tensor, log_variance: Tensor, rng: torch.Generator) -> Tensor:
    """One draw of each normal distribution, through which gradients pass."""
    noise = torch.randn(mean.shape, generator=rng, device=rng.device).to(mean.device)
    return mean + noise * (log_variance / 2).exp()


def _fresh(resolution: int, channels: int, widths: Sequence[int], z_dim: int) -> ConvolutionalVAE:
    if not widths:
        raise ValueError("generator.widths: the list is empty; give a width for each time that the image is halved")
    require_halvings(resolution, len(widths), ", or other generator.widths")
    return ConvolutionalVAE(resolution, channels, widths, z_dim)


def _load(checkpoint: FilePath, key: str | None) -> AbstractVAE:
    path = io.resolve(checkpoint)
    weights = load_family(path, key, "vae")
    kind, sizes = (
        (LinearVAE, linear_vae_sizes) if "fc21.weight" in weights else (ConvolutionalVAE, convolutional_vae_sizes)
    )
    with whole(path, "VAE"):
        try:
            network = kind(**sizes(weights))
        except ValueError as error:
            raise ValueError(f"checkpoint: {path} holds no VAE that can be used ({reason(error)})") from None
    know_density(network, weights)
    io.load_into(network, weights, path)
    return network
