"""Measurements of a projection: its images, the editability of its latents, and the bytes that it takes to keep."""

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import safe_open
from torch import Tensor

from zstar.checkpoints.io import save_weights
from zstar.directions.base import AbstractDirection
from zstar.editability.base import AbstractEditability, Traversal
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import is_variable
from zstar.images import to_float
from zstar.inversion import Inversion
from zstar.metrics.base import AbstractMetric, AbstractModelMetric, AbstractPriorMetric, AbstractSetMetric
from zstar.metrics.distribution import Estimate
from zstar.optimizers.slices import Slices
from zstar.runs.precision import exactly

AnyMetric = AbstractMetric | AbstractModelMetric | AbstractSetMetric | AbstractPriorMetric
COMPARED = ("targets", "reconstructions")  # the sets that a metric of sets compares


@exactly()
def measure(
    metrics: Mapping[str, AnyMetric],
    images: Tensor,
    targets: Tensor,
    slices: Slices,
) -> dict[str, list[float]]:
    """Value per image of every metric that has one and is defined at this size."""
    values = {}
    for name, metric in metrics.items():
        if not isinstance(metric, AbstractMetric):
            continue

        def value(_rows: slice, pair: Mapping[str, Tensor], metric: AbstractMetric = metric) -> dict[str, Tensor]:
            found = metric(pair["images"], pair["targets"])
            return {} if found is None else {"value": found}

        with torch.no_grad():
            found = slices.run(value, {"images": images, "targets": targets})
        if found:
            values[name] = found["value"].tolist()
    return values


@exactly()
def measure_prior(
    metrics: Mapping[str, AnyMetric], generator: AbstractGenerator, inversion: Inversion
) -> dict[str, list[float]]:
    """Value per image of every metric of what an inversion changes of the generator."""
    chosen = {name: metric for name, metric in metrics.items() if isinstance(metric, AbstractPriorMetric)}
    found = {
        name: metric(generator, inversion.v, inversion.space, inversion.noise_mode) for name, metric in chosen.items()
    }
    return {name: values.tolist() for name, values in found.items() if values is not None}


@exactly()
def measure_model(
    metrics: Mapping[str, AnyMetric], generator: AbstractGenerator, inversion: Inversion, targets: Tensor
) -> dict[str, list[float]]:
    """Value per image of every metric of what the generator says of images."""
    chosen = {name: metric for name, metric in metrics.items() if isinstance(metric, AbstractModelMetric)}
    found = {name: metric(generator, inversion.image, targets) for name, metric in chosen.items()}
    return {name: values.tolist() for name, values in found.items() if values is not None}


@exactly()
def measure_edits(
    editability: Mapping[str, AbstractEditability],
    directions: Mapping[str, AbstractDirection],
    generator: AbstractGenerator,
    inversion: Inversion,
) -> dict[str, list[float]]:
    """What can be done with the latents: each measure's value per image, its mean over the directions that it is
    defined for.

    ``<measure>/mean`` is called ``<measure>``, its other values ``<measure>_<value>``. Strengths are left out, which
    mean something else for each direction, and so are single attributes and numbers of all images together.
    """
    found: dict[str, list[Tensor]] = {}
    for name, direction in directions.items():
        ends = [direction.label.low, 0.0, direction.label.high]
        alphas = torch.tensor(ends, device=inversion.latent.device)
        traversal = Traversal(name, direction, generator, inversion.v, inversion.space, alphas, inversion.noise_mode)
        for one in editability.values():
            for title, values in one(traversal).items():
                kind, _, value = title.partition("/")
                if "/" not in value and value != "alpha" and len(values) == len(traversal):
                    found.setdefault(kind if value in ("", "mean") else f"{kind}_{value}", []).append(values)
    return {name: torch.stack(values).double().nanmean(dim=0).tolist() for name, values in found.items()}


def unmeasured(metrics: Mapping[str, AnyMetric], measured: Collection[str]) -> dict[str, str]:
    """Name → reason of the metrics that have no value for any image."""
    return {
        name: f"it needs {metric.needs}" if metric.needs else "it has no value for these images"
        for name, metric in metrics.items()
        if name not in measured
    }


@exactly()
def extract_features(
    metrics: Mapping[str, AnyMetric], pictures: Mapping[str, UInt8[Tensor, "b h w c"]]
) -> dict[str, Float[Tensor, "2 b d"]]:
    """Vectors of a batch of ``pictures``, as they are in the run's folder, by the name of each metric of sets: those of
    the targets and of the reconstructions, on the CPU."""
    return {
        name: torch.stack([metric.features(to_float(pictures[kind])) for kind in COMPARED]).cpu()
        for name, metric in metrics.items()
        if isinstance(metric, AbstractSetMetric)
    }


@exactly()
def write_features(
    metrics: Mapping[str, AnyMetric],
    features: Mapping[str, Float[Tensor, "2 n d"]],
    ids: list[str],
    folder: Path,
) -> dict[str, Estimate]:
    """Write ``features.safetensors``, if there is a metric of sets; returns its number, and those of others.

    The file holds ``targets`` and ``reconstructions``, ``[n, d]`` each, and its card the names of the images and of the
    network.

    Arguments:
        features: Those of all images, as :func:`extract_features` gives them.
    """
    chosen = {name: metric for name, metric in metrics.items() if isinstance(metric, AbstractSetMetric)}
    numbers = {}
    for name, metric in chosen.items() if ids else ():
        vectors = dict(zip(COMPARED, features[name], strict=True))
        card = {"kind": "features", "ids": ids, "network": metric.network, "metric": name}
        save_weights(folder / "features.safetensors", vectors, card)
        number = metric(vectors["reconstructions"], vectors["targets"])
        numbers |= {} if number is None else {name: number}
    return numbers


def find_classes(path: Path, ids: list[str]) -> dict[str, dict[str, float]]:
    """Name of each image → its main ``class`` and the ``share`` of that, where latents have classes of their own."""
    with safe_open(path, "pt") as file:
        if "class" not in file.keys():  # noqa: SIM118
            return {}
        shares, kinds = file.get_tensor("class").max(dim=1)
    return {
        name: {"class": kind, "share": round(share, 4)}
        for name, kind, share in zip(ids, kinds.tolist(), shares.tolist(), strict=True)
    }


def bytes_per_image(path: Path, images: int) -> float | None:
    """Bytes that have to be kept of an image to get it again with the generator at hand: those of its v."""
    if not images:
        return None
    with safe_open(path, "pt") as file:
        kept = filter(is_variable, file.keys())
        return sum(tensor.numel() * tensor.element_size() for tensor in map(file.get_tensor, kept)) / images
