"""A projection run, built from its composed config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from zstar.config import build, check, offer, to_plain
from zstar.data.base import AbstractData
from zstar.generators.base import AbstractGenerator
from zstar.metrics.base import AbstractMetric
from zstar.objective import Problem
from zstar.parts import Labels
from zstar.projectors.base import AbstractProjector
from zstar.runs import config_hash
from zstar.settings import Invert

PROTOCOL = ("data", "generator", "metric")  # what has to be equal for two tables to be comparable


@dataclass(frozen=True)
class Job:
    """A projection run, built from its config: what to project, with what, and how the result is measured."""

    data: AbstractData
    generator: AbstractGenerator
    problem: Problem
    projectors: list[AbstractProjector]
    metrics: dict[str, AbstractMetric]
    skipped: dict[str, str]
    batch_size: int
    device: torch.device
    labels: Labels
    key: str

    @property
    def batches(self) -> int:
        """Number of batches that the data set is projected in."""
        return -(-len(self.data) // self.batch_size)


def make_job(cfg: Mapping[str, Any]) -> Job:
    """Check a composed config and build everything in it; each component gets what its signature asks for."""
    check(cfg, Invert)
    plain = to_plain(cfg)
    device = pick_device(plain["device"])
    generator = build(plain["generator"]).to(device)
    if not generator.trained:
        raise ValueError(
            "generator.checkpoint: without one the weights are random and images are projected into noise; "
            "set it to a file of weights, or choose generator=cottages"
        )
    data = offer(plain["data"], generator=generator)
    space = build(plain["space"], generator=generator)
    losses = {name: build(node).to(device) for name, node in (plain.get("loss") or {}).items()}
    regularizers = {name: build(node, space=space) for name, node in (plain.get("regularizer") or {}).items()}
    optimizer = build(plain["optimizer"])
    problem = Problem(space, losses, regularizers, optimizer, plain["seed"], plain["noise"])
    projectors = {name: build(node, problem=problem) for name, node in (plain.get("projector") or {}).items()}
    metrics, skipped = make_metrics(plain.get("metric") or {}, device)
    identity = {"data": data.fingerprint(), "generator": generator.fingerprint()}
    protocol = {name: plain.get(name) for name in PROTOCOL} | {"identity": identity}
    labels = Labels(config_hash(protocol), "+".join(projectors), space.name, plain["seed"])
    key = config_hash({**plain, "identity": identity})
    return Job(
        data, generator, problem, list(projectors.values()), metrics, skipped, plain["batch_size"], device, labels, key
    )


def make_metrics(nodes: Mapping[str, Any], device: torch.device) -> tuple[dict[str, AbstractMetric], dict[str, str]]:
    """The metrics that can be had here, and name → reason for those whose weights are missing."""
    metrics, skipped = {}, {}
    for name, node in nodes.items():
        try:
            metric = build(node)
        except (FileNotFoundError, ImportError) as error:
            skipped[name] = str(error)
            continue
        metrics[name] = metric.to(device) if isinstance(metric, torch.nn.Module) else metric
    return metrics, skipped


def pick_device(name: str) -> torch.device:
    """``auto`` is the first GPU where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device: '{name}' is no device to compute on; choose auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device: '{name}' was asked for and torch sees {torch.cuda.device_count()} GPUs; choose device=cpu or auto"
        )
    return device
