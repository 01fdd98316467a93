"""Discriminators as judges: trained, frozen, and each image by itself."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.checkpoints.io import load_weights
from zstar.discriminators.base import AbstractDiscriminator


def load_judge(discriminator: AbstractDiscriminator, checkpoint: str | None, key: str) -> AbstractDiscriminator:
    """A discriminator of images with weights from a file, frozen; one that compares the pictures of a batch sees each
    of them alone.

    Arguments:
        discriminator: D, a network for images, as it was trained.
        checkpoint: Its weights: ``discriminator.safetensors``, which ``train.py task=generator`` exports.
        key: What the configuration calls the term that asks for it, for errors.

    Raises:
        ValueError: There is no file, it does not fit, or D judges latents; one sentence with the key.
    """
    if checkpoint is None:
        raise ValueError(
            f"{key}.checkpoint: no discriminator ships; give the discriminator.safetensors that "
            "train.py task=generator wrote beside the weights of the generator"
        )
    if discriminator.inputs != "images":
        raise ValueError(f"{key}.discriminator: it judges latents; choose one for images")
    try:
        discriminator.load_state_dict(load_weights(checkpoint))
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()
        raise ValueError(
            f"{key}.checkpoint: {checkpoint} does not fit {type(discriminator).__name__} ({why}); "
            f"set {key}.discriminator as it was trained"
        ) from None
    discriminator.group = min(discriminator.group, 1)
    return discriminator.eval().requires_grad_(False)


def doubt(heads: list[Float[Tensor, "b n"]]) -> Float[Tensor, " b"]:
    """softplus(−D), mean over the logits of each head and then over the heads: about 0 for a picture that passes,
    log 2 = 0.69 where D can't say, −D where it is sure of a fake."""
    return torch.stack([F.softplus(-logits).mean(dim=1) for logits in heads]).mean(dim=0)
