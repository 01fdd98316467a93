"""Distance between the features of any network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import Within, require
from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.networks import at_most, unit_length


class Perceptual(AbstractLoss):
    """Squared distance between feature maps of a given network, with the channels of each pixel scaled to length 1.

    It is LPIPS without learned heads (the "baseline" of Zhang et al. 2018, https://arxiv.org/abs/1801.03924): per
    layer the mean over space of the squared length of the difference, then the mean over layers; 0 for equal images,
    at most 4 (2 where activations are ≥ 0). The choice where LPIPS's ImageNet backbone can't be had, or where a
    network that knows the images' domain is at hand: the shipped annotator of cottages, a VGG from a file, a
    discriminator.

    Arguments:
        network: A module that takes images in [−1, 1]. It is frozen here. It returns a list of maps ``[b, c, h, w]``,
            or something whose attribute ``features`` is that list, or anything else if ``layers`` are names.
        layers: Which maps: positions in that list, or names of the network's submodules whose outputs are read; all
            maps of the list if not given.
        weight: λ, the factor of this loss in the objective.
        target, mask: As for :class:`zstar.losses.base.AbstractLoss`.
        size: Images whose shorter side has more pixels are shrunk to so many (mean over areas) before they are
            compared; ``None`` for never.
    """

    looks_around = True

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[int] | Sequence[str] | None = None,
        weight: float = 1.0,
        target: str = "image",
        mask: str | None = "mask",
        size: int | None = None,
    ) -> None:
        super().__init__(weight, target, mask)
        require("loss.perceptual", Within(1), size=1 if size is None else size)
        self.size = size
        self.network = network.float().eval().requires_grad_(False)
        self.layers = None if layers is None else list(layers)
        if self.layers is not None and not self.layers:
            raise ValueError("loss.perceptual.layers: the list is empty; name at least one layer, or set it to null")
        if any(not isinstance(layer, str) and layer < 0 for layer in self.layers or ()):
            raise ValueError(f"loss.perceptual.layers: {self.layers} has a negative position; count from 0")
        self.named = self.layers is not None and all(isinstance(layer, str) for layer in self.layers)
        missing = set(self.layers) - {name for name, _ in network.named_modules()} if self.named else set()
        if missing:
            names = ", ".join(name for name, _ in network.named_modules() if name)
            raise ValueError(
                f"loss.perceptual.layers: {type(network).__name__} has no layer '{min(missing)}'; choose from {names}"
            )

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        return [unit_length(activation) for activation in self._maps(image)]

    def compare(
        self, features: list[Tensor], target: list[Tensor], weights: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, " b"]:
        distances = [
            spatial_mean((a - b).square().sum(dim=1, keepdim=True), weights)
            for a, b in zip(features, target, strict=True)
        ]
        return torch.stack(distances).mean(dim=0)

    def _maps(self, image: Tensor) -> list[Tensor]:
        image = at_most(image, self.size)
        if self.named:
            return self._outputs(image)
        output = self.network(image)
        maps = list(getattr(output, "features", output))
        if self.layers is None:
            return maps
        if max(self.layers) >= len(maps):
            raise ValueError(
                f"loss.perceptual.layers: {self.layers} asks for more than the {len(maps)} maps that there are"
            )
        return [maps[position] for position in self.layers]

    def _outputs(self, image: Tensor) -> list[Tensor]:
        seen: dict[str, Tensor] = {}
        handles = [
            self.network.get_submodule(name).register_forward_hook(
                lambda _m, _i, output, name=name: seen.__setitem__(name, output)
            )
            for name in self.layers
        ]
        try:
            self.network(image)
        finally:
            for handle in handles:
                handle.remove()
        return [seen[name] for name in self.layers]
