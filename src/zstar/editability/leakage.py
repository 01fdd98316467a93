"""Leakage: the change of attributes that were not intended."""

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation
from zstar.config.constraints import POSITIVE, require
from zstar.editability.base import AbstractEditability, Traversal
from zstar.editability.reading import find_factor, match, require_scorer


class Leakage(AbstractEditability):
    """Movement of the other attributes while the intended one moves by a fixed amount ("matched effect").

    At equal α a weak direction would look clean. Per image: ``leakage/reached``, 1 if the effect was reached within
    twice the useful range, else 0, for images that show the attribute; ``leakage/alpha``, how strong it had to be;
    ``leakage/mean``, the mean absolute change of all other attributes; and ``leakage/to/<attribute>`` for each of them.
    Attributes that do not apply before or after count nowhere.

    Arguments:
        annotation: The scorer; its attributes are on the scale [0, 1].
        factor: Name of the intended attribute; null takes the one that the direction is for.
        effect: How far it is to move; of the area of a class, a share of what there is.
        others: Which other attributes are looked at; null takes all but the shares of classes.
    """

    def __init__(
        self,
        annotation: AbstractAnnotation,
        factor: str | None = None,
        effect: float = 0.3,
        others: list[str] | None = None,
    ) -> None:
        require("editability.leakage", POSITIVE, effect=effect)
        self.scorer, self.factor, self.effect = require_scorer(annotation, "leakage", factor), factor, effect
        names = [name for name in self.scorer.names if "/" not in name] if others is None else list(others)
        if unknown := [name for name in names if name not in self.scorer.names]:
            raise ValueError(
                f"editability.leakage.others: there is no '{unknown[0]}'; choose from {', '.join(self.scorer.names)}"
            )
        self.others = names

    def __call__(self, traversal: Traversal) -> dict[str, Float[Tensor, " n"]]:
        factor = find_factor(traversal, self.scorer, self.factor)
        if factor is None:
            return {}
        found = match(traversal, self.scorer, factor, self.effect)
        change = (found.after - found.before).abs().where(found.reached[:, None], torch.nan)
        names = [name for name in self.others if name != factor]
        columns = {name: change[:, self.scorer.names.index(name)] for name in names}
        known = found.before[:, found.column].isfinite()
        return {
            "leakage/reached": found.reached.float().where(known, torch.nan),
            "leakage/alpha": found.alpha.abs(),
            "leakage/mean": torch.stack(list(columns.values())).nanmean(dim=0),
            **{f"leakage/to/{name}": value for name, value in columns.items()},
        }
