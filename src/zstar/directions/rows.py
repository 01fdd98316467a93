"""Directions of w or w_plus that move some rows of w_plus only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.checkpoints import cards
from zstar.directions.base import AbstractDirection, AbstractLatentDirection, Label
from zstar.generators.base import AbstractGenerator


class InRows(AbstractLatentDirection):
    """Any direction of w or w_plus, kept to the rows of some layers: the first ones are coarse, the last ones fine.

    What its label says of the whole direction, its scores and its curve, is not said of a part of it.

    Arguments:
        inner: The direction.
        rows: The first row that moves, and the one behind the last.
    """

    space = "w_plus"

    def __init__(self, inner: AbstractLatentDirection, rows: tuple[int, int]) -> None:
        self.inner, self.rows = inner, rows
        found = {**inner.label.found, "rows": list(rows)}
        self.label = replace(inner.label, found=found, scores={}, curve=())

    def move(self, latent: Float[Tensor, "b n w"], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b n w"]:
        part = slice(*self.rows)
        if self.inner.space == "w":
            each = alpha.repeat_interleave(self.rows[1] - self.rows[0])
            moved = self.inner.move(latent[:, part].flatten(0, 1), each).view_as(latent[:, part])
        else:
            moved = self.inner.move(latent, alpha)[:, part]
        return torch.cat([latent[:, : part.start], moved, latent[:, part.stop :]], dim=1)

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, settings = self.inner.pack()
        kind = type(self.inner)
        inner = {"_target_": f"{kind.__module__}.{kind.__qualname__}", "space": self.inner.space, "settings": settings}
        return tensors, {"rows": list(self.rows), "inner": inner}

    @classmethod
    def unpack(cls, space: str, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]) -> "InRows":
        first, end = settings["rows"]
        if space != "w_plus" or not (isinstance(first, int) and isinstance(end, int) and 0 <= first < end):
            raise ValueError("its rows are no range of rows of w_plus")
        inner = settings["inner"]
        kind = cards.named(inner["_target_"], AbstractLatentDirection)
        return cls(kind.unpack(inner["space"], label, tensors, inner["settings"]), (first, end))


def keep_to_rows(
    directions: Mapping[str, AbstractDirection],
    rows: Sequence[int] | Mapping[str, Any] | None,
    generator: AbstractGenerator,
) -> dict[str, AbstractDirection]:
    """The directions, moving only the rows of w_plus that they are given.

    Arguments:
        rows: First row and the one behind the last, for all directions or by name; ``None`` moves all rows.

    Raises:
        ValueError: An unknown name, no range of rows, or a direction of a space without rows; one sentence.
    """
    if rows is None:
        return dict(directions)
    chosen = rows if isinstance(rows, Mapping) else dict.fromkeys(directions, rows)
    if wrong := [name for name, value in chosen.items() if not isinstance(value, list | tuple)]:
        raise ValueError(f"rows.{wrong[0]}: {chosen[wrong[0]]!r} is no list of two numbers, such as [0,4]")
    if unknown := [name for name in chosen if name not in directions]:
        raise ValueError(f"rows.{unknown[0]}: there is no such direction; these are: {', '.join(directions)}")
    return {
        name: InRows(direction, _range(name, direction, chosen[name], generator)) if name in chosen else direction
        for name, direction in directions.items()
    }


def _range(
    name: str, direction: AbstractDirection, rows: Sequence[int], generator: AbstractGenerator
) -> tuple[int, int]:
    if direction.space not in ("w", "w_plus") or "w_plus" not in generator.spaces:
        raise ValueError(f"rows: {name} moves {direction.space}, which has no rows; leave it out: rows={{…}} by name")
    return require_rows("rows", rows, generator)


def require_rows(key: str, rows: Sequence[int], generator: AbstractGenerator) -> tuple[int, int]:
    """The first of some rows of w_plus and the one behind the last; ``ValueError`` where they are no range of it."""
    count = generator.shape("w_plus")[0]
    whole = all(isinstance(row, int) and not isinstance(row, bool) for row in rows)
    if whole and len(rows) == 2 and 0 <= rows[0] < rows[1] <= count:
        return rows[0], rows[1]
    raise ValueError(
        f"{key}: {list(rows)} is no range of rows of w_plus; give the first and the one behind the last, from [0,1] to "
        f"[0,{count}]"
    )
