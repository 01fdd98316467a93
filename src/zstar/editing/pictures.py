"""Pictures of an editing run: strips with captions, and the edited latents that they show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.checkpoints.io import save_weights
from zstar.editing.job import EditJob
from zstar.editing.layouts import Combination, Sheet
from zstar.editing.photos import Photos, together
from zstar.images import enlarge, to_uint8, write_pixels
from zstar.postprocess.base import to_size
from zstar.reports.captions import labelled
from zstar.reports.editing import STRIPS, preview
from zstar.runs.folder import safe_name
from zstar.runs.threads import read_all
from zstar.runs.writers import Writers

LOGGED = 3  # images in the picture that loggers get
BATCH = 32


@dataclass(frozen=True)
class Strip:
    """An image and what it becomes: its target, where the run has kept it, its reconstruction, and all combinations.

    Attributes:
        id: Name of the image.
        cells: The pictures, in rows of ``columns``.
        labels: What each of them is; empty for a blank one.
        columns: Pictures in a row.
    """

    id: str
    cells: Float[Tensor, "k c h w"]
    labels: list[str]
    columns: int


def draw(
    job: EditJob, sheet: Sheet, folder: Path, writers: Writers, photos: Photos | None = None
) -> tuple[Tensor, list[dict[str, Any]]]:
    """Have a strip written for each image, with its photo below it where photos are edited too, and write the latents
    of all combinations.

    Returns:
        A picture of the first images for loggers, and the strips of more of them for the page.
    """
    ids, latents, shown, space = job.inversion.ids, [], [], job.inversion.space
    title, below = heading(job, sheet), []

    def keep(strip: Strip, cells: Tensor, labels: Sequence[str]) -> None:
        path = folder / "strips" / safe_name(sheet.name) / f"{safe_name(strip.id)}.png"
        picture = labelled(cells, labels, strip.columns, title)
        writers.write(write_pixels, path, to_uint8(picture[None])[0])

    for first in range(0, len(ids), BATCH):
        part = slice(first, first + BATCH)
        moved = [job.move(part, combination) for combination in sheet.combinations]
        latents.append(torch.stack([v["latent"] for v, _ in moved], dim=1).cpu())
        space = moved[0][1]
        edited = {} if photos is None else photos.draw(sheet, part)
        for strip in strips(job, sheet, part):
            cells, labels, more = enlarge(strip.cells), strip.labels, None
            if strip.id in edited:
                more = beneath(strip, sheet, *edited[strip.id])
                cells = torch.cat([cells, to_size(more.cells, (cells.shape[-2], cells.shape[-1]))])
                labels = [*labels, *more.labels]
            keep(strip, cells, labels)
            if len(shown) < STRIPS:
                shown.append(strip)
                below.append(more)
    few = shown[:LOGGED]
    for strip in () if photos is None else groups(sheet, photos):
        keep(strip, enlarge(strip.cells), strip.labels)
        shown.append(strip)
        below.append(None)
    card = {"kind": "edited latents", "ids": ids, "space": space, "generator": job.pipeline.generator.fingerprint()}
    card["combinations"] = [[list(step) for step in combination] for combination in sheet.combinations]
    path = folder / "edited" / f"{safe_name(sheet.name)}.safetensors"
    save_weights(path, {"latent": torch.cat(latents)}, card)
    labels = [label for strip in few for label in strip.labels]
    picture = labelled(torch.cat([strip.cells for strip in few]), labels, few[0].columns, title)
    return picture, [
        as_preview(strip) | {"photo": more and as_preview(more)} for strip, more in zip(shown, below, strict=True)
    ]


def groups(sheet: Sheet, photos: Photos) -> Iterator[Strip]:
    """The photos that have all of their faces edited at once."""
    for name, photo, edits in photos.together(sheet):
        yield beside(together(name), {"photo": photo}, edits, of_photos(sheet), sheet.columns)


def as_preview(strip: Strip) -> dict[str, Any]:
    """A strip for the page."""
    return preview(strip.id, strip.cells, strip.labels, strip.columns)


def strips(job: EditJob, sheet: Sheet, part: slice) -> list[Strip]:
    """The images of ``part`` along a sheet. Of combinations none of which leaves an image as it is, the reconstruction
    is shown in front."""
    made = torch.stack([job.render(part, combination) for combination in sheet.combinations], dim=1).cpu()
    labels = [strengths(combination) for combination in sheet.combinations]
    still = None
    if not any(all(alpha == 0 for _, alpha in combination) for combination in sheet.combinations):
        still = job.render(part, ()).cpu()
    found = []
    targets = read_all(job.target, job.inversion.ids[part])
    for row, (name, target) in enumerate(zip(job.inversion.ids[part], targets, strict=True)):
        front = {"target": target, "reconstruction": None if still is None else still[row]}
        front = {label: picture for label, picture in front.items() if picture is not None}
        found.append(beside(name, front, made[row], labels, sheet.columns))
    return found


def beside(name: str, front: dict[str, Tensor], pictures: Tensor, labels: Sequence[str], columns: int) -> Strip:
    """The pictures of a sheet with others in front of its first row, and with blank ones in front of its other rows."""
    cells, texts = [], []
    for first in range(0, len(pictures), columns):
        blank = torch.ones_like(pictures[0])
        cells += [picture if first == 0 else blank for picture in front.values()]
        texts += [label if first == 0 else "" for label in front]
        cells += list(pictures[first : first + columns])
        texts += labels[first : first + columns]
    return Strip(name, torch.stack(cells), texts, columns + len(front))


def beneath(strip: Strip, sheet: Sheet, photo: Float[Tensor, "c h w"], edits: Float[Tensor, "k c h w"]) -> Strip:
    """The edits of a photo, in the columns of the edits of its projection; the photo itself is in front of them."""
    blank = torch.ones_like(photo)
    front = dict([("photo", photo), ("", blank)][: strip.columns - sheet.columns])
    return beside(strip.id, front, edits, of_photos(sheet), sheet.columns)


def of_photos(sheet: Sheet) -> list[str]:
    """What is written below the edits of a photo."""
    return [f"photo, {strengths(combination)}" for combination in sheet.combinations]


def heading(job: EditJob, sheet: Sheet) -> str:
    """The directions of a sheet with their units, in the order in which the cells give their strengths."""
    directions = job.pipeline.directions
    units = {name: directions[name].label.unit for name, _ in sheet.combinations[0]}
    return ", ".join(f"{name} ({unit})" if unit else name for name, unit in units.items())


def strengths(combination: Combination) -> str:
    """The strengths of a combination: ``−1.5``, ``+1, −0.5``."""
    texts = (f"{alpha:+.3g}" if alpha else "0" for _, alpha in combination)
    return ", ".join(texts).replace("-", "−")
