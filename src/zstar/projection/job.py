"""A projection run, built from its composed config."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import zstar
from zstar.benchmark.protocol import (
    MEASURES,
    protocol_hash,
    require_frozen,
    require_independent_metrics,
    require_protocol,
)
from zstar.checkpoints.identity import identify
from zstar.config.build import offer, to_plain
from zstar.config.check import CLASSES, STROKES, STYLES, check
from zstar.config.schema import Invert
from zstar.data.base import AbstractData
from zstar.data.classes import Classified
from zstar.data.companions import MAPS, take_companions
from zstar.data.known import Known
from zstar.data.regions import Regions
from zstar.data.strokes import Stroked
from zstar.data.styled import target_names, with_targets
from zstar.generators.base import AbstractGenerator
from zstar.projection.earlier import EDITABILITY, Earlier
from zstar.projection.labels import Labels
from zstar.projection.pipeline import Pipeline, takes_encoder
from zstar.projection.shards import take_shard
from zstar.projectors.base import AbstractProjector
from zstar.runs.folder import config_hash

MEAN = (
    "encoder: none ships for this generator in {space}, so the projection starts at the prior's mean; "
    "train one with python train.py task=encoder space={space}"
)
ON_CPU = {
    "tf32": "precision: TF32 is a format of GPUs; on a CPU the result is that of precision=exact",
    "bf16": "precision: on a CPU without instructions for bfloat16 it takes many times as long as precision=exact",
}
READ = ("data", "generator")  # which have a fingerprint of what they have read
IGNORED = (*MEASURES, "protocol", "label", "inversion", *READ)  # or identified otherwise
USUAL = {"target": "image", "mask": "mask", "size": None}  # what a loss looks at if nothing else is chosen


@dataclass(frozen=True)
class Job:
    """A projection run: the images, the line that they go along, and the name of the result.

    Attributes:
        pipeline: The components.
        data: The images.
        batch_size: Images at once.
        labels: The columns that all results share.
        key: Hash of all that the result depends on.
        identity: What that is the hash of, by the keys of the configuration.
        latents: Hash of all that the latents depend on.
        measures: Name of each metric, and ``editability``, → the hash of all that it depends on.
        earlier: The finished run whose latents are taken, where there is one that differs in what is measured alone.
        notices: What the user should know before it begins.
    """

    pipeline: Pipeline
    data: AbstractData
    batch_size: int
    labels: Labels
    key: str
    identity: dict[str, Any]
    latents: str
    measures: dict[str, str]
    notices: list[str]
    earlier: Earlier | None = None

    @property
    def hashes(self) -> dict[str, str | None]:
        """Of what the result depends on, by name."""
        read = {name: self.identity[name]["content"] for name in READ}
        return {"protocol_hash": self.labels.protocol_hash, "latents": self.latents, **read}

    @property
    def batches(self) -> int:
        """Number of batches that the data set is projected in."""
        return -(-len(self.data) // self.batch_size)


def make_job(cfg: Mapping[str, Any], generator: AbstractGenerator | None = None) -> Job:
    """Check a composed config and build what it names: x → project → z → edit → G(z′).

    Arguments:
        cfg: The configuration of ``invert.py``.
        generator: Its generator, where it is built already.
    """
    check(cfg, Invert)
    plain, _ = take_shard(to_plain(cfg))
    pipeline = Pipeline(plain, "images are projected into noise", generator)
    data, companions = make_data(plain, pipeline)
    hashes = {"data": data.fingerprint(), "generator": pipeline.generator.fingerprint()}
    require_frozen(plain.get("protocol"), **hashes)  # before anything else is built
    for part in (pipeline.problem, *pipeline.projectors):
        part.require_targets({"image", *companions}, {name for name in companions if is_map(name)})
    if isinstance(data, Stroked):
        data = data.followed_by(followed(pipeline))
    if masks := regions(pipeline):
        data = Regions(data, masks)
    notices = list(notes(pipeline))
    require_allowed(pipeline)
    if plain.get("inversion") is not None and "saved" not in pipeline.nodes("projector"):
        raise ValueError("inversion: no projector begins with it; choose projector=[saved,…], or inversion=null")
    if pipeline.editability:
        pipeline.require_ways(pipeline.space.name)
    depends, measured = latent_identity(pipeline, hashes), measure_identity(pipeline)
    whole = {**depends, **measured}
    return Job(
        pipeline, data, plain["batch_size"], make_labels(pipeline, hashes, measured), config_hash(whole), whole,
        config_hash(depends), measure_hashes(measured), notices,
    )  # fmt: skip


def make_data(plain: dict[str, Any], pipeline: Pipeline) -> tuple[AbstractData, set[str]]:
    """The images with their companions, strokes and classes, and the names of the targets that these are."""
    plain["data"], companions = take_companions(plain["data"])
    table, styles = plain["data"].pop(CLASSES, None), plain["data"].pop(STYLES, None)
    strokes = companions.pop("strokes", None)
    images = offer(plain["data"], at="data", generator=pipeline.generator)
    data = with_classes(images, table, pipeline)
    data = data if plain.get("inversion") is None else Known(data, plain["inversion"])
    data, names = with_targets(data, companions, styles), target_names(images.targets, companions, styles)
    return (data, names) if strokes is None else (Stroked(data, strokes), {*names, *STROKES})


def followed(pipeline: Pipeline) -> set[str]:
    """Names of the targets that the losses compare with and projectors read: where strokes of a kind are looked at."""
    compared = (name for loss in pipeline.problem.losses.values() for name in loss.pictures.values())
    read = (name for projector in pipeline.projectors for name in projector.reads.values())
    return {*compared, *read}


def regions(pipeline: Pipeline) -> set[str]:
    """Names of the masks that say which region of an image is edited, and not how much a pixel counts."""
    losses = {loss.mask for loss in pipeline.problem.losses.values() if loss.region and loss.mask is not None}
    return losses | {name for projector in pipeline.projectors for name in projector.regions}


def is_map(target: str) -> bool:
    """Whether a companion can weigh or hide pixels."""
    return target in MAPS or (target in STROKES and target.endswith("_mask"))


def with_classes(data: AbstractData, table: str | None, pipeline: Pipeline) -> AbstractData:
    """The images with their classes, where there is a table of them."""
    count, space = pipeline.generator.classes, pipeline.space
    if table is not None and not count:
        raise ValueError("data.classes: this generator draws no class of an image's own; set generator.label=own")
    if count and data.classes not in (0, count):
        raise ValueError(
            f"data: its images are of {data.classes} classes and the generator draws {count}; choose others"
        )
    unsaid = count and table is None and not data.classes
    if unsaid and not (space.needs_class or any(one.finds_class for one in pipeline.projectors)):
        raise ValueError(
            f"generator.label: nothing says the classes of the images, and latents of {space.name} need none; set "
            "data.classes=<table>, or choose label=all, or space=z, where classes are found with the latents"
        )
    return data if table is None else Classified(data, table, count)


def notes(pipeline: Pipeline) -> Iterator[str]:
    """Notices for the user before a run begins."""
    if pipeline.encoder is None and any(map(takes_encoder, pipeline.nodes("projector").values())):
        yield MEAN.format(space=pipeline.space.name)
    if pipeline.plain["seed"] and not pipeline.stochastic:
        yield "seed: this method draws no random numbers, so its result is that of seed=0"
    yield from idle(pipeline)
    if pipeline.device.type == "cpu" and (notice := ON_CPU.get(pipeline.plain["precision"])):
        yield notice


def idle(pipeline: Pipeline) -> Iterator[str]:
    """Notices of what has no effect, as no projector frees what it is about."""
    free = {kind for projector in pipeline.projectors for kind in projector.frees}
    free |= {"features"} if pipeline.space.maps else set()
    for name, term in pipeline.problem.regularizers.items():
        if term.of and not free & set(term.of):
            yield f"regularizer.{name}: no projector frees {' or '.join(term.of)}, so it has no effect; remove it"
    if not pipeline.generator.learned and "weights" not in free:
        yield "generator: its weights have learned nothing, and no projector fits them; choose projector=[untrained]"


def require_allowed(pipeline: Pipeline) -> None:
    """Refuse what the protocol, if there is one, does not allow."""
    plain = pipeline.plain
    require_protocol(plain, pipeline.stochastic)
    if plain.get("protocol"):
        training = {} if pipeline.encoder is None else pipeline.encoder.training
        require_independent_metrics(pipeline.measures[0], pipeline.nodes("loss"), training, plain["protocol"]["name"])


def make_labels(pipeline: Pipeline, hashes: Mapping[str, str], measured: Mapping[str, Any]) -> Labels:
    """The columns that all results share: protocol, method, space and seed."""
    protocol = protocol_hash(measured, pipeline.plain.get("operator"), hashes["data"], hashes["generator"])
    method = pipeline.plain["label"] or "+".join(map(label, pipeline.projectors))
    return Labels(protocol, method, pipeline.space.title or pipeline.space.name, used_seed(pipeline))


def measure_identity(pipeline: Pipeline) -> dict[str, Any]:
    """All that what is measured of the latents, and how it is labelled, depends on."""
    measured = {name: pipeline.plain.get(name) for name in (*MEASURES, "protocol", "label")}
    if not pipeline.editability:
        measured |= dict.fromkeys(("annotation", "direction"))  # nothing looks at them
    return identify(measured)


def measure_hashes(measured: Mapping[str, Any]) -> dict[str, str]:
    """Name of each metric, and ``editability``, → the hash of all that it depends on."""
    edits = {name: measured[name] for name in (EDITABILITY, "annotation", "direction")}
    metrics = {name: config_hash(node) for name, node in (measured["metric"] or {}).items()}
    return metrics | ({EDITABILITY: config_hash(edits)} if edits[EDITABILITY] else {})


def latent_identity(pipeline: Pipeline, hashes: Mapping[str, str]) -> dict[str, Any]:
    """All that the latents depend on: results that are equal in it are measurements of the same ones."""
    plain, encoder = pipeline.plain, pipeline.encoder
    settings = {key: value for key, value in plain.items() if key not in IGNORED}
    settings["loss"] = {
        name: {key: value for key, value in node.items() if key not in USUAL or value != USUAL[key]}
        for name, node in pipeline.nodes("loss").items()
    }
    read = {name: {**identify(plain[name], contents=False), "content": hashes[name]} for name in READ}
    network = None if encoder is None else {**identify(plain["encoder"]), "content": encoder.fingerprint()}
    fixed = {"results": zstar.RESULTS, "seed": used_seed(pipeline), "encoder": network, **pipeline.arithmetic}
    return {**identify(settings), **read, **fixed}


def used_seed(pipeline: Pipeline) -> int:
    """The seed, or 0 for a method that draws no random numbers."""
    return pipeline.plain["seed"] if pipeline.stochastic else 0


def label(projector: AbstractProjector) -> str:
    """Name of a projector in results: its class, as a word of the configuration."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(projector).__name__).lower()
