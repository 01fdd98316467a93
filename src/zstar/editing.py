"""z₀ = project(x), z₁ = z₀ + Δz, G(z₁): an editing run from its configuration to a folder of pictures and numbers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor

from zstar.animation import there_and_back, write_gif, write_mp4
from zstar.checkpoints import save_weights
from zstar.config import build, to_plain
from zstar.directions.apply import slerp
from zstar.directions.library import save_directions
from zstar.editability.base import Walked
from zstar.editjob import Combination, EditJob, Sheet, make_edit_job
from zstar.editreport import write_edit_report
from zstar.images import grid, write_png
from zstar.loggers.base import AbstractLogger
from zstar.projection import command
from zstar.runs import (
    clear_partial,
    commit,
    finished,
    machine,
    record_failure,
    record_result,
    safe_name,
    versions,
    write_atomic,
)
from zstar.statistics import bootstrap_interval

SHOWN = 8  # images in a sheet and in a moving picture
BATCH = 32
SCHEMA = {"direction": pl.String, "image": pl.String, "metric": pl.String, "value": pl.Float64}


def run(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``edit.py``. A finished run is returned at once; the projection that it needs is found again if it is done.

    Returns:
        The content of ``result.json``, with the run's folder under ``folder``.
    """
    job, plain = make_edit_job(cfg), to_plain(cfg)
    name = plain["name"] or "_".join(job.directions)[:60] or plain["interpolation"]
    folder = Path(plain["output"]) / f"{safe_name(name)}_{job.key}"
    if result := finished(folder, job.key):
        print(f"finished already, nothing to do: {folder}/report.html")
        return {**result, "folder": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    clear_partial(folder)
    logger: AbstractLogger = build(plain["logger"])
    failed = True
    try:
        logger.start(folder, plain, job="edit", name=name, tags=plain["tags"])
        result = carry_out(job, folder, plain, logger)
        failed = False
    except BaseException as error:
        record_failure(folder, error)
        raise
    finally:
        logger.finish(failed=failed)
    return {**result, "folder": str(folder)}


def carry_out(job: EditJob, folder: Path, plain: dict[str, Any], logger: AbstractLogger) -> dict[str, Any]:
    """Pictures, latents, numbers, report."""
    write_atomic(folder / "config.yaml", lambda path: path.write_text(OmegaConf.to_yaml(plain)))
    for name in job.left_out:
        print(f"left out: {name}: its projection diverged")
    if job.directions:
        save_directions(folder / "directions.safetensors", job.directions, job.generator, command=command())
    for sheet in job.sheets:
        picture = draw(job, sheet, folder)
        animate(job, sheet, folder, plain["frames"], plain["video"])
        logger.images(sheet.name, picture, 0)
        print(f"{sheet.name}: {folder}/sheets/{safe_name(sheet.name)}.png")
    paths = interpolate(job, folder, plain) if plain["interpolation"] else []
    rows = measure(job, plain["measured"])
    write_atomic(folder / "results.parquet", rows.write_parquet)
    result = describe(job, plain, rows, paths)
    flat = [(name, metric, *row.values()) for name, own in result["scores"].items() for metric, row in own.items()]
    if flat:
        logger.table("editability", ["direction", "metric", "mean", "low", "high", "n"], flat)
        logger.summary({f"{name}/{metric}": mean for name, metric, mean, *_ in flat})
    for name, metric, mean, low, high, count in flat:
        if metric.count("/") > 1:  # a single factor; the page has them all
            continue
        print(f"{name:20s} {metric:28s} {mean:8.4f}  [{low:.4f}, {high:.4f}]  {count}")
    write_edit_report(folder, result)
    record_result(folder, result)
    print(f"report: {folder}/report.html")
    return result


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
    card = {"kind": "edited latents", "ids": ids, "space": space, "generator": job.generator.fingerprint()}
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
    kind, ids, maps, names = plain["interpolation"], job.inversion.ids, job.inversion.noise, []
    latents, space = job.inversion.latent, job.inversion.space
    if kind == "w_plus" and space != "w_plus":
        latents, space = job.generator.lift(latents, space, "w_plus"), "w_plus"
    for a, b in job.pairs:
        made = []
        for share in torch.linspace(0, 1, plain["frames"]).tolist():
            point = (slerp if kind == "spherical" else torch.lerp)(latents[a : a + 1], latents[b : b + 1], share)
            noise = {key: slerp(own[a : a + 1], own[b : b + 1], share) for key, own in maps.items()}
            image = job.generator.synthesize(point, space, noise or job.inversion.noise_mode)
            made.append(image.clamp(-1, 1).cpu())
        name = safe_name(f"{ids[a]}--{ids[b]}")
        nine = [made[round(i * (len(made) - 1) / 8)] for i in range(9)]
        write_png(folder / "interpolations" / f"{name}.png", grid(enlarge(torch.cat(nine)), 9, gap=4))
        film(folder / "interpolations" / name, [enlarge(frame)[0] for frame in made], plain["video"])
        names.append(name)
    return names


def measure(job: EditJob, count: int) -> pl.DataFrame:
    """A row for each direction, image and thing measured, without an image where it is of all of them together; values
    that are not defined have none."""
    rows: list[tuple[str, str | None, str, float]] = []
    inversion = job.inversion
    noise: Any = {name: maps[:count] for name, maps in inversion.noise.items()} or inversion.noise_mode
    for name, direction in job.directions.items():
        alphas = torch.tensor(sorted(job.strengths[name]), device=inversion.latent.device)
        walked = Walked(name, direction, job.generator, inversion.latent[:count], inversion.space, alphas, noise)
        for one in job.editability.values():
            for metric, values in one(walked).items():
                images = inversion.ids[:count] if len(values) == len(walked) else [None]
                pairs = zip(images, values.tolist(), strict=True)
                rows += [(name, image, metric, value) for image, value in pairs if math.isfinite(value)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def describe(job: EditJob, plain: dict[str, Any], rows: pl.DataFrame, paths: list[str]) -> dict[str, Any]:
    """What goes into ``result.json``."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for (direction, metric), own in rows.group_by("direction", "metric", maintain_order=True):
        values = own["value"].to_numpy()
        low, high = bootstrap_interval(values)
        found = {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}
        scores.setdefault(str(direction), {})[str(metric)] = found
    return {
        "config_hash": job.key,
        "command": command(),
        "inversion": str(job.source),
        "space": job.inversion.space,
        "images": job.inversion.ids,
        "left_out": job.left_out,
        "combine": plain["combine"],
        "sheets": [{"name": sheet.name, "combinations": sheet.combinations} for sheet in job.sheets],
        "interpolations": paths,
        "directions": {n: {"space": d.space, **vars(d.label)} for n, d in job.directions.items()},
        "scores": scores,
        "generator": job.generator.fingerprint(),
        **commit(),
        "versions": versions(),
        "machine": machine(),
    }
