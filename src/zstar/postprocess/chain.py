"""Post-processing as an ordered list of steps."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zstar.config.build import build
from zstar.config.reasons import Unfit
from zstar.postprocess.base import AbstractPostprocess, Change, to_size


class Chain:
    """Steps of post-processing, one behind the other.

    The first step gets the change as it is: photo, G(v), G(v′), the path between them, the mask. Each further one gets
    the same photo and mask, and a change that leads from the photo itself, which is its own best projection, to the
    picture so far: ``[transfer,poisson]`` lays the edges of the transferred edit into the photo's colours. No step
    adds twice what an edit has changed. Without any step the picture is G(v′), of the photo's size.

    Arguments:
        steps: Name → step, in their order.

    Raises:
        Unfit: A step that needs the path of an edit stands behind another, where there is none.
    """

    def __init__(self, steps: Mapping[str, AbstractPostprocess]) -> None:
        self.steps = dict(steps)
        if late := [name for name, step in list(self.steps.items())[1:] if step.needs_path]:
            names = [late[0], *(name for name in self.steps if name != late[0])]
            raise Unfit(
                f"postprocess: {late[0]} follows the frames from G(v) to G(v′), which only the first step gets; write "
                f"[{','.join(names)}]"
            )

    def __call__(self, change: Change) -> Float[Tensor, "b c H W"]:
        """The photo with the change, in [−1, 1]."""
        picture = to_size(change.after, change.size)
        for step in self.steps.values():
            picture = step(change)
            change = change.then(picture)
        return picture


def make_chain(nodes: Mapping[str, Any] | None) -> Chain:
    """The steps that a configuration chooses; none where it chooses none."""
    return Chain({name: build(node, at=f"postprocess.{name}") for name, node in (nodes or {}).items()})
