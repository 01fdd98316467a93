"""Generators that learn by the gradient of one loss, with no opponent."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.checkpoints.io import halved
from zstar.config.constraints import POSITIVE, Within, require
from zstar.tasks.base import AbstractTask
from zstar.tasks.mixing import companions
from zstar.tasks.rates import mean_share, warmed
from zstar.tasks.reconstruction import COLUMNS
from zstar.tasks.sampling import follow


class AbstractFit(AbstractTask):
    """Adam on a generator, with a mean of its weights over the last images, which is scored, shown and exported.

    Arguments:
        generator: What to train; a G with an attribute ``network`` whose state dict a checkpoint of its family holds.
        lr: Learning rate of Adam.
        warmup: Share of the steps at the beginning over which the rate rises.
        decay: Share of the steps at the end over which it falls to zero as a cosine.
        clip: Largest norm of the gradient; larger ones are scaled down to it.
        ema_images: Half-life of the mean of the weights, in images; a twentieth of the training so far while that is
            shorter.
        flip: Probability that an image is mirrored.
        steps: Steps in all.
        batch: Images per step, over all processes.
        seed: Seed of all that is drawn.
        log_every: Steps between two log entries.
    """

    kind = "generator"

    def __init__(
        self,
        generator: Any,
        lr: float,
        warmup: float,
        decay: float,
        clip: float,
        ema_images: float,
        flip: float,
        steps: int,
        batch: int,
        seed: int,
        log_every: int,
    ) -> None:
        super().__init__(steps, batch, seed, log_every)
        require("task", POSITIVE, lr=lr, clip=clip, ema_images=ema_images)
        require("task", Within(0, 1), warmup=warmup, decay=decay, flip=flip)
        self.mean = copy.deepcopy(generator).freeze()
        self.generator = generator.train().requires_grad_(True)
        self.lr, self.warmup, self.decay, self.clip = lr, warmup, decay, clip
        self.ema_images, self.flip = ema_images, flip
        self.adam = torch.optim.Adam(generator.parameters(), lr, (0.9, 0.99))
        self.parts = {"generator": generator, "mean": self.mean, "adam": self.adam}
        self.objects = {"generator": generator}

    @abstractmethod
    def terms(self, named: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The parts of the loss of a step, which add up.

        Arguments:
            named: ``image``, and what else the data show of each.
            rng: What a step draws from.
        """

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of Adam, one of the mean."""
        rng, named = self.rng, {"image": batch["images"], **companions(batch)}
        self.generator.require_size(named["image"])
        if self.flip:
            chosen = torch.rand(len(named["image"]), 1, 1, 1, generator=rng, device=rng.device) < self.flip
            chosen = chosen.to(named["image"].device)
            named = {name: torch.where(chosen, value.flip(3), value) for name, value in named.items()}
        self.adam.param_groups[0]["lr"] = self.rate(self.done)
        self.adam.zero_grad(set_to_none=True)
        terms = self.terms(named, rng)
        self.manual_backward(torch.stack(list(terms.values())).sum())
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), self.clip)
        self.adam.step()
        follow(self.mean, self.generator, mean_share(self.done, self.batch, self.ema_images))
        return {f"train/{name}": value.detach() for name, value in terms.items()}

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * warmed(step, self.steps, self.warmup, self.decay)

    def rounded(self) -> Any:
        """The generator as it is exported."""
        generator = copy.deepcopy(self.mean)
        generator.network.load_state_dict(self._weights())
        return generator

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean generator under the published names, and the size of its images, which not all of them tell."""
        return self._weights(), {"kind": self.kind, "settings": {"resolution": self.mean.resolution}}

    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        for generator in (self.generator, self.mean):
            generator.network.load_state_dict(tensors)

    def _weights(self) -> dict[str, Tensor]:
        """Weights in half precision, which is more than they need; statistics and codes as they are, in half precision
        where that is the same."""
        learned, weights = dict(self.mean.network.named_parameters()), self.mean.network.state_dict()
        same = {name for name, value in weights.items() if torch.equal(value.half().to(value.dtype), value)}
        return halved(weights, {*learned, *same})


def in_rows(*kinds: Float[Tensor, "b c h w"]) -> Float[Tensor, "n c h w"]:
    """Pictures of several kinds below one another, eight in a row; the last row is filled with white."""
    filled = [F.pad(kind, (0, 0, 0, 0, 0, 0, 0, -len(kind) % COLUMNS), value=1.0) for kind in kinds]
    rows = zip(*(kind.split(COLUMNS) for kind in filled), strict=True)
    return torch.cat([part for row in rows for part in row])
