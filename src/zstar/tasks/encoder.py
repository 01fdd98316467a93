"""Training of an inverting network against a fixed generator."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.config import build, offer, to_plain
from zstar.data.base import AbstractData
from zstar.data.samples import Samples
from zstar.encoders.base import AbstractEncoder
from zstar.inverter import Inverter
from zstar.losses.base import AbstractLoss
from zstar.metrics.available import make_metrics
from zstar.metrics.base import AbstractMetric
from zstar.ranges import POSITIVE, Within, require
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace
from zstar.tasks.adversary import AbstractAdversary
from zstar.tasks.base import AbstractTask, rng_at
from zstar.tasks.pool import Share
from zstar.tasks.sampling import follow

COLUMNS = 8


class EncoderTask(AbstractTask):
    """E = argmin E_x [Σ λ L(G(E(x)), x) + Σ μ R(E(x))]: an auto-encoder whose decoder G is fixed.

    Images are real ones, or samples of G whose latents are known, or both; for the latter the distance to the known
    latent is added. The mean of E's weights over the last images is what is scored and exported.

    Arguments:
        space: Where E's latents live; it holds the generator, which is no part of the task.
        encoder: The network to train.
        losses: Name → L, the same as in a projection.
        regularizers: Name → R.
        metrics: Name → what is measured on held-out images.
        network: The configuration that builds the network, for its card.
        adversaries: Name → a discriminator that E is trained against, each with an optimizer of its own.
        lr: Learning rate of Adam.
        warmup: Share of the steps at the beginning over which the rate rises.
        decay: Share of the steps at the end over which it falls to zero as a cosine.
        clip: Largest norm of the gradient; larger ones are scaled down to it.
        ema_images: Half-life of the mean of E's weights, in images; a twentieth of the training so far while that is
            shorter.
        samples: Share of each batch that is drawn from G instead of the data, with known latents.
        latent_weight: Weight of the squared distance to a known latent, a mean over coordinates in units of the
            prior's spread².
        flip: Probability that a real image is mirrored.
        widen_after: Steps during which all rows of w_plus are the first one; null opens all from the start.
        widen_every: Steps after which one more row is opened.
        steps: Steps in all.
        batch: Images per step, over all processes.
        seed: Seed of samples, shuffles and augmentation.
        log_every: Steps between two log entries.
    """

    groups = ("generator", "space", "encoder", "loss", "regularizer", "adversary", "metric")

    def __init__(
        self,
        space: AbstractSpace,
        encoder: AbstractEncoder,
        losses: Mapping[str, AbstractLoss],
        regularizers: Mapping[str, AbstractRegularizer] | None = None,
        metrics: Mapping[str, AbstractMetric] | None = None,
        network: dict[str, Any] | None = None,
        adversaries: Mapping[str, AbstractAdversary] | None = None,
        lr: float = 1e-3,
        warmup: float = 0.02,
        decay: float = 0.5,
        clip: float = 1.0,
        ema_images: float = 5000.0,
        samples: float = 0.0,
        latent_weight: float = 0.1,
        flip: float = 0.0,
        widen_after: int | None = None,
        widen_every: int = 2000,
        steps: int = 10_000,
        batch: int = 32,
        seed: int = 0,
        log_every: int = 50,
    ) -> None:
        super().__init__(steps, batch, seed, log_every)
        require("task", POSITIVE, lr=lr, clip=clip, ema_images=ema_images)
        require("task", Within(0, 1), warmup=warmup, decay=decay, samples=samples, flip=flip)
        require("task", Within(0), latent_weight=latent_weight, widen_after=widen_after or 0)
        require("task", Within(1), widen_every=widen_every)
        if not losses:
            raise ValueError("loss: the list is empty and nothing pulls G(E(x)) towards x; choose e.g. loss=[pixel]")
        if widen_after is not None and len(space.shape) != 2:
            raise ValueError(f"task.widen_after: {space.name} has no rows to open; set space=w_plus or remove it")
        # None of these is a submodule: G and the losses' networks stay as they are, and out of every checkpoint.
        self.space, self.losses, self.regularizers = space, dict(losses), dict(regularizers or {})
        self.metrics, self.network = dict(metrics or {}), network
        self.encoder = encoder.train().requires_grad_(True).to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(encoder).eval().requires_grad_(False)
        self.lr, self.warmup, self.decay, self.clip, self.ema_images = lr, warmup, decay, clip, ema_images
        self.samples, self.latent_weight, self.flip = samples, latent_weight, flip
        self.widen_after, self.widen_every = widen_after, widen_every
        self.adam = torch.optim.Adam(encoder.parameters(), lr, (0.9, 0.99))
        self.parts = {"encoder": encoder, "mean": self.mean, "adam": self.adam}
        self.adversaries = torch.nn.ModuleDict(adversaries or {})
        for name, adversary in self.adversaries.items():
            self.parts |= {f"adversary_{name}": adversary, f"adam_{name}": adversary.adam}
        self.objects = {"generator": space.generator}
        self._origin: tuple[Tensor, Tensor] | None = None

    @classmethod
    def compose(cls, cfg: DictConfig) -> "EncoderTask":
        """The task that a composed configuration describes."""
        generator = build(cfg.generator)
        if not generator.trained:
            raise ValueError(
                "generator.checkpoint: without one the weights are random and there is nothing to invert; set it to a "
                "file of weights, or choose generator=cottages"
            )
        space = build(cfg.space, generator=generator)
        if not cfg.encoder.get("_partial_"):
            raise ValueError(
                "encoder: this one is finished and there is nothing to train; choose psp, resnet, igan or restyle, or "
                "give the node of a class of your own _partial_: true"
            )
        sizes = {"resolution": generator.resolution, "channels": generator.channels, "shape": space.shape}
        encoder = build({**cfg.encoder, "_partial_": False}, **sizes, mean=space.mean, spread=space.spread)
        if not isinstance(encoder, AbstractEncoder):
            kind = type(encoder).__name__
            raise ValueError(f"encoder: a {kind} is no network to be trained; choose psp, resnet, igan or restyle")
        return build(
            cfg.task,
            space=space,
            encoder=encoder,
            losses={name: build(node) for name, node in (cfg.get("loss") or {}).items()},
            regularizers={name: offer(node, space=space) for name, node in (cfg.get("regularizer") or {}).items()},
            metrics=make_metrics(cfg.get("metric") or {}, torch.device("cpu"))[0],
            network=to_plain(cfg.encoder),
            adversaries={name: offer(cfg.adversary[name], space=space) for name in sorted(cfg.get("adversary") or {})},
            seed=cfg.seed,
        )

    def on_fit_start(self) -> None:
        """Lightning's hook: what is no submodule follows the task to its device."""
        for module in (self.space.generator, *self.losses.values(), *self.metrics.values()):
            if isinstance(module, torch.nn.Module):
                module.to(self.device)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of Adam on a batch, with the gradients of all passes added up."""
        images, latents, known = self._mix(batch)
        with torch.no_grad():
            targets = {name: loss.features(images) for name, loss in self.losses.items()}
        self.adam.param_groups[0]["lr"] = self.rate(self.done)
        self.adam.zero_grad(set_to_none=True)
        latent, made = self._start(len(images))
        logs: dict[str, Tensor] = {}
        for _ in range(self.encoder.passes):
            latent = self._widened(self.encoder(images, latent.detach(), made.detach()))
            made = self.space.decode(latent)
            terms = {
                name: loss.weight * loss.compare(loss.features(made), targets[name]).mean()
                for name, loss in self.losses.items()
            }
            terms |= {n: reg.weight * reg(latent, {}, made).mean() for n, reg in self.regularizers.items()}
            terms |= {f"adversary_{n}": a.price(self._open(latent), made) for n, a in self.adversaries.items()}
            if latents is not None:
                terms["latent"] = self.latent_weight * (self._distance(latent, latents) * known).mean()
            self.manual_backward(torch.stack(list(terms.values())).sum())
            logs = {f"train/{name}": value.detach() for name, value in terms.items()}
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), self.clip)
        self.adam.step()
        half_life = min(self.ema_images, (self.done + 1) * self.batch / 20)
        follow(self.mean, self.encoder, 1 - 0.5 ** (self.batch / half_life))
        if self.adversaries:
            logs |= self._answer(self._open(latent).detach(), made.detach(), batch["images"], images)
        return logs

    def _answer(self, latent: Tensor, made: Tensor, real: Tensor, images: Tensor) -> dict[str, Tensor]:
        """One step of each adversary; where G's samples took the place of real images, these are the real ones."""
        share, logs = Share(self.batch, self.rows, self._gather), {}
        drawn = len(range(round(self.samples * self.batch))[self.rows])
        real = torch.cat([real[:drawn], images[drawn:]])
        for stream, (name, adversary) in enumerate(self.adversaries.items(), start=1):
            loss = adversary.learn(latent, made, real, self.done, rng_at(self.seed, self.done, stream), share)
            adversary.adam.zero_grad(set_to_none=True)
            self.manual_backward(loss)
            adversary.adam.step()
            logs[f"train/discriminator_{name}"] = loss.detach()
        return logs

    def _gather(self, part: Float[Tensor, "b ..."]) -> Float[Tensor, "n ..."]:
        """The whole of a tensor whose rows are shared by the processes, in the order of the batch."""
        if self._trainer is None or self.trainer.world_size == 1:
            return part
        return self.all_gather(part).transpose(0, 1).flatten(0, 1)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / max(1.0, self.warmup * self.steps))
        left = min(1.0, (self.steps - step) / max(1.0, self.decay * self.steps))
        return self.lr * rise * (0.5 - 0.5 * math.cos(math.pi * left))

    def _mix(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        """The images of a step, their known latents, and 1 for the images whose latent is known, else 0."""
        images, latents = batch["images"], batch.get("latent")
        self._check(images)
        rng, rows = rng_at(self.seed, self.done), self.rows
        if self.flip and latents is None:
            mirrored = (torch.rand(self.batch, 1, 1, 1, generator=rng) < self.flip)[rows]
            images = torch.where(mirrored.to(images.device, non_blocking=True), images.flip(3), images)
        known = images.new_full((len(images),), float(latents is not None))
        if drawn := round(self.samples * self.batch):
            with torch.no_grad(), torch.autocast(images.device.type, enabled=False):  # what is known is known exactly
                fresh = self.space.sample(drawn, rng)[rows].to(images.device, non_blocking=True)
                images = torch.cat([self.space.decode(fresh), images[len(fresh) :]])
            rest = images.new_zeros(len(images), *self.space.shape) if latents is None else latents
            latents = torch.cat([fresh, rest[len(fresh) :]])
            known[: len(fresh)] = 1
        return images, latents, known

    def _check(self, images: Float[Tensor, "b c h w"]) -> None:
        generator = self.space.generator
        made = (generator.channels, generator.resolution, generator.resolution)
        if tuple(images.shape[1:]) != made:
            found, wanted = ("×".join(map(str, size)) for size in (images.shape[1:], made))
            fixes = [f"data.channels={made[0]}"] * (images.shape[1] != made[0])
            fixes += [f"data.resolution={made[1]}"] * (images.shape[2:] != made[1:])
            raise ValueError(
                f"data: its images are {found} and the generator makes {wanted}; set {' and '.join(fixes)}, or choose "
                "other data"
            )

    def _start(self, n: int) -> tuple[Tensor, Tensor]:
        """The prior's mean for ``n`` images, and what it looks like, which is always the same."""
        if self._origin is None:
            with torch.no_grad():
                latent = self.space.start(1).to(self.device)
                self._origin = latent, self.space.decode(latent)
        return tuple(part.expand(n, *part.shape[1:]) for part in self._origin)

    def _widened(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The latent with the rows that are not open yet replaced by the first one (e4e)."""
        opened = self._open(latent)
        if self.widen_after is None or opened.shape[1] == latent.shape[1]:
            return latent
        closed = latent.shape[1] - opened.shape[1]
        return torch.cat([opened, latent[:, :1].expand(-1, closed, -1)], dim=1)

    def _open(self, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The rows of a latent that are open at this step."""
        if self.widen_after is None:
            return latent
        opened = 1 if self.done < self.widen_after else 2 + (self.done - self.widen_after) // self.widen_every
        return latent[:, :opened]

    def _distance(self, latent: Float[Tensor, "b ..."], known: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """Mean over coordinates of the squared distance, in units of the prior's spread²."""
        return ((latent - known) / max(self.space.spread, 1e-12)).square().flatten(1).mean(dim=1)

    @torch.no_grad()
    def invert(self, images: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
        """Latents of the mean encoder, with rows open as far as training has come, and what they look like."""
        latent = self._widened(Inverter(self.mean, self.space.name)(self.space, images)[-1])
        return latent, self.space.decode(latent)

    @torch.no_grad()
    def evaluate(self, data: AbstractData, size: int = 32) -> dict[str, float]:
        """The metrics on held-out images, and on as many samples of G (``samples/…``), whose latents are known."""
        drawn = Samples(self.space.generator, min(len(data), 256), seed=1, space=self.space.name)
        scores = self._scores(data, size)
        return scores | {f"samples/{name}": value for name, value in self._scores(drawn, size).items()}

    def _scores(self, data: AbstractData, size: int) -> dict[str, float]:
        values: dict[str, list[Tensor]] = {}
        for batch in data.batches(size):
            if not batch.ids:
                continue
            images = batch.images.to(self.device)
            self._check(images)
            latent, made = self.invert(images)
            found = {name: metric(made.clamp(-1, 1), images) for name, metric in self.metrics.items()}
            if "latent" in batch.extras:
                found["latent_distance"] = self._distance(latent, batch.extras["latent"].to(latent))
            for name, value in found.items():
                values.setdefault(name, []).extend([] if value is None else [value.cpu()])
        return {name: torch.cat(parts).double().mean().item() for name, parts in values.items() if parts}

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean encoder in half precision, which is more than it needs, and what rebuilds it."""
        weights = {
            name: value.half() if value.is_floating_point() and name not in ("mean", "spread") else value
            for name, value in self.mean.state_dict().items()
        }
        generator = self.space.generator
        facts = {"resolution": generator.resolution, "channels": generator.channels, "space": self.space.name}
        return weights, {
            "kind": "encoder", "network": self.network, **facts, "generator": generator.fingerprint()
        }  # fmt: skip

    def pictures(self, data: AbstractData | None) -> Float[Tensor, "n c h w"] | None:
        """Sixteen held-out images, each row of eight with what the encoder makes of it below."""
        if data is None:
            return None
        images = data.read(range(min(2 * COLUMNS, len(data)))).images.to(self.device)
        images = images[: max(1, len(images) // COLUMNS) * COLUMNS]
        _, made = self.invert(images)
        return torch.cat(
            [part for pair in zip(images.split(COLUMNS), made.split(COLUMNS), strict=True) for part in pair]
        )
