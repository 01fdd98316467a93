"""What an editing run shows: strips, sheets, moving pictures, what lies between two images."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zstar.checkpoints.io import save_weights
from zstar.directions.apply import slerp
from zstar.editing.job import EditJob
from zstar.editing.layouts import Combination, Sheet
from zstar.editing.video import there_and_back, write_gif, write_mp4
from zstar.images import grid, write_png
from zstar.runs.folder import safe_name

SHOWN = 8  # images in a sheet and in a moving picture
BATCH = 32


def draw(job: EditJob, sheet: Sheet, folder: Path) -> Tensor:
    """A picture for each image, target first, then all combinations; the latents of what it shows; and the first images
    below each other as one picture, which is returned."""
    ids, latents, shown, space = job.inversion.ids, [], [], job.inversion.space
    for first in range(0, len(ids), BATCH):
        part = slice(first, first + BATCH)
        made = torch.stack([job.render(part, combination) for combination in sheet.combinations], dim=1).cpu()
        moved = [job.move(part, combination) for combination in sheet.combinations]
        latents.append(torch.stack([latent for latent, _ in moved], dim=1).cpu())
        space = moved[0][1]
        for name, pictures in zip(ids[part], made, strict=True):
            picture = strip(job, name, pictures, sheet)
            write_png(folder / "strips" / safe_name(sheet.name) / f"{safe_name(name)}.png", picture)
            shown = shown if len(shown) == SHOWN else [*shown, picture]
    card = {"kind": "edited latents", "ids": ids, "space": space, "generator": job.pipeline.generator.fingerprint()}
    card["combinations"] = [[list(step) for step in combination] for combination in sheet.combinations]
    path = folder / "edited" / f"{safe_name(sheet.name)}.safetensors"
    save_weights(path, {"latent": torch.cat(latents)}, card)
    first_ones = grid(torch.stack(shown), 1, gap=4)
    write_png(folder / "sheets" / f"{safe_name(sheet.name)}.png", first_ones)
    return first_ones


def strip(job: EditJob, name: str, pictures: Tensor, sheet: Sheet) -> Tensor:
    """The target, where it is kept, beside the rows of a sheet; small pictures are enlarged."""
    target = job.target(name)
    rows = list(pictures.split(sheet.columns))
    if target is not None:
        blank = torch.ones_like(target)
        rows = [torch.cat([(target if i == 0 else blank)[None], row]) for i, row in enumerate(rows)]
    return grid(enlarge(torch.cat(rows)), len(rows[0]), gap=4)


def enlarge(pictures: Tensor) -> Tensor:
    """Pictures of 64 pixels and less are hard to see."""
    factor = max(1, min(3, 192 // pictures.shape[-1]))
    return pictures.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def between(sheet: Sheet, frames: int) -> list[Combination]:
    """Strengths in equal steps along the combinations of a sheet, in as many frames."""
    last, found = len(sheet.combinations) - 1, []
    for frame in range(frames):
        place = frame / (frames - 1) * last
        here = min(math.floor(place), max(last - 1, 0))
        a, b = sheet.combinations[here], sheet.combinations[min(here + 1, last)]
        share = place - here
        found.append(tuple((name, x + share * (y - x)) for (name, x), (_, y) in zip(a, b, strict=True)))
    return found


def animate(job: EditJob, sheet: Sheet, folder: Path, frames: int, video: bool) -> None:
    """The first images side by side, moving along the sheet and back."""
    part, columns = slice(0, SHOWN), min(4, len(job.inversion.ids))
    pictures = [grid(enlarge(job.render(part, step)), columns, gap=4).cpu() for step in between(sheet, frames)]
    film(folder / "animations" / safe_name(sheet.name), pictures, video)


def film(path: Path, frames: list[Tensor], video: bool) -> None:
    """GIF, and MP4 where it is asked for."""
    write_gif(path.with_name(f"{path.name}.gif"), there_and_back(frames))
    if video:
        write_mp4(path.with_name(f"{path.name}.mp4"), there_and_back(frames))


@torch.no_grad()
def interpolate(job: EditJob, folder: Path, plain: dict[str, Any]) -> list[str]:
    """What lies between two projected images: a strip and a moving picture for each pair; returns their names."""
    kind, ids, names = plain["interpolation"], job.inversion.ids, []
    v, space = dict(job.inversion.v), job.inversion.space
    if kind == "w_plus" and space != "w_plus":
        v["latent"], space = job.pipeline.generator.lift(v["latent"], space, "w_plus"), "w_plus"
    for a, b in job.pairs:
        made = []
        for share in torch.linspace(0, 1, plain["frames"]).tolist():
            point = {}
            for key, value in v.items():
                arc = kind == "spherical" if key == "latent" else key.startswith("noise/")  # noise has to stay noise
                point[key] = (slerp if arc else torch.lerp)(value[a : a + 1], value[b : b + 1], share)
            made.append(job.pipeline.generator.render(point, space, job.inversion.noise_mode).clamp(-1, 1).cpu())
        name = safe_name(f"{ids[a]}--{ids[b]}")
        nine = [made[round(i * (len(made) - 1) / 8)] for i in range(9)]
        write_png(folder / "interpolations" / f"{name}.png", grid(enlarge(torch.cat(nine)), 9, gap=4))
        film(folder / "interpolations" / name, [enlarge(frame)[0] for frame in made], plain["video"])
        names.append(name)
    return names
