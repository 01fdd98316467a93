"""Attribute arithmetic: smiling − neutral."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation, ScoredLatents
from zstar.config.constraints import Within, require
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.exemplars import Exemplars, choose, exemplars, flat
from zstar.directions.linear import Linear, in_units_of_prior
from zstar.spaces.base import AbstractSpace

KEY, FOLDS = "direction.attribute", 3


class Attribute(AbstractFinder):
    """Mean latent of the images that have an attribute minus that of those that have not.

    The vector arithmetic of DCGAN (Radford et al. 2016, https://arxiv.org/abs/1511.06434): works from three exemplars
    a side on, and needs no settings. What goes along with the attribute in the exemplars goes along in the direction
    too; ``interfacegan`` can take that out.

    A label of two values makes two groups; of a score, the two ends are the groups. α = 1 is one standard deviation of
    the prior along the vector. Scores: ``auc``, the probability that of two exemplars, one of each group, the right
    one lies further along the direction, where the direction was found without either (three folds).

    Arguments:
        annotation: Scored latents.
        attributes: Which ones; None for all.
        share: Which part of the known scores each end is, at most a half.
        seed: Of the folds.

    Raises:
        ValueError: An attribute that is asked for is not there, or has not three exemplars on each side. Without
            ``attributes``, those that all images have alike are passed over.
    """

    def __init__(
        self,
        annotation: AbstractAnnotation,
        attributes: Sequence[str] | None = None,
        share: float = 0.2,
        seed: int = 0,
    ) -> None:
        require(KEY, Within(0, 0.5, above=True), share=share)
        self.annotation, self.share, self.seed = annotation, share, seed
        self.attributes = None if attributes is None else list(attributes)
        self.candidates = choose(annotation.names, self.attributes, KEY)

    def find(self, space: AbstractSpace) -> dict[str, Linear]:
        annotated = self.annotation.annotate(space)
        groups = {}
        for name in self.candidates:
            try:
                groups[name] = exemplars(annotated, name, self.share, KEY)
            except ValueError:
                if self.attributes is not None:
                    raise
        if not groups:
            raise ValueError(f"{KEY}.attributes: no attribute has exemplars with and without it; label more images")
        return {name: self._direction(space, annotated, name, group) for name, group in groups.items()}

    def _direction(self, space: AbstractSpace, annotated: ScoredLatents, name: str, group: Exemplars) -> Linear:
        vector = difference(annotated, group)
        if not vector.norm() > 0:
            raise ValueError(f"{KEY}.attributes: both groups of '{name}' have the same mean; leave it out")
        settings = {"method": "attribute", "share": self.share, "exemplars": [len(group.high), len(group.low)]}
        label = Label(
            meaning=f"more {name}",
            found={**settings, **annotated.origin},
            scores={"auc": self._separation(annotated, group.shuffled(self.seed))},
        )
        return Linear(space.name, in_units_of_prior(space, vector.view(space.shape).float()), label)

    def _separation(self, annotated: ScoredLatents, group: Exemplars) -> float:
        """Area under the ROC curve on each third of the exemplars by the direction of the others, averaged."""
        from sklearn.metrics import roc_auc_score  # takes a second to import

        values = []
        for fold in range(FOLDS):
            kept = [rows[torch.arange(len(rows)) % FOLDS != fold] for rows in (group.high, group.low)]
            held = [rows[fold::FOLDS] for rows in (group.high, group.low)]
            along = flat(annotated, torch.cat(held)) @ difference(annotated, Exemplars(*kept, group.middle))
            truth = [1] * len(held[0]) + [0] * len(held[1])
            values.append(float(roc_auc_score(truth, along.numpy())))
        return sum(values) / FOLDS


def difference(annotated: ScoredLatents, group: Exemplars) -> Float[Tensor, " d"]:
    """Mean of the one group minus mean of the other."""
    return flat(annotated, group.high).mean(dim=0) - flat(annotated, group.low).mean(dim=0)
