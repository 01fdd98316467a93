"""Edits brought onto photos of four times the generator's resolution, beside what the world itself draws: prints the
tables of README.md, draws its sheets.

    python experiments/edit_transfer/compare.py --figures experiments/edit_transfer

The margin of the automatic choice is set on cottages of the split ``validation`` and judged on those of ``test``.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import worlds
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure
from worlds import EDITS, FOLDER, Case, World

import zstar
from zstar.images import to_unit, write_png
from zstar.postprocess.base import Change
from zstar.postprocess.none import Nothing
from zstar.postprocess.residual import Residual
from zstar.postprocess.transfer import Transfer
from zstar.reports.captions import labelled
from zstar.reports.numbers import mean_with_interval
from zstar.runs.folder import config_hash, write_json, write_text

WAYS = {
    "up-sampled G(v′)": Nothing(),
    "residual": Residual(),
    "colour": Transfer(model="colour"),
    "flow and colour": Transfer(model="flow"),
}
AUTOMATIC = Transfer()
BATCH = 4  # photos at once
MARGINS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
WIDTH = 192  # pixels of a photo in a sheet
SHOWN = 3  # photos of a sheet: the best, the middle and the worst, by the automatic choice


def decibel(made: Tensor, truth: Tensor) -> list[float]:
    """PSNR of each photo."""
    return (10 * torch.log10(4 / (made - truth).square().mean(dim=(1, 2, 3)))).tolist()


def similarity(made: Tensor, truth: Tensor) -> list[float]:
    """SSIM of each photo."""
    pairs = zip(to_unit(made).split(1), to_unit(truth).split(1), strict=True)
    return [float(structural_similarity_index_measure(a, b, data_range=1.0)) for a, b in pairs]


def rows_of(change: Change, part: slice, frames: Mapping[float, Tensor]) -> Change:
    """Some photos of an edit, with frames that are there already."""
    photo, before, after = change.photo[part], change.before[part], change.after[part]
    return Change(photo, before, after, None, lambda share: frames[share][part])


@dataclass(frozen=True)
class Scores:
    """What is measured of an edit, for each photo.

    Attributes:
        psnr, ssim: Name of a way → dB and similarity to the truth.
        gains: By how many dB flow is better than colour alone, as the automatic choice sees it.
    """

    psnr: dict[str, list[float]]
    ssim: dict[str, list[float]]
    gains: list[float]


def measure(case: Case, figure: Path | None) -> Scores:
    """Make the photos in all ways, compare them with the truth, and draw some of them."""
    change, made = case.change, {"nothing": case.change.photo}
    frames = {share: change.path(share) for share in (step / AUTOMATIC.frames for step in range(AUTOMATIC.frames + 1))}
    whole = rows_of(change, slice(None), frames)
    for name, way in WAYS.items():
        made[name] = way(whole)
    gains = AUTOMATIC.gain(AUTOMATIC.way(whole))
    chosen = (gains > AUTOMATIC.margin).view(-1, 1, 1, 1)
    made["automatic"] = torch.where(chosen, made["flow and colour"], made["colour"])
    psnr = {name: decibel(picture, case.truth) for name, picture in made.items()}
    ssim = {name: similarity(picture, case.truth) for name, picture in made.items()}
    if figure is not None:
        draw(case, made, np.argsort(psnr["automatic"]), figure)
    return Scores(psnr, ssim, gains.tolist())


def seconds(world: World) -> float:
    """Of the automatic choice for a photo, alone on one core, without those of the generator: the median."""
    change, spent = world.case_of("house_x, true frames").change, []
    frames = {share: change.path(share) for share in (step / AUTOMATIC.frames for step in range(AUTOMATIC.frames + 1))}
    for row in range(len(change.photo)):
        alone, began = rows_of(change, slice(row, row + 1), frames), time.process_time()
        AUTOMATIC(alone)
        spent.append(time.process_time() - began)
    return float(np.median(spent))


def kept(split: str, first: int, count: int, edit: str, words: list[str], figure: Path | None) -> Scores:
    """The scores of an edit of some photos; they are kept, so that the same command goes on where it was killed."""
    settings = [str(vars(way)) for way in (*WAYS.values(), AUTOMATIC)]
    source = [Path(file).read_text(encoding="utf-8") for file in (__file__, worlds.__file__)]
    key = {"of": [split, first, count, edit, words], "ways": settings, "source": source, "results": zstar.RESULTS}
    path = FOLDER / f"{config_hash(key)}.json"
    if path.is_file() and (figure is None or figure.is_file()):
        return Scores(**json.loads(path.read_text(encoding="utf-8")))
    found = measure(open_world(split, first, count, tuple(words)).case_of(edit), figure)
    write_json(path, asdict(found))
    print(f"{split} {first}: {edit}", flush=True)
    return found


@cache
def open_world(split: str, first: int, count: int, words: tuple[str, ...]) -> World:
    """A world for all edits."""
    return World(split, first, count, list(words))


def all_photos(split: str, count: int, edit: str, words: list[str], figure: Path | None) -> Scores:
    """The scores of an edit of all photos; figures show some of the first ones."""
    parts = [
        kept(split, first, min(BATCH, count - first), edit, words, None if first else figure)
        for first in range(0, count, BATCH)
    ]
    psnr, ssim = (
        {way: [value for part in parts for value in getattr(part, name)[way]] for way in getattr(parts[0], name)}
        for name in ("psnr", "ssim")
    )
    gains = [gain for part in parts for gain in part.gains]
    return Scores(psnr, ssim, gains)


def table(scores: Mapping[str, Scores]) -> str:
    """PSNR and SSIM with their intervals, a row for each way and edit."""
    lines = ["| edit | way | PSNR, dB | SSIM |", "|---|---|---|---|"]
    for edit, found in scores.items():
        for way in found.psnr:
            cells = [edit, way]
            for values, digits in ((found.psnr[way], 2), (found.ssim[way], 4)):
                cells.append(mean_with_interval(values, digits))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def margins(worlds: Mapping[str, Mapping[str, Scores]]) -> str:
    """For each margin how often the choice is right, and what wrong ones cost on average."""
    lines = ["| margin, dB |" + "".join(f" right, {name} | lost, dB, {name} |" for name in worlds)]
    lines.append("|---|" + "---|---|" * len(worlds))
    for margin in MARGINS:
        cells = []
        for edits in worlds.values():
            each = [found for edit, found in edits.items() if not edit.endswith("matched")]
            seen = np.concatenate([found.gains for found in each])
            real = np.concatenate([np.subtract(found.psnr["flow and colour"], found.psnr["colour"]) for found in each])
            wrong = (seen > margin) != (real > 0)
            cells += [f"{int((~wrong).sum())} of {len(wrong)}", f"{(np.abs(real) * wrong).mean():.2f}"]
        lines.append(f"| {margin:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(case: Case, made: Mapping[str, Tensor], order: np.ndarray, path: Path) -> None:
    """A sheet: photos with what each way has made of them, and the truth."""
    rows = dict.fromkeys([int(order[-1]), int(order[len(order) // 2]), int(order[0])])
    cells, labels = [], []
    for row in list(rows)[:SHOWN]:
        cells += [picture[row] for picture in made.values()] + [case.truth[row]]
        labels += ["photo", *list(made)[1:], "truth"]
    cells = F.interpolate(torch.stack(cells), size=(WIDTH, WIDTH), mode="area")
    write_png(path, labelled(cells, labels, len(made) + 1, case.name))


def main() -> None:
    """Project, transfer, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=32, help="photos that are measured, of the split test")
    parser.add_argument("--setting", type=int, default=12, help="photos that the margin is set on, of validation")
    parser.add_argument("--edits", nargs="*", default=list(EDITS), choices=EDITS)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/edit_transfer"))
    parser.add_argument("--words", nargs="*", default=["steps=200"], help="for edit.py")
    size = parser.parse_args()
    figures = {edit: size.figures / f"{edit.replace(', ', '_').replace(' ', '_')}.png" for edit in size.edits}
    worlds = {
        "validation": {edit: all_photos("validation", size.setting, edit, size.words, None) for edit in size.edits},
        "test": {edit: all_photos("test", size.count, edit, size.words, figures[edit]) for edit in size.edits},
    }
    spent = seconds(open_world("test", 0, min(BATCH, size.count), tuple(size.words)))
    text = f"{table(worlds['test'])}\n\n{margins(worlds)}\n\n{spent:.2f} s a photo, alone on one core\n"
    print("\n" + text)
    write_text(FOLDER / "table.md", text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
