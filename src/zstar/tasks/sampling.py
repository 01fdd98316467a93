"""Random latents, images and path lengths of a generator in training, and its mean weights."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.generators.stylegan2 import StyleGAN2


def latents(generator: StyleGAN2, n: int, rng: torch.Generator, mixing: float = 0.0) -> Float[Tensor, "n layers w"]:
    """w_plus of fresh z; a share ``mixing`` of the images takes the layers behind a random cut from a second one.

    The mapping network is kept out of mixed precision: it is small, and it accumulates the mean of w.
    """
    device = generator.w_avg.device
    with torch.autocast(device.type, enabled=False):
        z = torch.randn(2, n, *generator.shape("z"), generator=rng, device=rng.device).to(device)
        latent = generator.lift(z[0], "z", "w_plus")
        if not mixing:
            return latent
        layers = torch.arange(latent.shape[1], device=rng.device)
        crossed = torch.rand(n, 1, generator=rng, device=rng.device) < mixing
        cut = torch.randint(1, latent.shape[1], (n, 1), generator=rng, device=rng.device)
        swap = (crossed & (layers >= cut)).to(device)
        return torch.where(swap[:, :, None], generator.lift(z[1], "z", "w_plus"), latent)


def draw(generator: StyleGAN2, n: int, rng: torch.Generator, mixing: float = 0.0) -> Float[Tensor, "n c h w"]:
    """Images with gradient to G, from latents and noise of their own."""
    device, shapes = generator.w_avg.device, generator.noise_shapes.items()
    noise = {name: torch.randn(n, 1, *shape, generator=rng, device=rng.device).to(device) for name, shape in shapes}
    return generator.synthesize(latents(generator, n, rng, mixing), "w_plus", noise)


def path_lengths(generator: StyleGAN2, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
    """‖Jᵀy‖ of each of ``n`` images for a random image y: how far the image moves with w (StyleGAN2, section 3.2)."""
    latent = latents(generator, n, rng)
    with torch.autocast(latent.device.type, enabled=False):
        images = generator.synthesize(latent, "w_plus", "const")
        noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images.device)
        direction = noise / images[0, 0].numel() ** 0.5
        (slope,) = torch.autograd.grad((images * direction).sum(), latent, create_graph=True)
        return slope.square().sum(dim=2).mean(dim=1).sqrt()


@torch.no_grad()
def follow(mean: nn.Module, now: nn.Module, share: float) -> None:
    """Move the weights of ``mean`` by a share towards those of ``now``; buffers are copied."""
    for old, new in zip(mean.parameters(), now.parameters(), strict=True):
        old.lerp_(new, share)
    for old, new in zip(mean.buffers(), now.buffers(), strict=True):
        old.copy_(new)
