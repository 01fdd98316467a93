"""Locality: the place of a change in the image."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.annotations.annotator import Annotator
from zstar.annotations.base import AbstractAnnotation
from zstar.config.constraints import POSITIVE, require
from zstar.editability.base import AbstractEditability, Traversal
from zstar.editability.reading import find_factor, match, require_scorer
from zstar.losses.base import AbstractLoss


class Locality(AbstractEditability):
    """Change of the rest of the image while the intended attribute moves by a fixed amount.

    The place of an attribute is where the annotator sees its classes, before or after. Per image:
    ``locality/outside``, the share of the whole absolute change that lies outside of it; ``locality/background``, the
    mean absolute change there, in units of [−1, 1]; ``locality/identity``, the perceptual distance of the two images
    there. Attributes without a place, such as the time of day, are passed over.

    Arguments:
        annotation: An annotator, which tells classes apart.
        identity: The perceptual distance.
        places: Attribute → names of the classes that show it; the area of a class is shown by the class.
        factor: Name of the attribute; null takes the one that the direction is for.
        effect: How far it is to move.
    """

    def __init__(
        self,
        annotation: AbstractAnnotation,
        identity: AbstractLoss,
        places: Mapping[str, Sequence[str]],
        factor: str | None = None,
        effect: float = 0.3,
    ) -> None:
        require("editability.locality", POSITIVE, effect=effect)
        if not isinstance(annotation, Annotator):
            kind = type(annotation).__name__.lower()
            raise ValueError(
                f"editability: locality needs to know which class each pixel is of, which annotation={kind} does not; "
                "choose annotation=annotator, or leave it out"
            )
        require_scorer(annotation, "locality", factor)
        self.annotator, self.identity, self.factor, self.effect = annotation, identity, factor, effect
        self.places = {name: tuple(classes) for name, classes in places.items()}
        for name, classes in self.places.items():
            if unknown := [one for one in classes if one not in annotation.vocabulary.classes]:
                known = ", ".join(annotation.vocabulary.classes)
                raise ValueError(f"editability.locality.places.{name}: no class is '{unknown[0]}'; choose from {known}")

    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        factor = find_factor(traversal, self.annotator, self.factor)
        if factor is None or not self.shown(factor):
            return {}
        found = match(traversal, self.annotator, factor, self.effect)
        before, after = traversal.before, found.images
        place = torch.maximum(self.seen(before, factor, traversal.size), self.seen(after, factor, traversal.size))
        change = (after - before).abs().mean(dim=1, keepdim=True)
        rest = 1 - place
        with torch.no_grad():
            pairs = zip(
                before.split(traversal.size), after.split(traversal.size), rest.split(traversal.size), strict=True
            )
            identity = self.identity.to(before.device)
            distance = torch.cat([identity(new, old, weights) for old, new, weights in pairs])
        outside = (change * rest).sum(dim=(1, 2, 3))
        values = {
            "outside": outside / change.sum(dim=(1, 2, 3)).clamp_min(1e-12),
            "background": outside / rest.sum(dim=(1, 2, 3)).clamp_min(1),
            "identity": distance,
        }
        return {f"locality/{name}": value.where(found.reached, torch.nan) for name, value in values.items()}

    def shown(self, factor: str) -> tuple[str, ...]:
        """The classes that show an attribute; that of ``area/<class>`` is the class. Empty if it has no place."""
        kind, _, name = factor.partition("/")
        own = (name,) if kind == "area" and name in self.annotator.vocabulary.classes else ()
        return self.places.get(factor, own)

    @torch.no_grad()
    def seen(self, images: Float[Tensor, "n c h w"], factor: str, size: int) -> Float[Tensor, "n 1 h w"]:
        """1 where a pixel is of one of the classes that show an attribute."""
        classes = self.annotator.vocabulary.classes
        wanted = torch.tensor([name in self.shown(factor) for name in classes], device=images.device)
        labels = [self.annotator.network.to(images.device)(part).logits.argmax(dim=1) for part in images.split(size)]
        return wanted[torch.cat(labels)][:, None].float()
