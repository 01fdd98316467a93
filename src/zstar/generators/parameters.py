"""Which parameters of a generator are meant: by name, by the size of the maps that they make, by kind."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zstar.config.signatures import nearest
from zstar.generators.base import AbstractGenerator

Kind = Literal["convolution", "affine", "torgb", "linear", "bias"]
KINDS = get_args(Kind)
PARTS = {"affine": r"affine|style_mod", "torgb": r"torgb|output_?\d\w*"}  # of names, by which some are told


def choose_parameters(
    generator: AbstractGenerator,
    space: str,
    layers: Sequence[str] | None = None,
    resolutions: Sequence[int] | None = None,
    kinds: Sequence[Kind] | None = None,
    depth: Sequence[float] | None = None,
    key: str = "projector.weights",
) -> dict[str, Tensor]:
    """The parameters that images of ``space`` depend on and that are of all that is asked for, by name.

    Arguments:
        generator: G.
        space: Name of the latent space.
        layers: Parts of names, such as ``b32``, ``b32.conv0`` or ``network.3``, or patterns such as ``*.conv?.weight``.
        resolutions: Heights in pixels of the maps that the layers make; an affine layer is of the convolution's that it
            modulates.
        kinds: ``convolution`` (filters but for those of ``torgb``), ``affine`` (weights and biases that turn latents
            into styles), ``torgb`` (weights and biases that make colours), ``linear`` (other matrices), ``bias`` (all
            biases).
        depth: First and last share of the layers, from 0 at the latent to 1 at the image, in the order in which G has
            them: ``[0, 0.5]`` is the coarser half of any generator.
        key: What the configuration calls these settings, for errors.

    Raises:
        ValueError: Something asked for is not there, or nothing is left; one sentence.
    """
    free = generator.free_weights(space)
    chosen = dict(free)
    if layers is not None:
        chosen = {name: value for name, value in free.items() if any(_is_in(name, layer) for layer in layers)}
        for layer in layers:
            if not any(_is_in(name, layer) for name in free):
                raise ValueError(f"{key}.layers: there is no '{layer}' in G; {nearest(layer, _parts_of(free))}")
    if resolutions is not None:
        sizes = map_sizes(generator, space)
        there = sorted({sizes[name] for name in free if name in sizes})
        if missing := [size for size in resolutions if size not in there]:
            known = ", ".join(map(str, there))
            raise ValueError(f"{key}.resolutions: no layer of G makes maps of {missing[0]} pixels; choose from {known}")
        chosen = {name: value for name, value in chosen.items() if sizes.get(name) in resolutions}
    if kinds is not None:
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise ValueError(f"{key}.kinds: there is no kind '{unknown[0]}'; {nearest(unknown[0], KINDS)}")
        chosen = {name: value for name, value in chosen.items() if kinds_of(name, value) & set(kinds)}
    if depth is not None:
        inside = _between(list(free), depth, key)
        chosen = {name: value for name, value in chosen.items() if name in inside}
    if not chosen:
        asked = {"layers": layers, "resolutions": resolutions, "kinds": kinds, "depth": depth}
        words = ", ".join(f"{name}={list(value)}" for name, value in asked.items() if value is not None)
        raise ValueError(f"{key}: no parameter of G is of {words} at once; ask for less, or set one of them to null")
    return chosen


def _between(names: list[str], depth: Sequence[float], key: str) -> set[str]:
    """The parameters of the layers between two shares of them all."""
    if len(depth) != 2 or not 0 <= depth[0] < depth[1] <= 1:
        raise ValueError(f"{key}.depth: {list(depth)} are no two shares, one below the other; give e.g. [0, 0.5]")
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    first, last = (round(share * len(owners)) for share in depth)
    inside = set(owners[min(first, len(owners) - 1) : max(last, first + 1)])
    return {name for name in names if name.rpartition(".")[0] in inside}


def kinds_of(name: str, parameter: Tensor) -> set[str]:
    """Which of the ``KINDS`` a parameter is of; none where it is of no such kind, as scales of normalisation are."""
    parts = name.split(".")
    found = {kind for kind, pattern in PARTS.items() if any(re.fullmatch(pattern, part) for part in parts)}
    if parts[-1].endswith("bias") or parts[-1] == "b":
        return found | {"bias"}
    if not found and parameter.dim() >= 2:
        found.add("linear" if parameter.dim() == 2 else "convolution" if parameter.dim() >= 4 else "")
    return found - {""}


@torch.no_grad()
def map_sizes(generator: AbstractGenerator, space: str) -> dict[str, int]:
    """Name of a parameter → height in pixels of the map that its layer makes, or the nearest layer around it that makes
    one; parameters of networks that make none, such as a mapping network, are left out."""
    sizes: dict[str, int] = {}

    def watch(name: str) -> Any:
        def note(_module: Any, _inputs: Any, output: Any) -> None:
            for value in output if isinstance(output, tuple | list) else (output,):
                if isinstance(value, Tensor) and value.dim() == 4:
                    sizes[name] = value.shape[2]
                    return

        return note

    handles = [module.register_forward_hook(watch(name)) for name, module in generator.named_modules() if name]
    try:
        with generator.conditioned(generator.any_class):
            generator.synthesize(generator.bring(torch.zeros(1, *generator.shape(space))), space)
    finally:
        for handle in handles:
            handle.remove()
    owners = {name: name.rpartition(".")[0] for name, _ in generator.named_parameters()}
    found = {name: next((sizes[at] for at in _around(owner) if at in sizes), None) for name, owner in owners.items()}
    return {name: size for name, size in found.items() if size is not None}


def _around(name: str) -> Iterator[str]:
    """A module and those around it, but for the one that is a whole network of the generator."""
    yield name
    while name.count(".") > 1:
        name = name.rpartition(".")[0]
        yield name


def _is_in(name: str, layer: str) -> bool:
    """Whether the name of a parameter has these parts side by side, or is of this pattern."""
    return f".{layer}." in f".{name}." or fnmatchcase(name, layer)


def _parts_of(names: Collection[str] | Mapping[str, Any]) -> set[str]:
    """All that a layer may be called: parts side by side of the names of parameters."""
    paths = [name.split(".") for name in names]
    return {".".join(path[a:b]) for path in paths for a in range(len(path)) for b in range(a + 1, len(path) + 1)}
