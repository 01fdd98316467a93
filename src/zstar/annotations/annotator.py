"""Scores from an annotator, such as the shipped one that knows cottages."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.annotations.base import AbstractScorer, ScoredLatents
from zstar.annotations.sampled import ScoredSamples
from zstar.annotators.load import load_annotator
from zstar.config.constraints import FilePath, Within, require
from zstar.spaces.base import AbstractSpace


class Annotator(AbstractScorer):
    """Samples of the prior, scored by an annotator: nothing to label, as many exemplars as wanted.

    The choice for a generator of cottages, and of anything else that ``task=annotator`` was trained on. The attributes
    are the annotator's factors on the scale [0, 1] (probabilities for presence flags), NaN where the factor does not
    show in the image (the place of a door in a house without one), and ``area/<class>``, the share of the image's
    pixels that belong to a class. Pictures are read at the size that the annotator has learned from.

    Arguments:
        checkpoint: A file that ``task=annotator`` exported, or the name of a shipped one.
        count: Number of samples.
        seed: Other seeds, other samples.
        batch: Images that are drawn and scored at a time.

    Raises:
        ValueError: The file is no annotator's, or its images are not those that the generator makes.
    """

    def __init__(self, checkpoint: FilePath = "annotator64", count: int = 5000, seed: int = 0, batch: int = 64) -> None:
        require("annotation", Within(2), count=count)
        require("annotation", Within(1), batch=batch)
        self.checkpoint, self.network, self.vocabulary = checkpoint, *load_annotator(checkpoint)
        self.samples = ScoredSamples(count, seed, batch)
        areas = tuple(f"area/{name}" for name in self.vocabulary.classes)
        self.names = tuple(factor.name for factor in self.vocabulary.factors) + areas

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        name, fix = (
            f"annotation.checkpoint: {self.checkpoint}",
            "choose annotation=classifier or annotation=labels",
        )
        self.network.require_images(space.generator.channels, space.generator.resolution, name, fix)
        latents, scores = self.samples(space, self.score)
        origin = {"annotation": "annotator", "checkpoint": self.checkpoint}
        origin |= {"count": self.samples.count, "seed": self.samples.seed}
        return ScoredLatents(latents, scores, self.names, origin)

    def score(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """The scores of images in [−1, 1], in the order of ``names``."""
        annotation = self.network.to(images.device)(self.network.sized(images.clamp(-1, 1)))
        factors = self.vocabulary.read(annotation.factors)
        scores = self.vocabulary.scale(factors).where(self.vocabulary.known(factors) > 0, torch.nan)
        areas = F.one_hot(annotation.logits.argmax(dim=1), len(self.vocabulary.classes)).float().mean(dim=(1, 2))
        return torch.cat([scores, areas], dim=1)
