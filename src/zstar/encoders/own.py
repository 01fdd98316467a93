"""The encoder that a generator was trained with."""

import torch

from zstar.config.reasons import Unfit
from zstar.encoders.base import AbstractEncoder, EncoderSpec, Images, Latents
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.autoencoder import Autoencoder
from zstar.spaces.base import AbstractSpace


class Own(AbstractEncoder):
    """What a generator itself makes of images, in the space that it encodes to: μ of a VAE, as it is.

    Arguments:
        spec: Its images, and its latents, of which it is told neither mean nor spread.
        generator: The generator.
    """

    def __init__(self, spec: EncoderSpec, generator: Autoencoder) -> None:
        super().__init__(spec)
        self.generator = generator
        self.eval().requires_grad_(False)

    def forward(self, images: Images, latent: Latents, reconstruction: Images | None = None) -> Latents:
        """Latents from the images alone."""
        return self.generator.encode(images)


def own_encoder(space: AbstractSpace) -> TrainedEncoder:
    """The generator's own encoder, for ``space``: its latents are lifted where that is a richer space.

    Raises:
        Unfit: The generator has none.
    """
    generator = space.generator
    if not isinstance(generator, Autoencoder):
        raise Unfit(
            f"encoder: {type(generator).__name__} was not trained with one; choose encoder=shipped, train one (train.py"
            " task=encoder), or encoder=module for a network of your own"
        )
    shape = generator.shape(generator.encoded)
    network = Own(EncoderSpec(generator.resolution, generator.channels, shape, torch.zeros(shape), 1.0), generator)
    return TrainedEncoder(network, generator.encoded, None, "its own encoder").require_compatible(space)
