"""Directions in files: one safetensors file with a JSON card beside it, for one generator."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from zstar.checkpoints import cards, io
from zstar.config.reasons import reason
from zstar.config.signatures import annotations, fits
from zstar.directions.base import AbstractDirection, Label
from zstar.generators.base import AbstractGenerator


def pack_directions(
    directions: Mapping[str, AbstractDirection], generator: AbstractGenerator
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file, and its card: the generator's hash, for each direction its space, its label and the
    settings that rebuild it, and the curves of those that have one."""
    tensors: dict[str, Tensor] = {}
    entries: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for name, direction in directions.items():
        own, settings = direction.pack()
        tensors |= {f"{name}/{key}": value for key, value in own.items()}
        kind = type(direction)
        label = asdict(direction.label)
        if curve := label.pop("curve"):
            curves[name] = list(curve)
        entries[name] = {
            "_target_": f"{kind.__module__}.{kind.__qualname__}", "space": direction.space, **label,
            "settings": settings,
        }  # fmt: skip
    card = {"kind": "directions", "generator": generator.fingerprint(), "directions": entries}
    return tensors, card | ({"curves": curves} if curves else {})


def save_directions(
    path: str | Path, directions: Mapping[str, AbstractDirection], generator: AbstractGenerator, **facts: Any
) -> None:
    """Write ``path`` (safetensors) and its card; ``facts`` go onto the card as they are."""
    tensors, card = pack_directions(directions, generator)
    io.save_weights(path, tensors, card | facts)


def load_directions(path: str | Path, generator: AbstractGenerator) -> dict[str, AbstractDirection]:
    """The directions in a file, by name.

    Arguments:
        path: A safetensors file with its JSON card beside it, or the name of a shipped one.
        generator: The generator to apply them to.

    Raises:
        ValueError: The card is missing, is not one of directions, is that of another generator, or can't be used; one
            sentence with the path.
    """
    file = io.resolve(path)
    card = io.read_card(file)
    if card.get("kind") != "directions":
        raise ValueError(f"checkpoint: {file} holds no directions by its card; choose a file that zstar has written")
    here = generator.fingerprint()
    if card.get("generator") != here:
        raise ValueError(
            f"checkpoint: {file} is for the generator {str(card.get('generator'))[:12]}…, and this one is "
            f"{here[:12]}…; choose that generator, or directions of this one"
        )
    try:
        return unpack_directions(io.load_weights(file), card, generator)
    except Exception as error:  # a card can say anything
        problem = f"it has no {error}" if isinstance(error, KeyError) else reason(error)
        raise ValueError(f"checkpoint: the card {io.card_path(file)} cannot be used: {problem}") from None


def unpack_directions(
    tensors: dict[str, Tensor], card: dict[str, Any], generator: AbstractGenerator
) -> dict[str, AbstractDirection]:
    """The directions that :func:`pack_directions` has packed, for a generator of the same sizes; an error of any kind
    where they do not fit."""
    directions = {}
    for name, entry in card["directions"].items():
        own = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        curve = tuple(card.get("curves", {}).get(name, ()))
        directions[name] = _unpack({**entry, "curve": curve}, own, generator)
    return directions


def _unpack(entry: dict[str, Any], tensors: dict[str, Tensor], generator: AbstractGenerator) -> AbstractDirection:
    """One direction from its entry on the card."""
    kind, hints = cards.named(entry["_target_"], AbstractDirection), annotations(Label)
    known = {field.name: entry[field.name] for field in fields(Label) if field.name in entry}
    for key, value in known.items():
        if not fits(value, hints[key]):
            raise ValueError(f"{key} is {repr(value)[:40]}, which is of another type")
    if not all(
        {"alpha", "achieved"} <= row.keys() and math.isfinite(row["alpha"] + row["achieved"]) for row in known["curve"]
    ):
        raise ValueError("its curve has a row without numbers for alpha and achieved")
    if entry["space"] is not None:
        generator.shape(entry["space"])
    direction = kind.unpack(entry["space"], Label(**known), tensors, entry["settings"])
    direction.require_fit(generator)
    return direction
