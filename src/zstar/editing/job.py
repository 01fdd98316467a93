"""An editing run, built from its composed config: which images, which directions, how far."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import zstar
from zstar.checkpoints.identity import identify, source
from zstar.checkpoints.io import read_card
from zstar.config.build import to_plain
from zstar.config.check import check
from zstar.config.paths import place
from zstar.config.schema import Edit, Invert
from zstar.data.reading import read_image
from zstar.directions.apply import apply, choose_strengths
from zstar.directions.base import AbstractDirection
from zstar.editing.layouts import Combination, Sheet, choose_pairs, make_sheets
from zstar.generators.base import AbstractGenerator
from zstar.inversion import Inversion
from zstar.projection import run as projection
from zstar.projection.pipeline import Pipeline
from zstar.runs.folder import config_hash, safe_name

SETTINGS = ("combine", "interpolation", "frames", "video", "editability", "measured")  # what changes what is written


@dataclass(frozen=True)
class EditJob:
    """An editing run: projected images, the line that they go along, and what is to be shown of it.

    Attributes:
        pipeline: The components.
        inversion: The projected images.
        left_out: Names of those whose projection diverged; they are not in ``inversion``.
        source: The file that they come from.
        sheets: What is shown.
        strengths: The strengths of each direction.
        pairs: Images to interpolate between, by their places.
        key: Hash of all that the result depends on.
    """

    pipeline: Pipeline
    inversion: Inversion
    left_out: list[str]
    source: Path
    sheets: list[Sheet]
    strengths: dict[str, list[float]]
    pairs: list[tuple[int, int]]
    key: str

    @torch.no_grad()
    def render(self, part: slice, combination: Combination) -> Float[Tensor, "b c h w"]:
        """The images of ``part``, moved, with all else that belongs to them, clamped to [−1, 1]."""
        latent, space = self.move(part, combination)
        v = {name: value[part] for name, value in self.inversion.v.items()}
        return self.pipeline.generator.render({**v, "latent": latent}, space, self.inversion.noise_mode).clamp(-1, 1)

    @torch.no_grad()
    def move(self, part: slice, combination: Combination) -> tuple[Float[Tensor, "b ..."], str]:
        """z₁ = z₀ + Δz for the images of ``part``, and the space that it is in."""
        latent = self.inversion.latent[part]
        order = list(self.pipeline.generator.spaces)  # from the richest there is no way back to the others
        steps = [(self.pipeline.directions[name], torch.full((len(latent),), alpha)) for name, alpha in combination]
        steps.sort(key=lambda step: order.index(step[0].space))
        return apply(self.pipeline.generator, latent, self.inversion.space, steps)

    def target(self, name: str) -> Float[Tensor, "c h w"] | None:
        """The picture that was projected, as the projection saw it, where the run that did it has kept it."""
        for kind in ("observed", "targets"):
            path = self.source.parent / kind / f"{safe_name(name)}.png"
            if path.is_file():
                return read_image(path, self.pipeline.generator.resolution, self.pipeline.generator.channels)
        return None


def make_edit_job(cfg: Mapping[str, Any]) -> EditJob:
    """Check a composed config, project the images if they are not projected yet, and find the directions."""
    check(cfg, Edit)
    plain = to_plain(cfg)
    if not plain.get("direction") and plain["interpolation"] is None:
        raise ValueError("direction: the list is empty and nothing is to be done; choose e.g. direction=[shipped]")
    pipeline = Pipeline(plain, "there is nothing to edit").build("editability")
    generator, source = pipeline.generator, find_saved(plain["inversion"])
    inversion, left_out = (None, []) if source is None else load_inversion(source, generator)
    directions = pipeline.directions
    if not directions and plain["interpolation"] is None:
        raise ValueError("only: no direction is left and nothing is to be done; choose some, or only=null for all")
    strengths = choose_strengths(directions, plain["strengths"], plain["beyond"])
    sheets = make_sheets(strengths, plain["combine"])
    space = pipeline.space.name if inversion is None else inversion.space
    pipeline.require_ways(space, *(["w_plus"] if plain["interpolation"] == "w_plus" else []))
    if source is None or inversion is None:
        source = project(plain, generator)
        inversion, left_out = load_inversion(source, generator)
    pairs = choose_pairs(plain["pairs"], len(inversion.ids)) if plain["interpolation"] else []
    key = identity(pipeline, inversion, strengths, pairs)
    return EditJob(pipeline, inversion, left_out, source, sheets, strengths, pairs, key)


def identity(
    pipeline: Pipeline, inversion: Inversion, strengths: dict[str, list[float]], pairs: list[tuple[int, int]]
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
    contents = {"strengths": strengths, "pairs": pairs, "directions": directions, "latents": latents}
    return config_hash({**settings, **contents, "results": zstar.RESULTS, "device": pipeline.device.type})


def find_saved(inversion: str | None) -> Path | None:
    """The file of latents that ``inversion`` names, by itself or by its folder."""
    if inversion is None:
        return None
    path = place(inversion)
    path = path / "latents.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"inversion: there is no {path}; give the folder of a finished run of invert.py")
    return path


def project(plain: Mapping[str, Any], generator: AbstractGenerator) -> Path:
    """The latents of the images of ``data``: those of the projection that the settings describe, done now unless it is
    finished."""
    here = ("direction", "annotation", "editability")  # done and measured by the edit, not by the projection
    own = {field.name: plain[field.name] for field in fields(Invert) if field.name in plain and field.name not in here}
    silent = {"_target_": "zstar.loggers.none.NoLogger"}
    own |= {"logger": silent, "output": plain["projections"], "name": None}
    result = projection.run(own, wait=True, generator=generator)
    return Path(result["folder"]) / "latents.safetensors"


def load_inversion(path: Path, generator: AbstractGenerator) -> tuple[Inversion, list[str]]:
    """The latents in a file, on the generator's device, and the names of the images that are left out because their
    projection diverged; latents of another generator are refused."""
    card, fingerprint = read_card(path), generator.fingerprint()
    if card.get("kind") == "inversion" and not card.get("ids"):
        raise ValueError(f"inversion: {path} holds no images; result.json beside it says why")
    inversion, own = Inversion.load(path), card.get("generator")
    if own is not None and own != fingerprint:
        raise ValueError(
            f"inversion: {path} is of the generator {own[:12]}…, and this one is {fingerprint[:12]}…; choose that "
            "generator, or inversion=null to project anew"
        )
    finite = [value.reshape(len(value), -1).isfinite().all(dim=1) for value in inversion.v.values()]
    sound = torch.stack(finite).all(dim=0).tolist()
    kept = [i for i, status in enumerate(inversion.status) if sound[i] and status != "diverged"]
    if not kept:
        raise ValueError(f"inversion: all images in {path} diverged; project them again with a lower optimizer.lr")
    left_out = [name for i, name in enumerate(inversion.ids) if i not in set(kept)]
    return inversion.select(kept, next(generator.parameters(), inversion.latent).device), left_out


def digest(thing: AbstractDirection | Inversion) -> str:
    """A hash of the tensors in a direction or an inversion."""
    tensors, _ = thing.pack()
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        if name != "seconds":  # which differ where nothing else does
            found.update(f"{name}{tuple(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
