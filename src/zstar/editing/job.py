"""An editing run, built from its composed config: which images, which directions, how far."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import zstar
from zstar.checkpoints.identity import identify, source
from zstar.config.build import to_plain
from zstar.config.check import check
from zstar.config.schema import Edit
from zstar.data.reading import read_image
from zstar.directions.apply import apply, choose_strengths, in_order
from zstar.directions.base import AbstractDirection
from zstar.directions.rows import require_rows
from zstar.editing.latents import draws_samples, known, load_inversion, project
from zstar.editing.layouts import Combination, Sheet, choose_pairs, make_sheets
from zstar.editing.originals import Originals, find_originals
from zstar.inversion import Inversion
from zstar.projection.pipeline import Pipeline
from zstar.runs.folder import config_hash, safe_name
from zstar.runs.latents import latents_file

# What changes what is written.
SETTINGS = ("combine", "interpolation", "mixing", "frames", "video", "editability", "measured")


@dataclass(frozen=True)
class EditJob:
    """An editing run: projected images, the line that they go along, and what is to be shown of it.

    Attributes:
        pipeline: The components.
        inversion: The projected images.
        left_out: Names of those that are not in ``inversion``, and why: a projection diverged, or there is no picture.
        source: The file that they come from; ``None`` for samples of the generator, whose latents are known.
        sheets: What is shown.
        strengths: The strengths of each direction.
        pairs: Images to interpolate between, by their places.
        mixing: Rows of w_plus that are exchanged between images, first and behind the last.
        originals: The photos that edits are brought onto; ``None`` where they are not.
        key: Hash of all that the result depends on.
    """

    pipeline: Pipeline
    inversion: Inversion
    left_out: dict[str, str]
    source: Path | None
    sheets: list[Sheet]
    strengths: dict[str, list[float]]
    pairs: list[tuple[int, int]]
    mixing: tuple[int, int] | None
    originals: Originals | None
    key: str

    @torch.no_grad()
    def render(self, part: slice | list[int], combination: Combination) -> Float[Tensor, "b c h w"]:
        """The images of ``part``, moved, with all else that belongs to them, clamped to [−1, 1]."""
        return self.pipeline.generator.render(*self.move(part, combination), self.inversion.noise_mode).clamp(-1, 1)

    @torch.no_grad()
    def move(self, part: slice | list[int], combination: Combination) -> tuple[dict[str, Tensor], str]:
        """v₁ = v₀ + Δv for the images of ``part``, and the space that its latents are in."""
        generator = self.pipeline.generator
        v = {name: value[part] for name, value in self.inversion.v.items()}
        alphas = [
            (self.pipeline.directions[name], v["latent"].new_full((len(v["latent"]),), a)) for name, a in combination
        ]
        with generator.conditioned(v.get("class")):
            return apply(generator, v, self.inversion.space, in_order(generator, alphas))

    def target(self, name: str) -> Float[Tensor, "c h w"] | None:
        """The picture that was projected, as the projection saw it, where the run that did it has kept it."""
        for kind in ("observed", "targets") if self.source is not None else ():
            path = self.source.parent / kind / f"{safe_name(name)}.png"
            if path.is_file():
                return read_image(path, self.pipeline.generator.resolution, self.pipeline.generator.channels)
        return None


def make_edit_job(cfg: Mapping[str, Any]) -> EditJob:
    """Check a composed config, project the images if they are not projected yet, and find the directions."""
    check(cfg, Edit)
    plain = to_plain(cfg)
    aside = plain["interpolation"] is not None or plain.get("mixing") is not None  # what takes no direction
    if not plain.get("direction") and not aside:
        raise ValueError("direction: the list is empty and nothing is to be done; choose e.g. direction=[shipped]")
    pipeline = Pipeline(plain, "there is nothing to edit").build("editability")
    generator, saved = pipeline.generator, plain["inversion"]
    source = None if saved is None else latents_file(saved, "inversion")
    inversion, left_out = (None, {}) if source is None else load_inversion(source, generator)
    if source is None and draws_samples(plain["data"]):
        inversion, left_out = known(plain["data"], generator)
    directions = pipeline.directions
    if not directions and not aside:
        raise ValueError("only: no direction is left and nothing is to be done; choose some, or only=null for all")
    strengths = choose_strengths(directions, plain["strengths"], plain["beyond"], plain["achieved"])
    sheets = make_sheets(strengths, plain["combine"])
    space = pipeline.space.name if inversion is None else inversion.space
    mixing = None if plain.get("mixing") is None else require_rows("mixing", plain["mixing"], generator)
    pipeline.require_ways(space, *(["w_plus"] if plain["interpolation"] == "w_plus" or mixing else []))
    if inversion is None:
        source = project(plain, generator)
        inversion, left_out = load_inversion(source, generator)
    pairs = choose_pairs(plain["pairs"], len(inversion.ids)) if plain["interpolation"] else []
    originals = find_originals(plain, pipeline, inversion.ids, source)
    key = identity(pipeline, inversion, strengths, pairs, originals)
    return EditJob(pipeline, inversion, left_out, source, sheets, strengths, pairs, mixing, originals, key)


def identity(
    pipeline: Pipeline,
    inversion: Inversion,
    strengths: dict[str, list[float]],
    pairs: list[tuple[int, int]],
    originals: Originals | None,
) -> str:
    """Hash of all that the result depends on."""
    plain = pipeline.plain
    annotation = plain.get("annotation") if pipeline.annotation else None
    settings = identify({name: plain.get(name) for name in SETTINGS} | {"annotation": annotation})
    directions = {
        name: [one.space, vars(one.label), one.pack()[1], digest(one), source(one)]
        for name, one in pipeline.directions.items()
    }
    latents = [pipeline.generator.fingerprint(), inversion.pack()[1], digest(inversion)]
    if originals is not None:
        settings |= identify({name: plain[name] for name in ("postprocess", "megapixels", "seam")})
        settings["photos"] = [originals.data.fingerprint(), identify(plain["data"], contents=False)]
    contents = {"strengths": strengths, "pairs": pairs, "directions": directions, "latents": latents}
    return config_hash({**settings, **contents, "results": zstar.RESULTS, **pipeline.arithmetic})


def digest(thing: AbstractDirection | Inversion) -> str:
    """A hash of the tensors in a direction or an inversion."""
    tensors, _ = thing.pack()
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        if name != "seconds":  # which differ where nothing else does
            found.update(f"{name}{tuple(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
