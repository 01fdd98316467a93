"""The line x → project → z → edit → G(z′) as objects, built from a composed configuration."""

import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from zstar.config.build import build, offer
from zstar.config.reasons import Unfit
from zstar.config.signatures import resolve
from zstar.directions.base import AbstractDirection, require_way
from zstar.directions.choose import find_directions, make_annotation
from zstar.directions.rows import keep_to_rows
from zstar.editability.base import AbstractEditability
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.base import AbstractGenerator
from zstar.generators.checkpointing import checkpoint_blocks
from zstar.losses.base import AbstractLoss
from zstar.losses.targets import Targets
from zstar.metrics.available import Metrics, make_metrics
from zstar.objective import Objective, Problem
from zstar.optimizers.base import value_and_gradient
from zstar.optimizers.slices import Slices
from zstar.projection.budget import fit
from zstar.projection.device import pick_device, require_compilable
from zstar.projectors.base import AbstractProjector
from zstar.spaces.base import AbstractSpace
from zstar.spaces.named import named_space


class Pipeline:
    """The components of the line, each built when it is first asked for; what a program does not use is never built.

    Each gets what its signature asks for: a regularizer the space, a projector the problem, and whatever has a use for
    an inverting network that network.

    Arguments:
        plain: The configuration as plain containers, checked.
        consequence: What random weights of the generator would come to, for the sentence that refuses them.
        generator: The generator, where it is built already.
    """

    def __init__(self, plain: Mapping[str, Any], consequence: str, generator: AbstractGenerator | None = None) -> None:
        self.plain = plain
        self.device, self._warm = pick_device(plain["device"]), False
        self.generator = build(plain["generator"], at="generator").to(self.device) if generator is None else generator
        self.generator.require_trained(consequence)
        require_compilable(plain["compile"], self.device)
        if plain["checkpointing"] and generator is None:
            checkpoint_blocks(self.generator)
        if plain["compile"] == "inductor" and generator is None:
            self.generator.compile()

    @property
    def arithmetic(self) -> dict[str, str]:
        """Kind of device and precision, on which all numbers depend; on which of several GPUs it is does not matter."""
        return {"device": self.device.type, "precision": self.plain["precision"]}

    @cached_property
    def space(self) -> AbstractSpace:
        """Latent space that images are projected into."""
        return build(self.plain["space"], at="space", generator=self.generator)

    @cached_property
    def problem(self) -> Problem:
        """The equation without its targets."""
        nodes, optimizer = self.nodes("regularizer"), build(self.plain["optimizer"], at="optimizer")
        given = {"space": self.space, "noise": self.plain["noise"]}
        if self.plain["precision"] == "bf16" and not optimizer.stochastic:
            raise Unfit(
                f"precision: {type(optimizer).__name__} compares values too close for bf16 to tell them apart; choose "
                "precision=exact or tf32, or optimizer=adam"
            )
        return Problem(
            space=self.space,
            losses=self.losses,
            regularizers={
                name: offer(node, at=f"regularizer.{name}", **given, **self.network_for(name, node))
                for name, node in nodes.items()
            },
            optimizer=optimizer,
            seed=self.plain["seed"],
            noise=self.plain["noise"],
            operators={n: build(node, at=f"operator.{n}") for n, node in self.nodes("operator").items()},
            slices=Slices(self.plain["micro_batch"]),
            graph=self.plain["compile"] == "graph",
        )

    @cached_property
    def losses(self) -> dict[str, AbstractLoss]:
        """What G(v) is compared with the targets by."""
        losses = {n: build(node, at=f"loss.{n}").to(self.device) for n, node in self.nodes("loss").items()}
        if self.plain["compile"] == "inductor":
            for network in (part for loss in losses.values() for part in loss.children()):
                network.compile()
        return losses

    @cached_property
    def projectors(self) -> list[AbstractProjector]:
        """x → z, within the budget."""
        nodes = self.nodes("projector")
        chain = [
            offer(node, at=f"projector.{name}", problem=self.problem, **self.network_for(name, node))
            for name, node in nodes.items()
        ]
        return fit(chain, **self.plain["budget"])

    @cached_property
    def encoder(self) -> TrainedEncoder | None:
        """The inverting network, if a projector or a regularizer has a use for one and there is one."""
        nodes = [*self.nodes("projector").values(), *self.nodes("regularizer").values()]
        if self.plain.get("encoder") is None or not any(map(takes_encoder, nodes)):
            return None
        encoder = offer(self.plain["encoder"], at="encoder", space=self.space)
        if encoder is not None and not isinstance(encoder, TrainedEncoder):
            raise ValueError(
                "encoder: this is a network without weights, for train.py task=encoder; choose encoder=shipped, or "
                "encoder=trained encoder.checkpoint=<what it exported>"
            )
        if encoder is not None:
            encoder.network.to(self.space.mean.device)
        return encoder

    @cached_property
    def measures(self) -> tuple[Metrics, dict[str, str]]:
        """The metrics that can be had here, and name → reason for the others."""
        return make_metrics(self.nodes("metric"), self.device)

    @cached_property
    def measuring(self) -> Slices:
        """How many images are measured at once; metrics may take more or less memory than the equation does."""
        return Slices(self.plain["micro_batch"])

    @cached_property
    def annotation(self) -> dict[str, Any]:
        """The annotation, under its name, if a finder of directions or a measure of editability has a use for it."""
        return make_annotation(self.plain)

    @cached_property
    def editability(self) -> dict[str, AbstractEditability]:
        """Measures of the directions."""
        nodes = self.nodes("editability")
        return {name: offer(node, at=f"editability.{name}", **self.annotation) for name, node in nodes.items()}

    @cached_property
    def directions(self) -> dict[str, AbstractDirection]:
        """z → z′: directions by name."""
        nodes = self.nodes("direction")
        if not nodes:
            return {}
        only, strengths = (self.plain.get(key) for key in ("only", "strengths"))
        named = strengths if isinstance(strengths, dict) else ()
        found = find_directions(nodes, self.search, self.annotation, only, named)
        return keep_to_rows(found, self.plain.get("rows"), self.generator)

    @cached_property
    def search(self) -> AbstractSpace:
        """Space where directions are sought that have none of their own."""
        if "search" not in self.plain:
            return self.space
        if node := self.plain["search"]:
            try:
                return build(node, at="search", generator=self.generator)
            except Unfit as error:
                raise Unfit(str(error).replace("space:", "space@search:", 1)) from None
        home = next((one.home for one in self.annotation.values()), None)
        name = home or ("w" if "w" in self.generator.spaces else self.space.name)
        return self.space if name == self.space.name else named_space(self.generator, name)

    def warm_up(self, targets: Targets) -> None:
        """Evaluate the equation once for nothing, before the first batch on a GPU: what its libraries have to do there
        would else count as time of the method."""
        if self.device.type != "cpu" and not self._warm:
            self._warm = True
            objective = Objective(self.problem, targets)
            value_and_gradient(lambda v: objective(v).total, self.problem.start(targets))

    def build(self, *parts: str) -> "Pipeline":
        """Build some parts now, so that their mistakes are found before any work begins."""
        for part in parts:
            getattr(self, part)
        return self

    @property
    def stochastic(self) -> bool:
        """Whether another seed may give another result."""
        return self.problem.noise == "optimize" or any(projector.random for projector in self.projectors)

    def require_ways(self, space: str, *targets: str) -> None:
        """Refuse directions, and other spaces to go to, that latents of ``space`` can't be brought to."""
        for target in (*(direction.space for direction in self.directions.values()), *targets):
            require_way(self.generator, space, target)

    def nodes(self, group: str) -> dict[str, Any]:
        """The chosen members of a group that takes several."""
        return self.plain.get(group) or {}

    def network_for(self, name: str, node: Mapping[str, Any]) -> dict[str, TrainedEncoder]:
        """The inverting network for what has a use for one; an error where there is none and it can't do without."""
        parameter = inspect.signature(resolve(node["_target_"])).parameters.get("encoder")
        if parameter is None:
            return {}
        if self.encoder is None and parameter.default is parameter.empty:
            raise Unfit(
                f"encoder: {name} needs one, and none is chosen or none ships for this generator and space; train one "
                "(train.py task=encoder) and set encoder=trained encoder.checkpoint=<file>, or choose others, such as "
                "projector=[mean,optimization]"
            )
        return {} if self.encoder is None else {"encoder": self.encoder}


def takes_encoder(node: Mapping[str, Any]) -> bool:
    """Whether what a node builds has a use for the inverting network."""
    return "encoder" in inspect.signature(resolve(node["_target_"])).parameters
