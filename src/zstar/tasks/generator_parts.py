"""The parts of a generator's training, from its configuration."""

from typing import Any

from omegaconf import DictConfig

from zstar.config.build import offer
from zstar.config.signatures import resolve
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
    generator = make_generator(cfg, "generator")
    sizes = {"resolution": generator.resolution, "channels": generator.channels}
    parts = {"generator": generator, "discriminator": offer(cfg.discriminator, at="discriminator", **sizes)}
    return parts | ({"steering": Steering.compose(cfg, generator)} if cfg.task.get("steering") else {})
