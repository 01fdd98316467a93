"""The bridge from a Lightning trainer to this project's loggers."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from zstar.images import to_float
from zstar.loggers.base import AbstractLogger


class TrainerLogger(Logger):
    """A trainer's logger that forwards to ``target``, which the program starts and finishes, not Lightning."""

    def __init__(self, target: AbstractLogger) -> None:
        super().__init__()
        self.target = target

    @property
    def name(self) -> str:
        """Name of the kind of record, for Lightning."""
        return type(self.target).__name__.lower()

    @property
    def version(self) -> str:
        """No versions: a run folder holds one record."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the record got the whole config when it was started."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Forward numbers; Lightning's own ``epoch`` counter has no meaning where training counts steps."""
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        if values:
            self.target.metrics(values, step or 0)

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[str | Path | Tensor], step: int | None = None) -> None:
        """Forward pictures: tensors ``[c, h, w]`` in [−1, 1], or image files."""
        for index, image in enumerate(images):
            if not isinstance(image, Tensor):
                image = to_float(np.array(Image.open(image).convert("RGB")))
            self.target.images(key if len(images) == 1 else f"{key}/{index}", image, step or 0)
