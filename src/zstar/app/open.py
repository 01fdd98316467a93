"""A studio and its pictures, built from a composed configuration."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from zstar.app.optimized import OptimizedBrush
from zstar.app.pictures import Pictures
from zstar.app.studio import Studio, UnitBrush
from zstar.config.build import build, offer, to_plain
from zstar.config.check import check
from zstar.config.schema import Paint
from zstar.config.signatures import nearest
from zstar.directions.base import require_way
from zstar.directions.units import Units, load_units
from zstar.images import to_uint8
from zstar.postprocess.chain import make_chain
from zstar.projection.pipeline import Pipeline
from zstar.segmenters.base import AbstractSegmenter
from zstar.stats.streams import stream

IDLE = 0.1  # share of a class that a brush draws or removes, below which it does nothing
USUAL = {  # what a projection can be told, and a single photo has no use for
    "compile": None, "checkpointing": False, "precision": "exact", "micro_batch": None,
    "budget": {"evaluations": None, "seconds": None},
}  # fmt: skip


@dataclass(frozen=True)
class Workplace:
    """All that a painting session needs.

    Attributes:
        studio: The generator and the brushes.
        pictures: Where pictures come from.
        segmenter: What sees the classes of a picture.
        colours: Name of a class → what it mostly looks like, as the web writes colours.
        plain: The configuration as plain containers.
    """

    studio: Studio
    pictures: Pictures
    segmenter: AbstractSegmenter
    colours: Mapping[str, str]
    plain: Mapping[str, Any]


def open_workplace(cfg: Mapping[str, Any]) -> Workplace:
    """Check a composed config of ``paint.py`` and build what it names.

    Raises:
        ValueError: One sentence for what does not fit.
    """
    check(cfg, Paint)
    plain = to_plain(cfg)
    pipeline = Pipeline({**plain, **USUAL}, "there is nothing to paint").build("problem", "projectors", "directions")
    generator, space = pipeline.generator, pipeline.space.name
    for direction in pipeline.directions.values():
        require_way(generator, space, direction.space)
    units = load_units(plain["units"], generator)
    segmenter = build(plain["segmenter"], at="segmenter").to(pipeline.device)
    segmenter.require_images(generator)
    data = offer(plain["data"], at="data", generator=generator)
    pictures = Pictures(pipeline, data, plain["max_megabytes"], plain["max_megapixels"])
    studio = Studio(
        generator=deepcopy(generator),  # hooks and changes are not for two at once
        brushes={
            "units": UnitBrush(units, generator.resolution),
            "optimize": OptimizedBrush(pipeline.space, segmenter, pictures.lock, build(plain["brush"], at="brush")),
        },
        classes=choose_classes(units, plain["classes"]),
        directions=pipeline.directions,
        postprocess=make_chain(plain.get("postprocess")),
    )
    return Workplace(studio, pictures, segmenter, find_colours(studio, segmenter), plain)


def choose_classes(units: Mapping[str, Units], names: Sequence[str] | None) -> tuple[str, ...]:
    """The classes that there are brushes for: those that are named, or all whose units do something, the most
    effective first, by what their card says of them."""
    if names is None:
        scores = {name: one.label.scores for name, one in units.items()}
        order = sorted(units, key=lambda name: -scores[name].get("effect", 1.0))
        works = [n for n in order if scores[n].get("effect", 1.0) >= IDLE or scores[n].get("kept_share", 0) <= 1 - IDLE]
        return tuple(works or order)
    if unknown := [name for name in names if name not in units]:
        raise ValueError(f"classes: there are no units of '{unknown[0]}'; {nearest(unknown[0], units)}")
    return tuple(names)


@torch.no_grad()
def find_colours(studio: Studio, segmenter: AbstractSegmenter, count: int = 64) -> dict[str, str]:
    """The mean colour of each class in samples of the generator; grey where none of them has it."""
    generator = studio.generator
    latent = generator.bring(generator.sample(count, stream("colours of brushes", 0), space=generator.drawn))
    images = studio.render({"latent": latent}, generator.drawn, "const")
    seen, colours = segmenter(images), {}
    for name in studio.classes:
        here = seen == segmenter.column(name, "units") if name in segmenter.classes else torch.zeros_like(seen).bool()
        pixels = images.permute(0, 2, 3, 1)[here]
        mean = to_uint8(pixels.mean(dim=0).view(1, -1, 1, 1)).flatten().tolist() if len(pixels) else [128]
        red, green, blue = mean * (3 // len(mean))
        colours[name] = f"#{red:02x}{green:02x}{blue:02x}"
    return colours
