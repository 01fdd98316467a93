"""Style transfer in pixels and in latent spaces, by several ways: the tables and pictures of README.md.

    python experiments/style/paintings.py --folder experiments/style
    python experiments/style/compare.py --figures experiments/style
    python experiments/style/compare.py --network vgg_normalised_conv3_1.pth --resolution 128 --steps 60

Cottages are the contents. All ways minimise the same equation, that of ``experiment=style_transfer``, and its terms are
printed as they end, ``style`` as the relative distance of Gram matrices whatever was minimised.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from zstar.config.build import to_plain
from zstar.data.cottages import Cottages
from zstar.data.reading import read_image
from zstar.images import enlarge, write_png
from zstar.losses.targets import Targets
from zstar.objective import Objective
from zstar.projection.pipeline import Pipeline
from zstar.projectors.base import project
from zstar.reports.captions import labelled
from zstar.reports.numbers import mean_with_interval

HERE = Path(__file__).parent
WAYS = {
    "L-BFGS": [],
    "L-BFGS from noise": ["projector=[random,optimization]"],
    "Adam": ["optimizer=adam", "optimizer.lr=0.02"],
    "Adam, running mean": ["optimizer=adam", "optimizer.lr=0.02", "projector.optimization.average=0.99"],
    "coarse to fine, Adam": ["projector=[copy,multiscale]", "optimizer=adam", "optimizer.lr=0.02"],
    "L-BFGS, colours matched": ["loss.gram.palette=image"],
    "L-BFGS, recoloured": ["projector=[copy,optimization,recolour]"],
}
LATENT = {
    "w_plus, Adam": ["generator=cottages", "space=w_plus", "projector=[encoder,optimization]", "optimizer=adam"],
    "w, Adam": ["generator=cottages", "space=w", "projector=[mean,optimization]", "optimizer=adam"],
}
NORMALIZATIONS = ("relative", "gatys", "elements", "locations")


@dataclass
class Result:
    """What a way has come to.

    Attributes:
        image: Its pictures.
        terms: Name of the term → value of each picture.
        seconds: For a picture.
        evaluations: Of the equation, for a picture.
    """

    image: Tensor
    terms: dict[str, Tensor]
    seconds: float
    evaluations: int


def pipeline_of(words: list[str]) -> Pipeline:
    """The components that a command line of ``invert.py`` chooses."""
    with initialize_config_dir(version_base="1.3", config_dir=str(HERE.parents[1] / "conf")):
        cfg = compose("invert", overrides=["experiment=style_transfer", "data=cottages", *words])
    return Pipeline(to_plain(cfg), "this would be noise")


def transfer(words: list[str], targets: Targets, judge: Callable[[Tensor], dict[str, Tensor]] | None) -> Result:
    """Solve the equation that the words choose, and judge what comes out."""
    pipeline = pipeline_of(words)
    pipeline.build("problem", "projectors")
    began = time.perf_counter()
    found = project(pipeline.problem, pipeline.projectors, targets)
    seconds = (time.perf_counter() - began) / len(targets.ids)
    last = {name: values[:, -1] for name, values in found.history.items()}
    return Result(found.image, judge(found.image) if judge else last, seconds, int(found.evaluations.max()))


def main() -> None:
    """Print the tables and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--styles", type=Path, nargs="*", default=[HERE / "swirls.png", HERE / "mosaic.png"])
    parser.add_argument("--network", default="annotator64", help="as loss.gram.network.checkpoint")
    parser.add_argument("--resolution", type=int, default=64, help="pixels of a side")
    parser.add_argument("--count", type=int, default=8, help="contents; the first four are drawn")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--ways", nargs="*", help="some of them, or normalisations; all if not given")
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/style"), help="folder of the pictures")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    usual = [f"loss.gram.network.checkpoint={asked.network}", f"steps={asked.steps}"]
    pixels = [f"generator.resolution={asked.resolution}", f"projector.multiscale.smallest={asked.resolution // 2}"]
    ways = WAYS | (LATENT if asked.resolution == 64 else {})
    ways = {name: words for name, words in ways.items() if asked.ways is None or name in asked.ways}
    contents = Cottages(count=asked.count, resolution=asked.resolution).read(range(asked.count))
    print("| style | way | style, relative [95 %] | content [95 %] | seconds | evaluations |\n|---" + "|---" * 5 + "|")
    for path in asked.styles:
        style = read_image(path, asked.resolution).expand_as(contents.images)
        targets = Targets({"image": contents.images, "style": style}, contents.ids)
        judge = judging(usual + pixels[:1], targets)
        columns = {"content": contents.images, "style": style}
        for name, words in ways.items():
            own = [] if words in LATENT.values() else pixels if "multiscale" in str(words) else pixels[:1]
            result = transfer([*usual, *own, *words], targets, judge)
            print(f"| {path.stem} | {name} | " + show(result), flush=True)
            columns[name] = result.image.clamp(-1, 1)
            write_png(asked.figures / f"{path.stem}_{asked.resolution}.png", sheet(columns))
    if asked.ways is None or "normalisations" in asked.ways:
        normalisations([*usual, *pixels[:1]], targets, judge)


def sheet(columns: dict[str, Tensor]) -> Tensor:
    """A row for each of the first four contents: what it is, the style, and what each way has made of them."""
    cells = torch.stack([images[i] for i in range(min(4, len(columns["content"]))) for images in columns.values()])
    return labelled(enlarge(cells), len(cells) // len(columns) * list(columns), len(columns), "")


def judging(words: list[str], targets: Targets) -> Callable[[Tensor], dict[str, Tensor]]:
    """The terms of the recipe itself for any pictures."""
    objective = Objective(pipeline_of(words).problem, targets)

    @torch.no_grad()
    def judge(image: Tensor) -> dict[str, Tensor]:
        return objective({"latent": image}).terms

    return judge


def normalisations(words: list[str], targets: Targets, judge: Callable[[Tensor], dict[str, Tensor]]) -> None:
    """Print the table of Gram matrices normalised in other ways, with weights by which all begin at the same value."""
    print("\n| normalisation | weight | style, relative | content | seconds | evaluations |\n|---" + "|---" * 5 + "|")
    begins: dict[str, float] = {}
    for name in NORMALIZATIONS:
        start = transfer([*words, f"loss.gram.normalization={name}", "projector=[copy]"], targets, None)
        begins[name] = start.terms["gram"].mean().item()
        weight = begins["relative"] / begins[name]
        chosen: list[Any] = [f"loss.gram.normalization={name}", f"loss.gram.weight={weight}"]
        result = transfer([*words, *chosen], targets, judge)
        print(f"| {name} | {weight:.3g} | " + show(result), flush=True)


def show(result: Result) -> str:
    """The numbers of a way as cells of a row."""
    means = (mean_with_interval(result.terms[name]) for name in ("gram", "content"))
    return " | ".join([*means, f"{result.seconds:.1f}", f"{result.evaluations}"]) + " |"


if __name__ == "__main__":
    main()
