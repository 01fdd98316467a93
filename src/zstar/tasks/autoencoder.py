"""Training of a VAE or a VQ-VAE-2."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.config.build import build
from zstar.config.constraints import Within, require
from zstar.data.base import AbstractData
from zstar.data.companions import MAPS
from zstar.generators.autoencoder import TrainableAutoencoder
from zstar.losses.base import AbstractLoss, require_targets
from zstar.metrics.base import AbstractMetric
from zstar.stats.streams import stream
from zstar.tasks.encoder_parts import data_targets, make_losses, make_training_metrics
from zstar.tasks.fitting import AbstractFit, in_rows
from zstar.tasks.reconstruction import COLUMNS, means
from zstar.tasks.trainable import make_generator

DENSITY = 20_000  # images whose latents tell where latents lie


class AutoencoderTask(AbstractFit):
    """argmin E_x [Σ λ L(x̂, x) + w P(x)]: both halves of an autoencoder at once.

    x̂ is the reconstruction of x. P of a VAE is the Kullback–Leibler divergence of its latents from the prior, in nats
    per colour value: with the one loss ``pixel``, w = 2σ² is the bound of Kingma and Welling (2014,
    https://arxiv.org/abs/1312.6114) for pixels that deviate by σ on [−1, 1], so a small w gives close reconstructions
    and a large one better samples. P of a VQ-VAE-2 is the distance of what its encoder gives from the codes (Razavi et
    al. 2019, https://arxiv.org/abs/1906.00446); where several processes share the work, the codes follow the images
    of the first.

    The mean of the weights over the last images is scored and exported, in half precision.

    Arguments:
        generator: What to train.
        losses: Name → L, the same as in a projection.
        metrics: Name → metric of the reconstructions of held-out images.
        targets: Names of the targets that the data have besides the image.
        beta: w of a VAE.
        beta_warmup: Share of the steps at the beginning over which it rises from 0, so that latents are in use before
            they cost much.
        commitment: w of a VQ-VAE-2.
        components: Of the mixture of normal distributions that a VAE draws its samples from once it is trained, fitted
            to the latents of images that it was trained on; 0 is the prior itself.
        lr, warmup, decay, clip, ema_images, flip, steps, batch, seed, log_every: As of
            :class:`~zstar.tasks.fitting.AbstractFit`.
    """

    groups = ("generator", "loss", "metric")

    def __init__(
        self,
        generator: TrainableAutoencoder,
        losses: Mapping[str, AbstractLoss],
        metrics: Mapping[str, AbstractMetric] | None = None,
        targets: Collection[str] = (),
        beta: float = 0.3,
        beta_warmup: float = 0.1,
        commitment: float = 0.25,
        components: int = 32,
        lr: float = 1e-3,
        warmup: float = 0.02,
        decay: float = 0.5,
        clip: float = 1.0,
        ema_images: float = 5000.0,
        flip: float = 0.0,
        steps: int = 10_000,
        batch: int = 16,
        seed: int = 0,
        log_every: int = 50,
    ) -> None:
        super().__init__(generator, lr, warmup, decay, clip, ema_images, flip, steps, batch, seed, log_every)
        require("task", Within(0), beta=beta, commitment=commitment, components=components)
        require("task", Within(0, 1), beta_warmup=beta_warmup)
        if not losses:
            raise ValueError("loss: the list is empty and nothing pulls x̂ towards x; choose e.g. loss=[pixel]")
        require_targets(losses, {"image", *targets}, set(targets) & MAPS)
        self.losses, self.metrics = dict(losses), dict(metrics or {})  # which are no submodules, and in no checkpoint
        self.beta, self.beta_warmup, self.commitment, self.components = beta, beta_warmup, commitment, components

    @classmethod
    def compose(cls, cfg: DictConfig) -> "AutoencoderTask":
        """The task that a composed configuration describes."""
        generator = make_generator(cfg, "autoencoder")
        metrics, losses = make_training_metrics(cfg), make_losses(cfg)
        parts = {"generator": generator, "losses": losses, "metrics": metrics, "targets": data_targets(cfg.data)}
        return build(cfg.task, at="task", **parts, seed=cfg.seed)

    def on_fit_start(self) -> None:
        """Lightning's hook: what is no submodule follows the task to its device."""
        for module in (*self.losses.values(), *self.metrics.values()):
            if isinstance(module, torch.nn.Module):
                module.to(self.device)

    def terms(self, named: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        made, penalty = self.generator.training_pass(named["image"], rng)
        terms = {}
        for name, loss in self.losses.items():
            terms[name] = loss.weight * loss(made, loss.gather(named), loss.weights(named)).mean()
        return terms | {self.generator.penalty: self.penalty_weight(self.done) * penalty.mean()}

    @torch.no_grad()
    def finish(self, data: AbstractData) -> None:
        """A VAE learns where the latents of images lie."""
        if self.generator.penalty != "kl" or not self.components:
            return
        generator, rng = self.rounded(), stream("latents that a density is of", self.seed, device=self.device)
        step, found = max(1, len(data) // DENSITY), []
        for first in range(0, min(len(data), DENSITY * step), 100 * step):
            images = data.read(range(first, min(first + 100 * step, len(data)), step)).images.to(self.device)
            mirrored = torch.rand(len(images), 1, 1, 1, generator=rng, device=rng.device) < self.flip
            images = torch.where(mirrored.to(images.device), images.flip(3), images)
            found.append(generator.sample_posterior(images, rng))
        self.mean.learn_density(torch.cat(found), self.components, self.seed)

    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        super().adopt({name: value for name, value in tensors.items() if not name.startswith("density.")}, card)

    def penalty_weight(self, step: int) -> float:
        """w in a step."""
        if self.generator.penalty == "commitment":
            return self.commitment
        return self.beta * min(1.0, step / max(1.0, self.beta_warmup * self.steps))

    @torch.no_grad()
    def evaluate(self, data: AbstractData, size: int = 32) -> dict[str, float]:
        """The metrics of the reconstructions of held-out images, of a VAE those of μ, and the mean of P."""
        generator, rng = self.rounded(), stream("latents of held-out images", self.seed, device=self.device)
        found = []
        for batch in data.batches(size):
            if not batch.ids:
                continue
            images = batch.images.to(self.device)
            made = generator.synthesize(generator.encode(images), generator.encoded).clamp(-1, 1)
            measured = {name: metric(made, images) for name, metric in self.metrics.items()}
            measured[generator.penalty] = generator.training_pass(images, rng)[1]
            found.append(measured)
        return means(found)

    @torch.no_grad()
    def pictures(self, data: AbstractData | None) -> Float[Tensor, "n c h w"]:
        """Sixteen held-out images, each row of eight with its reconstructions below, where there are any; then samples,
        always of the same latents or with the same luck."""
        generator = self.rounded()
        latents = generator.sample(3 * COLUMNS, stream("samples of an autoencoder", self.seed))
        samples = generator.synthesize(latents, generator.drawn)
        if data is None:
            return samples
        images = data.read(range(min(2 * COLUMNS, len(data)))).images.to(samples)
        made = generator.synthesize(generator.encode(images), generator.encoded)
        return torch.cat([in_rows(images, made), samples])
