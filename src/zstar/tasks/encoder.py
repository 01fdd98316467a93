"""Training of an inverting network against a fixed generator."""

import copy
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.checkpoints.io import halved
from zstar.config.build import build
from zstar.config.constraints import POSITIVE, Within, require
from zstar.data.base import AbstractData
from zstar.data.samples import HELD_OUT, Samples
from zstar.encoders.base import AbstractEncoder
from zstar.encoders.trained import TrainedEncoder
from zstar.losses.base import AbstractLoss
from zstar.metrics.base import AbstractMetric
from zstar.operators.base import AbstractOperator
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace
from zstar.tasks.adversary import AbstractAdversary, train_adversaries
from zstar.tasks.base import AbstractTask
from zstar.tasks.degradation import Compare, Degradation
from zstar.tasks.encoder_parts import make_parts
from zstar.tasks.mixing import Mix
from zstar.tasks.rates import mean_share, warmed
from zstar.tasks.reconstruction import distance, measure, montage, set_style
from zstar.tasks.sampling import follow
from zstar.tasks.widening import Widening


class EncoderTask(AbstractTask):
    """E = argmin E_x [Σ λ L(G(E(D(x))), x) + Σ μ R(E(D(x)))]: an auto-encoder whose decoder G is fixed.

    Operators D, if there are any, make a network that restores. Images are real ones, or samples of G whose latents are
    known, or both; for samples the distance to the known latent is added. The mean of E's weights over the last images
    is what is scored and exported.

    Arguments:
        space: Where E's latents live; it holds the generator, which is no part of the task.
        encoder: The network to train.
        losses: Name → L, the same as in a projection.
        regularizers: Name → R.
        metrics: Name → metric of held-out images.
        network: The configuration that builds the network, for its card.
        adversaries: Name → a discriminator that E is trained against, each with an optimizer of its own.
        operators: Name → D, what E is not shown; random parts of it are drawn anew in each step.
        compare: What a reconstruction is compared with, ``clean`` for x, or ``observed``, by D of it, for D(x).
        shows: Name of the target that E sees, ``image`` or another one, such as ``source``: the way from that to the
            image is then what is learned.
        targets: Names of the targets that the data have besides the image.
        lr: Learning rate of Adam.
        warmup: Share of the steps at the beginning over which the rate rises.
        decay: Share of the steps at the end over which it falls to zero as a cosine.
        clip: Largest norm of the gradient; larger ones are scaled down to it.
        ema_images: Half-life of the mean of E's weights, in images; a twentieth of the training so far while that is
            shorter.
        samples: Share of each batch that is drawn from G instead of the data, with known latents.
        latent_weight: Weight of the squared distance to a known latent, a mean over coordinates in units of the
            prior's spread².
        flip: Probability that a real image is mirrored; not for data whose latents are known.
        widen_after: Steps during which all rows of w_plus are the first one; null opens all from the start.
        widen_every: Steps after which one more row is opened; all must be open before the training ends.
        steps: Steps in all.
        batch: Images per step, over all processes.
        seed: Seed of samples, shuffles and augmentation.
        log_every: Steps between two log entries.
    """

    groups = ("generator", "space", "encoder", "loss", "operator", "regularizer", "adversary", "metric")
    kind = "encoder"

    def __init__(
        self,
        space: AbstractSpace,
        encoder: AbstractEncoder,
        losses: Mapping[str, AbstractLoss],
        regularizers: Mapping[str, AbstractRegularizer] | None = None,
        metrics: Mapping[str, AbstractMetric] | None = None,
        network: dict[str, Any] | None = None,
        adversaries: Mapping[str, AbstractAdversary] | None = None,
        operators: Mapping[str, AbstractOperator] | None = None,
        compare: Compare = "clean",
        shows: str = "image",
        targets: Collection[str] = (),
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
        self.mix, self.widening = Mix(space, batch, seed, samples, flip), Widening(widen_after, widen_every)
        self.widening.require_fit(space.shape, space.name, steps)
        self.degradation = Degradation(dict(operators or {}), compare, shows)
        self.degradation.require_fit(space, targets)
        if samples and shows != "image":
            raise ValueError(f"task.samples: {samples:g} of a batch are samples, which have no '{shows}'; set it to 0")
        # None of these is a submodule: G and the losses' networks stay as they are, and out of every checkpoint.
        self.space, self.losses, self.regularizers = space, dict(losses), dict(regularizers or {})
        self.metrics, self.network = dict(metrics or {}), network
        self.encoder = encoder.train().requires_grad_(True).to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(encoder).eval().requires_grad_(False)
        self.lr, self.warmup, self.decay, self.clip, self.ema_images = lr, warmup, decay, clip, ema_images
        self.latent_weight = latent_weight
        self.adam = torch.optim.Adam(encoder.parameters(), lr, (0.9, 0.99))
        self.parts = {"encoder": encoder, "mean": self.mean, "adam": self.adam}
        self.adversaries = torch.nn.ModuleDict(adversaries or {})
        for name, adversary in self.adversaries.items():
            self.parts |= {f"adversary_{name}": adversary, f"adam_{name}": adversary.adam}
        self.objects = {"generator": space.generator, "space": space.name}  # samples are drawn where E's latents live
        self._origin: tuple[Tensor, Tensor] | None = None

    @classmethod
    def compose(cls, cfg: DictConfig) -> "EncoderTask":
        """The task that a composed configuration describes."""
        return build(cfg.task, at="task", **make_parts(cfg), seed=cfg.seed)

    def on_fit_start(self) -> None:
        """Lightning's hook: what is no submodule follows the task to its device."""
        for module in (self.space.generator, *self.losses.values(), *self.metrics.values()):
            if isinstance(module, torch.nn.Module):
                module.to(self.device)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of Adam on a batch, with the gradients of all passes added up."""
        mixed = self.mix(batch, self.done, self.rows)
        ids = [f"step {self.done} image {row}" for row in range(self.batch)[self.rows]]
        named = {"image": mixed.images, **mixed.named}
        set_style(self.encoder, batch)
        with torch.no_grad():
            images, goals = self.degradation.shown(named, ids), self.degradation.goals(self.losses, named, ids)
            targets = {name: loss.target_features(goals[name]) for name, loss in self.losses.items()}
            weights = {name: loss.weights(named) for name, loss in self.losses.items()}
        self.adam.param_groups[0]["lr"] = self.rate(self.done)
        self.adam.zero_grad(set_to_none=True)
        latent, image = self._start(len(images))
        logs: dict[str, Tensor] = {}
        for _ in range(self.encoder.passes):
            latent = self.widening.close(self.encoder(images, latent.detach(), image.detach()), self.done)
            opened = self.widening.open(latent, self.done)
            image = self.space.decode(latent)
            made, terms = self.degradation.made(image, named), {}
            for name, loss in self.losses.items():
                seen = loss.features(loss.seen(made, goals[name], weights[name]))
                terms[name] = loss.weight * loss.compare(seen, targets[name], weights[name]).mean()
            terms |= {n: reg.weight * reg({"latent": latent}, image).mean() for n, reg in self.regularizers.items()}
            terms |= {f"adversary_{n}": a.penalty(opened, image) for n, a in self.adversaries.items()}
            if mixed.latents is not None:
                error = distance(self.space, latent, mixed.latents)
                terms["latent"] = self.latent_weight * (error * mixed.known).mean()
            self.manual_backward(torch.stack(list(terms.values())).sum())
            logs = {f"train/{name}": value.detach() for name, value in terms.items()}
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), self.clip)
        self.adam.step()
        follow(self.mean, self.encoder, mean_share(self.done, self.batch, self.ema_images))
        return logs | train_adversaries(self.adversaries, opened.detach(), image.detach(), mixed.real, self)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * warmed(step, self.steps, self.warmup, self.decay)

    def _start(self, n: int) -> tuple[Tensor, Tensor]:
        """The prior's mean for ``n`` images, and its image, computed once."""
        if self._origin is None:
            with torch.no_grad():
                latent = self.space.start(1).to(self.device)
                self._origin = latent, self.space.decode(latent)
        return tuple(part.expand(n, *part.shape[1:]) for part in self._origin)

    def trained_encoder(self) -> TrainedEncoder:
        """The encoder to export: the mean one with rounded weights, and rows open as far as training has come."""
        network = copy.deepcopy(self.mean)
        network.load_state_dict(self._weights())
        close = partial(self.widening.close, step=self.done)
        return TrainedEncoder(network, self.space.name, close=close)

    def evaluate(self, data: AbstractData) -> dict[str, float]:
        """The metrics on held-out images, and on as many samples of G (``samples/…``), whose latents are known; of
        pixels, which no generator has drawn, and where E sees something else, on held-out images alone."""
        encoder, count = self.trained_encoder(), min(len(data), 256)
        held_out = measure(data, encoder, self.space, self.metrics, self.degradation)
        if self.space.name == "pixels" or self.degradation.shows != "image":
            return held_out  # samples are noise, or lack what E sees
        drawn = Samples(self.space.generator, count, space=self.space.name, stream=HELD_OUT)
        samples = measure(drawn, encoder, self.space, self.metrics, self.degradation)
        return held_out | {f"samples/{name}": value for name, value in samples.items()}

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean encoder, and the facts that rebuild it."""
        generator = self.space.generator
        facts = {"resolution": generator.resolution, "channels": generator.channels, "space": self.space.name}
        card = {"kind": self.kind, "network": self.network, **facts, "generator": generator.fingerprint()}
        return self._weights(), card

    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        for network in (self.encoder, self.mean):
            network.load_state_dict(tensors)

    def _weights(self) -> dict[str, Tensor]:
        """The mean encoder: weights in half precision, which is more than they need, statistics as they are."""
        return halved(self.mean.state_dict(), dict(self.mean.named_parameters()))

    def pictures(self, data: AbstractData | None) -> Float[Tensor, "n c h w"] | None:
        """Sixteen held-out images, each row of eight with its reconstructions below, and what E sees between them."""
        return None if data is None else montage(data, self.trained_encoder(), self.space, self.degradation)
