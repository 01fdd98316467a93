"""Spaces by their names."""

from zstar.generators.base import AbstractGenerator
from zstar.spaces.base import AbstractSpace
from zstar.spaces.continuous import Continuous
from zstar.spaces.pixels import Pixels
from zstar.spaces.quantised import Quantised
from zstar.spaces.style import Style
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z
from zstar.spaces.z_class import ZClass

SPACES = {kind.name: kind for kind in (Z, W, WPlus, Style, Pixels, Quantised, Continuous, ZClass)}


def named_space(generator: AbstractGenerator, name: str) -> AbstractSpace:
    """The space of that name, with its usual settings."""
    generator.shape(name)  # says which there are
    return SPACES[name](generator)
