"""Offline directions: learned once for a generator from an edit of images, for any latent."""

from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.config.build import build
from zstar.config.constraints import Within, require
from zstar.data.base import AbstractData
from zstar.directions.library import unpack_directions
from zstar.stats.streams import stream
from zstar.tasks.base import AbstractTask
from zstar.tasks.curves import BestWalk
from zstar.tasks.imitation import SHOWN, Imitation
from zstar.tasks.rates import cosine_fall


class DirectionTask(AbstractTask):
    """argmin_w E_{z,α}[Σ λ L(G(walk_w(z, α)), edit(G(z), α))], with no loss where the edit had to invent pixels.

    Several edits are learned at once, each with a walk of its own. What is exported is, for each edit by itself, the
    walk with the lowest loss so far on held-out latents.

    Arguments:
        imitation: The edits with a walk for each; the generator stays fixed.
        decay: Share of the steps at the end over which the learning rates, which are the walks', fall to zero as a
            cosine.
        cycle_weight: Weight of the squared distance between z and where walking α and then −α leads, a mean over
            coordinates in units of the prior's spread². A linear walk always comes back.
        steps: Steps in all.
        batch: Latents per step and edit, over all processes.
        seed: Seed of latents and strengths.
        log_every: Steps between two log entries.
    """

    groups = ("generator", "space", "edit", "walk", "loss")
    kind = "directions"

    def __init__(
        self,
        imitation: Imitation,
        decay: float = 0.5,
        cycle_weight: float = 0.1,
        steps: int = 500,
        batch: int = 16,
        seed: int = 0,
        log_every: int = 25,
    ) -> None:
        super().__init__(steps, batch, seed, log_every)
        require("task", Within(0, 1), decay=decay)
        require("task", Within(0), cycle_weight=cycle_weight)
        # None of these is a submodule: G and the losses' networks stay as they are, and out of every checkpoint.
        self.imitation, self.space = imitation, imitation.space
        self.edits, self.losses = imitation.edits, imitation.losses
        self.walks = torch.nn.ModuleDict(imitation.walks)
        self.best = torch.nn.ModuleDict({name: BestWalk(walk) for name, walk in self.walks.items()})
        self.decay, self.cycle_weight = decay, cycle_weight
        groups = [{"params": walk.parameters(), "lr": walk.lr} for walk in self.walks.values()]
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.parts = {"walks": self.walks, "best": self.best, "adam": self.adam}
        self.objects = {"generator": self.space.generator, "space": self.space.name}

    @classmethod
    def compose(cls, cfg: DictConfig) -> "DirectionTask":
        """The task that a composed configuration describes."""
        generator = build(cfg.generator, at="generator")
        generator.require_trained("there is nothing to steer")
        return build(cfg.task, at="task", imitation=Imitation.compose(cfg, generator), seed=cfg.seed)

    def on_fit_start(self) -> None:
        """Lightning's hook: what is no submodule follows the task to its device."""
        for module in (self.space.generator, *self.losses.values()):
            module.to(self.device)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of Adam for all edits."""
        if "latent" not in batch:
            raise ValueError("data: nobody knows the latents of these images; choose data=samples")
        latent, before = batch["latent"], batch["images"].clamp(-1, 1)
        for group, walk in zip(self.adam.param_groups, self.walks.values(), strict=True):
            group["lr"] = walk.lr * self.rate(self.done)
        self.adam.zero_grad(set_to_none=True)
        logs = {}
        for name, edit in self.edits.items():
            walk = self.walks[name]
            rng = stream("strengths", self.seed, name, index=self.done, device=latent.device)
            alpha = walk.draw(self.batch, rng)[self.rows]
            with torch.no_grad():
                target, mask = edit(before, alpha)
                goals = {key: loss.features(target) for key, loss in self.losses.items()}
            moved = walk(latent, alpha)
            image = self.space.decode(moved)
            terms = {}
            for key, loss in self.losses.items():
                weights = loss.weights({"mask": mask})
                found = loss.features(loss.seen(image, target, weights))
                terms[key] = loss.weight * loss.compare(found, goals[key], weights).mean()
            terms["cycle"] = self.cycle_weight * self.strayed(latent, walk(moved, -alpha)).square().mean()
            self.manual_backward(torch.stack(list(terms.values())).sum())
            logs |= {f"train/{name}/{key}": value.detach() for key, value in terms.items()}
        self.adam.step()
        return logs

    def rate(self, step: int) -> float:
        """Learning rate of a step, as a factor of the walks' own."""
        return cosine_fall(step, self.steps, self.decay)

    def strayed(self, latent: Float[Tensor, "b ..."], returned: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """Root mean squared distance per coordinate, in units of the prior's spread."""
        error = ((returned - latent) / max(self.space.spread, 1e-12)).square().flatten(1)
        return error.mean(dim=1).clamp_min(1e-12).sqrt()

    @torch.no_grad()
    def evaluate(self, data: AbstractData) -> dict[str, float]:
        """Per edit, on held-out latents: the scores of its curve, and ``returned``, how far from z the walk to each
        end of the range and back ends. Keeps the walk if it is the best so far."""
        latents = torch.cat([batch.extras["latent"] for batch in data.batches(64)]).to(self.device)
        scores = {}
        for name, curve in self.imitation.measure(self.walks, self.space.decode, latents).items():
            walk, edit = self.walks[name], self.edits[name]
            self.best[name].see(walk, curve)
            ends = [latents.new_full((len(latents),), end) for end in (edit.low, edit.high) if end]
            back = torch.cat([self.strayed(latents, walk(walk(latents, end), -end)) for end in ends])
            scores |= {f"{name}/{key}": value for key, value in curve.scores().items()}
            scores[f"{name}/returned"] = back.mean().item()
        return scores

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The best walk for each edit as a direction, or the current one while none has been measured; the curves."""
        curves = {name: best.curve for name, best in self.best.items() if best.curve}
        walks = {name: self.best[name].walk if name in curves else walk for name, walk in self.walks.items()}
        return self.imitation.export(walks, curves, self.space.generator, "learned")

    def adopt(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        found = unpack_directions(tensors, card, self.space.generator)
        for name, walk in self.walks.items():
            if name not in found:
                raise ValueError(f"it has no direction called {name}; it has {', '.join(found)}")
            walk.adopt(found[name])

    def forget(self) -> None:
        super().forget()
        for best in self.best.values():
            best.curve = None

    @torch.no_grad()
    def pictures(self, data: AbstractData | None) -> Float[Tensor, "n c h w"] | None:
        """For each edit, two held-out latents walked over its range, above what the edit itself does."""
        if data is None:
            return None
        latents = data.read(range(min(SHOWN, len(data)))).extras["latent"].to(self.device)
        return self.imitation.pictures(self.walks, self.space.decode, latents)
