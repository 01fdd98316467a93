"""Adversaries of an encoder: discriminators of its latents or of its reconstructions."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import POSITIVE, Within, require
from zstar.discriminators.base import AbstractDiscriminator
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream
from zstar.tasks.base import AbstractTask
from zstar.tasks.pool import Pool, Share


class AbstractAdversary(nn.Module, ABC):
    """A discriminator D of an encoder's results, and the penalty that it puts on them.

    Arguments:
        discriminator: D: a node with ``_partial_: true``.
        weight: Factor of the penalty in the encoder's loss.
        lr: Learning rate of D's Adam, with β = (0.9, 0.99).
        pool: Old fakes that D is shown again; 0 for none.

    Attributes:
        adam: D's optimizer.
    """

    def __init__(
        self, discriminator: AbstractDiscriminator, weight: float, lr: float, pool: int, shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        require("adversary.*", Within(0), weight=weight, pool=pool)
        require("adversary.*", POSITIVE, lr=lr)
        self.discriminator = discriminator.train().requires_grad_(True)
        self.adam = torch.optim.Adam(discriminator.parameters(), lr, (0.9, 0.99))
        self.pool = Pool(pool, shape)
        self.weight = weight

    @abstractmethod
    def inputs(self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"]) -> Float[Tensor, "n ..."]:
        """The inputs of D that the encoder is penalised for, from its latents and their images."""

    @abstractmethod
    def fake(
        self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"], rng: torch.Generator, share: Share
    ) -> Float[Tensor, "b ..."]:
        """The inputs that D learns from, one per image."""

    @abstractmethod
    def real(self, images: Float[Tensor, "b c h w"], rng: torch.Generator, share: Share) -> Float[Tensor, "b ..."]:
        """As many real inputs; ``images`` are those of the data."""

    def penalty(self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """The encoder's loss for latents and images that D tells from real ones; the gradient does not reach D."""
        self.discriminator.requires_grad_(False)
        penalty = self.discriminator.generator_loss(self.discriminator(self.inputs(latent, image)))
        self.discriminator.requires_grad_(True)
        return self.weight * penalty

    def learn(
        self,
        latent: Float[Tensor, "b ..."],
        image: Float[Tensor, "b c h w"],
        images: Float[Tensor, "b c h w"],
        step: int,
        rng: torch.Generator,
        share: Share,
    ) -> Float[Tensor, ""]:
        """The loss of D's own step, penalty included; its gradient reaches D alone.

        Arguments:
            latent, image: The encoder's latents and their images.
            images: Images of the data.
            step: Steps made so far.
            rng: Random numbers of this step, the same in all processes.
            share: Which images of the step are here.
        """
        with torch.no_grad():
            fake = self.fake(latent.detach(), image.detach(), rng, share)
            if len(self.pool.kept):
                fake = self.pool.exchange(share.gather(fake), step, rng)[share.rows]
            real = self.real(images, rng, share)
        self.discriminator.refresh()
        halves = [logits.tensor_split(2) for logits in self.discriminator(torch.cat([real, fake.to(real)]))]
        loss = self.discriminator.loss([real for real, _ in halves], [fake for _, fake in halves])
        penalty = self.discriminator.penalty(real, step, rng)
        return loss if penalty is None else loss + penalty


class LatentAdversary(AbstractAdversary):
    """e4e's (Tov et al. 2021, https://arxiv.org/abs/2102.02766): latents should look like those of the prior.

    Real are latents of fresh draws from the prior, in w and w_plus codes of the mapping network; each row of a w_plus
    latent is judged on its own, so the rows may differ but each must be a likely code. The choice for latents that are
    to be edited; it costs next to no time. D learns from one row of each image, drawn at random.
    """

    def __init__(
        self,
        space: AbstractSpace,
        discriminator: Callable[..., AbstractDiscriminator],
        weight: float = 0.1,
        lr: float = 2e-5,
        pool: int = 50,
    ) -> None:
        rows = space.shape[0] if len(space.shape) == 2 else 1
        mean = space.mean.reshape(rows, -1)[0]  # each row of the prior has the same
        network = make_discriminator(discriminator, "latents", mean=mean, spread=space.spread)
        super().__init__(network, weight, lr, pool, tuple(mean.shape))
        self.space, self.rows = space, rows

    def inputs(self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"]) -> Float[Tensor, "n width"]:
        """Every row of the latents."""
        return latent.reshape(-1, self.pool.kept.shape[1])

    def fake(
        self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"], rng: torch.Generator, share: Share
    ) -> Float[Tensor, "b width"]:
        """One row of each latent."""
        codes = latent.reshape(len(latent), -1, self.pool.kept.shape[1])
        chosen = torch.randint(codes.shape[1], (share.count,), generator=rng, device=rng.device)[share.rows]
        return codes[torch.arange(len(codes), device=codes.device), chosen]

    def real(self, images: Float[Tensor, "b c h w"], rng: torch.Generator, share: Share) -> Float[Tensor, "b width"]:
        """Codes of fresh draws."""
        with torch.autocast(images.device.type, enabled=False):
            latents = self.space.sample(share.count, rng)[share.rows].to(images.device)
        return latents.reshape(len(latents), self.rows, -1)[:, 0]


class ImageAdversary(AbstractAdversary):
    """IDInvert's (Zhu et al. 2020, https://arxiv.org/abs/2004.00049): reconstructions should look like the data.

    Real are the images of the data, also where a share of the batch is drawn from G. The choice against blurred
    reconstructions; with StyleGAN2's discriminator a step on cottages takes 2.6 times as long.
    """

    def __init__(
        self,
        space: AbstractSpace,
        discriminator: Callable[..., AbstractDiscriminator],
        weight: float = 0.08,
        lr: float = 1e-4,
        pool: int = 0,
    ) -> None:
        size, channels = space.generator.resolution, space.generator.channels
        network = make_discriminator(discriminator, "images", resolution=size, channels=channels)
        super().__init__(network, weight, lr, pool, (channels, size, size))

    def inputs(self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The reconstructions."""
        return image

    def fake(
        self, latent: Float[Tensor, "b ..."], image: Float[Tensor, "b c h w"], rng: torch.Generator, share: Share
    ) -> Float[Tensor, "b c h w"]:
        """The reconstructions."""
        return image

    def real(self, images: Float[Tensor, "b c h w"], rng: torch.Generator, share: Share) -> Float[Tensor, "b c h w"]:
        """The images of the data."""
        return images


def make_discriminator(
    discriminator: Callable[..., AbstractDiscriminator], inputs: str, **sizes: object
) -> AbstractDiscriminator:
    """The discriminator in the sizes of its inputs; an error where it is one for other inputs."""
    kind = getattr(discriminator, "func", discriminator)
    if (own := getattr(kind, "inputs", None)) != inputs:
        name = getattr(kind, "__name__", type(kind).__name__)
        raise ValueError(
            f"adversary.*.discriminator: {name} judges {own or 'nothing'}, not {inputs}; choose one for {inputs}"
        )
    return discriminator(**sizes)


def train_adversaries(
    adversaries: nn.ModuleDict,
    latent: Float[Tensor, "b ..."],
    image: Float[Tensor, "b c h w"],
    images: Float[Tensor, "b c h w"],
    task: AbstractTask,
) -> dict[str, Tensor]:
    """One step of each adversary, as :meth:`AbstractAdversary.learn` describes it; its losses, to be logged."""
    logs = {}
    for name, adversary in adversaries.items():
        rng = stream("adversary", task.seed, name, index=task.done, device=images.device)
        loss = adversary.learn(latent, image, images, task.done, rng, task.share)
        adversary.adam.zero_grad(set_to_none=True)
        task.manual_backward(loss)
        adversary.adam.step()
        logs[f"train/discriminator_{name}"] = loss.detach()
    return logs
