"""Painting on photos of cats and of people, through generators of others: prints a table of README.md.

    DCGAN=G_iter6400.pkl CATS=cats python experiments/painting/photos.py cats --units units.safetensors
    DCGAN=weights.safetensors FACES=celeba.tar LANDMARKS=landmarks.csv PARSING=face_parsing.safetensors \
      VGG=vgg_normalised_conv3_1.pth python experiments/painting/photos.py faces --units units.safetensors \
      --judge judge.safetensors

A photo is projected by optimisation in z from the prior's mean (z), and with a change of the weights behind it (θ). The
sheets in ``--figures`` are of photos that may not be shown.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from compare import MARGIN, decibel, number, pictures_of
from hydra import compose, initialize_config_module
from torch import Tensor

from zstar.app.open import Workplace, open_workplace
from zstar.app.painting import Painting
from zstar.app.strokes import BadStrokes, Stroke
from zstar.app.studio import Picture
from zstar.images import enlarge, write_png
from zstar.losses.targets import Targets
from zstar.postprocess.base import grow
from zstar.projectors.base import project
from zstar.reports.captions import labelled
from zstar.reports.numbers import mean_with_interval

ROOT = Path(__file__).parents[2]
CHAINS = {"z": "projector=[mean,optimization]", "θ": "projector=[mean,optimization,weights]"}


@dataclass(frozen=True)
class Wish:
    """What a painter wants of a photo: a stroke of a class, at places that are shares of the side.

    Attributes:
        name: What tables call it.
        kind: The class.
        points: From where to where.
        size: Width of the brush.
        on: Whether it is drawn, or removed.
    """

    name: str
    kind: str
    points: tuple[tuple[float, float], ...]
    size: float
    on: bool = True

    def stroke(self, side: int, brush: str) -> Stroke:
        """The stroke on a picture of this size."""
        points = tuple((x * side, y * side) for x, y in self.points)
        return Stroke(self.kind, points, self.size * side, brush, "draw" if self.on else "remove")


WISHES = {
    "cats": (
        Wish("a white blaze", "white", ((0.5, 0.08), (0.5, 0.35)), 0.16),
        Wish("a dark muzzle", "dark", ((0.4, 0.74), (0.6, 0.74)), 0.22),
        Wish("brown round the eyes", "brown", ((0.28, 0.42), (0.72, 0.42)), 0.25),
        Wish("no blue in the eyes", "blue", ((0.28, 0.42), (0.72, 0.42)), 0.25, on=False),
    ),
    "faces": (
        Wish("glasses", "glasses", ((0.3, 0.46), (0.7, 0.46)), 0.16),
        Wish("a fringe", "hair", ((0.3, 0.2), (0.7, 0.2)), 0.2),
        Wish("a hat", "hat", ((0.15, 0.06), (0.85, 0.06)), 0.25),
    ),
}


def words(world: str, units: str) -> tuple[list[str], str]:
    """What ``paint.py`` is told, and the folder of the example's own configs."""
    common = ["direction=[]", f"units={units}", "space=z", "loss=[pixel]"]
    # Such a z is far longer than a row of w_plus, and each of its numbers moves the whole picture.
    common += ["brush.lr=0.05", "brush.steps=100", "brush.outside=3", "brush.origin=0.01"]
    if world == "cats":
        own = ["generator=grumpy", f"generator.checkpoint={os.environ['DCGAN']}", "segmenter=grumpy_colours",
               "data=folder", f"data.path={os.environ['CATS']}", "space.constraint=prior"]  # fmt: skip
        return [*common, *own], "grumpy"
    own = ["generator=digiface", f"generator.checkpoint={os.environ['DCGAN']}", "segmenter=face_parsing",
           f"segmenter.checkpoint={os.environ['PARSING']}", "data=close_faces", f"data.path={os.environ['FACES']}",
           f"data.landmarks={os.environ['LANDMARKS']}", "data.detector=null", "data.first=4900",
           "space.constraint=sphere"]  # fmt: skip
    return [*common, *own], "faces"


def open_world(world: str, chain: str, units: str, more: Sequence[str]) -> Workplace:
    """The studio of ``paint.py`` for a world of an example."""
    own, folder = words(world, units)
    example = ROOT / "examples" / folder
    if str(example) not in sys.path:
        sys.path.insert(0, str(example))
    with initialize_config_module("zstar.conf", version_base="1.3"):
        return open_workplace(compose("paint", [f"hydra.searchpath=[{example / 'conf'}]", *own, CHAINS[chain], *more]))


def projected(workplace: Workplace, photos: Tensor, ids: list[str]) -> tuple[list[Picture], str]:
    """The photos, projected together, and how near the projections are."""
    pipeline, began = workplace.pictures.pipeline, time.process_time()
    found = project(pipeline.problem, pipeline.projectors, Targets({"image": photos}, ids))
    seconds = (time.process_time() - began) / len(ids)
    fit = mean_with_interval([decibel(a, b.clamp(-1, 1)) for a, b in zip(photos, found.image, strict=True)])
    return list(pictures_of(found, photos).values()), f"{fit} | {seconds:.1f}"


def carry_out(wish: Wish, brush: str, workplace: Workplace, picture: Picture) -> dict:
    """One wish on one photo: the finished picture, and what is measured of it; nothing, and why, where no stroke can be
    made."""
    began, painting = time.process_time(), Painting(workplace.studio, picture)
    try:
        painting.add(wish.stroke(picture.photo.shape[-1], brush))
    except BadStrokes as error:
        print(f"{wish.name}, {brush}, {picture.title}: {error}", flush=True)
        return {}
    made, seconds = painting.render(), time.process_time() - began
    inside = painting.mask()[0, 0] > 0.5
    far = grow((painting.mask() > 0).float(), MARGIN)[0, 0] == 0
    column = workplace.segmenter.column(wish.kind, "wish")
    before, after = ((workplace.segmenter(one)[0] == column)[inside].float().mean() for one in (picture.photo, made))
    return {
        "made": made[0], "before": float(before), "after": float(after), "seconds": seconds,
        "outside": decibel(made[0][:, far], picture.photo[0][:, far]),
    }  # fmt: skip


def judge_of(path: str | None) -> Callable[[Tensor, Wish], float]:
    """What a judge of another make says of a picture; NaN where there is none of a wish."""
    if path is None:
        return lambda _, __: float("nan")
    from face_judge import Judge  # of examples/faces

    from zstar.checkpoints.card_files import read_card
    from zstar.checkpoints.io import load_into, load_weights

    names = read_card(Path(path))["names"]
    judge = Judge(os.environ["VGG"], len(names))
    load_into(judge, load_weights(Path(path), None), Path(path))

    @torch.no_grad()
    def read(image: Tensor, wish: Wish) -> float:
        return float(judge(image[None])[0, names.index(wish.kind)]) if wish.kind in names else float("nan")

    return read


def work(given: argparse.Namespace) -> Iterator[dict]:
    """A row for each photo, wish, chain and kind of brush."""
    for chain in CHAINS:
        workplace = open_world(given.world, chain, given.units, given.words)
        batch = workplace.pictures.data.read(range(given.count))
        pictures, fit = projected(workplace, batch.images, batch.ids)
        print(f"| {chain} | {len(pictures)} | {fit} |", flush=True)
        wishes = [wish for wish in WISHES[given.world] if wish.kind in workplace.studio.classes]
        for wish in set(WISHES[given.world]) - set(wishes):
            print(f"{wish.name}: there are no units of {wish.kind}", flush=True)
        read = judge_of(given.judge)
        for wish in wishes:
            for brush in given.kinds:
                for picture in pictures:
                    found = carry_out(wish, brush, workplace, picture)
                    judged = {}
                    if found:
                        judged = {"judged": read(found["made"], wish) - read(picture.photo[0], wish)}
                    key = {"chain": chain, "wish": wish.name, "on": wish.on, "brush": brush, "photo": picture.photo[0]}
                    yield key | found | judged


def table(rows: list[dict]) -> str:
    """A line for each wish, projection and brush."""
    heads = ["wish", "projection", "brush", "done", "of the stroke before, %", "after, % [95 %]", "dB outside", "judge"]
    lines = [f"| {' | '.join([*heads, 's a stroke'])} |", "|---" * (len(heads) + 1) + "|"]
    plain = [{name: value for name, value in row.items() if not isinstance(value, Tensor)} for row in rows]
    frame = pl.DataFrame(plain, infer_schema_length=None)
    for (wish, chain, brush, on), own in frame.group_by("wish", "chain", "brush", "on", maintain_order=True):
        after = own["after"].drop_nulls()
        before = own["before"].drop_nulls()
        done = int(((after >= 0.5) if on else (after <= before / 2)).sum())
        judged = own["judged"].drop_nulls().drop_nans().to_list()
        cells = [wish, chain, brush, f"{done} of {len(own)}", number((before * 100).mean(), 0)]
        cells += [mean_with_interval(after.to_numpy() * 100), number(own["outside"].median(), 1)]
        cells += [mean_with_interval(judged) if judged else "–", number(own["seconds"].median(), 2)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(rows: list[dict], world: str, folder: Path) -> None:
    """A sheet for each wish: photos, and below each what every way has made of it."""
    for wish in dict.fromkeys(row["wish"] for row in rows):
        own = [row for row in rows if row["wish"] == wish]
        ways = list(dict.fromkeys((row["chain"], row["brush"]) for row in own))
        several = [[row for row in own if (row["chain"], row["brush"]) == way][:8] for way in ways]
        cells = [row["photo"] for row in several[0]]
        cells += [row.get("made", torch.ones_like(row["photo"])) for rows in several for row in rows]
        labels = [label for label in ("photo", *map(", ".join, ways)) for _ in several[0]]
        name = f"{world}_{wish.replace(' ', '_')}.png"
        write_png(folder / name, labelled(enlarge(torch.stack(cells), 128), labels, len(several[0]), wish))


def main() -> None:
    """Project, paint, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", choices=list(WISHES))
    parser.add_argument("--units", required=True, help="file that dissect.py wrote")
    parser.add_argument("--judge", help="file that experiments/real_faces/judge.py wrote")
    parser.add_argument("--count", type=int, default=16, help="photos")
    parser.add_argument("--kinds", nargs="+", default=["units", "optimize"], choices=["units", "optimize"])
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/painting"))
    parser.add_argument("--words", nargs="*", default=[], help="for paint.py, such as steps=50")
    given = parser.parse_args()
    given.units = str(Path(given.units).resolve())
    print("| projection | photos | PSNR, dB [95 %] | s a photo |\n|---|---|---|---|")
    rows = list(work(given))
    print("\n" + table(rows))
    draw(rows, given.world, given.figures)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
