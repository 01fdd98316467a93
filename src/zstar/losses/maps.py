"""Feature maps of a given network, for losses that compare them."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import Within, require
from zstar.losses.networks import at_most


class FeatureMaps(nn.Module):
    """Some of the maps of a network, which is frozen here.

    Arguments:
        network: A module that takes images in [−1, 1]. It returns a list of maps ``[b, c, h, w]``, or something whose
            attribute ``features`` is that list, or anything else if ``layers`` are names.
        layers: Which maps: positions in that list, or names of the network's submodules whose outputs are read; all
            maps of the list if not given.
        size: Images whose shorter side has more pixels are shrunk to so many (mean over areas); ``None`` for never.
        key: How the configuration calls the loss, for error messages.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[int] | Sequence[str] | None, size: int | None, key: str
    ) -> None:
        super().__init__()
        require(key, Within(1), size=1 if size is None else size)
        self.network, self.size, self.key = network.float().eval().requires_grad_(False), size, key
        self.layers = None if layers is None else list(layers)
        if self.layers is not None and not self.layers:
            raise ValueError(f"{key}.layers: the list is empty; name at least one layer, or set it to null")
        if any(not isinstance(layer, str) and layer < 0 for layer in self.layers or ()):
            raise ValueError(f"{key}.layers: {self.layers} has a negative position; count from 0")
        self.named = self.layers is not None and all(isinstance(layer, str) for layer in self.layers)
        missing = set(self.layers) - {name for name, _ in network.named_modules()} if self.named else set()
        if missing:
            names = ", ".join(name for name, _ in network.named_modules() if name)
            raise ValueError(
                f"{key}.layers: {type(network).__name__} has no layer '{min(missing)}'; choose from {names}"
            )

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The maps, in the order of ``layers``."""
        image = at_most(image, self.size)
        if self.named:
            return self._outputs(image)
        output = self.network(image)
        maps = list(getattr(output, "features", output))
        if self.layers is None:
            return maps
        if max(self.layers) >= len(maps):
            raise ValueError(f"{self.key}.layers: {self.layers} asks for more than the {len(maps)} maps that there are")
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
