"""Painting on held-out cottages as photos, measured: prints the tables of README.md, draws its sheets.

    python experiments/painting/compare.py --figures experiments/painting

Each task takes the first photos for which it is possible. A photo is projected by the encoder and optimisation in
w_plus (z), then with a change of the weights (θ) or of feature maps beside it; strokes go over where the thing is, or
would be.
"""

import argparse
import hashlib
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
from zstar.checkpoints.io import resolve
from zstar.config.build import to_plain
from zstar.data.cottages import FACTORS, Cottages, render
from zstar.data.reading import read_image
from zstar.images import enlarge, write_png
from zstar.inversion import Inversion
from zstar.losses.targets import Targets
from zstar.objective import Objective
from zstar.postprocess.base import grow
from zstar.postprocess.chain import Chain, make_chain
from zstar.reports.captions import labelled
from zstar.runs.folder import config_hash, write_atomic, write_text
from zstar.segmenters.annotator import Annotator

CHAINS = {
    "z": ["projector=[encoder_or_mean,optimization]"],
    "θ": ["projector=[encoder_or_mean,optimization,weights]", "projector.weights.steps=50"],
    "features": ["projector=[encoder_or_mean,optimization,features]", "projector.features.steps=50"],
}
FOLDER = Path("outputs/painting")
MARGIN = 4  # pixels around what was painted that belong to neither inside nor outside


def open_with(chain: str, words: Sequence[str]) -> Workplace:
    """The studio of ``paint.py`` with a chain of projectors."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        return open_workplace(compose("paint", [*CHAINS[chain], *words]))


def project_all(workplace: Workplace, photos: Tensor, ids: list[str], key: dict, start: Inversion | None) -> Inversion:
    """The photos, projected together; kept, so that the same command goes on where it was killed. Seconds are those of
    the processor."""
    path = FOLDER / f"{config_hash(key | {'ids': ids})}.safetensors"
    if path.is_file():
        return Inversion.load(path)
    pipeline, began = workplace.pictures.pipeline, time.process_time()
    objective = Objective(pipeline.problem, Targets({"image": photos}, ids))
    found = start
    for projector in pipeline.projectors if start is None else pipeline.projectors[-1:]:
        found = projector(objective, found)
    spent = (time.process_time() - began) / len(ids) + (0 if start is None else float(start.seconds[0]))
    found = replace(found, seconds=torch.full((len(ids),), spent), history={})
    found.save(path)
    return found


def pictures_of(found: Inversion, photos: Tensor) -> dict[str, Picture]:
    """Each photo with its own part of the projection."""
    return {
        name: Picture(
            photos[i : i + 1], {k: v[i : i + 1] for k, v in found.v.items()}, found.space, {"image": name}, name
        )
        for i, name in enumerate(found.ids)
    }


def decibel(a: Tensor, b: Tensor) -> float:
    """PSNR of images in [−1, 1], at most 99."""
    return min(99.0, -10 * math.log10(max(((a - b) / 2).square().mean().item(), 1e-12)))


def carry_out(task: Task, workplace: Workplace, picture: Picture, factors: Tensor, kind: str, judge: Annotator) -> dict:
    """One task on one photo: the finished picture and what is measured of it."""
    place, painting, began = task.place(factors), Painting(workplace.studio, picture), time.process_time()
    try:
        for stroke in task.strokes(place, kind):
            painting.add(stroke)
    except BadStrokes:
        return {}
    made, raw = painting.render(), workplace.studio.render(*painting.variables(), "const")
    seconds, plain = time.process_time() - began, workplace.studio.render(picture.v, picture.space, "const")
    far = grow((painting.mask() > 0).float(), MARGIN)[0, 0] == 0
    inside, box = place > 0, grow(place[None, None], 2)[0, 0] > 0
    column = judge.column(task.kind, "task")
    before, after = judge(picture.photo)[0], judge(made)[0]
    share = (after[inside] == column).float().mean().item()
    return {
        "made": made,
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
        painting, began = Painting(workplace.studio, picture), time.process_time()
        painting.restyle({"season": workplace.studio.directions["season"].label.low})
        made, wanted = painting.render(), own.clone()
        wanted[column] = max(float(own[column]) - 0.5, FACTORS["season"].low)
        read = [vocabulary.read(judge(one).factors)[0] for one in (picture.photo, made)]
        seconds = time.process_time() - began
        change = float(read[1][column] - read[0][column])
        truth = decibel(made[0], render(wanted[None])[0][0])
        yield {"made": made, "seen": change <= -0.3, "share": change, "truth": truth, "seconds": seconds}


class Part:
    """What one projection and one kind of brush have come to, in a folder; what is there already is not done again."""

    def __init__(self, chain: str, brush: str, key: dict) -> None:
        self.chain, self.brush = chain, brush
        self.folder = FOLDER / config_hash(key | {"brush": brush})
        self.rows: list[dict] = []

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return (self.folder / "rows.csv").is_file()

    def keep(self, task: str, image: str, found: dict) -> None:
        """Write the picture, and remember the numbers."""
        numbers = {name: float(value) for name, value in found.items() if name != "made"}
        self.rows.append({"projection": self.chain, "brush": self.brush, "task": task, "image": image} | numbers)
        if found:
            write_png(self.folder / f"{task} {image}.png", found["made"][0])

    def end(self) -> None:
        """Write the numbers."""
        frame = pl.DataFrame(self.rows, infer_schema_length=None)
        write_atomic(self.folder / "rows.csv", frame.write_csv)

    def read(self) -> pl.DataFrame:
        """The numbers."""
        return pl.read_csv(self.folder / "rows.csv", infer_schema_length=None)


def work(count: argparse.Namespace) -> tuple[list[Part], list[str], Tensor, list[str]]:
    """All parts, facts of the projections, and the photos with their names."""
    batch = Cottages(count=count.pool).read(range(count.pool))
    factors, judge = batch.extras["factors"], Annotator("judge64")
    chosen = {t.name: [i for i in range(count.pool) if t.possible(factors[i])][: count.count] for t in TASKS}
    autumn = [i for i in range(count.pool) if factors[i, NAMES.index("season")] > 0.6][: count.count]
    used = sorted({i for places in chosen.values() for i in places} | set(autumn))
    ids, photos = [batch.ids[i] for i in used], batch.images[used]
    parts, facts, scenes, start = [], [], None, None
    for chain in CHAINS:
        if chain not in count.chains and chain != "z":
            continue
        workplace = open_with(chain, count.words)
        key = {"chain": chain, "words": count.words}
        if chain != "z":  # on fewer photos, from the latents that there are
            chosen, autumn = {name: places[: count.few] for name, places in chosen.items()}, autumn[: count.few]
            key |= {"few": count.few}
            used = sorted({i for places in chosen.values() for i in places} | set(autumn))
            start = start.select([start.ids.index(batch.ids[i]) for i in used])
            start = replace(start, history={"total": torch.zeros(len(used), 1)})
            ids, photos = start.ids, batch.images[used]
        found = project_all(workplace, photos, ids, key, start)
        start = start or found
        if chain not in count.chains:
            continue
        psnr = sum(decibel(photo, image.clamp(-1, 1)) for photo, image in zip(photos, found.image, strict=True))
        facts.append(f"| {chain} | {len(ids)} | {psnr / len(ids):.1f} | {float(found.seconds[0]):.1f} |")
        pictures = pictures_of(found, photos)
        brushes = [*count.kinds, *(f"units, {name}" for name in count.postprocess if "units" in count.kinds)]
        for brush in [*brushes, "direction"]:
            extra = {
                "count": count.count,
                "pool": count.pool,
                "units": units_hash(count.words) if "units" in brush else "",
            }
            part = Part(chain, brush, key | extra)
            parts.append(part)
            if part.done:
                continue
            print(f"{chain}, {brush}", flush=True)
            studio = workplace.studio
            if brush == "optimize":  # scenes are drawn once, and count for no stroke
                scenes = scenes or studio.brushes["optimize"].scenes
                studio.brushes["optimize"].scenes = scenes
                scenes.draw()
            if ", " in brush:
                studio = replace(studio, postprocess=other_postprocess(brush.partition(", ")[2]))
            if brush == "direction":
                own = [pictures[batch.ids[i]] for i in autumn]
                for i, one in zip(autumn, restyle(workplace, own, factors[autumn]), strict=True):
                    part.keep("autumn to spring", batch.ids[i], one)
            for task in TASKS if brush != "direction" else ():
                for i in chosen[task.name] if task.kind in studio.classes else ():
                    here, kind = replace(workplace, studio=studio), brush.partition(", ")[0]
                    one = carry_out(task, here, pictures[batch.ids[i]], factors[i], kind, judge)
                    part.keep(task.name, batch.ids[i], one)
            part.end()
    return parts, facts, batch.images, batch.ids


def other_postprocess(name: str) -> Chain:
    """Another way onto the photo."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        return make_chain(to_plain(compose("paint", [f"postprocess=[{name}]"]))["postprocess"])


def units_hash(words: list[str]) -> str:
    """What tells a file of units from another one."""
    named = [word.partition("=")[2] for word in words if word.startswith("units=")] or ["units64"]
    return hashlib.sha256(resolve(named[0]).read_bytes()).hexdigest()


def table(frame: pl.DataFrame) -> str:
    """A line for each task, projection and brush."""
    heads = ["task", "projection", "brush", "judge sees it", "dB outside", "dB outside, G(v′) alone"]
    heads += ["% of classes changed outside", "dB to the nearest truth: median, least", "s a photo"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for (task, chain, brush), own in frame.group_by("task", "projection", "brush", maintain_order=True):
        cells = [task, chain, brush, f"{int(own['seen'].fill_null(0).sum())} of {len(own)}"]
        cells += [number(own["outside"].median(), 1), number(own["raw_outside"].median(), 1)]
        cells += [
            number(own["changed"].mean(), 2),
            f"{number(own['truth'].median(), 1)}, {number(own['truth'].min(), 1)}",
        ]
        lines.append("| " + " | ".join([*cells, number(own["seconds"].median(), 2)]) + " |")
    return "\n".join(lines)


def goals(frame: pl.DataFrame) -> str:
    """Of the optimised brush with z, how many pictures are within what a painter wants, and the worst of each."""
    heads = ["task", "seen, first ten", "40 dB outside or more", "least", "0.6 % of classes changed or less", "most"]
    heads += ["20.5 dB to the truth or more", "longest, s"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    some = frame.filter(projection="z", brush="optimize")
    for (task,), own in some.group_by("task", maintain_order=True):
        within = own["outside"] >= 40, own["changed"] <= 0.6, own["truth"] >= 20.5
        outside, changed, truth = (f"{int(one.sum())} of {len(own)}" for one in within)
        cells = [task, f"{int(own['seen'].head(10).fill_null(0).sum())} of {min(10, len(own))}"]
        cells += [outside, number(own["outside"].min(), 1), changed, number(own["changed"].max(), 2)]
        lines.append("| " + " | ".join([*cells, truth, number(own["seconds"].max(), 1)]) + " |")
    return "\n".join(lines)


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def draw(parts: list[Part], frame: pl.DataFrame, photos: dict[str, Tensor], folder: Path) -> None:
    """A sheet for each task: the photo first, and then what each way has made of it."""
    for (task,), own in frame.group_by("task", maintain_order=True):
        ways = [part for part in parts if len(own.filter(projection=part.chain, brush=part.brush))]
        cells, labels = [], []
        for image in own["image"].unique(maintain_order=True).to_list()[:6]:
            cells.append(photos[image])
            for part in ways:
                path = part.folder / f"{task} {image}.png"
                cells.append(read_image(path, 64) if path.is_file() else torch.ones(3, 64, 64))
            labels += ["photo", *(f"{part.chain}, {part.brush}" for part in ways)]
        sheet = labelled(enlarge(torch.stack(cells), 128), labels, 1 + len(ways), str(task))
        write_png(folder / f"{str(task).replace(' ', '_')}.png", sheet)


def main() -> None:
    """Project, paint, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=8, help="photos of each task")
    parser.add_argument("--few", type=int, default=3, help="of these, those that θ and features are compared on")
    parser.add_argument("--pool", type=int, default=64, help="held-out cottages that they are taken from")
    parser.add_argument("--chains", nargs="*", default=list(CHAINS), choices=list(CHAINS))
    parser.add_argument("--kinds", nargs="*", default=["units", "optimize"], choices=["units", "optimize"])
    parser.add_argument(
        "--postprocess", nargs="*", default=["blend", "poisson"], help="beside that of paint.py, for units"
    )
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/painting"))
    parser.add_argument("--words", nargs="*", default=[], help="for paint.py, such as steps=50")
    count = parser.parse_args()
    parts, facts, photos, ids = work(count)
    frame = pl.concat([part.read() for part in parts], how="diagonal_relaxed")
    order = {task.name: place for place, task in enumerate(TASKS)}
    frame = frame.sort(pl.col("task").replace_strict(order, default=len(order)), maintain_order=True)
    text = "| projection | photos | PSNR | s a photo |\n|---|---|---|---|\n" + "\n".join(facts)
    text += f"\n\n{table(frame.filter(projection='z'))}\n"
    if not frame.filter(projection="z", brush="optimize").is_empty():
        text += f"\n{goals(frame)}\n"
    if set(count.chains) - {"z"}:
        pairs = frame.filter(pl.col("projection") != "z").select("task", "image").unique()
        frame = frame.filter(~pl.col("brush").str.contains(", "))
        text += f"\n{table(frame.join(pairs, on=['task', 'image'], how='semi', maintain_order='left'))}\n"
    print("\n" + text)
    write_text(FOLDER / "table.md", text)
    parts = [part for part in parts if ", " not in part.brush]
    draw(parts, frame.filter(~pl.col("brush").str.contains(", ")), dict(zip(ids, photos, strict=True)), count.figures)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
