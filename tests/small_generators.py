"""A small generator of each file in conf/generator, and what any of them can be asked for."""

import torch
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.invertible import Invertible

STYLES = "resolution=16 z_dim=6 w_dim=8 channel_max=8"
CLASSED = "resolution=16 classes=3 shared_dim=4 attention=[8]"
DECODER = "network={_target_:test_module_generator.Decoder} latent_shape=[5] layers=[last]"
SMALL = {  # file, and which of its kinds → settings; heights of its feature maps; a setting that draws other pictures
    "biggan": (f"{CLASSED} width=1 z_dim=12", [8, 16], "bn_eps=0.1"),
    "biggan all": (f"{CLASSED} width=1 z_dim=12 label=all", [8, 16], "label=1"),
    "biggan_deep": (f"{CLASSED} width=2 z_dim=6 depth=1", [8, 16], "bn_eps=0.1"),
    "cottages": ("", [4, 8, 16, 32, 64], ""),
    "dcgan": ("resolution=16 z_dim=6 width=4", [4, 8], "normalization=none"),
    "dcgan resize": ("resolution=16 z_dim=6 width=4 convolutions=resize normalization=instance prior=uniform bias=true",
                     [4, 8], "prior=normal"),
    "deep_image_prior": ("resolution=16 inputs=3 width=6 skip=2 scales=2", [8, 16], "seed=1"),
    "diffusers": ("", [8, 16, 16], "resolution=32"),
    "glow": ("resolution=8 num_blocks=2 num_flows=2 width=8", [2, 4], "resolution=16"),
    "glow plain": ("resolution=8 num_blocks=2 num_flows=2 width=8 lu=false affine=false", [2, 4], "resolution=16"),
    "module": (f"{DECODER} output_range=[0,1]", [8], "output_range=[-1,1]"),
    "pggan": ("resolution=16 z_dim=6 channel_max=8", [4, 4, 8, 8, 16, 16], "channels=1"),
    "pixels": ("resolution=8", [], "resolution=16"),
    "realnvp": ("resolution=8 num_scales=2 width=4 num_blocks=1", [4, 4, 8], "resolution=16"),
    "stylegan": (f"{STYLES} num_mapping_layers=2", [4, 4, 8, 8, 16, 16], "fused_scale=true"),
    "stylegan2": (f"{STYLES} num_mapping_layers=2", [4, 8, 16], "conv_clamp=0.1"),
    "stylegan2 classes": (f"{STYLES} num_mapping_layers=1 c_dim=3 label=own", [4, 8, 16], "label=1"),
    "stylegan3": (f"{STYLES} num_layers=3 num_critical=1", [36, 36, 36, 16], "rotation=30"),
    "vae": ("resolution=16 z_dim=6 widths=[8,12]", [4, 8], "channels=1"),
    "vqvae2": ("resolution=16 width=8 num_blocks=1 inner=4 embed_dim=4 num_codes=16", [4, 4, 8], "resolution=24"),
}  # fmt: skip
BOUNDED = {"biggan", "biggan_deep", "dcgan", "deep_image_prior", "module", "pixels", "vae"}  # within [−1, 1], exactly


def lively(generator: AbstractGenerator) -> AbstractGenerator:
    """With all parameters moved a little, so that nothing is equal only because it is zero."""
    torch.manual_seed(5)
    size = 0.03 if isinstance(generator, Invertible) else 0.1
    with torch.no_grad():
        for value in generator.parameters():
            value.add_(size * torch.randn_like(value))
    return generator


def first(generator: AbstractGenerator) -> str:
    """The name of the space that is sampled."""
    return next(iter(generator.spaces))


def point(generator: AbstractGenerator, space: str = "", seed: int = 0) -> dict[str, Tensor]:
    """Two draws of a space, and where they are no pictures without a class, another one for each."""
    rng, space = torch.Generator().manual_seed(seed), space or first(generator)
    classed = generator.classes and space == first(generator)
    kinds = {"class": torch.eye(generator.classes)[:2]} if classed else {}
    return {"latent": generator.sample(2, rng, space=space), **kinds}


def descend(
    generator: AbstractGenerator, v: dict[str, Tensor], space: str, rows: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """Images, and the gradient of the latents towards the sum of squares of some."""
    latent = v["latent"].detach().requires_grad_()
    images = generator.render({**v, "latent": latent}, space)
    images[rows].square().sum().backward()
    return images.detach(), latent.grad
