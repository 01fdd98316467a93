"""A dissection, built from its composed config: which generator, which layers, what is asked of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstar
from zstar.checkpoints.identity import identify
from zstar.config.build import build, to_plain
from zstar.config.check import check
from zstar.config.keys import naming
from zstar.config.schema import Dissect
from zstar.config.signatures import nearest, resolve
from zstar.dissection.base import AbstractAnalysis, Subject
from zstar.generators.base import AbstractGenerator
from zstar.generators.reading import map_shapes
from zstar.projection.device import pick_device
from zstar.runs.folder import config_hash
from zstar.segmenters.base import AbstractSegmenter

# Pixels of the maps of middle layers: coarser ones know no places, and those of the picture's size no things.
SMALLEST = 8


@dataclass(frozen=True)
class DissectJob:
    """A dissection.

    Attributes:
        subject: The generator, its layers, its samples, and who says what is in them.
        analyses: What is asked, in an order in which each finds what it needs.
        shapes: Layer → channels, height and width of its map.
        arithmetic: Kind of device and precision.
        key: Hash of all that the findings depend on.
    """

    subject: Subject
    analyses: dict[str, AbstractAnalysis]
    shapes: dict[str, tuple[int, int, int]]
    arithmetic: dict[str, str]
    key: str


def make_dissect_job(cfg: Mapping[str, Any]) -> DissectJob:
    """Check a composed config and build what it names."""
    check(cfg, Dissect)
    plain = to_plain(cfg)
    nodes = in_order(plain["analysis"])
    device = pick_device(plain["device"])
    generator = build(plain["generator"], at="generator").to(device)
    generator.require_trained("their units mean nothing")
    layers = choose_layers(generator, plain["layers"])
    segmenter = make_segmenter(plain["segmenter"], "segmenter", generator).to(device)
    judge = segmenter
    if plain.get("judge") is not None:
        judge = make_segmenter(plain["judge"], "judge", generator).to(device)
        require_classes(segmenter, judge)
    subject = Subject(generator, segmenter, judge, layers, plain["samples"], plain["seed"], plain["batch_size"])
    analyses = {name: build(node, at=f"analysis.{name}") for name, node in nodes.items()}
    for analysis in analyses.values():
        analysis.require(subject)
    arithmetic = {"device": device.type, "precision": plain["precision"]}
    settings = {name: identify(plain.get(name)) for name in ("segmenter", "judge", "analysis", "samples", "seed")}
    whole = {**settings, "layers": layers, "generator": generator.fingerprint(), "results": zstar.RESULTS}
    key = config_hash({**whole, "batch_size": plain["batch_size"], **arithmetic})
    return DissectJob(subject, analyses, map_shapes(generator, layers), arithmetic, key)


def in_order(nodes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The chosen analyses, each behind those whose findings it goes on from.

    Raises:
        ValueError: None is chosen, or not all that one of them needs.
    """
    if not nodes:
        raise ValueError("analysis: the list is empty and nothing is to be done; choose e.g. analysis=[agreement]")
    needs: dict[str, Sequence[str]] = {name: resolve(node["_target_"]).needs for name, node in nodes.items()}
    for name, others in needs.items():
        if missing := [other for other in others if other not in nodes]:
            choice = ",".join([*missing, *nodes])
            raise ValueError(
                f"analysis: {name} goes on from {missing[0]}, which is not chosen; choose analysis=[{choice}]"
            )
    placed: dict[str, Any] = {}
    while len(placed) < len(nodes):
        ready = [name for name in nodes if name not in placed and set(needs[name]) <= set(placed)]
        if not ready:
            raise ValueError(f"analysis: {', '.join(set(nodes) - set(placed))} need each other; leave one of them out")
        placed[ready[0]] = nodes[ready[0]]
    return placed


def choose_layers(generator: AbstractGenerator, layers: Sequence[str] | None) -> list[str]:
    """The layers that are asked for, or those of middle resolutions.

    Raises:
        ValueError: There is no such layer, or its output is no map.
    """
    known = list(generator.convolutions or generator.layers)
    if not known:
        raise ValueError(
            "generator.layers: this generator names no layers that can be looked at; set generator.layers=[…] to names "
            "of sub-modules"
        )
    if layers is not None and not layers:
        raise ValueError("layers: the list is empty; name some, or set layers=null for those of middle resolutions")
    for name in layers or ():
        if name not in (*known, *generator.layers):
            raise ValueError(f"layers: this generator has no layer '{name}'; {nearest(name, known)}")
    shapes = map_shapes(generator, list(dict.fromkeys(layers or known)))
    if layers is not None:
        for name, shape in shapes.items():
            if len(shape) != 3:
                raise ValueError(
                    f"layers: the output of {name} is no map [channels, h, w] but {list(shape)}; leave it out"
                )
        return list(shapes)
    maps = {name: shape for name, shape in shapes.items() if len(shape) == 3}
    middle = [name for name, shape in maps.items() if SMALLEST <= shape[1] <= generator.resolution // 2]
    if not maps:
        raise ValueError("generator.layers: none of its outputs is a map [channels, h, w]; name others")
    return middle or list(maps)


def make_segmenter(node: Mapping[str, Any], key: str, generator: AbstractGenerator) -> AbstractSegmenter:
    """The segmenter under ``key``, which can read the generator's pictures."""
    segmenter = build(node, at=key)
    with naming(key, node["_target_"]):
        segmenter.require_images(generator)
    return segmenter


def require_classes(segmenter: AbstractSegmenter, judge: AbstractSegmenter) -> None:
    """Refuse a judge that does not know what the segmenter sees."""
    if missing := [name for name in segmenter.classes if name not in judge.classes]:
        raise ValueError(
            f"judge: it has no class '{missing[0]}', which the segmenter has; choose another one, or "
            "judge=null, which takes the segmenter itself"
        )
