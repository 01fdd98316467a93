"""Adversarial training of a generator."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.annotators.load import load_annotator
from zstar.config.build import build
from zstar.config.constraints import POSITIVE, Within, require
from zstar.data.base import AbstractData
from zstar.discriminators.base import AbstractDiscriminator
from zstar.generators.adversarial import AbstractAdversarial
from zstar.stats.streams import stream
from zstar.tasks.base import AbstractTask
from zstar.tasks.generator_parts import choose_classes, make_parts, require_pairs, require_w
from zstar.tasks.rates import mean_share
from zstar.tasks.sampling import draw, follow, path_lengths, settle, spread_gap
from zstar.tasks.score import score
from zstar.tasks.steerable import Steering


class GeneratorTask(AbstractTask):
    """The adversarial training of any GAN; the discriminator brings the loss and the penalty.

    Both networks learn from the same generated images in each step, so the frozen part of the discriminator runs once.
    The mean of G's weights over the last images is exported, with running statistics of its own where it has batch
    norm. A progressive GAN is trained at its full size from the beginning.

    A generator with a class for each image (``generator.label=own``) draws those of the real images where the data say
    them (``data.classes``, or ``data.classed`` of cottages), and the discriminator sees them; else it draws all alike,
    the discriminator sees none, and what a class comes to mean is for the generator to find.

    Where several processes share the work (``trainer=ddp``), each draws latents and noise of its own and has its
    own part of the batch, so minibatch standard deviations and mean path lengths are taken over that part: the training
    is an equally good one, but not to the digit that of one process.

    Arguments:
        generator: The generator to train.
        discriminator: Its opponent.
        lr, lr_discriminator: Learning rates of Adam with β = (0, 0.99).
        decay: Share of the steps at the end over which both rates fall to zero as a cosine.
        ema_images: Half-life of the mean of G's weights, in images; a twentieth of the training so far while
            that is shorter.
        spread_weight: Weight of the difference between the standard deviations that batches of generated and of real
            images have; 0 for none. For a G whose images all come out in the same colours, as a PGGAN's do: a
            discriminator that sees one image at a time does not notice.
        path_weight: Weight of the path-length regularisation, 0 for none, as without w.
        path_every: Steps between two path lengths, on a quarter of the batch.
        style_mixing: Share of images whose layers take their w from two latents; 0 without w.
        head_start: Steps at the beginning in which G stays as it is, so that a fresh D does not spoil a G that is
            finished; 0 for one that is not.
        steering: What makes the generator steerable besides; ``None`` for nothing.
        scorer: An annotator that scores the mean generator on held-out images; none, no scores. The one that a
            projected discriminator looks through is too kind: good for curves, not for the card.
        steps: Steps in all.
        batch: Images per step.
        seed: Seed of latents, noise and shuffles.
        log_every: Steps between two log entries.
    """

    groups = ("generator", "discriminator")
    kind = "generator"
    path_mean: Tensor

    def __init__(
        self,
        generator: AbstractAdversarial,
        discriminator: AbstractDiscriminator,
        lr: float = 2e-3,
        lr_discriminator: float = 1e-3,
        decay: float = 0.4,
        ema_images: float = 5000.0,
        spread_weight: float = 0.0,
        path_weight: float = 0.0,
        path_every: int = 8,
        style_mixing: float = 0.0,
        head_start: int = 0,
        steering: Steering | None = None,
        scorer: str | None = None,
        steps: int = 10_000,
        batch: int = 16,
        seed: int = 0,
        log_every: int = 50,
    ) -> None:
        super().__init__(steps, batch, seed, log_every)
        require("task", POSITIVE, lr=lr, lr_discriminator=lr_discriminator, ema_images=ema_images)
        require("task", Within(0), spread_weight=spread_weight, path_weight=path_weight, head_start=head_start)
        require("task", Within(1), path_every=path_every)
        require("task", Within(0, 1), decay=decay, style_mixing=style_mixing)
        require_w(generator, path_weight=path_weight, style_mixing=style_mixing)
        require_pairs(spread_weight, batch)
        if steering is not None and style_mixing:
            raise ValueError(
                f"task.style_mixing: {style_mixing} mixes latents and task.steering moves single ones; set it to 0"
            )
        self.mean = copy.deepcopy(generator).freeze()
        self.generator = generator.train().requires_grad_(True)
        self.discriminator = discriminator.train().requires_grad_(True)
        self.lr, self.lr_discriminator, self.decay, self.ema_images = lr, lr_discriminator, decay, ema_images
        self.path_weight, self.path_every, self.style_mixing = path_weight, path_every, style_mixing
        self.spread_weight, self.head_start, self.steering = spread_weight, head_start, steering
        self.scorer = scorer and load_annotator(scorer)
        self._settled = -1
        self.register_buffer("path_mean", torch.zeros(()))
        self.adam = torch.optim.Adam(generator.parameters(), lr, (0.0, 0.99))
        self.adam_discriminator = torch.optim.Adam(discriminator.parameters(), lr_discriminator, (0.0, 0.99))
        self.objects = {"generator": generator}
        self.parts = {"generator": generator, "mean": self.mean, "discriminator": discriminator}
        self.parts |= {"adam": self.adam, "adam_discriminator": self.adam_discriminator}
        self.parts |= {} if steering is None else steering.parts

    @classmethod
    def needs(cls, cfg: DictConfig) -> tuple[str, ...]:
        """With those of walks and edits where the generator is to become steerable."""
        return cls.groups + (Steering.groups if cfg.task.get("steering") else ())

    @classmethod
    def compose(cls, cfg: DictConfig) -> "GeneratorTask":
        """The task that a composed configuration describes."""
        return build(cfg.task, at="task", **make_parts(cfg), seed=cfg.seed)

    def on_fit_start(self) -> None:
        """Lightning's hook: what is no submodule follows the task to its device."""
        if self.steering is not None:
            self.steering.to_device(self.device)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of the discriminator, one of the generator, one of the mean."""
        rng, discriminator = self.rng, self.discriminator
        self.generator.require_size(batch["images"])
        self._set_rates()
        images, penalty, logs = batch["images"], 0.0, {}
        classes = choose_classes(self.generator, batch, rng)
        shown = classes if discriminator.classes else None
        if self.steering is None:
            with self.generator.conditioned(classes):
                fake = draw(self.generator, len(images), rng, self.style_mixing)
        else:
            images, fake, penalty, logs = self.steering.show(images, rng, self.done)
        frozen = discriminator.features(fake)
        with torch.no_grad():
            real = discriminator.features(images)
        discriminator.refresh()
        twice = None if shown is None else torch.cat([shown, shown])
        both = discriminator.logits([torch.cat([r, f.detach()]) for r, f in zip(real, frozen, strict=True)], twice)
        halves = [logits.tensor_split(2) for logits in both]
        loss = discriminator.loss([real for real, _ in halves], [fake for _, fake in halves])
        slope = discriminator.penalty(images, self.done, rng, shown)
        self._step(loss if slope is None else loss + slope, self.adam_discriminator)
        discriminator.requires_grad_(False)
        adversarial = discriminator.generator_loss(discriminator.logits(frozen, shown))
        if self.spread_weight:
            logs["train/spread"] = gap = spread_gap(fake, images)
            penalty = penalty + self.spread_weight * gap
        learns = self.done >= self.head_start
        optimizers = [self.adam] * learns + ([] if self.steering is None else [self.steering.adam])
        self._step(adversarial + penalty, *optimizers)
        logs |= {"train/discriminator": loss, "train/generator": adversarial}
        if learns and self.path_weight and self.done % self.path_every == 0:
            logs["train/path"] = self._even_paths(max(1, len(fake) // 4), classes, rng)
        discriminator.requires_grad_(True)
        share = mean_share(self.done, self.batch, self.ema_images)
        follow(self.mean, self.generator, share)
        if self.steering is not None:
            self.steering.follow(share)
        return {name: value.detach() for name, value in logs.items()}

    def _even_paths(self, n: int, classes: Tensor | None, rng: torch.Generator) -> Float[Tensor, ""]:
        """One step of the generator towards path lengths that are all the same."""
        with self.generator.conditioned(None if classes is None else classes[:n]):
            lengths = path_lengths(self.generator, n, rng)
        self.path_mean.lerp_(lengths.detach().mean(), 0.01)
        uneven = (lengths - self.path_mean).square().mean()
        self._step(uneven * self.path_weight * self.path_every, self.adam)
        return uneven

    def _step(self, loss: Float[Tensor, ""], *optimizers: torch.optim.Optimizer) -> None:
        if not optimizers:
            return
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()

    def _set_rates(self) -> None:
        """Constant, then a cosine to zero."""
        left = (self.steps - self.done) / max(1.0, self.decay * self.steps)
        share = 0.5 - 0.5 * torch.cos(torch.tensor(torch.pi * min(1.0, left))).item()
        self.adam.param_groups[0]["lr"] = self.lr * share
        self.adam_discriminator.param_groups[0]["lr"] = self.lr_discriminator * share
        if self.steering is not None:
            self.steering.adam.param_groups[0]["lr"] = self.steering.lr * share

    def checkpoint(self) -> dict[str, Any]:
        """The parts and the running mean of the path length."""
        return super().checkpoint() | {"path_mean": self.path_mean}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().restore(state)
        self.path_mean.copy_(state["path_mean"])

    def evaluate(self, data: AbstractData) -> dict[str, float]:
        """The scorer's comparison of the held-out images with as many samples, and the scores of the directions, where
        there are any."""
        self._settle()
        steering = {} if self.steering is None else self.steering.evaluate(self.mean)
        if self.scorer is None:
            return steering
        scores = score(self.mean, data, *self.scorer, seed=self.seed)
        gap, ratio = "presence_largest_gap", "diversity/ratio"
        return {"kid": scores["kid"]["value"], gap: scores[gap], ratio: scores[ratio], **steering}

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean generator under the official names."""
        self._settle()
        return dict(self.mean.state_dict()), {"kind": self.kind, "settings": dict(self.mean.settings)}

    def _settle(self) -> None:
        """Running statistics for the mean generator as it is now, once; the next step takes those of G again."""
        if self._settled != self.done:
            settle(self.mean, self.generator, stream("standing statistics", self.seed, device=self.device))
            self._settled = self.done

    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        told, own = card.get("settings", {}), self.generator.settings
        for name in (name for name in own if told.get(name, own[name]) != own[name]):
            raise ValueError(f"its {name} is {told[name]}; set generator.{name} to that")
        for network in (self.generator, self.mean):
            network.load_state_dict(tensors)

    def attached(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """The discriminator, for the regularizer ``realism``, and the directions, of the mean generator."""
        network = {name: value.detach().cpu().contiguous() for name, value in self.discriminator.state_dict().items()}
        kept = {"discriminator": (network, {"kind": "discriminator", "network": type(self.discriminator).__name__})}
        return kept | ({} if self.steering is None else {"directions": self.steering.export(self.mean)})

    @torch.no_grad()
    def pictures(self, data: AbstractData | None) -> Float[Tensor, "n c h w"]:
        """Forty-eight samples of the mean generator, always of the same latents; below them, walked ones."""
        self._settle()
        latent = self.mean.sample(48, stream("grid of samples", self.seed)).to(self.device)
        samples = self.mean.synthesize(latent, self.mean.drawn, "const").float()
        return samples if self.steering is None else torch.cat([samples, self.steering.pictures(self.mean)])
