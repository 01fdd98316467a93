"""Random latents, images and path lengths of a generator in training, and its mean weights."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import AbstractGenerator

CELLS = 8  # of each side of the grid on which batches are compared
RUNNING = ("running_mean", "running_var")
SETTLING = (64, 32)  # batches that running statistics are taken of, and images in each; 0.9^64 of the old ones is left


def drawn_space(generator: AbstractGenerator) -> str:
    """Where latents of a training are: w_plus behind a mapping network, else z."""
    return "w_plus" if "w_plus" in generator.spaces else "z"


def latents(generator: AbstractGenerator, n: int, rng: torch.Generator, mixing: float = 0.0) -> Float[Tensor, "n ..."]:
    """Fresh latents of :func:`drawn_space`; a share ``mixing`` of the images takes the rows of w_plus behind a random
    cut from a second z.

    The mapping network is kept out of mixed precision: it is small, and it accumulates the mean of w.
    """
    space, device = drawn_space(generator), next(generator.parameters()).device
    with torch.autocast(device.type, enabled=False):
        z, other = generator.sample(2 * n, rng, space="z").to(device).split(n)
        latent = generator.lift(z, "z", space)
        if not mixing:
            return latent
        layers = torch.arange(latent.shape[1], device=rng.device)
        crossed = torch.rand(n, 1, generator=rng, device=rng.device) < mixing
        cut = torch.randint(1, latent.shape[1], (n, 1), generator=rng, device=rng.device)
        swap = (crossed & (layers >= cut)).to(device)
        return torch.where(swap[:, :, None], generator.lift(other, "z", space), latent)


def draw(generator: AbstractGenerator, n: int, rng: torch.Generator, mixing: float = 0.0) -> Float[Tensor, "n c h w"]:
    """Images with gradient to G, from latents and noise of their own."""
    device, shapes = next(generator.parameters()).device, generator.noise_shapes.items()
    noise = {name: torch.randn(n, 1, *shape, generator=rng, device=rng.device).to(device) for name, shape in shapes}
    return generator.synthesize(latents(generator, n, rng, mixing), drawn_space(generator), noise)


def path_lengths(generator: AbstractGenerator, n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
    """‖Jᵀy‖ of each of ``n`` images for a random image y: how far the image moves with w (StyleGAN2, section 3.2)."""
    latent = latents(generator, n, rng)
    with torch.autocast(latent.device.type, enabled=False):
        images = generator.synthesize(latent, "w_plus", "const")
        noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images.device)
        direction = noise / images[0, 0].numel() ** 0.5
        (slope,) = torch.autograd.grad((images * direction).sum(), latent, create_graph=True)
        return slope.square().sum(dim=2).mean(dim=1).sqrt()


def spread_gap(fake: Float[Tensor, "b c h w"], real: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """How differently generated images and real ones vary within their batches: the mean distance of their standard
    deviations over the cells of a grid of 8 × 8, in each colour and in the difference of each two of three, of which a
    batch may have none while each colour varies as it should, by how bright it is."""
    fake, real = (_spread(F.adaptive_avg_pool2d(images.float(), CELLS)) for images in (fake, real))
    return (fake - real).abs().mean()


def _spread(cells: Float[Tensor, "b c h w"]) -> Float[Tensor, "d h w"]:
    """Standard deviations over the batch, with a gradient where they are zero."""
    cells = torch.cat([cells, cells - cells.roll(1, dims=1)], dim=1) if cells.shape[1] > 1 else cells
    return (cells.var(dim=0) + 1e-8).sqrt()


@torch.no_grad()
def follow(mean: nn.Module, now: nn.Module, share: float) -> None:
    """Move the weights of ``mean``, and the running statistics of its batch norms, which belong to them, by a share
    towards those of ``now``; other buffers are copied."""
    for old, new in zip(mean.parameters(), now.parameters(), strict=True):
        old.lerp_(new, share)
    for (name, old), new in zip(mean.named_buffers(), now.buffers(), strict=True):
        old.lerp_(new, share) if name.endswith(RUNNING) else old.copy_(new)


@torch.no_grad()
def settle(mean: AbstractAdversarial, now: AbstractAdversarial, rng: torch.Generator) -> None:
    """Give a mean network with batch norm the running statistics of feature maps of its own ("standing statistics",
    BigGAN, section 3). Those that ``now`` keeps belong to weights that moved on while the mean stayed behind.

    They begin at those of ``now``, so that the result depends on both networks and ``rng`` alone.
    """
    for old, new in zip(mean.buffers(), now.buffers(), strict=True):
        old.copy_(new)
    if not mean.batch_statistics:
        return
    for module in mean.modules():
        if isinstance(module, nn.SyncBatchNorm):  # only one of several processes is here, and must not wait for others
            module.forward = partial(_BatchNorm.forward, module)
    batches, size = SETTLING
    mean.train()
    for _ in range(batches):
        with mean.conditioned(mean.draw_classes(size, rng) if mean.classes else None):
            draw(mean, size, rng)
    mean.freeze()
