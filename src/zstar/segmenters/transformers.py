"""The segmentation networks of Hugging Face's transformers."""

from collections.abc import Sequence
from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath, Within, require
from zstar.config.paths import place
from zstar.config.reasons import reason
from zstar.generators.base import AbstractGenerator
from zstar.segmenters.base import AbstractSegmenter, make_kinds
from zstar.segmenters.foreign import MEAN, STD, at_size, require_colours, require_names, standardized, try_on


class Transformers(AbstractSegmenter):
    """A network for semantic segmentation from a local folder that transformers reads, such as a SegFormer.

    Nothing is downloaded and no code of the folder is run: weights are safetensors, and the architecture is one of the
    installed library (``pip install 'zstar[transformers]'``).

    Arguments:
        path: The folder, with ``config.json`` and ``model.safetensors``.
        names: Name of each class; None takes those of its ``config.json``.
        size: Pixels of the images that the network gets; None leaves them as they are.
        mean, std: Of the colours in [0, 1] that it expects images less and in units of.
        parts, materials: Classes that are parts of objects, and that are materials.

    Raises:
        ValueError: The library is not installed, or there is no such folder, or it holds another kind of network.
    """

    def __init__(
        self,
        path: FilePath,
        names: Sequence[str] | None = None,
        size: Annotated[int, Within(1)] | None = 512,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        parts: Sequence[str] = (),
        materials: Sequence[str] = (),
    ) -> None:
        super().__init__()
        require_colours({"mean": mean, "std": std})
        if size is not None:
            require("segmenter", Within(1), size=size)
        folder = place(path)
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"segmenter.path: {path} is no folder with a config.json; name one that holds such a network"
            )
        try:
            from transformers import (  # ty: ignore[import-not-found]  # takes seconds, and few have it
                AutoModelForSemanticSegmentation,
            )
        except ImportError:
            raise ValueError(
                "segmenter: transformers is not installed; install it with pip install 'zstar[transformers]'"
            ) from None
        try:
            self.network = AutoModelForSemanticSegmentation.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False
            ).float()
        except Exception as error:  # a folder of somebody else can fail in any way
            raise ValueError(f"segmenter.path: {path} can't be read as such a network ({reason(error)})") from None
        told = self.network.config.id2label
        self.classes = require_names([told[i] for i in sorted(told)] if names is None else names)
        self.kinds = make_kinds(self.classes, parts, materials)
        self.size, self.mean, self.std = size, tuple(mean), tuple(std)
        self.eval().requires_grad_(False)

    def logits(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        found = self.network(pixel_values=standardized(images, self.size, self.mean, self.std))
        return at_size(found.logits, images)

    def require_images(self, generator: AbstractGenerator) -> None:
        try_on(self, generator)
