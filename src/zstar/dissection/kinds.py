"""Kinds of scenes, as an annotator reads them."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from zstar.annotations.annotator import Annotator as Scorer
from zstar.config.signatures import nearest
from zstar.dissection.base import Parts, Subject
from zstar.dissection.scenes import Scenes, picture
from zstar.segmenters.annotator import Annotator
from zstar.segmenters.base import AbstractSegmenter

ALL = "all"
USUAL = {"is_chapel": ["cottage", "chapel"], "time_of_day": ["day", "dusk"], "season": ["summer", "autumn"]}

Kinds = dict[str, Bool[Tensor, " n"]]


def require_kinds(key: str, names: Mapping[str, Sequence[str]], segmenter: AbstractSegmenter) -> None:
    """Refuse kinds that there can't be.

    Arguments:
        key: Begins the sentence.
        names: Factor that the segmenter reads as well → names of even parts of its range, from low to high.
        segmenter: Who is to read them.

    Raises:
        ValueError: It reads no factors, or not these; or parts of one name.
    """
    if not names:
        return
    if not isinstance(segmenter, Annotator):
        raise ValueError(f"{key}: this segmenter reads no factors, only classes; set {key}=null, or another segmenter")
    known = Scorer(segmenter.checkpoint).names
    if unknown := [factor for factor in names if factor not in known]:
        raise ValueError(f"{key}: the segmenter reads no factor '{unknown[0]}'; {nearest(unknown[0], known)}")
    if empty := [factor for factor, parts in names.items() if len(parts) < 2]:
        raise ValueError(f"{key}.{empty[0]}: its range needs two parts or more; give names of them, such as [day,dusk]")
    every = [ALL, *(part for parts in names.values() for part in parts)]
    if twice := [part for part in every if every.count(part) > 1]:
        raise ValueError(f"{key}: '{twice[0]}' is the name of two kinds of scenes; call one of them otherwise")


def kinds_of(subject: Subject, scenes: Scenes, names: Mapping[str, Sequence[str]] | None, parts: Parts) -> Kinds:
    """Which scenes are of each kind, ``"all"`` first.

    Arguments:
        subject: The generator and its segmenter.
        scenes: The scenes.
        names: As :func:`require_kinds` wants them; ``None`` for those of ``USUAL`` whose factor the segmenter reads.
        parts: What is done already.
    """
    kinds: Kinds = {ALL: torch.ones(len(scenes), dtype=torch.bool)}
    names = USUAL if names is None else names
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
