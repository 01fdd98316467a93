"""Moving pictures of an editing run: along the strengths of directions, and between two images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zstar.directions.apply import slerp
from zstar.editing.job import EditJob
from zstar.editing.layouts import Combination, Sheet
from zstar.editing.pictures import heading, strengths
from zstar.generators.changes import weight_changes
from zstar.generators.variables import named
from zstar.images import enlarge, grid, shrink, to_uint8, write_pixels
from zstar.reports.captions import SMALLEST, labelled, letters, titled
from zstar.reports.video import there_and_back, write_gif, write_mp4
from zstar.runs.folder import safe_name
from zstar.runs.writers import Writers

SHOWN, COLUMNS = 8, 4  # images in a moving picture
SMALL, WIDE = 128, 1024  # pixels of an image as far as which it is enlarged, and of a whole picture at the most


def animate(job: EditJob, sheet: Sheet, folder: Path, frames: int, video: bool) -> None:
    """Write a moving picture of the first images side by side, along the sheet and back, each frame with its
    strengths."""
    part, columns, title = slice(0, SHOWN), min(COLUMNS, len(job.inversion.ids)), heading(job, sheet)
    pictures = []
    for step in between(sheet, frames):
        images = fit(job.render(part, step).cpu(), columns, video)
        size = max(SMALLEST, letters(2 * images.shape[-1]))
        pictures.append(titled(grid(images, columns, gap=4), f"{strengths(rounded(step))}   {title}", size))
    film(folder / "animations" / safe_name(sheet.name), pictures, video)


def between(sheet: Sheet, frames: int) -> list[Combination]:
    """Strengths in equal steps along the combinations of a sheet, in as many frames."""
    last, steps = len(sheet.combinations) - 1, []
    for frame in range(frames):
        place = frame / (frames - 1) * last
        here = min(math.floor(place), max(last - 1, 0))
        a, b = sheet.combinations[here], sheet.combinations[min(here + 1, last)]
        share = place - here
        steps.append(tuple((name, x + share * (y - x)) for (name, x), (_, y) in zip(a, b, strict=True)))
    return steps


def rounded(combination: Combination) -> Combination:
    """Strengths with two decimals, which are no more digits than an eye can follow."""
    return tuple((name, round(alpha, 2)) for name, alpha in combination)


def fit(images: Tensor, columns: int, video: bool) -> Tensor:
    """Images in a size for a film: small ones enlarged, large ones shrunk. GIF, which hardly packs, enlarges none."""
    images = shrink(images, WIDE // columns)
    return enlarge(images, SMALL) if video else images


def film(path: Path, frames: Sequence[Tensor], video: bool) -> None:
    """Write an MP4 if ``video``, else a GIF, of many times its size."""
    if video:
        write_mp4(path.with_name(f"{path.name}.mp4"), there_and_back(frames))
    else:
        write_gif(path.with_name(f"{path.name}.gif"), there_and_back(frames))


@torch.no_grad()
def interpolate(job: EditJob, pair: tuple[int, int], folder: Path, plain: dict[str, Any], writers: Writers) -> str:
    """Write a strip and a moving picture of the interpolation between a pair of images; returns their name."""
    kind, (a, b), ids = plain["interpolation"], pair, job.inversion.ids
    generator, space = job.pipeline.generator, job.inversion.space
    v = {name: value[[a, b]] for name, value in job.inversion.v.items()}
    own = named("weights", weight_changes(v, generator))  # in full: products and places are not between two others
    v = {name: value for name, value in v.items() if not name.startswith("weights/")} | own
    if kind == "w_plus" and space != "w_plus":
        with generator.conditioned(v.get("class")):
            v["latent"], space = generator.lift(v["latent"], space, "w_plus"), "w_plus"
    made, shares = [], torch.linspace(0, 1, plain["frames"]).tolist()
    for share in shares:
        point = {}
        for key, value in v.items():
            arc = kind == "spherical" if key == "latent" else key.startswith("noise/")  # noise has to stay noise
            point[key] = (slerp if arc else torch.lerp)(value[:1], value[1:], share)
        made.append(generator.render(point, space, job.inversion.noise_mode).clamp(-1, 1).cpu())
    title, name = f"{ids[a]} → {ids[b]} ({kind})", safe_name(f"{ids[a]}--{ids[b]}")
    nine = [round(i * (len(made) - 1) / 8) for i in range(9)]
    cells = enlarge(torch.cat([made[i] for i in nine]))
    labels = [f"{shares[i]:.2g}" for i in nine]
    strip = to_uint8(labelled(cells, labels, 9, title)[None])[0]
    writers.write(write_pixels, folder / "interpolations" / f"{name}.png", strip)
    frames = [fit(frame, 1, plain["video"])[0] for frame in made]
    size = letters(frames[0].shape[-1])
    film(
        folder / "interpolations" / name,
        [titled(frame, f"{share:.2f}   {title}", size) for frame, share in zip(frames, shares, strict=True)],
        plain["video"],
    )
    return name
