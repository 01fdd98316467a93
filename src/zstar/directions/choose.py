"""Directions from a configuration."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from zstar.config.build import build, offer
from zstar.config.signatures import resolve
from zstar.directions.base import AbstractDirection
from zstar.spaces.base import AbstractSpace


def make_annotation(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The annotation, under its name, if a finder or something that is measured has a use for it."""
    chosen = {name: node for group in ("direction", "editability") for name, node in (plain.get(group) or {}).items()}
    users = [name for name, node in chosen.items() if asks(node)]
    if users and plain.get("annotation") is None:
        raise ValueError(f"annotation: nothing is chosen and {users[0]} needs it; choose e.g. annotation=annotator")
    return {"annotation": build(plain["annotation"], at="annotation")} if users else {}


def asks(node: Mapping[str, Any]) -> bool:
    """Whether the target of a node needs an annotation."""
    return "annotation" in inspect.signature(resolve(node["_target_"])).parameters


def find_directions(
    nodes: Mapping[str, Any], space: AbstractSpace, objects: Mapping[str, Any], only: Sequence[str] | None = None
) -> dict[str, AbstractDirection]:
    """The directions of the chosen finders by name, after the finder's name where several have one of the same name.

    Arguments:
        nodes: The group ``direction`` of a configuration.
        space: Where directions are sought that have no space of their own.
        objects: Objects that finders may ask for by name, as :func:`make_annotation` gives it.
        only: Names of those to keep; all by default.
    """
    every = [
        (finder, name, direction)
        for finder, node in nodes.items()
        for name, direction in offer(node, **objects).find(space).items()
    ]
    names = [name for _, name, _ in every]
    directions = {f"{f}-{name}" if names.count(name) > 1 else name: direction for f, name, direction in every}
    if only is None:
        return directions
    if unknown := [name for name in only if name not in directions]:
        raise ValueError(f"only: no direction is called '{unknown[0]}'; these were found: {', '.join(directions)}")
    return {name: directions[name] for name in only}
