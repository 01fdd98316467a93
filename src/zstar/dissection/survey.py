"""Passes over samples: what units do, and what classes are where they do it."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from zstar.dissection.agreement import Counts, Tally
from zstar.dissection.base import Parts, Subject
from zstar.dissection.quantiles import Quantiles
from zstar.dissection.values import cover
from zstar.generators.reading import map_shapes, read
from zstar.segmenters.base import KINDS

CHUNKS = 4  # parts that a pass is done in, so that a kill costs no more than one of them


@dataclass(frozen=True)
class Seen:
    """What was counted of a layer.

    Attributes:
        levels: The levels of each unit, increasing, ``[u, t]``.
        true: Agreement with the classes of the pictures themselves.
        shuffled: Agreement with those of other pictures.
        present: Mean of each unit where a class is, ``[k, u]``; 0 for one that is nowhere.
        tops: Numbers of the samples that each unit is most active in, the most first, ``[u, n]``.
        peaks: How active, ``[u, n]``.
    """

    levels: Float[Tensor, "u t"]
    true: Counts
    shuffled: Counts
    present: Float[Tensor, "k u"]
    tops: Int64[Tensor, "u n"]
    peaks: Float[Tensor, "u n"]


def kinds_of_classes(subject: Subject) -> tuple[list[str], Int64[Tensor, " k"]]:
    """The kinds that there are classes of, and the place of each class's kind among them."""
    names = [kind for kind in KINDS if kind in subject.segmenter.kinds.values()]
    own = [names.index(subject.segmenter.kinds[name]) for name in subject.segmenter.classes]
    return names, torch.tensor(own)


def survey(subject: Subject, shares: Sequence[float], steps: int, tops: int, parts: Parts) -> dict[str, Seen]:
    """Go through the samples twice, first for the levels of units and then for what they agree with.

    Arguments:
        shares: Shares of a unit's values that are above its levels: of the one level, or of the first and the last.
        steps: Number of levels, evenly spaced.
        tops: Number of samples to remember for each unit.
        parts: What is done already.
    """
    first = parts.once("levels", lambda: find_levels(subject, shares, steps, tops))
    batches = -(-subject.samples // subject.batch)
    step = -(-batches // CHUNKS)
    sums: dict[str, Tensor] = {}
    latents = subject.latents("dissected")
    for chunk in range(-(-batches // step)):
        own = islice(latents, step)
        found = parts.once(f"counts_{chunk}", lambda own=own: count(subject, first, own))
        sums = {name: value + sums.get(name, 0) for name, value in found.items()}
        deque(own, maxlen=0)  # of a part that was done before, its samples are passed over
    return {layer: _gather(layer, first, sums) for layer in subject.layers}


def find_levels(subject: Subject, shares: Sequence[float], steps: int, tops: int) -> dict[str, Tensor]:
    """The levels of all units, and the samples that they are most active in."""
    shapes = map_shapes(subject.generator, subject.layers)
    sketches = {layer: Quantiles(shapes[layer][0], seed=subject.seed) for layer in subject.layers}
    best = {layer: (torch.empty(shapes[layer][0], 0), torch.empty(shapes[layer][0], 0).long()) for layer in sketches}
    begin = 0
    for latent in subject.latents("dissected"):
        maps, _ = read(subject.generator, {"latent": latent}, subject.space, "const", subject.layers)
        for layer, own in maps.items():
            sketches[layer].add(own.float().transpose(0, 1).flatten(1))
            peaks = own.float().amax(dim=(2, 3)).T.cpu()
            numbers = torch.arange(begin, begin + len(own)).expand(len(peaks), -1)
            values, samples = (torch.cat(pair, dim=1) for pair in zip(best[layer], (peaks, numbers), strict=True))
            values, order = values.sort(dim=1, descending=True, stable=True)
            best[layer] = values[:, :tops], samples.gather(1, order)[:, :tops]
        begin += len(latent)
    ends = 1 - torch.tensor(shares, dtype=torch.float64)
    ladder = torch.linspace(0, 1, steps)
    found = {}
    for layer, sketch in sketches.items():
        at = sketch.at(ends)
        found[f"{layer}/levels"] = at[:, :1] + (at[:, -1:] - at[:, :1]) * ladder
    found |= {f"{layer}/peaks": values for layer, (values, _) in best.items()}
    return found | {f"{layer}/tops": samples for layer, (_, samples) in best.items()}


def count(subject: Subject, first: dict[str, Tensor], latents: Iterable[Tensor]) -> dict[str, Tensor]:
    """Counts over some batches: of classes where they are, and of those of the picture before, which are masks as
    likely but not of this picture."""
    _, kinds = kinds_of_classes(subject)
    place = subject.generator.bring
    tallies = {layer: Tally(place(first[f"{layer}/levels"]), kinds, 2, even=True) for layer in subject.layers}
    sums: dict[str, Tensor] = {}
    before: Tensor | None = None
    for latent in latents:
        maps, images = read(subject.generator, {"latent": latent}, subject.space, "const", subject.layers)
        maps, labels = {layer: own.float() for layer, own in maps.items()}, subject.segmenter(images)
        others = torch.cat([labels[-1:] if before is None else before, labels[:-1]])
        before = labels[-1:]
        for layer, own in maps.items():
            tallies[layer].add(own, labels, others)
        for name, value in means(maps, labels, len(kinds)):
            sums[name] = sums.get(name, 0) + value
    for layer, tally in tallies.items():
        for variant in range(2):
            found = tally.counts(variant)
            sums |= {f"{layer}/{variant}/{one.name}": getattr(found, one.name) for one in fields(Counts)}
    return sums


def means(maps: dict[str, Tensor], labels: Int64[Tensor, "b h w"], classes: int) -> Iterator[tuple[str, Tensor]]:
    """Sums of each unit where each class is, and of the shares of locations that this is."""
    grids: dict[torch.Size, Tensor] = {}
    for layer, own in maps.items():
        size = own.shape[2:]
        if size not in grids:
            grids[size] = cover(labels, classes, (size[0], size[1])).transpose(0, 1).flatten(1)
        yield f"{layer}/sums", (grids[size] @ own.transpose(0, 1).flatten(1).T).double()
        yield f"{layer}/weights", grids[size].sum(dim=1).double()


def _gather(layer: str, first: dict[str, Tensor], sums: dict[str, Tensor]) -> Seen:
    counts = [Counts(**{one.name: sums[f"{layer}/{i}/{one.name}"] for one in fields(Counts)}) for i in range(2)]
    present = sums[f"{layer}/sums"] / sums[f"{layer}/weights"].clamp(min=1e-9)[:, None]
    levels, tops, peaks = (first[f"{layer}/{name}"] for name in ("levels", "tops", "peaks"))
    return Seen(levels, counts[0], counts[1], present.float(), tops, peaks)
