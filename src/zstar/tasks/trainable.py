"""Which task trains which generator."""

from typing import Any, NamedTuple

from omegaconf import DictConfig

from zstar.config.build import build
from zstar.config.signatures import resolve
from zstar.data.samples import Samples
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.autoencoder import TrainableAutoencoder
from zstar.generators.base import AbstractGenerator
from zstar.generators.invertible import Invertible


class Trained(NamedTuple):
    """What a task trains: the class, its name with an article, and how to choose one."""

    kind: type[Any]
    title: str
    choice: str


TRAINED = {
    "generator": Trained(AbstractAdversarial, "a GAN", "generator=stylegan2"),
    "autoencoder": Trained(TrainableAutoencoder, "a VAE or a VQVAE2", "generator=vae or vqvae2"),
    "flow": Trained(Invertible, "a flow", "generator=glow or realnvp"),
}


def make_generator(cfg: DictConfig, task: str) -> Any:
    """The generator that a composed configuration of ``train.py`` wants to be trained.

    Arguments:
        cfg: The configuration.
        task: The choice of ``task=`` that it was composed with.

    Raises:
        ValueError: Another task trains such generators, or none does, or the data are its own samples.
    """
    if resolve(cfg.data._target_) is Samples:
        raise ValueError("data: samples of the generator that is being trained teach it nothing; choose data=folder")
    generator: AbstractGenerator = build(cfg.generator, at="generator")
    wanted = TRAINED[task]
    if isinstance(generator, wanted.kind):
        return generator
    others = [f"task={name}, or " for name, other in TRAINED.items() if isinstance(generator, other.kind)]
    name, fix = type(generator).__name__, "".join(others) + wanted.choice
    raise ValueError(f"generator: this task trains {wanted.title}, not a {name}; choose {fix}")
