"""Steerability of a generator in training: edits of its training images, and directions that do the same."""

import copy
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor, nn

from zstar.config.build import build
from zstar.config.constraints import POSITIVE, Within, require
from zstar.generators.base import AbstractGenerator
from zstar.stats.streams import stream
from zstar.tasks.curves import Curve
from zstar.tasks.imitation import Imitation
from zstar.tasks.sampling import follow

HELD_OUT = 64  # latents that the curves are measured on


class SteeringBatch(NamedTuple):
    """The inputs of D, the penalty on G, and the scalars to log."""

    real: Float[Tensor, "b c h w"]
    fake: Float[Tensor, "b c h w"]
    penalty: Float[Tensor, ""]
    logs: dict[str, Tensor]


class Steering(nn.Module):
    """argmin_{G,w} L_GAN + weight · E_{z,α}[Σ λ L(G(walk_w(z, α)), edit(G(z), α))], on data that are edited too.

    From "On the 'steerability' of generative adversarial networks" (Jahanian, Chai and Isola, ICLR 2020,
    https://arxiv.org/abs/1907.07171), for the range that a fixed generator does not give: G goes as far as the pictures
    vary that it has learned from. A share of the real images is edited by a random α.

    A warp has to invent what comes in at the sides, and D would teach G to draw it. Cropping to what is valid for all α
    would hide the sides of every picture, so D sees each edited image behind the mask of its edit. The mask tells α and
    fits the content, therefore a G(z) behind a mask drawn for itself could be told by that alone. D gets G(walk(z, α))
    behind the same mask instead: the image of a step of α is compared with images edited by α. Both penalties then
    have one optimum, in which G(z) is distributed as the data are, not as the edited data, which is where this
    departs from the paper. What G draws outside of the mask neither D nor L sees; the other images of the batch, shown
    whole, are all that keeps it in order.

    The walks learn from both penalties. edit(G(z), α) is a fixed target, as in the paper's programs.

    Arguments:
        imitation: The edits, which take turns over the images of a batch, with a walk for each; its space holds the
            generator that is being trained.
        weight: Factor of Σ λ L in what G minimises.
        lr: Learning rate of the walks' Adam; it falls as G's does.
        share: Share of each batch that is edited and walked, above 0 and at most 1.
        seed: Seed of the held-out latents.
    """

    groups = ("space", "edit", "walk", "loss")

    def __init__(
        self,
        imitation: Imitation,
        weight: float = 100.0,
        lr: float = 0.01,
        share: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require("task.steering", POSITIVE, weight=weight, lr=lr, share=share)
        require("task.steering", Within(0, 1), share=share)
        # None of these is a submodule: the task holds G, and the losses' networks are in no checkpoint.
        self.imitation, self.space = imitation, imitation.space
        self.walks = nn.ModuleDict(imitation.walks)
        self.mean = copy.deepcopy(self.walks).requires_grad_(False)  # for the mean of G's weights
        self.weight, self.lr, self.share, self.seed = weight, lr, share, seed
        self.adam = torch.optim.Adam(self.walks.parameters(), lr, (0.9, 0.99))
        self.parts = {"walks": self.walks, "mean_walks": self.mean, "adam_walks": self.adam}
        self.curves: dict[str, Curve] = {}  # of the mean walks as they are

    @classmethod
    def compose(cls, cfg: DictConfig, generator: AbstractGenerator) -> "Steering":
        """The steering that ``task.steering`` of a configuration and its groups describe, for a generator."""
        if generator.classes:
            raise ValueError(
                "generator.label: directions are learned with one class for all images; set it to the number of one"
            )
        imitation = Imitation.compose(cfg, generator)
        return build({**cfg.task.steering, "_partial_": False}, at="task.steering", imitation=imitation, seed=cfg.seed)

    def show(self, images: Float[Tensor, "b c h w"], rng: torch.Generator, step: int) -> SteeringBatch:
        """Real images, of which some are edited, and as many fakes with gradient to G and to the walks."""
        device, generator, count = images.device, self.space.generator, max(1, round(self.share * len(images)))
        with torch.autocast(device.type, enabled=False):
            latent = self.space.sample(len(images), rng)
        shapes = generator.noise_shapes.items()
        noise = {name: torch.randn(len(images), 1, *shape, generator=rng, device=rng.device) for name, shape in shapes}
        with torch.no_grad():
            before = self.decode(latent[:count], {name: value[:count] for name, value in noise.items()}).clamp(-1, 1)
        turns, moved = [], latent
        for turn, (name, walk) in enumerate(self.walks.items()):
            rows = torch.arange((turn - step) % len(self.walks), count, len(self.walks), device=device)
            if len(rows):
                alpha = walk.draw(len(rows), rng).to(device)
                moved = moved.index_copy(0, rows, walk(latent[rows], alpha).to(latent))
                turns.append((name, rows, alpha))
        fake = self.decode(moved, noise)
        real, mask, logs = images.clone(), torch.ones_like(images[:, :1]), {}
        for name, rows, alpha in turns:
            with torch.no_grad():
                target, valid = self.imitation.edits[name](before[rows], alpha)
                real[rows], inside = self.imitation.edits[name](images[rows], alpha)
                mask[rows] = valid * inside
            logs[f"train/{name}"] = sum(
                loss.weight * loss(fake[rows], target, loss.weights({"mask": valid})).mean()
                for loss in self.imitation.losses.values()
            )
        penalty = self.weight * torch.stack(list(logs.values())).mean()
        return SteeringBatch(real * mask, fake * mask, penalty, logs)

    def decode(self, latent: Float[Tensor, "b ..."], noise: dict[str, Tensor]) -> Float[Tensor, "b c h w"]:
        """G(v) for the training; the mapping network is kept out of mixed precision."""
        generator = self.space.generator
        with torch.autocast(latent.device.type, enabled=False):
            richest = list(generator.spaces)[-1]
            latent = generator.lift(latent, self.space.name, richest)
        return generator.synthesize(latent, richest, noise)

    def to_device(self, device: torch.device) -> None:
        """Move what is no submodule."""
        for loss in self.imitation.losses.values():
            loss.to(device)

    def follow(self, share: float) -> None:
        """Move the mean walks by a share towards the present ones, as the mean of G moves."""
        follow(self.mean, self.walks, share)
        self.curves = {}

    def latents(self, generator: AbstractGenerator) -> Float[Tensor, "n ..."]:
        """Held-out latents: always of the same z."""
        return generator.sample(HELD_OUT, stream("held-out latents of steering", self.seed), space=self.space.name)

    @torch.no_grad()
    def evaluate(self, generator: AbstractGenerator) -> dict[str, float]:
        """Per edit the scores of the curve of its mean walk in ``generator``, the mean one."""
        self.curves = self.imitation.measure(self.mean, partial(self._draw, generator), self.latents(generator))
        return {f"{name}/{key}": value for name, curve in self.curves.items() for key, value in curve.scores().items()}

    @torch.no_grad()
    def pictures(self, generator: AbstractGenerator) -> Float[Tensor, "n c h w"]:
        """For each edit, two latents walked over its range, above what the edit itself does; rows of eight."""
        return self.imitation.pictures(self.mean, partial(self._draw, generator), self.latents(generator))

    def _draw(self, generator: AbstractGenerator, latent: Float[Tensor, "b ..."]) -> Float[Tensor, "b c h w"]:
        return generator.synthesize(latent, self.space.name, "const").float()

    def export(self, generator: AbstractGenerator) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean walks as directions of ``generator``, and their curves where they have been measured."""
        return self.imitation.export(self.mean, self.curves, generator, "learned with its generator")
