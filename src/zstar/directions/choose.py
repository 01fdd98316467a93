"""Directions from a configuration."""

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from zstar.config.build import build, offer
from zstar.config.keys import naming
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
    nodes: Mapping[str, Any],
    space: AbstractSpace,
    objects: Mapping[str, Any],
    only: Sequence[str] | None = None,
    strengths: Iterable[str] = (),
) -> dict[str, AbstractDirection]:
    """The directions of the chosen finders by name, after the finder's name where several have one of the same name.

    Arguments:
        nodes: The group ``direction`` of a configuration.
        space: Where directions are sought that have no space of their own.
        objects: Objects that finders may ask for by name, as :func:`make_annotation` gives it.
        only: Names of those to keep; all by default.
        strengths: Names of those that get strengths of their own.

    Raises:
        ValueError: A direction is named that is not there; before any is sought, where the finders know what they find.
    """
    finders = {name: offer(node, at=f"direction.{name}", **objects) for name, node in nodes.items()}
    if all(finder.candidates is not None for finder in finders.values()):
        coming = [(name, one) for name, finder in finders.items() for one in finder.candidates or ()]
        names = dict.fromkeys(one for _, one in coming)
        for key, chosen in (("only", only or ()), ("strengths", strengths)):
            require_names(key, chosen, {*names, *(f"{name}-{one}" for name, one in coming)}, names)
    every = []
    for finder, seeker in finders.items():
        with naming(f"direction.{finder}", nodes[finder]["_target_"]):
            every += [(finder, name, direction) for name, direction in seeker.find(space).items()]
    names = [name for _, name, _ in every]
    directions = {f"{f}-{name}" if names.count(name) > 1 else name: direction for f, name, direction in every}
    require_names("only", only or (), directions, directions)
    return directions if only is None else {name: directions[name] for name in only}


def require_names(key: str, names: Iterable[str], known: Collection[str], shown: Iterable[str]) -> None:
    """Refuse names of directions that are not among the ``known`` ones, and name those that are to be ``shown``."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{key}: no direction is called '{unknown[0]}'; choose from {', '.join(shown)}")
