"""The segmentation networks of torchvision."""

from collections.abc import Sequence
from typing import Annotated

import torchvision
from jaxtyping import Float
from torch import Tensor

from zstar.checkpoints import io
from zstar.config.constraints import FilePath, Within, require
from zstar.generators.base import AbstractGenerator
from zstar.segmenters.base import AbstractSegmenter, make_kinds
from zstar.segmenters.foreign import (
    MEAN,
    STD,
    at_size,
    choose_from,
    require_colours,
    require_names,
    standardized,
    try_on,
)


class TorchVision(AbstractSegmenter):
    """A network of ``torchvision.models.segmentation``, such as ``deeplabv3_resnet50``, with weights from a file.

    Nothing is downloaded. Small pictures are enlarged first: these networks were trained on photos.

    Arguments:
        model: Its name.
        checkpoint: A file with its state dict, as torchvision's own or as your training wrote it.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.
        names: Name of each class; None takes those of torchvision's weights for this network.
        size: Pixels of the images that the network gets; None leaves them as they are.
        mean, std: Of the colours in [0, 1] that it expects images less and in units of.
        parts, materials: Classes that are parts of objects, and that are materials.

    Raises:
        ValueError: There is no such network, or the file does not fit it.

    References:
        https://docs.pytorch.org/vision/stable/models.html#semantic-segmentation
    """

    def __init__(
        self,
        model: str,
        checkpoint: FilePath,
        checkpoint_key: str | None = None,
        names: Sequence[str] | None = None,
        size: Annotated[int, Within(1)] | None = 256,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        parts: Sequence[str] = (),
        materials: Sequence[str] = (),
    ) -> None:
        super().__init__()
        known = torchvision.models.list_models(module=torchvision.models.segmentation)
        choose_from(model, known, "segmenter.model")
        require_colours({"mean": mean, "std": std})
        if size is not None:
            require("segmenter", Within(1), size=size)
        if names is None:
            names = next(iter(torchvision.models.get_model_weights(model))).meta["categories"]
        self.classes = require_names(names)
        self.kinds = make_kinds(self.classes, parts, materials)
        self.size, self.mean, self.std = size, tuple(mean), tuple(std)
        path = io.resolve(checkpoint)
        weights = io.load_weights(path, checkpoint_key)
        auxiliary = {"aux_loss": True} if any(name.startswith("aux_classifier.") for name in weights) else {}
        self.network = torchvision.models.get_model(
            model, weights=None, weights_backbone=None, num_classes=len(self.classes), **auxiliary
        )
        io.load_into(self.network, weights, path)
        self.network.aux_classifier = None  # of use in training alone
        self.eval().requires_grad_(False)

    def logits(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return at_size(self.network(standardized(images, self.size, self.mean, self.std))["out"], images)

    def require_images(self, generator: AbstractGenerator) -> None:
        try_on(self, generator)
