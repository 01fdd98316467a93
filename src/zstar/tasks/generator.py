"""Adversarial training of a StyleGAN2 generator."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.config import build
from zstar.data.base import AbstractData
from zstar.discriminators.base import AbstractDiscriminator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.tasks.base import AbstractTask, rng_at


class GeneratorTask(AbstractTask):
    """StyleGAN2's adversarial training; the discriminator brings the loss and the penalty.

    Both networks learn from the same generated images in each step: what is frozen in the discriminator is computed
    once. The mean of G's weights over the last images is what is exported.

    Arguments:
        generator: The generator to train.
        discriminator: Its opponent.
        lr, lr_discriminator: Learning rates of Adam with β = (0, 0.99).
        decay: Share of the steps at the end over which both rates fall to zero as a cosine.
        ema_images: Half-life of the mean of G's weights, in images; shorter in the beginning.
        path_weight: Weight of the path-length regularisation, 0 for none.
        path_every: Steps between two path lengths, on a quarter of the batch.
        style_mixing: Share of images whose layers take their w from two latents.
        steps: Steps in all.
        batch: Images per step.
        seed: Seed of latents, noise and shuffles.
        log_every: Steps between two log entries.
    """

    networks = ("generator", "discriminator")
    path_mean: Tensor

    def __init__(
        self,
        generator: StyleGAN2,
        discriminator: AbstractDiscriminator,
        lr: float = 2e-3,
        lr_discriminator: float = 1e-3,
        decay: float = 0.4,
        ema_images: float = 5000.0,
        path_weight: float = 0.0,
        path_every: int = 8,
        style_mixing: float = 0.0,
        steps: int = 10_000,
        batch: int = 16,
        seed: int = 0,
        log_every: int = 50,
    ) -> None:
        super().__init__(steps, batch, seed, log_every)
        self.mean = copy.deepcopy(generator).freeze()
        self.generator = generator.train().requires_grad_(True)
        self.discriminator = discriminator.train().requires_grad_(True)
        self.lr, self.lr_discriminator, self.decay, self.ema_images = lr, lr_discriminator, decay, ema_images
        self.path_weight, self.path_every, self.style_mixing = path_weight, path_every, style_mixing
        self.register_buffer("path_mean", torch.zeros(()))
        self.adam = torch.optim.Adam(generator.parameters(), lr, (0.0, 0.99))
        self.adam_discriminator = torch.optim.Adam(discriminator.parameters(), lr_discriminator, (0.0, 0.99))
        self.parts = {"generator": generator, "mean": self.mean, "discriminator": discriminator}
        self.parts |= {"adam": self.adam, "adam_discriminator": self.adam_discriminator}

    @classmethod
    def compose(cls, cfg: DictConfig) -> "GeneratorTask":
        """The task that a composed configuration describes."""
        generator, discriminator = build(cfg.generator), build(cfg.discriminator)
        return build(cfg.task, generator=generator, discriminator=discriminator, seed=cfg.seed)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of the discriminator, one of the generator, one of the mean."""
        rng, judge = rng_at(self.seed, self.done), self.discriminator
        self._set_rates()
        fake = self._draw(len(batch["images"]), rng)
        frozen = judge.features(fake)
        with torch.no_grad():
            real = judge.features(batch["images"])
        judge.refresh()
        both = judge.judge([torch.cat([r, f.detach()]) for r, f in zip(real, frozen, strict=True)])
        halves = [logits.tensor_split(2) for logits in both]
        loss = judge.loss([real for real, _ in halves], [fake for _, fake in halves])
        penalty = judge.penalty(batch["images"], self.done, rng)
        self._step(self.adam_discriminator, loss if penalty is None else loss + penalty)
        judge.requires_grad_(False)
        wish = judge.generator_loss(judge.judge(frozen))
        self._step(self.adam, wish)
        logs = {"train/discriminator": loss, "train/generator": wish}
        if self.path_weight and self.done % self.path_every == 0:
            logs["train/path"] = length = self._path_length(max(1, len(fake) // 4), rng)
            self._step(self.adam, length * self.path_weight * self.path_every)
        judge.requires_grad_(True)
        self._follow()
        return {name: value.detach() for name, value in logs.items()}

    def _draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        """Generated images with gradient, from this step's own latents and noise."""
        noise = {
            name: torch.randn(n, 1, *shape, generator=rng).to(self.device)
            for name, shape in self.generator.noise_shapes.items()
        }
        return self.generator.synthesize(self._latents(n, rng), "w_plus", noise)

    def _latents(self, n: int, rng: torch.Generator) -> Float[Tensor, "n layers w"]:
        """w_plus of fresh latents, some of them crossed; kept out of mixed precision."""
        with torch.autocast(self.device.type, enabled=False):
            z = torch.randn(2, n, *self.generator.shape("z"), generator=rng).to(self.device)
            latent = self.generator.lift(z[0], "z", "w_plus")
            if not self.style_mixing:
                return latent
            layers = torch.arange(latent.shape[1])
            crossed = torch.rand(n, 1, generator=rng) < self.style_mixing
            cut = torch.randint(1, latent.shape[1], (n, 1), generator=rng)
            swap = (crossed & (layers >= cut)).to(self.device)
            return torch.where(swap[:, :, None], self.generator.lift(z[1], "z", "w_plus"), latent)

    def _path_length(self, n: int, rng: torch.Generator) -> Float[Tensor, ""]:
        """(‖Jᵀy‖ − its running mean)², which asks for steps of equal length everywhere in w_plus."""
        with torch.autocast(self.device.type, enabled=False):
            latent = self._latents(n, rng)
            images = self.generator.synthesize(latent, "w_plus", "const")
            direction = torch.randn(images.shape, generator=rng).to(self.device) / images[0, 0].numel() ** 0.5
            (slope,) = torch.autograd.grad((images * direction).sum(), latent, create_graph=True)
            lengths = slope.square().sum(dim=2).mean(dim=1).sqrt()
            self.path_mean.lerp_(lengths.detach().mean(), 0.01)
            return (lengths - self.path_mean).square().mean()

    def _step(self, optimizer: torch.optim.Optimizer, loss: Float[Tensor, ""]) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()

    def _set_rates(self) -> None:
        """Constant, then a cosine to zero."""
        left = (self.steps - self.done) / max(1.0, self.decay * self.steps)
        share = 0.5 - 0.5 * torch.cos(torch.tensor(torch.pi * min(1.0, left))).item()
        self.adam.param_groups[0]["lr"] = self.lr * share
        self.adam_discriminator.param_groups[0]["lr"] = self.lr_discriminator * share

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the mean of the weights; its half-life is a twentieth of the training so far, while that is shorter."""
        half_life = min(self.ema_images, (self.done + 1) * self.batch / 20)
        for mean, now in zip(self.mean.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - 0.5 ** (self.batch / half_life))
        for mean, now in zip(self.mean.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(now)

    def checkpoint(self) -> dict[str, Any]:
        """The parts and the running mean of the path length."""
        return super().checkpoint() | {"path_mean": self.path_mean}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().restore(state)
        self.path_mean.copy_(state["path_mean"])

    @torch.no_grad()
    def evaluate(self, data: AbstractData, count: int = 500) -> dict[str, float]:
        """Kernel distance to held-out images on the annotator's features; needs no masks."""
        return {}

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean generator under the official names."""
        return dict(self.mean.state_dict()), {"kind": "generator", "settings": dict(self.mean.settings)}

    @torch.no_grad()
    def pictures(self) -> Float[Tensor, "n c h w"]:
        """Forty-eight samples of the mean generator, always of the same latents."""
        z = self.mean.sample(48, torch.Generator().manual_seed(self.seed)).to(self.device)
        return self.mean.synthesize(z, "z", "const").float()
