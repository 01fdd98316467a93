"""The studio: all that paintings share, none of which is any painter's."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.app.strokes import BadStrokes, Stroke
from zstar.config.signatures import nearest
from zstar.directions.apply import apply, in_order
from zstar.directions.base import AbstractDirection
from zstar.directions.units import Units
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables
from zstar.postprocess.chain import Chain

Change = Callable[[Variables], dict[str, Tensor]]
"""What a stroke does to any v: the same whatever else has been done to it before."""


@dataclass(frozen=True)
class Picture:
    """Where a painting begins.

    Attributes:
        photo: What is painted on, ``[1, c, h, w]`` in [−1, 1], at its own resolution; at least of the generator's size.
        v: Its projection; of a sample, what it was drawn from.
        space: The space of its latent.
        origin: How to find it again, as in :class:`zstar.app.strokes.Strokes`.
        title: What it is, in words.
        noise: How the generator is to be called for it.
    """

    photo: Float[Tensor, "1 c h w"]
    v: Variables
    space: str
    origin: Mapping[str, Any]
    title: str = ""
    noise: str = "const"


class AbstractBrush(ABC):
    """A kind of brush."""

    @abstractmethod
    def __call__(self, stroke: Stroke, v: Variables, space: str, noise: str) -> Change:
        """The change that a stroke makes, on the v that it is painted on.

        Raises:
            BadStrokes: It can't be made there.
        """


class UnitBrush(AbstractBrush):
    """Units of the generator, switched where the stroke is (GANPaint, Bau et al. 2019,
    https://arxiv.org/abs/1811.10597).

    Arguments:
        units: Name of a class → its units.
        resolution: Size of the pictures, in pixels.
    """

    def __init__(self, units: Mapping[str, Units], resolution: int) -> None:
        self.units, self.resolution = units, resolution

    def __call__(self, stroke: Stroke, v: Variables, space: str, noise: str) -> Change:
        units, mask = self.units[stroke.name].units, stroke.mask(self.resolution)

        def change(v: Variables) -> dict[str, Tensor]:
            return units.change(v, v["latent"].new_full((len(v["latent"]),), stroke.alpha), mask)

        return change


@dataclass
class Studio:
    """A generator, its brushes and its directions; pictures of all sessions go through it, and it keeps none.

    Attributes:
        generator: The generator.
        brushes: Kind of brush → what makes changes of its strokes.
        classes: The classes that there are brushes for.
        directions: Name → direction of latents, for restyling.
        postprocess: The steps that bring a change onto the photo.
        lock: Held by whoever draws with the generator, whose hooks and changes are not for two at once.
    """

    generator: AbstractGenerator
    brushes: Mapping[str, AbstractBrush]
    classes: tuple[str, ...]
    directions: Mapping[str, AbstractDirection]
    postprocess: Chain
    lock: Any = field(default_factory=threading.RLock)

    @torch.no_grad()
    def render(self, v: Variables, space: str, noise: str) -> Float[Tensor, "b c h w"]:
        """G(v), clamped to [−1, 1]."""
        with self.lock:
            return self.generator.render(v, space, noise).clamp(-1, 1)

    def restyle(self, picture: Picture, amounts: Mapping[str, float]) -> tuple[dict[str, Tensor], str]:
        """v moved along directions, and the space that it is in then."""
        latent = picture.v["latent"]
        steps = [(self.directions[name], latent.new_full((len(latent),), amount)) for name, amount in amounts.items()]
        with self.lock, torch.no_grad():
            return apply(self.generator, picture.v, picture.space, in_order(self.generator, steps))

    def require(self, stroke: Stroke) -> None:
        """Refuse a stroke that no brush here can make.

        Raises:
            BadStrokes: One sentence.
        """
        if stroke.name not in self.classes:
            raise BadStrokes(f"there is no brush for '{stroke.name[:40]}'; {nearest(stroke.name[:40], self.classes)}")
        if stroke.kind not in self.brushes:
            raise BadStrokes(f"there is no brush of the kind {stroke.kind} here; choose {', '.join(self.brushes)}")

    def require_restyle(self, amounts: Mapping[str, float]) -> None:
        """Refuse amounts of directions that there are not, or that are beyond their useful range."""
        for name, amount in amounts.items():
            if name not in self.directions:
                known = nearest(name[:40], self.directions) if self.directions else "there are none"
                raise BadStrokes(f"there is no direction '{name[:40]}' here; {known}")
            label = self.directions[name].label
            if not label.low - 1e-6 <= amount <= label.high + 1e-6:
                raise BadStrokes(f"{amount:g} along {name} is outside of its range, {label.low:g} to {label.high:g}")
