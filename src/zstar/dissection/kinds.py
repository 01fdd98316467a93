"""Kinds of scenes, as an annotator reads them."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from zstar.annotations.annotator import Annotator as Scorer
from zstar.dissection.base import Parts, Subject
from zstar.dissection.scenes import Scenes, picture
from zstar.segmenters.annotator import Annotator

ALL = "all"

Kinds = dict[str, Bool[Tensor, " n"]]


def kinds_of(subject: Subject, scenes: Scenes, names: Mapping[str, Sequence[str]] | None, parts: Parts) -> Kinds:
    """Which scenes are of each kind, ``"all"`` first.

    Arguments:
        subject: The generator and its segmenter.
        scenes: The scenes.
        names: Factor that the segmenter reads as well → names of even parts of its range, from low to high. Where the
            segmenter is no annotator, or does not know a factor, there are no such kinds.
        parts: What is done already.
    """
    kinds: Kinds = {ALL: torch.ones(len(scenes), dtype=torch.bool)}
    if not names or not isinstance(subject.segmenter, Annotator):
        return kinds
    scorer = Scorer(subject.segmenter.checkpoint)

    def read() -> dict[str, Tensor]:
        made = (picture(subject, part.latents) for part in scenes.batches(subject.batch))
        return {"scores": torch.cat([scorer.score(images).cpu() for images in made])}

    scores = parts.once("kinds", read)["scores"]
    for factor, labels in names.items():
        if factor in scorer.names:
            values = scores[:, scorer.names.index(factor)]
            place = (values.nan_to_num(-1) * len(labels)).floor().clamp(max=len(labels) - 1)
            kinds |= {label: place == i for i, label in enumerate(labels)}
    return kinds
