"""A trained annotator as a segmenter."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from zstar.annotators.load import load_annotator
from zstar.config.constraints import FilePath
from zstar.generators.base import AbstractGenerator
from zstar.segmenters.base import AbstractSegmenter, make_kinds


class Annotator(AbstractSegmenter):
    """The class head of an annotator that ``task=annotator`` has trained: the choice for worlds with exact masks.

    Arguments:
        checkpoint: A file with its card, or the name of a shipped one: ``annotator64``, or ``judge64``, of another
            make, to judge what was found with the first.
        parts: Classes that are parts of objects.
        materials: Classes that are materials.
    """

    def __init__(
        self, checkpoint: FilePath = "annotator64", parts: Sequence[str] = (), materials: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.checkpoint, (self.network, vocabulary) = checkpoint, load_annotator(checkpoint)
        self.classes = vocabulary.classes
        self.kinds = make_kinds(self.classes, parts, materials)
        self.eval()

    def logits(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        return self.network(images).logits

    def require_images(self, generator: AbstractGenerator) -> None:
        fix = "choose segmenter=module, torchvision or transformers"
        name = f"segmenter.checkpoint: {self.checkpoint}"
        self.network.require_images(generator.channels, generator.resolution, name, fix)
