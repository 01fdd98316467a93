"""Named targets: what losses and operators look at."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Named targets: the images to project, and what else the losses and the operators look at.

    Attributes:
        named: Name → one row per image: ``image`` ``[b, c, h, w]`` in [−1, 1] in any case; others, such as ``style``,
            likewise; maps that weigh or hide pixels, such as ``mask``, are ``[b, 1, h, w]`` in [0, 1].
        ids: Stable name of each image; its random numbers depend on it and on the seed, never on the batch.
        classes: Class of each image ``[b, k]``, as shares that are together 1; ``None`` where they are not known.

    Raises:
        ValueError: There is no ``image``, or a target has not as many rows as there are names.
    """

    named: Mapping[str, Float[Tensor, "b _ _ _"]]
    ids: list[str]
    classes: Float[Tensor, "b k"] | None = None

    def __post_init__(self) -> None:
        if "image" not in self.named:
            raise ValueError(f"targets: there is no 'image' among {', '.join(sorted(self.named)) or 'none'}; give one")
        for name, value in self.named.items():
            if len(value) != len(self.ids):
                raise ValueError(f"targets: {len(value)} of '{name}' for {len(self.ids)} images; give one for each")

    @property
    def images(self) -> Float[Tensor, "b c h w"]:
        """The target ``image``."""
        return self.named["image"]

    @property
    def maps(self) -> set[str]:
        """The targets that can weigh pixels: of one channel, and in [0, 1]."""
        single = {name: value for name, value in self.named.items() if name != "image" and value.shape[1] == 1}
        return {name for name, value in single.items() if 0 <= value.min().item() and value.max().item() <= 1}

    def repeated(self, times: int) -> "Targets":
        """Each image so many times, one after the other."""
        rows = {name: value.repeat_interleave(times, dim=0) for name, value in self.named.items()}
        classes = None if self.classes is None else self.classes.repeat_interleave(times, dim=0)
        return Targets(rows, [name for name in self.ids for _ in range(times)], classes)
