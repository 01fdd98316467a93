"""Painting on held-out cottages as photos, measured: prints the tables of README.md, draws its sheets.

    python experiments/painting/compare.py --figures experiments/painting

Each task takes the first photos for which it is possible. A photo is projected by the encoder and optimisation in
w_plus (z), then with a change of the weights (θ) or of feature maps beside it; strokes go over where the thing is, or
would be.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import torch
from hydra import compose, initialize_config_module
from tasks import NAMES, TASKS, Task
from torch import Tensor

from zstar.annotators.load import load_annotator
from zstar.app.open import Workplace, open_workplace
from zstar.app.painting import Painting
from zstar.app.strokes import BadStrokes
from zstar.app.studio import Picture
from zstar.config.build import build
from zstar.data.cottages import FACTORS, Cottages, render
from zstar.images import enlarge, write_png
from zstar.losses.targets import Targets
from zstar.postprocess.base import grow
from zstar.projectors.base import project
from zstar.reports.captions import labelled
from zstar.runs.folder import write_text
from zstar.segmenters.annotator import Annotator

CHAINS = {
    "z": "[encoder_or_mean,optimization]",
    "θ": "[encoder_or_mean,optimization,weights]",
    "features": "[encoder_or_mean,optimization,features]",
}
MARGIN = 4  # pixels around what was painted that belong to neither inside nor outside


def open_with(chain: str, words: Sequence[str]) -> Workplace:
    """The studio of ``paint.py`` with a chain of projectors."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        return open_workplace(compose("paint", [f"projector={CHAINS[chain]}", *words]))


def project_all(workplace: Workplace, photos: Tensor, ids: list[str]) -> tuple[dict[str, Picture], float, float]:
    """The photos, projected together; mean PSNR of the projections, and seconds a photo."""
    pipeline, began = workplace.pictures.pipeline, time.perf_counter()
    found = project(pipeline.problem, pipeline.projectors, Targets({"image": photos}, ids))
    seconds = (time.perf_counter() - began) / len(ids)
    pictures = {
        name: Picture(
            photos[i : i + 1], {k: v[i : i + 1] for k, v in found.v.items()}, found.space, {"image": name}, name
        )
        for i, name in enumerate(ids)
    }
    psnr = sum(decibel(photos[i], found.image[i].clamp(-1, 1)) for i in range(len(ids))) / len(ids)
    return pictures, psnr, seconds


def decibel(a: Tensor, b: Tensor) -> float:
    """PSNR of images in [−1, 1], at most 99."""
    return min(99.0, -10 * math.log10(max(((a - b) / 2).square().mean().item(), 1e-12)))


def carry_out(task: Task, workplace: Workplace, picture: Picture, factors: Tensor, kind: str, judge: Annotator) -> dict:
    """One task on one photo: the finished picture and what is measured of it."""
    place, painting, began = task.place(factors), Painting(workplace.studio, picture), time.perf_counter()
    try:
        for stroke in task.strokes(place, kind):
            painting.add(stroke)
    except BadStrokes:
        return {}
    made, raw = painting.render(), workplace.studio.render(*painting.variables(), "const")
    seconds, plain = time.perf_counter() - began, workplace.studio.render(picture.v, picture.space, "const")
    far = grow((painting.mask() > 0).float(), MARGIN)[0, 0] == 0
    inside, box = place > 0, grow(place[None, None], 2)[0, 0] > 0
    column = judge.column(task.kind, "task")
    before, after = judge(picture.photo)[0], judge(made)[0]
    share = (after[inside] == column).float().mean().item()
    return {
        "made": made,
        "raw": raw,
        "seen": share >= 0.5 if task.on else share <= 0.2,
        "share": share,
        "outside": decibel(made[0][:, far], picture.photo[0][:, far]),
        "raw_outside": decibel(raw[0][:, far], plain[0][:, far]),
        "changed": 100 * (before != after)[far].float().mean().item(),
        "truth": max(decibel(made[0][:, box], truth[:, box]) for truth in task.truths(factors)),
        "seconds": seconds,
    }


def restyle(workplace: Workplace, pictures: Sequence[Picture], factors: Tensor) -> Iterator[dict]:
    """Autumn to spring: the season's direction, as far as it goes, on each photo."""
    judge, vocabulary = load_annotator("judge64")
    column = NAMES.index("season")
    for picture, own in zip(pictures, factors, strict=True):
        painting, began = Painting(workplace.studio, picture), time.perf_counter()
        painting.restyle({"season": workplace.studio.directions["season"].label.low})
        made, wanted = painting.render(), own.clone()
        wanted[column] = max(float(own[column]) - 0.5, FACTORS["season"].low)
        read = [vocabulary.read(judge(one).factors)[0] for one in (picture.photo, made)]
        seconds = time.perf_counter() - began
        change = float(read[1][column] - read[0][column])
        truth = decibel(made[0], render(wanted[None])[0][0])
        yield {"made": made, "raw": made, "seen": change <= -0.3, "share": change, "truth": truth, "seconds": seconds}


def rows_of(count: argparse.Namespace, words: list[str]) -> tuple[list[dict], dict, list[str]]:
    """A row for each projection, kind of brush, task and photo; the pictures; and facts of the projections."""
    data = Cottages(count=count.pool)
    batch = data.read(range(count.pool))
    factors, judge = batch.extras["factors"], Annotator("judge64")
    chosen = {t.name: [i for i in range(count.pool) if t.possible(factors[i])][: count.count] for t in TASKS}
    autumn = [i for i in range(count.pool) if factors[i, NAMES.index("season")] > 0.6][: count.count]
    used = sorted({i for places in chosen.values() for i in places} | set(autumn))
    rows, sheets, facts, scenes = [], {}, [], None
    for chain in count.chains:
        workplace = open_with(chain, words)
        ids = [batch.ids[i] for i in used]
        pictures, psnr, seconds = project_all(workplace, batch.images[used], ids)
        facts.append(f"| {chain} | {len(ids)} | {psnr:.1f} | {seconds:.1f} |")
        print(facts[-1], flush=True)
        for kind in count.kinds:
            brush = workplace.studio.brushes[kind]
            if kind == "optimize":  # scenes are drawn once, and count for no stroke
                scenes = scenes or brush.scenes
                brush.scenes = scenes
                scenes.draw()
            for task in TASKS:
                if task.kind not in workplace.studio.classes:
                    continue
                for i in chosen[task.name]:
                    found = carry_out(task, workplace, pictures[batch.ids[i]], factors[i], kind, judge)
                    keep(rows, sheets, (chain, kind, task.name, batch.ids[i]), found, batch.images[i])
        restyled = restyle(workplace, [pictures[batch.ids[i]] for i in autumn], factors[autumn])
        for i, found in zip(autumn, restyled, strict=True):
            keep(rows, sheets, (chain, "direction", "autumn to spring", batch.ids[i]), found, batch.images[i])
        for name in count.postprocess:
            with_other(rows, workplace, name, chain, pictures, chosen, factors, batch.ids, judge)
    return rows, sheets, facts


def with_other(rows, workplace, name, chain, pictures, chosen, factors, ids, judge) -> None:
    """The tasks with units once more, with another way onto the photo."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        other = build(compose("paint", [f"postprocess={name}"]).postprocess)
    studio = replace(workplace.studio, postprocess=other)
    for task in TASKS:
        for i in chosen[task.name] if task.kind in studio.classes else ():
            found = carry_out(task, replace(workplace, studio=studio), pictures[ids[i]], factors[i], "units", judge)
            keep(rows, {}, (chain, f"units, {name}", task.name, ids[i]), found, factors)


def keep(rows: list[dict], sheets: dict, key: tuple[str, str, str, str], found: dict, photo: Tensor) -> None:
    """Put what was found where it belongs."""
    chain, kind, task, image = key
    rows.append({"projection": chain, "brush": kind, "task": task, "image": image}
                | {name: value for name, value in found.items() if name not in ("made", "raw")})  # fmt: skip
    if found:
        sheets.setdefault((task, image), [photo]).append(found["made"][0])


def table(rows: list[dict]) -> str:
    """A line for each projection, brush and task."""
    frame = pl.DataFrame(rows, infer_schema_length=None)
    heads = ["task", "projection", "brush", "photos", "judge sees it", "dB outside", "dB outside, G(v′) alone"]
    heads += ["% of classes changed outside", "dB to the nearest truth: median, least", "s a photo"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for (task, chain, brush), own in frame.group_by("task", "projection", "brush", maintain_order=True):
        seen = own["seen"].fill_null(False)
        cells = [task, chain, brush, str(len(own)), f"{int(seen.sum())} of {len(own)}"]
        cells += [number(own[name].median(), 1) if name in own.columns else "–" for name in ("outside", "raw_outside")]
        cells += [number(own["changed"].mean(), 2) if "changed" in own.columns else "–"]
        cells += [f"{number(own['truth'].median(), 1)}, {number(own['truth'].min(), 1)}"]
        cells += [number(own["seconds"].median(), 2)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def draw(rows: list[dict], sheets: dict, folder: Path) -> None:
    """A sheet for each task: photos above each other, the photo first and then what each way has made of it."""
    ways = list(dict.fromkeys((row["projection"], row["brush"]) for row in rows if ", " not in row["brush"]))
    for task in dict.fromkeys(row["task"] for row in rows):
        own = {image: cells for (name, image), cells in sheets.items() if name == task}
        done = {(row["projection"], row["brush"]) for row in rows if row["task"] == task}
        titles = ["photo", *(f"{chain}, {brush}" for chain, brush in ways if (chain, brush) in done)]
        whole = {image: cells for image, cells in own.items() if len(cells) == len(titles)}
        if not whole:
            continue
        cells = enlarge(torch.stack([cell for cells in list(whole.values())[:6] for cell in cells]), 128)
        labels = titles * min(6, len(whole))
        write_png(folder / f"{task.replace(' ', '_')}.png", labelled(cells, labels, len(titles), task))


def main() -> None:
    """Project, paint, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=8, help="photos of each task")
    parser.add_argument("--pool", type=int, default=64, help="held-out cottages that they are taken from")
    parser.add_argument("--chains", nargs="*", default=list(CHAINS), choices=list(CHAINS))
    parser.add_argument("--kinds", nargs="*", default=["units", "optimize"], choices=["units", "optimize"])
    parser.add_argument("--postprocess", nargs="*", default=["blend"])
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/painting"))
    parser.add_argument("--words", nargs="*", default=[], help="for paint.py, such as steps=50")
    count = parser.parse_args()
    rows, sheets, facts = rows_of(count, count.words)
    text = "| projection | photos | PSNR | s a photo |\n|---|---|---|---|\n" + "\n".join(facts) + "\n\n" + table(rows)
    print("\n" + text)
    write_text(Path("outputs/painting/table.md"), text + "\n")
    Path("outputs/painting").mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, infer_schema_length=None).write_csv("outputs/painting/rows.csv")
    draw(rows, sheets, count.figures)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
