"""Directions of factors, learned and found, at matched effect: prints the tables of README.md, draws leakage.png.

    python experiments/directions/compare.py --images 48 --figures experiments/directions
    python experiments/directions/compare.py --images 48 --effect 0.1 --methods learned random

For each factor: the direction that ships (learned from the renderer's edit), the difference of means, the SVM's normal,
the best of ten components of GANSpace, the best of ten vectors of SeFa, and three random ones. "Best" is the one whose
effect is largest beside what else it changes, on other samples than those that the tables are made from.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from zstar.annotations.annotator import Annotator
from zstar.config.build import offer
from zstar.directions.attribute import Attribute
from zstar.directions.base import AbstractDirection
from zstar.directions.ganspace import GANSpace
from zstar.directions.interfacegan import InterFaceGAN
from zstar.directions.library import load_directions
from zstar.directions.random import Random
from zstar.directions.sefa import SeFa
from zstar.editability.base import Traversal
from zstar.editability.effect import Effect
from zstar.editability.leakage import Leakage
from zstar.editability.reading import match, read
from zstar.generators.stylegan2 import StyleGAN2
from zstar.metrics.distribution import kid, pooled
from zstar.reports.numbers import mean_with_interval, show
from zstar.spaces.w import W
from zstar.stats.streams import stream

CONF = Path(__file__).parents[2] / "conf"
FACTORS = {"season": "season", "time_of_day": "time_of_day", "house_x": "house_x", "roof_hue": "roof_hue"}
FACTORS |= {"is_chapel": "chapel", "window_present": "windows"}  # factor → name of the learned direction
METHODS = ("learned", "attribute mean", "SVM", "GANSpace", "SeFa", "random")


def best(candidates: dict[str, AbstractDirection], scorer: Annotator, start: Traversal, factor: str) -> str:
    """The candidate that changes a factor most beside all others, at ±1 σ."""
    column, others = scorer.names.index(factor), [k for k, name in enumerate(scorer.names) if "/" not in name]

    def ratio(direction: AbstractDirection) -> float:
        ones = torch.ones(len(start))
        traversal = Traversal("", direction, start.generator, start.v, start.space, start.alphas)
        ends = [read(scorer, traversal.render(sign * ones), 32) for sign in (-1, 1)]
        change = (ends[1] - ends[0])[:, others].nanmean(dim=0).abs()
        mine = change[others.index(column)]
        return float(mine / (change.nansum() - mine).clamp_min(1e-6))

    return max(candidates, key=lambda name: ratio(candidates[name]))


def main() -> None:
    """Find, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--samples", type=int, default=5000, help="scored samples for means and SVMs")
    parser.add_argument("--effect", type=float, default=0.3, help="matched change, on the factor's scale from 0 to 1")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--factors", nargs="*", default=list(FACTORS), choices=FACTORS)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/directions"))
    count = parser.parse_args()
    generator = StyleGAN2(checkpoint="cottages64")
    space, scorer = W(generator), Annotator(count=count.samples)
    learned = load_directions("directions64", generator)
    finders = {
        "attribute mean": lambda: Attribute(scorer, attributes=count.factors),
        "SVM": lambda: InterFaceGAN(scorer, attributes=count.factors),
        "GANSpace": lambda: GANSpace(components=10),
        "SeFa": lambda: SeFa(count=10),
        "random": lambda: Random(count=3),
    }
    candidates = {name: make().find(space) for name, make in finders.items() if name in count.methods}
    rng = stream("latents to move", 0)
    latents, other = space.sample(count.images, rng), space.sample(32, rng)
    alphas = torch.linspace(-1, 1, 7)
    screen = Traversal("", next(iter(learned.values())), generator, {"latent": other}, "w", alphas)
    local = offer(places_node() | {"effect": count.effect}, annotation=scorer)
    network = local.identity.maps.network
    real = torch.cat(
        [pooled(network(generator.synthesize(w, "w").clamp(-1, 1))) for w in space.sample(500, rng).split(50)]
    )
    matrix: dict[tuple[str, str], Tensor] = {}
    columns = "factor | method | reached | R² | leakage [95 %] | outside its place [95 %] | KID"
    print(f"| {columns} |\n|{'---|' * 7}", flush=True)
    for factor in count.factors:
        for method in count.methods:
            found_by = {FACTORS[factor]: learned[FACTORS[factor]]} if method == "learned" else candidates[method]
            if method in ("GANSpace", "SeFa"):
                directions = [found_by[best(found_by, scorer, screen, factor)]]
            else:
                directions = [found_by[factor]] if factor in found_by else list(found_by.values())
            found: dict[str, list[Tensor]] = {}
            made = []
            for direction in directions:
                label = direction.label
                steps = torch.linspace(label.low, label.high, 7)
                traversal = Traversal(factor, direction, generator, {"latent": latents}, "w", steps)
                for metric in (Effect(scorer, factor), Leakage(scorer, factor, count.effect), local):
                    for key, values in metric(traversal).items():
                        found.setdefault(key, []).append(values)
                at = match(traversal, scorer, factor, count.effect)
                made.append(torch.cat([pooled(network(part)) for part in at.images[at.reached].split(50)]))
            values = {key: torch.cat(parts) for key, parts in found.items()}
            matrix[factor, method] = torch.stack(
                [
                    values[f"leakage/to/{n}"].nanmean() if n != factor else torch.tensor(count.effect)
                    for n in names_of(scorer)
                ]
            )
            features = torch.cat(made)
            cells = [factor, method, f"{100 * values['leakage/reached'].mean():.0f} %"]
            cells += [show(float(values["effect/r2"].nanmean()), 2), mean_with_interval(values["leakage/mean"], 3)]
            cells.append(mean_with_interval(values["locality/outside"], 3) if "locality/outside" in values else "–")
            cells.append(f"{kid(real, features, size=100).value:.3f}" if len(features) >= 16 else "–")
            print(f"| {' | '.join(cells)} |", flush=True)
    if {"learned", "random"} <= set(count.methods):
        print("\n| factor | leakage of the learned direction over that of random ones |\n|---|---|")
    for factor in count.factors if {"learned", "random"} <= set(count.methods) else ():
        ratio = rest(matrix[factor, "learned"], scorer, factor) / rest(matrix[factor, "random"], scorer, factor)
        print(f"| {factor} | {show(ratio, 2)} |")
    if len(count.methods) == len(METHODS) and len(count.factors) == len(FACTORS):
        figure(matrix, names_of(scorer), count.figures)


def places_node() -> dict:
    """The node of conf/editability/locality.yaml."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(CONF / "editability" / "locality.yaml"))["locality"]


def names_of(scorer: Annotator) -> list[str]:
    """The attributes that are not shares of classes."""
    return [name for name in scorer.names if "/" not in name]


def rest(row: Tensor, scorer: Annotator, factor: str) -> float:
    """Mean leakage into the other factors."""
    return float(torch.cat([v[None] for v, n in zip(row, names_of(scorer), strict=True) if n != factor]).nanmean())


def figure(matrix: dict[tuple[str, str], Tensor], names: list[str], folder: Path) -> None:
    """A leakage matrix for each method."""
    _, panels = plt.subplots(len(METHODS), 1, figsize=(9, 2.1 * len(METHODS)), sharex=True)
    for axes, method in zip(panels, METHODS, strict=True):
        values = torch.stack([matrix[factor, method] for factor in FACTORS])
        drawn = axes.imshow(values.numpy(), vmin=0, vmax=0.3, cmap="magma_r", aspect="auto")
        axes.set_yticks(range(len(FACTORS)), list(FACTORS), fontsize=7)
        axes.set_title(method, fontsize=9, loc="left")
        plt.colorbar(drawn, ax=axes, fraction=0.02)
    panels[-1].set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    plt.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / "leakage.png", dpi=110)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
