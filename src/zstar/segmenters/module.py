"""A network of your own as a segmenter."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.config.constraints import FilePath
from zstar.generators.base import AbstractGenerator
from zstar.images import require_range, to_range
from zstar.segmenters.base import AbstractSegmenter, make_kinds
from zstar.segmenters.foreign import at_size, require_names, try_on


class Module(AbstractSegmenter):
    """Any ``torch.nn.Module`` that scores classes for each pixel: the choice for a world that you have a network for.

    Coarser scores than the images are interpolated.

    Arguments:
        network: The network; in YAML, a ``_target_`` with the class and beside it the class's own arguments. Its
            ``forward`` takes ``[b, c, h, h]`` and returns ``[b, k, _, _]``, each image by itself.
        names: Name of each of the k classes.
        checkpoint: A file with its state dict; None keeps the weights as they are.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.
        input_range: Darkest and brightest value that it expects, such as ``[0, 1]``; made from [−1, 1].
        output: Which part of its output are the scores: the place in a tuple, or the name in a dict; None where the
            output is the scores.
        parts, materials: Classes that are parts of objects, and that are materials.

    Raises:
        ValueError: The checkpoint does not fit, or a class is named that is not there.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
        input_range: Sequence[float] = (-1.0, 1.0),
        output: int | str | None = None,
        parts: Sequence[str] = (),
        materials: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"segmenter.network: a {type(network).__name__} is no torch.nn.Module; name such a class")
        self.low, self.high = require_range("segmenter.input_range", input_range)
        self.network, self.output = network.float(), output
        if checkpoint is not None:
            path = io.resolve(checkpoint)
            io.load_into(network, io.load_weights(path, checkpoint_key), path)
        self.classes = require_names(names)
        self.kinds = make_kinds(self.classes, parts, materials)
        self.eval().requires_grad_(False)

    def logits(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        found: Any = self.network(to_range(images, self.low, self.high))
        return at_size(found if self.output is None else found[self.output], images)

    def require_images(self, generator: AbstractGenerator) -> None:
        try_on(self, generator)
