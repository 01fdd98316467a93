"""Editing in Style: transfer of one part of a reference image."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zstar.annotations.labels import read_latents
from zstar.config.constraints import FilePath, RunPath, Within, require
from zstar.directions.base import AbstractFinder, Label
from zstar.directions.catalogue import Regions, catalogue
from zstar.directions.regions import KEY, by_class, by_cluster
from zstar.directions.towards import Towards
from zstar.generators.stylegan2 import StyleGAN2
from zstar.runs.latents import latents_file
from zstar.spaces.base import AbstractSpace
from zstar.stats.streams import stream


class Local(AbstractFinder):
    """Moves the style channels that act in a region towards a reference (Collins et al. 2020,
    https://arxiv.org/abs/2004.14367): the roof of another house, and the rest as it was.

    For StyleGAN2, in its space ``style``: v + α·q⊙(r − v), α from 0 to 1. A channel's contribution to a region says how
    much more its activations do there than elsewhere. q is 1 for the channels with the largest contribution, as long as
    what they do elsewhere stays within ``budget`` together and their contribution above ``least``; else 0.

    Regions are classes of an annotator, or clusters of a feature layer's activations (spherical k-means), which need no
    annotator and have numbers for names; ``roof+dome`` is one region of two. Directions are called ``local_<region>``.
    Scores: ``channels``, how many move, and ``contribution``, their mean.

    Arguments:
        regions: Classes of the annotator, or numbers of clusters; None for each of all.
        annotator: A file that ``task=annotator`` exported, or a shipped one; None for clusters.
        layer: The feature layer that is clustered.
        clusters: Number of clusters.
        budget: The sum over the chosen channels of (1 − contribution).
        least: Smallest contribution of a chosen channel; a half is that of one that knows no place.
        reference_seed: The sample that is the reference; unless ``inversion`` is given.
        inversion: The run folder of an ``invert.py``, or its ``latents.safetensors``, for a real image as reference.
        reference: Name of that image; None for the first.
        samples: Images that the contributions are measured on.
        seed: Of these samples, and of the clusters.

    Raises:
        ValueError: The generator is no StyleGAN2, there is no such region, layer or image, or no channel acts mostly in
            the region.
    """

    def __init__(
        self,
        regions: Sequence[str | int] | None = None,
        annotator: FilePath | None = "annotator64",
        layer: str = "b16",
        clusters: int = 8,
        budget: float = 100.0,
        least: float = 0.55,
        reference_seed: int = 1,
        inversion: RunPath | None = None,
        reference: str | None = None,
        samples: int = 500,
        seed: int = 0,
    ) -> None:
        require(KEY, Within(2), clusters=clusters, samples=samples)
        require(KEY, Within(0, above=True), budget=budget)
        require(KEY, Within(0, 1), least=least)
        if reference is not None and inversion is None:
            raise ValueError(f"{KEY}.reference: '{reference}' is an image of no run; set {KEY}.inversion to its folder")
        self.regions = None if regions is None else {str(region): str(region).split("+") for region in regions}
        if self.regions == {}:
            raise ValueError(f"{KEY}.regions: the list is empty; name regions, or set it to null for all")
        names = None if annotator else [str(number) for number in range(clusters)]
        for name in (name for parts in (self.regions or {}).values() for name in parts):
            if names is not None and name not in names:
                raise ValueError(f"{KEY}.regions: there is no '{name}'; choose from {', '.join(names)}")
        found = names if self.regions is None else self.regions
        self.candidates = None if found is None else [f"local_{name}" for name in found]
        self.annotator, self.layer, self.clusters = annotator, layer, clusters
        self.budget, self.least, self.samples, self.seed = budget, least, samples, seed
        self.reference_seed, self.inversion, self.reference = reference_seed, inversion, reference

    def find(self, space: AbstractSpace) -> dict[str, Towards]:
        generator = space.generator
        if not isinstance(generator, StyleGAN2):
            kind = type(generator).__name__
            raise ValueError(f"{KEY}: {kind} has no styles to transfer; choose a StyleGAN2, or direction=attribute")
        if self.annotator:
            names, members = by_class(generator, self.annotator)
        else:
            names, members = by_cluster(generator, self.layer, self.clusters, self.samples, self.seed)
        read = None if self.annotator else self.layer
        chosen = {name: [name] for name in names} if self.regions is None else self.regions
        for name in (name for parts in chosen.values() for name in parts):
            if name not in names:
                raise ValueError(f"{KEY}.regions: there is no '{name}'; choose from {', '.join(names)}")
        title, reference = self._reference(generator)
        regions = catalogue(generator, members, list(generator.style_sizes), self.samples, self.seed, read)
        settings = {"method": "local", "annotator": self.annotator, "layer": read, "budget": self.budget}
        settings |= {"least": self.least, "reference": title}
        directions = {}
        for region, parts in chosen.items():
            shares = self._shares(generator, regions, [names.index(name) for name in parts])
            mask = self._mask(shares)
            if not mask.any():
                if self.regions is not None:
                    problem = f"{KEY}.regions: no channel does more than {self.least:g} of its work in '{region}'"
                    raise ValueError(f"{problem}; lower {KEY}.least, or choose another region")
                continue
            scores = {"channels": float(mask.sum()), "contribution": float(shares[mask].mean())}
            label = Label(f"{region} as in the reference", "of the way", 0.0, 1.0, settings, scores)
            directions[f"local_{region}"] = Towards("style", reference, mask.float(), label)
        return directions

    def _reference(self, generator: StyleGAN2) -> tuple[str, Float[Tensor, " s"]]:
        """The name of the reference, and its style."""
        if self.inversion is None:
            rng = stream("reference", self.reference_seed)
            return f"sample of seed {self.reference_seed}", generator.sample(1, rng, space="style")[0].cpu()
        file = latents_file(self.inversion, f"{KEY}.inversion")
        ids, latents = read_latents(file, generator, "style", f"{KEY}.inversion")
        if self.reference is not None and self.reference not in ids:
            few = ", ".join(ids[:5])
            raise ValueError(f"{KEY}.reference: there is no '{self.reference}' in {file}; choose from {few}, …")
        place = ids.index(self.reference) if self.reference else 0
        return ids[place], latents[place]

    def _shares(self, generator: StyleGAN2, regions: Regions, parts: list[int]) -> Float[Tensor, " s"]:
        """The contribution of every style channel to a region, in the order of the space."""
        return generator.join_style({name: regions.shares(name, parts)[None] for name in generator.style_sizes})[0]

    def _mask(self, shares: Float[Tensor, " s"]) -> Bool[Tensor, " s"]:
        """The channels with the largest contributions, within the budget."""
        order = shares.argsort(descending=True, stable=True)
        within = (1 - shares[order]).cumsum(dim=0) <= self.budget
        mask = torch.zeros(len(shares), dtype=torch.bool)
        mask[order[within]] = True
        return mask & (shares > self.least)
