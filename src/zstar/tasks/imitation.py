"""Edits of images with a walk for each: the part that all trainings of directions share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor, nn

from zstar.config.build import build, offer, to_plain
from zstar.directions.base import Label
from zstar.directions.library import pack_directions
from zstar.edits.base import AbstractEdit
from zstar.generators.base import AbstractGenerator
from zstar.losses.base import AbstractLoss, require_targets
from zstar.spaces.base import AbstractSpace
from zstar.tasks.curves import Curve, Decode, measure, strips
from zstar.walks.base import AbstractWalk

Walks = Mapping[str, AbstractWalk] | nn.ModuleDict
SHOWN = 2  # latents in the pictures of each edit


@dataclass(frozen=True)
class Imitation:
    """Edits to imitate, with a walk for each, and the losses between what the two make.

    Attributes:
        space: Where to walk; it holds the generator.
        edits: Name → edit to imitate.
        walks: Name → walk, of the same names.
        losses: Name → L, the same as in a projection.
        config: The configuration of the walk and of the edits, for the card.
    """

    space: AbstractSpace
    edits: Mapping[str, AbstractEdit]
    walks: Mapping[str, AbstractWalk]
    losses: Mapping[str, AbstractLoss]
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def compose(cls, cfg: DictConfig, generator: AbstractGenerator) -> "Imitation":
        """The parts that the groups of a configuration describe, for a generator.

        Raises:
            ValueError: No edit or no loss is chosen, or the settings of an edit are wrong; the sentence has its name.
        """
        for group, example in (("edit", "zoom"), ("loss", "pixel")):
            if not cfg.get(group):
                raise ValueError(
                    f"{group}: the list is empty and there is nothing to learn from; choose {group}=[{example}]"
                )
        space, edits = build(cfg.space, at="space", generator=generator), {}
        for name, node in cfg.edit.items():
            edits[name] = offer(node, at=f"edit.{name}", generator=generator)
        walks = {name: build(cfg.walk, at="walk", space=space, edit=edit) for name, edit in edits.items()}
        losses = {name: build(node, at=f"loss.{name}") for name, node in cfg.loss.items()}
        require_targets(losses, {"image"}, {"mask"}, "a training of directions has")
        return cls(space, edits, walks, losses, {"walk": to_plain(cfg.walk), "edit": to_plain(cfg.edit)})

    def measure(self, walks: Walks, decode: Decode, latents: Float[Tensor, "n ..."]) -> dict[str, Curve]:
        """The curve of each walk, on latents that it has not been trained on."""
        return {name: measure(edit, walks[name], decode, self.losses, latents) for name, edit in self.edits.items()}

    def pictures(self, walks: Walks, decode: Decode, latents: Float[Tensor, "n ..."]) -> Float[Tensor, "m c h w"]:
        """For each edit, the first latents walked over its range, above what the edit itself does; rows of eight."""
        rows = [strips(edit, walks[name], decode, latents[:SHOWN]) for name, edit in self.edits.items()]
        return torch.cat(rows)

    def export(
        self,
        walks: Walks,
        curves: Mapping[str, Curve],
        generator: AbstractGenerator,
        method: str,
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The walks as directions of a generator, and a card with the curves where they have been measured."""
        directions = {}
        for name, edit in self.edits.items():
            settings = {"method": method, "walk": self.config.get("walk")}
            settings["edit"] = self.config.get("edit", {}).get(name)
            scores, rows = (curves[name].scores(), curves[name].rows()) if name in curves else ({}, [])
            label = Label(f"what edit={name} does", edit.unit, edit.low, edit.high, settings, scores, rows)
            directions[name] = walks[name].direction(label)
        return pack_directions(directions, generator)
