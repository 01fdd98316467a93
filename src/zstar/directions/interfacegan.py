"""InterFaceGAN: the normal of a boundary between images with and without an attribute."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation, ScoredLatents
from zstar.config.constraints import POSITIVE, Within, require
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.exemplars import Exemplars, choose, exemplars, flat
from zstar.directions.linear import Linear, in_units_of_prior
from zstar.spaces.base import AbstractSpace

KEY, TRAINED = "direction.interfacegan", 0.7


class InterFaceGAN(AbstractFinder):
    """A linear support vector machine per attribute (Shen et al. 2020, https://arxiv.org/abs/2005.09635).

    Choose it over ``attribute`` where there are many exemplars, and where one attribute is to move without others:
    ``conditional`` takes the normals of those out of its normal, n₁ − P n₁, with P the projection onto their span.

    The ends of a score, or the two groups of a label, are split 70 to 30; the SVM learns from the larger part. α = 1
    moves by one standard deviation of the prior along the normal, from where the latent is. (The published code instead
    sets the latent's signed *distance* to the boundary to α, in z and in w, and moves as here in w+.) Scores:
    ``accuracy`` of the boundary on the held-out part, and ``accuracy_all`` on all images of known score, which count as
    having the attribute above the middle between the two ends; both before ``conditional`` turns the normal. Both are
    means over the two sides, and the SVM weighs the sides alike: where one face in twenty wears glasses, a boundary
    that finds none is not right in 95 %, but in half of the cases.

    Arguments:
        annotation: Scored latents; the authors recommend far more than ten thousand.
        attributes: Which ones; None for all.
        share: Which part of the known scores each end is, at most a half.
        least: At least this many at each end all the same, as far as the halves go: 2 % of a small sample would be
            fewer than the space has dimensions.
        conditional: Attribute → those that are not to change with it.
        C: How much a wrong side costs; smaller values look at more of the exemplars.
        seed: Of the split.

    Raises:
        ValueError: An attribute that is asked for is not there or has not four exemplars on each side, or nothing is
            left of a normal. Without ``attributes``, those that all images have alike are passed over.
    """

    def __init__(
        self,
        annotation: AbstractAnnotation,
        attributes: Sequence[str] | None = None,
        share: float = 0.02,
        least: int = 500,
        conditional: Mapping[str, Sequence[str]] | None = None,
        C: float = 1.0,
        seed: int = 0,
    ) -> None:
        require(KEY, Within(0, 0.5, above=True), share=share)
        require(KEY, Within(4), least=least)
        require(KEY, POSITIVE, C=C)
        self.annotation, self.share, self.least, self.C, self.seed = annotation, share, least, C, seed
        self.attributes = None if attributes is None else list(attributes)
        self.conditional = {name: list(others) for name, others in (conditional or {}).items()}
        for name, others in self.conditional.items():
            if not others or name in others:
                value = f"{KEY}.conditional.{name}: {others}"
                raise ValueError(f"{value} is no list of other attributes; name those that are not to change with it")
            if self.attributes is not None and name not in self.attributes:
                raise ValueError(f"{KEY}.conditional: '{name}' is not in {KEY}.attributes; add it there, or drop it")
        self.candidates = choose(annotation.names, self.attributes, KEY)
        self.needed = {name for names in self.conditional.items() for name in (names[0], *names[1])}
        if unknown := sorted(self.needed.difference(annotation.names)):
            raise ValueError(
                f"{KEY}.conditional: there is no '{unknown[0]}'; choose from {', '.join(annotation.names)}"
            )

    def find(self, space: AbstractSpace) -> dict[str, Linear]:
        annotated, names, needed = self.annotation.annotate(space), self.candidates, self.needed
        normals, scores = {}, {}
        for name in [*names, *sorted(needed.difference(names))]:
            try:
                group = exemplars(annotated, name, self.share, KEY, least=4, floor=self.least)
            except ValueError:
                if self.attributes is not None or name in needed:
                    raise
                continue
            normals[name], scores[name] = self._boundary(annotated, name, group.shuffled(self.seed))
        if not normals:
            raise ValueError(f"{KEY}.attributes: no attribute has exemplars with and without it; label more images")
        directions = {}
        for name in (name for name in names if name in normals):
            others = self.conditional.get(name, [])
            normal = without(normals[name], [normals[other] for other in others])
            if normal.norm() < 1e-3:
                problem = f"{KEY}.conditional.{name}: nothing of it is left without {', '.join(others)}"
                raise ValueError(f"{problem}; drop one of them")
            settings = {"method": "interfacegan", "share": self.share, "C": self.C, "conditional": others}
            meaning = f"more {name}" + (f", the same {', '.join(others)}" if others else "")
            label = Label(meaning=meaning, found={**settings, **annotated.origin}, scores=scores[name])
            vector = in_units_of_prior(space, normal.view(space.shape).float())
            directions[name] = Linear(space.name, vector, label)
        return directions

    def _boundary(self, annotated: ScoredLatents, name: str, group: Exemplars) -> tuple[Tensor, dict[str, float]]:
        """Unit normal, towards more of the attribute, and how well the boundary tells the groups apart."""
        from sklearn.metrics import balanced_accuracy_score  # takes a second to import
        from sklearn.svm import SVC

        cuts = [min(max(round(TRAINED * len(rows)), 1), len(rows) - 1) for rows in (group.high, group.low)]
        sides = list(zip((group.high, group.low), cuts, strict=True))
        machine = SVC(kernel="linear", C=self.C, class_weight="balanced")
        machine.fit(*_pairs(annotated, [rows[:cut] for rows, cut in sides]))
        known = annotated.column(name).isfinite().nonzero()[:, 0]
        truth = (annotated.column(name)[known] > group.middle).numpy().astype(int)
        held, sides_held = _pairs(annotated, [rows[cut:] for rows, cut in sides])
        scores = {
            "accuracy": float(balanced_accuracy_score(sides_held, machine.predict(held))),
            "accuracy_all": float(balanced_accuracy_score(truth, machine.predict(flat(annotated, known).numpy()))),
        }
        normal = torch.tensor(machine.coef_[0])
        return normal / normal.norm().clamp_min(1e-12), scores


def _pairs(annotated: ScoredLatents, sides: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Latents and 1 or 0 for the side that they are on."""
    high, low = sides
    return flat(annotated, torch.cat([high, low])).numpy(), np.array([1] * len(high) + [0] * len(low))


def without(normal: Float[Tensor, " d"], others: Sequence[Float[Tensor, " d"]]) -> Float[Tensor, " d"]:
    """The part of a unit normal orthogonal to any number of others, which may depend on each other; not scaled."""
    if not others:
        return normal
    span, sizes, _ = torch.linalg.svd(torch.stack(list(others), dim=1), full_matrices=False)
    basis = span[:, sizes > 1e-6 * sizes[0]]
    return normal - basis @ (basis.T @ normal)
