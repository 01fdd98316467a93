"""The equation v* = argmin Σ λ L(D(G(v)), D(targets)) + Σ μ R(v): its targets, its parts, and its value per image."""

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.config.reasons import Unfit
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Group, Variables, named
from zstar.losses.base import AbstractLoss, require_targets
from zstar.losses.targets import Targets
from zstar.operators.base import AbstractOperator
from zstar.operators.chain import degrade, observe, picture, require_maps, require_remains
from zstar.optimizers.base import AbstractOptimizer
from zstar.optimizers.graphs import Graphs
from zstar.optimizers.slices import Slices
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.noise_maps import unit_noise
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream

KEPT = 4 << 30  # bytes of features of a loss's targets, where a batch is evaluated in slices


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
        operators: Name → D, one after the other between G(v) and the losses.
        slices: How many images are evaluated at once, in all batches.
        graph: Whether the kernels of an evaluation are recorded and launched together, on a GPU.
    """

    space: AbstractSpace
    losses: dict[str, AbstractLoss]
    regularizers: dict[str, AbstractRegularizer]
    optimizer: AbstractOptimizer
    seed: int = 0
    noise: Literal["const", "none", "optimize"] = "const"
    operators: dict[str, AbstractOperator] = field(default_factory=dict)
    slices: Slices = field(default_factory=Slices)
    graph: bool = False

    def __post_init__(self) -> None:
        if not self.losses:
            raise ValueError("loss: the list is empty and nothing pulls G(v) towards the image; choose e.g. [pixel]")
        if self.noise not in ("const", "none", "optimize"):
            raise ValueError(f"noise: '{self.noise}' is unknown; choose const, none or optimize")
        if self.noise == "optimize" and not self.generator.noise_shapes:
            raise Unfit(f"noise: 'optimize' needs noise maps and {type(self.generator).__name__} has none; choose none")
        if self.optimizer.quadratic and (reason := self._bent()):
            name = type(self.optimizer).__name__
            raise Unfit(f"optimizer: {name} is for quadratic equations, and {reason}; choose optimizer=lbfgs or adam")
        size = self.generator.resolution
        require_remains(self.operators.values(), (self.generator.channels, size, size))

    def _bent(self) -> str:
        """Why the equation is not quadratic in v; empty where it is."""
        if not self.generator.linear:
            return f"{type(self.generator).__name__} is not linear as generator=pixels is"
        terms = {f"loss.{n}": loss.quadratic for n, loss in self.losses.items()}
        terms |= {f"regularizer.{n}": term.quadratic for n, term in self.regularizers.items()}
        terms |= {f"operator.{n}": operator.linear for n, operator in self.operators.items()}
        return next((f"{name} makes this one none" for name, fine in terms.items() if not fine), "")

    def cost(self, kinds: Collection[str] = ()) -> int:
        """Syntheses that an evaluation of the equation takes: one, and those of regularizers that draw on their own.

        Arguments:
            kinds: Of the variables of v, such as ``weights``, that not every v has.
        """
        terms = [term for term in self.regularizers.values() if not term.of or set(term.of) & set(kinds)]
        return 1 + sum(term.syntheses for term in terms)

    @property
    def generator(self) -> AbstractGenerator:
        """The fixed generator G."""
        return self.space.generator

    def require_targets(self, names: Collection[str], maps: Collection[str]) -> None:
        """Refuse losses and operators that look at targets which there are not.

        Arguments:
            names: The targets that there are.
            maps: Those among them that can weigh or hide pixels.

        Raises:
            ValueError: One sentence with the key.
        """
        require_targets(self.losses, names, maps)
        fix = "the data have no '{}'; give data.{}=<file or folder>, or choose another operator or setting"
        require_maps(self.operators, maps, fix)

    def degrade(self, images: Float[Tensor, "b c h w"], targets: Mapping[str, Tensor]) -> Float[Tensor, "b c h2 w2"]:
        """D(images), beside their named targets."""
        return degrade(self.operators.values(), images, targets)

    def observe(self, targets: Targets) -> Targets:
        """The targets with the observation of the image, as a picture of its size, in the place of the image: what
        whoever looks for v may see."""
        if not self.operators:
            return targets
        image = picture(self.operators.values(), targets.images, targets.named, targets.ids)
        return replace(targets, named={**targets.named, "image": image})

    def rngs(self, ids: Sequence[str], purpose: str) -> list[torch.Generator]:
        """One random generator per image and purpose, the same whatever batch the image is in."""
        return [stream(purpose, self.seed, name) for name in ids]

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
        """v to begin with: ``latent`` or where the space begins, and the noise maps and classes that are free."""
        device, classes = targets.images.device, targets.classes
        latent = self.space.start(len(targets.ids), classes) if latent is None else latent
        maps = {name: latent.new_zeros(len(latent), *shape) for name, shape in self.space.maps.items()}
        found = {"latent": latent, **self.initial_noise(targets), **self.space.start_class(len(latent), classes)}
        return {name: value.to(device) for name, value in {**found, **named("features", maps)}.items()}

    def groups(self, v: Variables) -> list[Group]:
        """Default groups: the latent and the maps of the space, and noise maps that stay noise, if there are any."""
        noise = [name for name in v if name.startswith("noise/")]
        space, start = self.space, v["latent"]
        held = (lambda latent: space.hold(space.constrain(latent), start)) if space.fixed_rows else space.constrain
        maps = [Group([f"features/{name}"], rate=self.optimizer.lr * rate) for name, rate in space.map_rates.items()]
        return [Group(["latent"], constrain=held), Group(noise, constrain=unit_noise), *maps]

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
    """The equation bound to its targets, whose features are computed once.

    It is evaluated in slices of ``problem.slices``, and in smaller ones where memory runs out. Where there
    are slices, features of the targets that take more than ``KEPT`` bytes are computed for each of them, and not kept.

    Attributes:
        targets: What of the targets may be seen: in the place of the image its observation, where there are operators.
        goals: The observation of its pictures for each loss, as channels.
        graphs: What is recorded of its evaluations, if anything.

    Arguments:
        problem: The equation without its targets.
        targets: The targets, not degraded.
    """

    def __init__(self, problem: Problem, targets: Targets) -> None:
        self.problem = problem
        self.graphs = Graphs() if problem.graph else None
        problem.require_targets(targets.named, targets.maps)
        self.features: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            self.goals = {name: self._goal(loss, targets) for name, loss in problem.losses.items()}
            self.targets = problem.observe(targets)
            for name, loss in problem.losses.items():
                self._keep_features(name, loss)

    def _goal(self, loss: AbstractLoss, targets: Targets) -> Float[Tensor, "b k h w"]:
        operators, named = self.problem.operators.values(), targets.named
        return loss.gather({n: observe(operators, named[n], named, targets.ids) for n in loss.pictures.values()})

    def _keep_features(self, name: str, loss: AbstractLoss) -> None:
        goal = self.goals[name]
        if self.problem.slices.size is not None:
            one = loss.target_features(goal[:1])
            if sum(f.numel() * f.element_size() for f in one) * len(goal) > KEPT:
                return

        def features(_rows: slice, v: Variables) -> dict[str, Tensor]:
            return {str(place): feature for place, feature in enumerate(loss.target_features(v["goal"]))}

        self.features[name] = list(self.problem.slices.run(features, {"goal": goal}).values())

    def wanted(self, name: str, rows: slice) -> list[Tensor]:
        """Features of D(target) of some of the images, for the loss ``name``."""
        if name in self.features:
            return [feature[rows] for feature in self.features[name]]
        with torch.no_grad():
            return self.problem.losses[name].target_features(self.goals[name][rows])

    def repeated(self, times: int) -> "Objective":
        """The equation for ``times`` candidates of each image, one after the other; no feature is computed again."""
        if times == 1:
            return self
        many = copy(self)
        many.targets = self.targets.repeated(times)
        many.features = {name: [f.repeat_interleave(times, dim=0) for f in fs] for name, fs in self.features.items()}
        many.goals = {name: goal.repeat_interleave(times, dim=0) for name, goal in self.goals.items()}
        return many

    def __call__(self, v: Variables) -> Terms:
        """Evaluate every term at v; ``total`` is differentiable."""
        found = self.problem.slices.run(self._evaluate, v, self.graphs)
        total, image = found.pop("total"), found.pop("image")
        return Terms(total, {name.removeprefix("term/"): value for name, value in found.items()}, image)

    def _evaluate(self, rows: slice, v: Variables) -> dict[str, Tensor]:
        targets = {name: value[rows] for name, value in self.targets.named.items()}
        image = self.problem.render(v)
        degraded, terms = self.problem.degrade(image, targets), {}
        for name, loss in self.problem.losses.items():
            weights = loss.weights(targets)
            seen = loss.seen(degraded, self.goals[name][rows], weights)
            terms[name] = loss.weight * loss.compare(loss.look(seen), self.wanted(name, rows), weights)
        terms |= {name: reg.weight * reg(v, image) for name, reg in self.problem.regularizers.items()}
        total = torch.stack(list(terms.values())).sum(dim=0)
        return {"total": total, "image": image, **{f"term/{name}": value for name, value in terms.items()}}
