"""Units that make artefacts: active where pictures are unreal, and switched off."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zstar.config.constraints import FilePath, Within, require
from zstar.data.base import AbstractData
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Purpose, Subject
from zstar.dissection.pictures import outlined, sheet
from zstar.dissection.scenes import picture
from zstar.dissection.units import UnitSet, on_grid
from zstar.dissection.unreal import Realism, most_unreal, read_boxes
from zstar.generators.reading import map_shapes, read
from zstar.metrics.kid import KID
from zstar.stats.comparison import mean_interval
from zstar.stats.kernel_distance import kernel_distance
from zstar.stats.streams import stream

RANDOM = 3  # random sets beside each ranked one
SHOWN = 8  # pictures of a sheet
DRAWS = 1000
FOUND = "active where unreal"


class Artefacts(AbstractAnalysis):
    """Units that are more active where pictures are unreal than elsewhere (GAN Dissection,
    https://arxiv.org/abs/1811.10597, section 4.3), and what switching them off does to the kernel inception distance.

    A location is unreal where its features are far from those of all real pictures, or in a user's boxes. Beside the
    units that are found so stand as many random ones, and as many of those that are most active at all. The layer and
    the number of units are chosen on some samples and measured on others.

    Arguments:
        real: Real pictures, of the size that the generator makes.
        layers: Of the layers that are looked at, those whose units are switched; ``null`` for all.
        sizes: Numbers of units that are tried.
        images: Samples that units are found on, and as many that they are measured on.
        share: Share of all locations that count as unreal.
        boxes: A JSON file with boxes in the samples instead; see :func:`zstar.dissection.unreal.read_boxes`.
        network: The network of the distances: an annotator's file or name, as for ``metric=kid``.
    """

    passes = 9.0

    def __init__(
        self,
        real: AbstractData,
        layers: Sequence[str] | None = None,
        sizes: Sequence[int] = (2, 4, 8, 20),
        images: Annotated[int, Within(6)] = 300,
        share: Annotated[float, Within(0, 1, above=True)] = 0.02,
        boxes: FilePath | None = None,
        network: FilePath = "judge64",
    ) -> None:
        require("analysis.artefacts", Within(6), images=images)
        require("analysis.artefacts", Within(0, 1, above=True), share=share)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"analysis.artefacts.sizes: {list(sizes)} are no numbers of units; give e.g. [4, 20]")
        self.real, self.layers, self.sizes = real, layers, sorted(set(sizes))
        self.images, self.share, self.boxes, self.kid = images, share, boxes, KID(network)

    def require(self, subject: Subject) -> None:
        subject.require_layers("analysis.artefacts.layers", self.layers or ())
        if self.boxes is not None:
            side = subject.generator.resolution
            read_boxes(self.boxes, self.images, (side, side))

    def __call__(self, subject: Subject, found: Mapping[str, Findings], parts: Parts) -> Findings:
        layers = list(subject.layers if self.layers is None else self.layers)
        shapes, real = map_shapes(subject.generator, layers), self._read(subject)
        realism = Realism(self.kid.extract, real, subject.seed, subject.batch)
        targets = self._features(real, subject)
        activity = parts.once("activity", lambda: self._activity(subject, layers, realism))
        orders = {layer: rank(subject, layer, activity) for layer in layers}

        def kid(purpose: Purpose, name: str, units: UnitSet | None) -> Tensor:
            kept = parts.once(f"{purpose} {name}", lambda: {"features": self._switched(subject, purpose, units)})
            return contributions(targets, kept["features"])

        before, tried = kid("dissected", "as they are", None), []
        for layer in layers:
            for size in sorted({min(size, shapes[layer][0]) for size in self.sizes}):
                units = zeros(layer, shapes[layer], orders[layer][FOUND][0][:size])
                after = kid("dissected", f"{layer} {size}", units)
                tried.append({"layer": layer, "units": size, **change(before, after)})
        first = min(tried, key=lambda row: row["kid"])
        layer, size = first["layer"], first["units"]
        before = kid("held out", "as they are", None)
        rows = [{"method": "as they are", "layer": layer, "units": 0, **change(before, before)}]
        for method, several in orders[layer].items():
            sets = [zeros(layer, shapes[layer], order[:size]) for order in several]
            after = [kid("held out", f"{layer} {size} {method} {i}", one) for i, one in enumerate(sets)]
            rows.append({"method": method, "layer": layer, "units": size, **change(before, torch.stack(after).mean(0))})
        found_units = zeros(layer, shapes[layer], orders[layer][FOUND][0][:size])
        tables = {
            "kid": pl.DataFrame(rows),
            "tried": pl.DataFrame(tried),
            "units": unit_table(layers, activity),
        }
        summary = {
            "layer": layer,
            "units": found_units.units.tolist(),
            "before": rows[0]["kid"],
            "after": rows[1]["kid"],
        }
        return Findings(tables, {"switched": self._sheet(subject, found_units, realism)}, {}, summary)

    def _read(self, subject: Subject) -> Tensor:
        """Real pictures, as many as there are samples."""
        images = self.real.read(range(min(len(self.real), self.images))).images
        subject.generator.require_size(images)
        return subject.generator.bring(images)

    def _features(self, images: Tensor, subject: Subject) -> Tensor:
        return torch.cat([self.kid.features(part).cpu() for part in images.split(subject.batch)])

    def _switched(self, subject: Subject, purpose: Purpose, units: UnitSet | None) -> Tensor:
        """Features of samples with units off."""
        latents = subject.latents(purpose, self.images)
        return torch.cat([self.kid.features(picture(subject, latent, units)).cpu() for latent in latents])

    def _activity(self, subject: Subject, layers: Sequence[str], realism: Realism) -> dict[str, Tensor]:
        """``more/<layer>`` [units]: mean where pictures are unreal less that elsewhere, in deviations of the unit;
        ``active/<layer>``: mean magnitude."""
        latents = list(subject.latents("dissected", self.images))
        if self.boxes is None:
            distance = torch.cat([realism(picture(subject, latent)).cpu() for latent in latents])
            unreal = most_unreal(distance, self.share)[:, None]
        else:
            side = subject.generator.resolution
            unreal = read_boxes(self.boxes, self.images, (side, side))[:, None]
        sums: dict[str, Tensor] = {}
        for latent, mask in zip(latents, unreal.split(subject.batch), strict=True):
            maps, _ = read(subject.generator, {"latent": latent}, subject.space, "const", layers)
            for layer, values in maps.items():
                where = on_grid(mask.to(values), (values.shape[2], values.shape[3]))
                terms = (values * where, values, values.square(), values.abs(), where.expand_as(values))
                terms = torch.stack([term.double().sum(dim=(0, 2, 3)) for term in (*terms, torch.ones_like(values))])
                sums[layer] = sums.get(layer, 0) + terms
        found = {}
        for layer, (inside, total, squares, size, weight, count) in sums.items():
            deviation = (squares / count - (total / count).square()).clamp_min(1e-12).sqrt()
            more = inside / weight.clamp_min(1e-9) - (total - inside) / (count - weight).clamp_min(1e-9)
            found |= {f"more/{layer}": (more / deviation).float(), f"active/{layer}": (size / count).float()}
        return found

    def _sheet(self, subject: Subject, units: UnitSet, realism: Realism) -> Tensor:
        """The held-out samples with the most unreal locations, these outlined, and with the units off."""
        latents = torch.cat(list(subject.latents("held out", self.images)))
        parts = [realism(picture(subject, part)).cpu() for part in latents.split(subject.batch)]
        distance = torch.cat(parts)
        unreal = most_unreal(distance, self.share)
        worst = subject.generator.bring(unreal.sum(dim=(1, 2))).argsort(descending=True, stable=True)[:SHOWN]
        before = picture(subject, latents[worst])
        mask = F.interpolate(unreal[worst.cpu()][:, None], size=before.shape[2:], mode="nearest")
        return sheet([before, outlined(before, mask), picture(subject, latents[worst], units)])


def rank(subject: Subject, layer: str, activity: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """Method → orders of the units of a layer, one or several random ones."""
    more, active = activity[f"more/{layer}"], activity[f"active/{layer}"]
    draws = [
        torch.randperm(len(more), generator=stream("random units beside artefacts", subject.seed, layer, number))
        for number in range(RANDOM)
    ]
    return {
        FOUND: [more.argsort(descending=True, stable=True)],
        "random": draws,
        "most active": [active.argsort(descending=True, stable=True)],
    }


def zeros(layer: str, shape: tuple[int, int, int], units: Tensor) -> UnitSet:
    """Units that are set to zero in full."""
    none = torch.zeros(len(units))
    return UnitSet(layer, shape, units, none + 1, none, none)


def contributions(targets: Float[Tensor, "n d"], made: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Of each pair of a real picture and a made one, to the kernel distance of the two sets."""
    count = min(len(targets), len(made))
    values = kernel_distance(targets[:count].double().numpy(), made[None, :count].double().numpy())
    return torch.from_numpy(values)


def change(before: Tensor, after: Tensor) -> dict[str, float]:
    """Kernel distance and its change, each with its 95 % interval."""
    row: dict[str, float] = {}
    for name, values in (("kid", after), ("change", after - before)):
        low, high = mean_interval(values.double().numpy(), draws=DRAWS)
        row |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    return row


def unit_table(layers: Sequence[str], activity: Mapping[str, Tensor]) -> pl.DataFrame:
    """Layer and unit → how much more active it is where pictures are unreal, and how active it is at all."""
    rows = [
        {"layer": layer, "unit": unit, "more": more, "active": active}
        for layer in layers
        for unit, (more, active) in enumerate(
            zip(activity[f"more/{layer}"].tolist(), activity[f"active/{layer}"].tolist(), strict=True)
        )
    ]
    return pl.DataFrame(rows).sort("more", descending=True)
