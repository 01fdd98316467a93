"""A projection run, built from its composed config."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from zstar.benchmark.protocol import protocol_hash, require_independent_metrics, require_protocol
from zstar.config.build import build, offer, to_plain
from zstar.config.check import check
from zstar.config.schema import Invert
from zstar.config.signatures import resolve
from zstar.data.base import AbstractData
from zstar.data.companions import MAPS, Companions, take_companions
from zstar.directions.apply import require_way
from zstar.directions.base import AbstractDirection
from zstar.directions.choose import find_directions, make_annotation
from zstar.editability.base import AbstractEditability
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.base import AbstractGenerator
from zstar.metrics.available import make_metrics
from zstar.metrics.base import AbstractMetric, AbstractSetMetric
from zstar.objective import Problem
from zstar.projection.budget import fit
from zstar.projection.labels import Labels
from zstar.projection.shards import take_shard
from zstar.projectors.base import AbstractProjector
from zstar.runs.folder import config_hash
from zstar.spaces.base import AbstractSpace

MEAN = (
    "encoder: none ships for this generator in {space}, so the projection starts at the prior's mean; "
    "train one with python train.py task=encoder space={space}"
)


@dataclass(frozen=True)
class Job:
    """A projection run, built from its config: what to project, with what, and how the result is measured."""

    data: AbstractData
    generator: AbstractGenerator
    problem: Problem
    projectors: list[AbstractProjector]
    metrics: dict[str, AbstractMetric | AbstractSetMetric]
    skipped: dict[str, str]
    batch_size: int
    device: torch.device
    labels: Labels
    key: str
    notices: list[str]
    directions: dict[str, AbstractDirection]
    editability: dict[str, AbstractEditability]
    stochastic: bool

    @property
    def batches(self) -> int:
        """Number of batches that the data set is projected in."""
        return -(-len(self.data) // self.batch_size)


def make_job(cfg: Mapping[str, Any]) -> Job:
    """Check a composed config and build everything in it; each component gets what its signature asks for."""
    check(cfg, Invert)
    plain, _ = take_shard(to_plain(cfg))
    device = pick_device(plain["device"])
    generator = build(plain["generator"]).to(device)
    generator.require_trained("images are projected into noise")
    plain["data"], companions = take_companions(plain["data"])
    data = offer(plain["data"], generator=generator)
    data = Companions(data, companions) if companions else data
    space = build(plain["space"], generator=generator)
    losses = {name: build(node).to(device) for name, node in (plain.get("loss") or {}).items()}
    encoder = make_encoder(plain, space)
    penalties = plain.get("regularizer") or {}
    regularizers = {name: offer(node, space=space, **given(name, node, encoder)) for name, node in penalties.items()}
    optimizer = build(plain["optimizer"])
    operators = {name: build(node) for name, node in (plain.get("operator") or {}).items()}
    problem = Problem(space, losses, regularizers, optimizer, plain["seed"], plain["noise"], operators)
    problem.require_targets({"image", *companions}, MAPS & companions.keys())
    projectors = make_projectors(plain, problem, encoder)
    stochastic = problem.noise == "optimize" or any(projector.random for projector in projectors)
    notices = list(notes(plain, encoder, space, stochastic))
    metrics, skipped = make_metrics(plain.get("metric") or {}, device)
    data_hash, generator_hash = data.fingerprint(), generator.fingerprint()
    require_protocol(plain, data_hash, generator_hash, stochastic)
    if plain.get("protocol"):
        training = {} if encoder is None else encoder.training
        require_independent_metrics(metrics, plain.get("loss") or {}, training, plain["protocol"]["name"])
    objects = make_annotation(plain)
    editability = {name: offer(node, **objects) for name, node in (plain.get("editability") or {}).items()}
    directions = find_directions(plain.get("direction") or {}, space, objects) if editability else {}
    for direction in directions.values():
        require_way(generator, space.name, direction.space)
    seed = plain["seed"] if stochastic else 0
    protocol = protocol_hash(plain, data_hash, generator_hash)
    labels = Labels(protocol, plain["label"] or "+".join(map(label, projectors)), space.name, seed)
    network = {} if encoder is None else {"encoder": encoder.fingerprint()}
    idle = () if editability else ("annotation", "direction")  # nothing looks at them
    asked = {key: value for key, value in plain.items() if key not in idle}
    asked["loss"] = {name: without_usual(node) for name, node in (plain.get("loss") or {}).items()}
    identity = {"data": data_hash, "generator": generator_hash} | network
    return Job(
        data, generator, problem, projectors, metrics, skipped, plain["batch_size"], device, labels,
        config_hash({**asked, "seed": seed, "identity": identity}), notices, directions, editability, stochastic,
    )  # fmt: skip


def without_usual(node: Mapping[str, Any]) -> dict[str, Any]:
    """A loss without the target and the mask that it looks at if nothing else is chosen: for identities, to which these
    keys add nothing then."""
    usual = {"target": "image", "mask": "mask"}
    return {key: value for key, value in node.items() if key not in usual or value != usual[key]}


def make_projectors(
    plain: Mapping[str, Any], problem: Problem, encoder: TrainedEncoder | None
) -> list[AbstractProjector]:
    """The chain of projectors, within the budget."""
    nodes = plain.get("projector") or {}
    chain = [offer(node, problem=problem, **given(name, node, encoder)) for name, node in nodes.items()]
    return fit(chain, **plain["budget"])


def notes(
    plain: Mapping[str, Any], encoder: TrainedEncoder | None, space: AbstractSpace, stochastic: bool
) -> Iterator[str]:
    """What the user should know about a run before it begins."""
    if encoder is None and any(map(asks, (plain.get("projector") or {}).values())):
        yield MEAN.format(space=space.name)
    if plain["seed"] and not stochastic:
        yield "seed: this method draws no random numbers, so its result is that of seed=0"


def label(projector: AbstractProjector) -> str:
    """What results call a projector: its class, as a word of the configuration."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(projector).__name__).lower()


def asks(node: Mapping[str, Any]) -> bool:
    """Whether what a node builds has a use for the inverting network."""
    return "encoder" in inspect.signature(resolve(node["_target_"])).parameters


def make_encoder(plain: Mapping[str, Any], space: AbstractSpace) -> TrainedEncoder | None:
    """The inverting network of a run, if anything in it has a use for one and there is one."""
    nodes = [*(plain.get("projector") or {}).values(), *(plain.get("regularizer") or {}).values()]
    if plain.get("encoder") is None or not any(map(asks, nodes)):
        return None
    encoder = offer(plain["encoder"], space=space)
    if encoder is not None and not isinstance(encoder, TrainedEncoder):
        raise ValueError(
            "encoder: this is a network without weights, for train.py task=encoder; choose encoder=shipped, or "
            "encoder=trained encoder.checkpoint=<what it exported>"
        )
    if encoder is not None:
        encoder.network.to(space.mean.device)
    return encoder


def given(name: str, node: Mapping[str, Any], encoder: TrainedEncoder | None) -> dict[str, TrainedEncoder]:
    """The inverting network for what has a use for one; an error where there is none and it can't do without."""
    place = inspect.signature(resolve(node["_target_"])).parameters.get("encoder")
    if place is not None and encoder is None and place.default is place.empty:
        raise ValueError(
            f"encoder: {name} needs one, and none is chosen or none ships for this generator and space; train one "
            "(train.py task=encoder) and set encoder=trained encoder.checkpoint=<file>, or choose others, such as "
            "projector=[mean,optimization]"
        )
    return {} if place is None or encoder is None else {"encoder": encoder}


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
