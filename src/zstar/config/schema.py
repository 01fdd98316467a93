"""The keys of the primary configurations: their signatures are the schema, as everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from zstar.config.constraints import POSITIVE, FolderName, Within

Node = Mapping[str, Any]  # what a group's file holds; the text beside it is a choice to name where there is none
Seed = Annotated[int, Within(0, 2**63 - 1)]
Name = Annotated[str, FolderName()]


@dataclass(frozen=True)
class Budget:
    """``budget`` of ``conf/invert.yaml``: what an image may cost."""

    evaluations: Annotated[int, Within(1)] | None
    seconds: Annotated[float, POSITIVE] | None


@dataclass(frozen=True)
class Protocol:
    """``protocol`` of a file in ``conf/protocol/``: what its table is about, and what its rows may do.

    Attributes:
        name: What tables call it.
        track: Whether its images are the generator's own, of the generator's domain, or of another.
        data, generator: The fingerprints that they have to have; null takes any.
        seeds: The seeds that a method with random numbers has to be run with.
        evaluations, seconds: The budgets; an empty list leaves them open.
        part_of: The name of the protocol of whose images these are a part.
    """

    name: str
    track: Literal["round_trip", "in_domain", "out_of_domain"]
    data: str | None
    generator: str | None
    seeds: list[int]
    evaluations: list[int]
    seconds: list[float]
    part_of: str | None = None


@dataclass(frozen=True)
class Invert:
    """``conf/invert.yaml``; the groups of which several can be chosen are absent where none is."""

    data: Annotated[Node, "cottages"]
    generator: Annotated[Node, "cottages"]
    space: Annotated[Node, "w"]
    optimizer: Annotated[Node, "adam"]
    logger: Annotated[Node, "none"]
    seed: Seed
    steps: Annotated[int, Within(0)]
    batch_size: Annotated[int, Within(1)]
    micro_batch: Annotated[int, Within(1)] | None
    checkpointing: bool
    compile: Literal["graph", "inductor"] | None
    noise: Literal["const", "none", "optimize"]
    device: str
    precision: Literal["exact", "tf32", "bf16"]
    name: Name | None
    tags: list[str]
    output: str
    label: Name | None
    budget: Budget
    inversion: str | None = None
    protocol: Protocol | None = None
    projector: Node | None = None
    loss: Node | None = None
    operator: Node | None = None
    regularizer: Node | None = None
    metric: Node | None = None
    encoder: Node | None = None
    annotation: Node | None = None
    direction: Node | None = None
    editability: Node | None = None


@dataclass(frozen=True)
class Callbacks:
    """``callbacks`` of ``conf/train.yaml``: minutes between two checkpoints, steps between two of the others."""

    checkpoint_minutes: Annotated[float, Within(0)]
    samples_every: Annotated[int, Within(0)]
    scores_every: Annotated[int, Within(0)]
    snapshot_every: Annotated[int, Within(0)]


@dataclass(frozen=True)
class Validation:
    """``validation`` of ``conf/train.yaml``: how many images are held out."""

    count: Annotated[int, Within(1)]


@dataclass(frozen=True)
class Train:
    """``conf/train.yaml``; which of the networks are needed depends on the task."""

    task: Annotated[Node, "generator"]
    data: Annotated[Node, "cottages_train"]
    trainer: Annotated[Node, "default"]
    logger: Annotated[Node, "none"]
    seed: Seed
    name: Name | None
    tags: list[str]
    output: str
    validation: Validation | None
    callbacks: Callbacks
    start: str | None = None
    generator: Node | None = None
    discriminator: Node | None = None
    annotator: Node | None = None
    encoder: Node | None = None
    space: Node | None = None
    edit: Node | None = None
    walk: Node | None = None
    loss: Node | None = None
    operator: Node | None = None
    regularizer: Node | None = None
    adversary: Node | None = None
    metric: Node | None = None


@dataclass(frozen=True, kw_only=True)
class Edit(Invert):
    """``conf/edit.yaml``: what ``conf/invert.yaml`` has, and what is done with the latents."""

    projections: str
    strengths: int | list[float] | Mapping[str, Any]
    beyond: bool
    achieved: bool
    combine: Literal["each", "together", "grid"]
    frames: Annotated[int, Within(2)]
    video: bool
    measured: Annotated[int, Within(1)]
    seam: Literal["feather", "poisson"] | None
    megapixels: Annotated[float, POSITIVE]
    search: Node | None = None
    only: list[str] | None = None
    rows: list[int] | Mapping[str, Any] | None = None
    interpolation: Literal["linear", "spherical", "w_plus"] | None = None
    pairs: list[list[int]] | None = None
    mixing: list[int] | None = None
    postprocess: Node | None = None


@dataclass(frozen=True)
class Dissect:
    """``conf/dissect.yaml``: a generator, who says what is in its pictures, and what is asked of its units."""

    generator: Annotated[Node, "cottages"]
    segmenter: Annotated[Node, "annotator"]
    logger: Annotated[Node, "none"]
    layers: list[str] | None
    samples: Annotated[int, Within(2)]
    seed: Seed
    batch_size: Annotated[int, Within(1)]
    device: str
    precision: Literal["exact", "tf32", "bf16"]
    name: Name | None
    tags: list[str]
    output: str
    analysis: Annotated[Node, "[agreement]"]
    judge: Node | None = None
    space: Node | None = None  # which a generator's file chooses for other programs; samples are of the prior


@dataclass(frozen=True)
class Paint:
    """``conf/paint.yaml``: how photos are projected, what is painted with, and where the page is."""

    brush: Node
    data: Annotated[Node, "cottages"]
    generator: Annotated[Node, "cottages"]
    space: Annotated[Node, "w_plus"]
    optimizer: Annotated[Node, "adam"]
    segmenter: Annotated[Node, "annotator"]
    units: str
    classes: list[str] | None
    only: list[str] | None
    titles: Mapping[str, str]
    strokes: str | None
    photo: str | None
    scene: Seed
    output: str
    host: str
    port: Annotated[int, Within(0, 65535)]
    open: bool
    max_megabytes: Annotated[float, POSITIVE]
    max_megapixels: Annotated[float, POSITIVE]
    seed: Seed
    steps: Annotated[int, Within(0)]
    noise: Literal["const", "none"]
    device: str
    postprocess: Node | None = None
    projector: Node | None = None
    loss: Node | None = None
    operator: Node | None = None
    regularizer: Node | None = None
    encoder: Node | None = None
    direction: Node | None = None
