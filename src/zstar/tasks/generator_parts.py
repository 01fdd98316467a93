"""The parts of a generator's training, from its configuration."""

from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from zstar.config.build import offer
from zstar.config.signatures import resolve
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import AbstractGenerator
from zstar.tasks.steerable import Steering
from zstar.tasks.trainable import make_generator


def make_parts(cfg: DictConfig) -> dict[str, Any]:
    """The objects that :class:`~zstar.tasks.generator.GeneratorTask` asks for, by name.

    Raises:
        ValueError: The data, the discriminator or the generator is none for this training.
    """
    kind = resolve(cfg.discriminator._target_)
    if getattr(kind, "inputs", "images") != "images":
        raise ValueError(
            f"discriminator: {kind.__name__} judges {kind.inputs} and a generator makes images; choose "
            "discriminator=stylegan2 or projected"
        )
    generator = require_z(make_generator(cfg, "generator"))
    told = cfg.data.get("classes") is not None or bool(cfg.data.get("classed"))
    sizes = {"resolution": generator.resolution, "channels": generator.channels}
    sizes["classes"] = generator.classes if told else 0
    parts = {"generator": generator, "discriminator": offer(cfg.discriminator, at="discriminator", **sizes)}
    return parts | ({"steering": Steering.compose(cfg, generator)} if cfg.task.get("steering") else {})


def require_z(generator: AbstractAdversarial) -> AbstractAdversarial:
    """The generator, if z is a space of it."""
    if "z" not in generator.spaces:
        raise ValueError(
            "generator.label: a training draws z with a class for each image, and all has no z; set it to own"
        )
    return generator


def require_w(generator: AbstractGenerator, **weights: float) -> None:
    """Refuse what acts on w where a generator has none; ``weights`` are settings of the task, 0 for none."""
    for name, value in weights.items():
        if value and "w_plus" not in generator.spaces:
            raise ValueError(f"task.{name}: {value} acts on w, which a {type(generator).__name__} has not; set it to 0")


def choose_classes(
    generator: AbstractAdversarial, batch: dict[str, Tensor], rng: torch.Generator
) -> Float[Tensor, "n k"] | None:
    """The classes of as many generated images: those of the real ones where the data say them, else all alike; None
    where the generator has none."""
    if not generator.classes:
        return None
    if "class" not in batch:
        return generator.draw_classes(len(batch["images"]), rng)
    if (count := batch["class"].shape[1]) != generator.classes:
        raise ValueError(
            f"generator.classes: it draws {generator.classes} and the images are of {count}; set it to {count}"
        )
    return batch["class"]


def require_pairs(spread_weight: float, batch: int) -> None:
    """Refuse to compare batches of one image by how their images vary."""
    if spread_weight and batch < 2:
        raise ValueError(
            f"task.spread_weight: {spread_weight} compares the images of a batch; set task.batch to 2 or more"
        )
