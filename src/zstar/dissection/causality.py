"""Which units make a class appear and disappear."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from torch import Tensor

from zstar.config.constraints import POSITIVE, Within, require
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Subject
from zstar.dissection.bench import Bench
from zstar.dissection.causal_findings import Best, Key, causal_findings
from zstar.dissection.causal_tables import score
from zstar.dissection.effects import single_effects
from zstar.dissection.measure import measure
from zstar.dissection.rankings import Ranking, agreement, at_random, best_agreement
from zstar.dissection.scenes import aligned
from zstar.dissection.soft import Soft

RANDOM = 2  # random sets beside each ranked one
LEARNED = "learned"  # ranked by the α that was learned
MOST_LAYERS = 2  # that are looked at, where it is not said which
FEWEST = 6  # samples that have a class, without which nothing is said of it


class Causality(AbstractAnalysis):
    """Sets of units that remove a class and insert it (Bau et al. 2019, https://arxiv.org/abs/1811.10597, section 3.3).

    Units are ranked by the pixels that a picture loses when one of them is off, by their agreement with the class where
    that has been measured, and by α, learned so that the class goes where it is and comes where it is not. What is
    chosen is chosen with the segmenter, on half of the samples; what is said of it is said by the judge, on others.

    Arguments:
        layers: Of the layers that are looked at, those whose units are switched; ``null`` for the two whose units agree
            best with the classes, or all where that has not been measured.
        classes: Names of the classes; ``null`` for all that the samples have.
        units: Most units that are switched off at once. Those that are switched on may be more: few, moved far, draw
            what the segmenter sees and nobody else.
        sizes: Numbers of units of the curves.
        images: Pictures that each number is measured on.
        absent: What switched off units are: ``zero``, or their ``mean`` where the class is absent.
        boost: What switched on units are: 0 is their mean where the class is absent, 1 that where it is. More makes up
            for a mean's being blurred: it is that of many things.
        steps: Steps of learning α with all units; half as many follow with those that are kept.
        batch: Pictures a step.
        lr: Step size.
        sparsity: Weight of the length of α.
        keep: Weight of what changes elsewhere.
    """

    passes = 64.0

    def __init__(
        self,
        layers: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        units: int = 20,
        sizes: Sequence[int] = (1, 2, 4, 8, 12, 16, 20),
        images: int = 64,
        absent: Literal["zero", "mean"] = "zero",
        boost: float = 2.0,
        steps: int = 40,
        batch: int = 8,
        lr: float = 0.1,
        sparsity: float = 0.005,
        keep: float = 1.0,
    ) -> None:
        require("analysis.causality", Within(1), units=units, steps=steps, batch=batch)
        require("analysis.causality", Within(FEWEST), images=images)
        require("analysis.causality", POSITIVE, lr=lr, boost=boost)
        require("analysis.causality", Within(0), sparsity=sparsity, keep=keep)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"analysis.causality.sizes: {list(sizes)} are no numbers of units; give e.g. [1, 4, 20]")
        self.layers, self.classes, self.units = layers, classes, units
        self.sizes = sorted({size for size in sizes if size < units} | {units})
        self.values, self.images, self.soft = (absent, boost), images, Soft(steps, batch, lr, sparsity, keep)

    def require(self, subject: Subject) -> None:
        subject.require_layers("analysis.causality.layers", self.layers or ())
        for name in self.classes or ():
            subject.segmenter.column(name, "analysis.causality.classes")

    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        subject, layers = aligned(subject), self._layers(subject, found)
        bench = Bench.of(subject, parts, layers, *self.values, self.images)
        effects = {layer: self._effects(bench, layer) for layer in layers}
        measured: dict[Key, dict[str, Tensor]] = {}
        best: dict[str, Best] = {}
        for name, column in self._columns(bench).items():
            for layer in layers:
                rankings = self._rankings(bench, found, layer, column, effects[layer])
                measured |= self._measure(bench, layer, column, rankings)
                for method in (LEARNED, "effect"):
                    one = self._judge(bench, layer, column, method, rankings[method][0])
                    best[name] = max(best.get(name, one), one, key=lambda best: best.value)
        return causal_findings(bench, effects, measured, best)

    def _effects(self, bench: Bench, layer: str) -> Tensor:
        """The effect of each unit of a layer alone."""
        scenes, shape = bench.learning[: self.images], bench.shapes[layer]
        make = partial(single_effects, bench.subject, scenes, layer, shape)
        return bench.parts.once(f"effects {layer}", lambda: {"effects": make()})["effects"]

    def _layers(self, subject: Subject, found: Mapping[str, Findings]) -> list[str]:
        """The layers whose units are switched."""
        if self.layers is not None:
            return list(self.layers)
        means = {layer: best_agreement(found, layer) for layer in subject.layers}
        if all(mean is None for mean in means.values()):
            return list(subject.layers)
        return sorted(subject.layers, key=lambda layer: -(means[layer] or 0.0))[:MOST_LAYERS]

    def _columns(self, bench: Bench) -> dict[str, int]:
        """The classes that enough samples have, and their places."""
        segmenter = bench.subject.segmenter
        names = list(segmenter.classes) if self.classes is None else list(self.classes)
        columns = {name: segmenter.column(name, "analysis.causality.classes") for name in names}
        scenes = (bench.learning, bench.choosing, bench.measuring)
        enough = {
            name: column
            for name, column in columns.items()
            if all(len(one.having(column, FEWEST)) == FEWEST for one in scenes)
        }
        if not enough:
            few = f"fewer than {FEWEST} of the samples have {', '.join(columns) or 'any class'}"
            raise ValueError(f"analysis.causality.classes: {few}, in one of three parts; set more samples, or others")
        return enough

    def _rankings(
        self, bench: Bench, found: Mapping[str, Findings], layer: str, column: int, effects: Tensor
    ) -> dict[str, list[Ranking]]:
        """Method → rankings of the units of a layer, one or several random ones."""
        subject, count, name = bench.subject, bench.shapes[layer][0], bench.subject.segmenter.classes[column]
        whole = bench.whole(layer, column)

        def learn() -> dict[str, Tensor]:
            having, boxed = bench.having("learning", column), bench.boxed("learning", layer, column)
            on = self.soft.on(subject, whole, column, boxed)
            return {"on": on, "off": self.soft.off(subject, whole, column, having, self.units)}

        share = bench.parts.once(f"alpha {layer} {name}", learn)
        effect, iou = effects[:, :, column].mean(dim=1), agreement(found, layer, count).get(name)
        return {
            LEARNED: [Ranking(share["on"], share["off"], soft=True)],
            "effect": [Ranking(effect, effect)],
            **({} if iou is None else {"iou": [Ranking(iou, iou)]}),
            "random": [at_random(subject, layer, count, number) for number in range(RANDOM)],
        }

    def _measure(
        self, bench: Bench, layer: str, column: int, rankings: Mapping[str, Sequence[Ranking]]
    ) -> dict[tuple[str, str, str, int], dict[str, Tensor]]:
        """Layer, class, method and number of units → what switching them does, as the judge sees it."""
        name, whole = bench.subject.segmenter.classes[column], bench.whole(layer, column)
        having, boxed = bench.having("measuring", column), bench.boxed("measuring", layer, column)
        found = {}
        for method, several in rankings.items():
            for size in sorted({min(size, len(whole.units)) for size in self.sizes}):
                on = len(whole.units) if method == LEARNED and size == min(self.units, len(whole.units)) else None
                sets = [ranking.top(whole, size, on) for ranking in several]
                found[layer, name, method, size] = bench.parts.once(
                    f"measured {layer} {name} {method} {size}",
                    lambda sets=sets: measure(bench.subject, bench.subject.judge, having, boxed, sets, column),
                )
        return found

    def _judge(self, bench: Bench, layer: str, column: int, method: str, ranking: Ranking) -> Best:
        """How good the largest set of a ranking is, by the segmenter, on samples that it was not learned from."""
        reader, whole = bench.subject.segmenter, bench.whole(layer, column)
        having, boxed = bench.having("choosing", column), bench.boxed("choosing", layer, column)
        size = min(self.units, len(whole.units))
        units = ranking.top(whole, size, len(whole.units) if method == LEARNED else None)
        found = bench.parts.once(
            f"chosen {layer} {reader.classes[column]} {method}",
            lambda: measure(bench.subject, reader, having, boxed, [units], column),
        )
        return Best(score(found, column), layer, method, size, units)
