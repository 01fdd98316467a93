"""The edited picture itself."""

from jaxtyping import Float
from torch import Tensor

from zstar.postprocess.base import AbstractPostprocess, Change, to_size


class Nothing(AbstractPostprocess):
    """y = G(v′), scaled to the photo's size, where it may change: what all other steps are compared with."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0)

    def compose(self, change: Change, allowed: Float[Tensor, "_ 1 H W"]) -> Float[Tensor, "b c H W"]:
        return to_size(change.after, change.size)
