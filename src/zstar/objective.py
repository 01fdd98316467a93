"""The equation v* = argmin Σ λ L(G(v), x) + Σ μ R(v): its targets, its parts, and its value per image."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables, named
from zstar.losses.base import AbstractLoss
from zstar.optimizers.base import AbstractOptimizer
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.noise_maps import unit_noise
from zstar.spaces.base import AbstractSpace


@dataclass(frozen=True)
class Targets:
    """What is projected.

    Attributes:
        images: ``[b, c, h, w]`` in [−1, 1].
        ids: Stable name of each image; its random numbers depend on it and on the seed, never on the batch.
        weights: Spatial weight map ``[b, 1, h, w]`` ≥ 0 for the losses, or ``None`` for uniform weights.
    """

    images: Float[Tensor, "b c h w"]
    ids: list[str]
    weights: Float[Tensor, "b 1 h w"] | None = None


@dataclass(frozen=True)
class Group:
    """Variables of v that are free together.

    Attributes:
        names: Their names.
        rate: Step size of their own; ``None`` is that of the optimizer.
        constrain: What brings each of them back to where it is allowed, after every step.
    """

    names: Sequence[str]
    rate: float | None = None
    constrain: Callable[[Tensor], Tensor] | None = None

    @torch.no_grad()
    def constrain_(self, v: dict[str, Tensor]) -> None:
        """Bring the variables of this group back to where they are allowed, in place."""
        for name in self.names if self.constrain else ():
            v[name].copy_(self.constrain(v[name]))


@dataclass(frozen=True)
class Problem:
    """Everything in the equation but the targets.

    Attributes:
        space: Where v lives; it holds the generator.
        losses: Name → L, weighted by ``L.weight``.
        regularizers: Name → R, weighted by ``R.weight``.
        optimizer: What solves it.
        seed: Seed of everything random in a projection.
        noise: Noise maps of the generator: ``"const"`` (as stored), ``"none"``, or ``"optimize"`` (part of v).
    """

    space: AbstractSpace
    losses: dict[str, AbstractLoss]
    regularizers: dict[str, AbstractRegularizer]
    optimizer: AbstractOptimizer
    seed: int = 0
    noise: Literal["const", "none", "optimize"] = "const"

    def __post_init__(self) -> None:
        if not self.losses:
            raise ValueError(
                "loss: the list is empty and nothing pulls G(v) towards the image; choose e.g. loss=[pixel]"
            )
        if self.noise not in ("const", "none", "optimize"):
            raise ValueError(f"noise: '{self.noise}' is unknown; choose const, none or optimize")
        if self.noise == "optimize" and not self.generator.noise_shapes:
            name = type(self.generator).__name__
            raise ValueError(
                f"noise: 'optimize' needs a generator with noise maps and {name} has none; choose noise=none"
            )

    @property
    def generator(self) -> AbstractGenerator:
        """The fixed generator G."""
        return self.space.generator

    def rngs(self, ids: Sequence[str], stream: str) -> list[torch.Generator]:
        """One random generator per image and ``stream`` of numbers, the same whatever batch the image is in."""
        keys = (hashlib.sha256(f"{self.seed}/{stream}/{name}".encode()).digest() for name in ids)
        return [torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1) for key in keys]

    def initial_noise(self, targets: Targets) -> dict[str, Tensor]:
        """``noise/<map>`` [b, 1, h, w], unit-normal, where noise maps are optimised, else none."""
        if self.noise != "optimize":
            return {}
        rngs, device = self.rngs(targets.ids, "noise"), targets.images.device
        draw = {
            name: unit_noise(torch.stack([torch.randn(1, *shape, generator=rng) for rng in rngs]).to(device))
            for name, shape in self.generator.noise_shapes.items()
        }
        return named("noise", draw)

    def start(self, targets: Targets, latent: Float[Tensor, "b ..."] | None = None) -> dict[str, Tensor]:
        """v to begin with: ``latent``, or where the space begins, and noise maps where they are optimised."""
        device = targets.images.device
        latent = self.space.start(len(targets.ids)) if latent is None else latent
        return {"latent": latent.to(device), **self.initial_noise(targets)}

    def groups(self, v: Variables) -> list[Group]:
        """What is free as a rule: the latent within its space, and noise maps that stay noise where there are any."""
        maps = [name for name in v if name.startswith("noise/")]
        return [Group(["latent"], constrain=self.space.constrain), Group(maps, constrain=unit_noise)]

    def render(self, v: Variables) -> Float[Tensor, "b c h w"]:
        """G(v), with noise as configured where v has no maps."""
        return self.generator.render(v, self.space.name, self.noise)


@dataclass(frozen=True)
class Terms:
    """The equation at some v: its sum ``total`` ``[b]``, its weighted terms by name, and G(v)."""

    total: Float[Tensor, " b"]
    terms: dict[str, Float[Tensor, " b"]]
    image: Float[Tensor, "b c h w"]

    def detach(self) -> "Terms":
        """The same values without their graph."""
        terms = {name: value.detach() for name, value in self.terms.items()}
        return Terms(self.total.detach(), terms, self.image.detach())


class Objective:
    """The equation bound to its targets, whose features are computed once."""

    def __init__(self, problem: Problem, targets: Targets, features: dict[str, list[Tensor]] | None = None) -> None:
        self.problem = problem
        self.targets = targets
        with torch.no_grad():
            self.features = features or {name: loss.features(targets.images) for name, loss in problem.losses.items()}

    def repeated(self, times: int) -> "Objective":
        """The equation for ``times`` candidates of each image, one after the other; no feature is computed again."""
        targets = self.targets
        weights = None if targets.weights is None else targets.weights.repeat_interleave(times, dim=0)
        ids = [name for name in targets.ids for _ in range(times)]
        features = {name: [f.repeat_interleave(times, dim=0) for f in fs] for name, fs in self.features.items()}
        return Objective(self.problem, Targets(targets.images.repeat_interleave(times, dim=0), ids, weights), features)

    def __call__(self, v: Variables) -> Terms:
        """Evaluate every term at v; differentiable."""
        image = self.problem.render(v)
        terms = {
            name: loss.weight * loss.compare(loss.features(image), self.features[name], self.targets.weights)
            for name, loss in self.problem.losses.items()
        }
        terms |= {name: reg.weight * reg(v, image) for name, reg in self.problem.regularizers.items()}
        return Terms(torch.stack(list(terms.values())).sum(dim=0), terms, image)
