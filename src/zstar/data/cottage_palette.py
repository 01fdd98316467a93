"""The colours of the cottage world under its light, in sRGB from 0 to 1."""

from functools import cache

import torch
from torch import Tensor

from zstar.stats.constants import Constant

RGB = tuple[float, float, float]


class Palette:
    """All colours of a batch, each ``[b, 3, 1, 1]``, from its factors: time of day tints what the season paints."""

    def __init__(self, factors: dict[str, Tensor]) -> None:
        self._time = factors["time_of_day"]
        season, warmth, hue = factors["season"], factors["wall_warmth"], factors["roof_hue"]
        light = self._hours((1.0, 1.0, 1.0), (1.03, 0.93, 0.8), (0.68, 0.57, 0.7))
        self._top = self._hours((0.3, 0.58, 0.9), (0.42, 0.6, 0.84), (0.27, 0.22, 0.48))
        self._middle = self._hours((0.56, 0.78, 0.96), (0.8, 0.78, 0.76), (0.72, 0.36, 0.52))
        self._bottom = self._hours((0.84, 0.93, 0.97), (1.0, 0.84, 0.6), (1.0, 0.6, 0.38))
        self.sun = self._hours((1.0, 0.95, 0.55), (1.0, 0.86, 0.4), (1.0, 0.42, 0.22))
        self.halo = self._hours((1.0, 0.97, 0.75), (1.0, 0.9, 0.6), (1.0, 0.66, 0.4))
        self.cloud = self._hours((1.0, 1.0, 1.0), (1.0, 0.95, 0.88), (0.96, 0.66, 0.66))
        self.leaves = self._blend(season, (0.22, 0.54, 0.24), (0.68, 0.64, 0.15), (0.93, 0.43, 0.13)) * light
        self.trunk = self._rgb((0.4, 0.27, 0.18)) * light
        self.grass = self._blend(season, (0.52, 0.77, 0.34), (0.7, 0.77, 0.39), (0.87, 0.76, 0.45)) * light
        haze = self._bottom
        self.near_hill = (self._blend(season, (0.33, 0.59, 0.4), (0.44, 0.6, 0.37), (0.62, 0.54, 0.34)) * light).lerp(
            haze, 0.12
        )
        self.far_hill = (self._rgb((0.36, 0.54, 0.68)) * light).lerp(haze, 0.3)
        self.wall = self._blend(warmth, (0.9, 0.93, 0.97), (0.97, 0.91, 0.8), (0.95, 0.77, 0.56)) * light
        self.roof = self._blend(hue, (0.32, 0.42, 0.58), (0.6, 0.4, 0.42), (0.84, 0.36, 0.26)) * light
        self.chimney = self._rgb((0.62, 0.38, 0.32)) * light
        self.door = self._rgb((0.42, 0.25, 0.16)) * light
        self.frame = self._rgb((0.99, 0.98, 0.95)) * light
        lit = ((self._time - 0.4) / 0.35).clamp(0, 1)
        lit = lit * lit * (3 - 2 * lit)
        self.pane = (self._rgb((0.27, 0.42, 0.58)) * light).lerp(self._rgb((1.0, 0.83, 0.36)), lit)

    def sky(self, y: Tensor) -> Tensor:
        """The gradient of the sky, ``[b, 3, h, 1]``: zenith, middle and horizon blend as a quadratic Bézier curve."""
        t = (y / 0.58).clamp(0, 1)
        return self._top * (1 - t).square() + self._middle * (2 * t * (1 - t)) + self._bottom * t.square()

    def _rgb(self, colour: RGB) -> Tensor:
        return constant(colour).on(self._time.device, self._time.dtype)

    def _hours(self, noon: RGB, golden: RGB, dusk: RGB) -> Tensor:
        return self._blend(self._time, noon, golden, dusk)

    def _blend(self, amount: Tensor, first: RGB, middle: RGB, last: RGB) -> Tensor:
        """From one colour over a second, reached at 0.5, to a third."""
        early, late = (1 - 2 * amount).clamp(0, 1), (2 * amount - 1).clamp(0, 1)
        return self._rgb(first) * early + self._rgb(middle) * (1 - early - late) + self._rgb(last) * late


@cache
def constant(colour: RGB) -> Constant:
    """A colour, ``[1, 3, 1, 1]``, on each device that has drawn with it."""
    return Constant(torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1))
