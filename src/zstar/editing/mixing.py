"""Style mixing: some rows of one image's w_plus in place of those of another, for all pairs."""

from pathlib import Path

import torch
from torch import Tensor

from zstar.checkpoints.io import save_weights
from zstar.editing.job import EditJob
from zstar.images import enlarge, write_png
from zstar.reports.captions import labelled

SHOWN = 8  # images that are mixed with each other, at the most
FOLDER = "mixing"


@torch.no_grad()
def mix(job: EditJob, folder: Path) -> str:
    """Write the table of all pairs of the first images, and its latents.

    A picture has the rows ``job.mixing`` of the image above it, and all else, noise maps and weights too, of the image
    at its left.

    Returns:
        The name of its picture and of its file.
    """
    first, end = job.mixing
    generator, inversion = job.pipeline.generator, job.inversion
    ids = inversion.ids[:SHOWN]
    v = {name: value[: len(ids)] for name, value in inversion.v.items()}
    with generator.conditioned(v.get("class")):
        v["latent"] = generator.lift(v["latent"], inversion.space, "w_plus")

    def draw(point: dict[str, Tensor]) -> Tensor:
        return generator.render(point, "w_plus", inversion.noise_mode).clamp(-1, 1).cpu()

    whole, mixed = draw(v), []
    rows = [torch.cat([torch.ones_like(whole[:1]), whole])]
    for place in range(len(ids)):
        kept = {name: value[place : place + 1].expand_as(value).clone() for name, value in v.items()}
        kept["latent"][:, first:end] = v["latent"][:, first:end]
        mixed.append(kept["latent"].cpu())
        rows.append(torch.cat([whole[place : place + 1], draw(kept)]))
    name = f"rows_{first}-{end - 1}"
    labels = ["", *ids, *(text for image in ids for text in [image, *[""] * len(ids)])]
    title = f"rows {first} to {end - 1} of w_plus from above, all else from the left"
    write_png(folder / FOLDER / f"{name}.png", labelled(enlarge(torch.cat(rows)), labels, len(ids) + 1, title))
    card = {"kind": "mixed latents", "ids": ids, "rows": [first, end], "space": "w_plus"}
    save_weights(
        folder / FOLDER / f"{name}.safetensors", {"latent": torch.stack(mixed)},
        card | {"generator": generator.fingerprint()},
    )  # fmt: skip
    return name
