"""The latents that an editing run begins with: projected now or before, or known."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zstar.checkpoints.io import read_card, save_weights
from zstar.config.build import offer
from zstar.config.check import CLASSES, STYLES
from zstar.config.schema import Invert
from zstar.config.signatures import resolve
from zstar.data.companions import take_companions
from zstar.data.samples import Samples
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import drawn
from zstar.inversion import Inversion
from zstar.projection import run as projection


def project(plain: Mapping[str, Any], generator: AbstractGenerator) -> Path:
    """The latents of the images of ``data``: those of the projection that the settings describe, done now unless it is
    finished."""
    here = ("direction", "annotation", "editability")  # done and measured by the edit, not by the projection
    own = {field.name: plain[field.name] for field in fields(Invert) if field.name in plain and field.name not in here}
    silent = {"_target_": "zstar.loggers.none.NoLogger"}
    own |= {"logger": silent, "output": plain["projections"], "name": None}
    result = projection.run(own, wait=True, generator=generator)
    return Path(result["folder"]) / "latents.safetensors"


def draws_samples(node: Mapping[str, Any]) -> bool:
    """Whether images are samples of the generator itself, whose latents are known."""
    return resolve(node["_target_"]) is Samples


def known(node: Mapping[str, Any], generator: AbstractGenerator) -> tuple[Inversion, dict[str, str]]:
    """The latents that samples of the generator were drawn as, in place of a projection, and the names of those that
    are left out, with the reason."""
    settings = {key: value for key, value in take_companions(node)[0].items() if key not in (CLASSES, STYLES)}
    data = offer(settings, at="data", generator=generator)
    ids, latents, failed = [], [], {}
    for batch in data.batches(data.block):
        ids += batch.ids
        latents.append(batch.extras["latent"])
        failed |= batch.failed
    if not ids:
        raise ValueError(f"data: none of its {len(data)} samples can be edited: {next(iter(failed.values()))}")
    return without_cost(ids, data.space, {"latent": generator.bring(torch.cat(latents))}), failed


def without_cost(ids: list[str], space: str, v: dict[str, Tensor]) -> Inversion:
    """Images whose v is known, as if they had been projected at no cost."""
    nothing = torch.zeros(len(ids))
    return Inversion(
        ids=ids, space=space, v=v, image=None, loss=nothing, evaluations=nothing.long(), seconds=nothing,
        status=["done"] * len(ids),
    )  # fmt: skip


def save_inversion(path: Path, inversion: Inversion, generator: AbstractGenerator) -> None:
    """Write latents as a run of ``invert.py`` would, for whatever goes on from such a run."""
    save_weights(path, *pack_inversion(inversion, generator))


def pack_inversion(inversion: Inversion, generator: AbstractGenerator) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of such a file, and its card."""
    tensors, card = inversion.pack()
    return tensors, card | {"generator": generator.fingerprint()}


def load_inversion(path: Path, generator: AbstractGenerator) -> tuple[Inversion, dict[str, str]]:
    """The latents in a file, on the generator's device, and the names of the images that are left out because their
    projection diverged, with that reason; latents of another generator are refused."""
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
    left_out = {name: "its projection diverged" for i, name in enumerate(inversion.ids) if i not in set(kept)}
    chosen = inversion.select(kept, generator.bring(inversion.latent).device)
    return replace(chosen, v=drawn(chosen.v)), left_out
