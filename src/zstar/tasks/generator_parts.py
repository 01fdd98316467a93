"""The parts of a generator's training, from its configuration."""

from typing import Any

from omegaconf import DictConfig

from zstar.config.build import build, offer
from zstar.config.signatures import resolve
from zstar.data.samples import Samples
from zstar.generators.stylegan2 import StyleGAN2
from zstar.tasks.steerable import Steering


def make_parts(cfg: DictConfig) -> dict[str, Any]:
    """The objects that :class:`~zstar.tasks.generator.GeneratorTask` asks for, by name.

    Raises:
        ValueError: The data, the discriminator or the generator is none for this training.
    """
    if resolve(cfg.data._target_) is Samples:
        raise ValueError("data: samples of the generator that is being trained teach it nothing; choose data=folder")
    kind = resolve(cfg.discriminator._target_)
    if getattr(kind, "inputs", "images") != "images":
        raise ValueError(
            f"discriminator: {kind.__name__} judges {kind.inputs} and a generator makes images; choose "
            "discriminator=stylegan2 or projected"
        )
    generator = build(cfg.generator, at="generator")
    if not isinstance(generator, StyleGAN2):
        name = type(generator).__name__
        raise ValueError(f"generator: this task trains a StyleGAN2, not a {name}; choose generator=stylegan2")
    sizes = {"resolution": generator.resolution, "channels": generator.channels}
    parts = {"generator": generator, "discriminator": offer(cfg.discriminator, at="discriminator", **sizes)}
    return parts | ({"steering": Steering.compose(cfg, generator)} if cfg.task.get("steering") else {})
