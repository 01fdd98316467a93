"""Units switched on and off, as directions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zstar.checkpoints.io import resolve
from zstar.config.constraints import FilePath
from zstar.data.decoding import BadImage
from zstar.data.reading import read_image
from zstar.directions.base import AbstractDirection, AbstractFinder, Label
from zstar.directions.library import load_directions
from zstar.dissection.units import UnitSet
from zstar.generators.base import AbstractGenerator
from zstar.generators.reading import map_shapes
from zstar.generators.variables import Variables
from zstar.spaces.base import AbstractSpace

TENSORS = ("units", "share", "present", "absent")


class Units(AbstractDirection):
    """Units of a layer, moved towards what they are where a thing is, or where it is not (GAN Dissection, Bau et al.
    2019, https://arxiv.org/abs/1811.10597).

    Latents stay; α = 1 is the thing everywhere in the mask, and α = −1 is it nowhere in the mask.

    Arguments:
        units: The units.
        mask: Where, in [0, 1], on a picture of any size; ``None`` is everywhere.
        label: What is known of them.
    """

    space = None

    def __init__(self, units: UnitSet, mask: Float[Tensor, "1 h w"] | None = None, label: Label | None = None) -> None:
        self.units, self.mask = units, mask
        self.label = label or Label(unit="", low=-1.0, high=1.0)

    def carry(
        self, generator: AbstractGenerator, v: Variables, space: str, alpha: Float[Tensor, " b"]
    ) -> tuple[dict[str, Tensor], str]:
        return self.units.change(v, alpha, None if self.mask is None else self.mask[None]), space

    def require_fit(self, generator: AbstractGenerator) -> None:
        shape = map_shapes(generator, [self.units.layer])[self.units.layer]
        if shape != self.units.shape:
            raise ValueError(f"its units are of a map {self.units.shape}, and that of {self.units.layer} is {shape}")

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {name: getattr(self.units, name) for name in TENSORS}
        tensors |= {} if self.units.share_off is None else {"share_off": self.units.share_off}
        tensors |= {} if self.mask is None else {"mask": self.mask}
        return tensors, {"layer": self.units.layer, "shape": list(self.units.shape)}

    @classmethod
    def unpack(cls, space: str | None, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]) -> "Units":
        layer, shape = settings["layer"], settings["shape"]
        rest = set(tensors) - {"mask", "share_off"}
        if space is not None or rest != set(TENSORS) or not isinstance(layer, str):
            raise ValueError(f"units are the tensors {', '.join(TENSORS)} of a layer, in no space")
        if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
            raise ValueError("the shape of its map is no channels, height and width")
        units, count = tensors["units"].long(), len(tensors["units"])
        if any(value.dim() != 1 or len(value) != count for name, value in tensors.items() if name != "mask"):
            raise ValueError("its units, shares and values are not of one number")
        if count == 0 or units.min() < 0 or units.max() >= shape[0] or len(units.unique()) < count:
            raise ValueError(f"its units are no different channels among {shape[0]}")
        mask = tensors.get("mask")
        if mask is not None and (mask.dim() != 3 or mask.shape[0] != 1):
            raise ValueError("its mask is no picture of one channel")
        values = {name: tensors[name].float() for name in tensors if name not in ("units", "mask")}
        return cls(UnitSet(layer, (shape[0], shape[1], shape[2]), units, **values), mask, label)


class UnitFile(AbstractFinder):
    """Sets of units from a file that ``dissect.py`` wrote, for one class each.

    Arguments:
        path: A safetensors file with its card, or the name of a shipped one.
        names: Which classes; None for all.
        mask: A picture that is white where they are to be switched, and black elsewhere; None is everywhere.

    Raises:
        ValueError: The file holds no sets of units, not these, or those of another generator.
    """

    def __init__(
        self, path: FilePath = "units64", names: Sequence[str] | None = None, mask: FilePath | None = None
    ) -> None:
        self.path, self.names, self.mask = path, None if names is None else list(names), mask
        self.candidates = self.names

    def find(self, space: AbstractSpace) -> dict[str, AbstractDirection]:
        found = load_units(self.path, space.generator)
        for name in self.names or []:
            if name not in found:
                raise ValueError(
                    f"direction.units.names: there is no '{name}' in {self.path}; choose from {', '.join(found)}"
                )
        names = list(found) if self.names is None else self.names
        if self.mask is None:
            return {name: found[name] for name in names}
        try:
            mask = (read_image(self.mask, space.generator.resolution, 1) + 1) / 2
        except BadImage as error:
            raise ValueError(f"direction.units.mask: {self.mask} can't be used, {error}; give a picture") from None
        facts = {"mask": str(self.mask)}
        return {
            name: Units(found[name].units, mask, replace(label, found={**label.found, **facts}))
            for name, label in ((name, found[name].label) for name in names)
        }


def load_units(path: FilePath, generator: AbstractGenerator) -> dict[str, Units]:
    """The sets of units in a file, by the names of their classes.

    Raises:
        ValueError: There are none in it, or they are those of another generator; one sentence with the path.
    """
    found = {name: one for name, one in load_directions(path, generator).items() if isinstance(one, Units)}
    if not found:
        raise ValueError(f"checkpoint: {resolve(path)} holds no units; choose a file that dissect.py has written")
    return found
