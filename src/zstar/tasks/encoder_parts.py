"""The parts of an encoder's training, from its configuration."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig

from zstar.config.build import Config, build, offer, to_plain
from zstar.config.check import STYLES
from zstar.config.signatures import resolve
from zstar.data.companions import MAPS, take_companions
from zstar.data.styled import target_names
from zstar.encoders.base import AbstractEncoder, EncoderSpec
from zstar.losses.base import AbstractLoss, require_targets
from zstar.metrics.available import make_metrics
from zstar.metrics.base import AbstractMetric, AbstractSetMetric
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.noise_maps import NoiseMaps
from zstar.spaces.base import AbstractSpace

FIX = "choose one that can be trained, such as encoder=psp"


def make_parts(cfg: DictConfig) -> dict[str, Any]:
    """The objects that :class:`~zstar.tasks.encoder.EncoderTask` asks for, by name.

    Raises:
        ValueError: The generator is untrained, or an encoder, a regularizer or a metric is none for a training.
    """
    generator = build(cfg.generator, at="generator")
    generator.require_trained("there is nothing to invert")
    space = build(cfg.space, at="space", generator=generator)
    metrics = make_training_metrics(cfg)
    encoder = make_network(cfg.encoder, space)  # first: what else is built draws random numbers too
    losses = make_losses(cfg)
    targets = data_targets(cfg.data)
    require_targets(losses, {"image", *targets}, set(targets) & MAPS)
    return {
        "space": space,
        "encoder": encoder,
        "losses": losses,
        "targets": targets,
        "operators": {n: build(node, at=f"operator.{n}") for n, node in (cfg.get("operator") or {}).items()},
        "regularizers": make_regularizers(cfg.get("regularizer") or {}, space),
        "metrics": metrics,
        "network": to_plain(cfg.encoder),
        "adversaries": {
            name: offer(cfg.adversary[name], at=f"adversary.{name}", space=space)
            for name in sorted(cfg.get("adversary") or {})
        },
    }


def make_losses(cfg: DictConfig) -> dict[str, AbstractLoss]:
    """The losses of a training by name."""
    return {name: build(node, at=f"loss.{name}") for name, node in (cfg.get("loss") or {}).items()}


def make_training_metrics(cfg: DictConfig) -> dict[str, AbstractMetric]:
    """The metrics of a training by name; an error for one that compares more than pairs of pictures."""
    metrics = make_metrics(cfg.get("metric") or {}, torch.device("cpu"))[0]
    if sets := [name for name, metric in metrics.items() if isinstance(metric, AbstractSetMetric)]:
        raise ValueError(f"metric.{sets[0]}: it is a number of a set, and a training reports means; leave it out")
    if others := [name for name, metric in metrics.items() if not isinstance(metric, AbstractMetric)]:
        raise ValueError(f"metric.{others[0]}: a training compares pictures alone, without their v; leave it out")
    return metrics


def data_targets(node: DictConfig) -> set[str]:
    """Names of the targets that some data have besides their images."""
    own = getattr(resolve(node["_target_"]), "targets", ())
    return target_names(own, take_companions(to_plain(node))[1], node.get(STYLES))


def make_network(node: Config, space: AbstractSpace) -> AbstractEncoder:
    """The network in the sizes of the generator and the space; an error where it is none to be trained."""
    if not node.get("_partial_"):
        raise ValueError(
            f"encoder: this one is finished and there is nothing to train; {FIX}, or give the node of a class of your "
            "own _partial_: true"
        )
    network = build({**node, "_partial_": False}, at="encoder", spec=EncoderSpec.of(space))
    if not isinstance(network, AbstractEncoder):
        raise ValueError(f"encoder: a {type(network).__name__} is no network to be trained; {FIX}")
    return network


def make_regularizers(nodes: Mapping[str, Any], space: AbstractSpace) -> dict[str, AbstractRegularizer]:
    """The regularizers by name; an error for one that an encoder's latents can't be penalised by."""
    for name, node in nodes.items():
        target = resolve(node["_target_"])
        if "encoder" in inspect.signature(target).parameters:
            raise ValueError(
                f"regularizer: {name} needs an encoder that is trained already; it is for invert.py, remove it here"
            )
        if target is NoiseMaps:
            raise ValueError(
                f"regularizer: {name} penalises noise maps and an encoder gives none; it is for invert.py, remove it"
            )
    return {name: offer(node, at=f"regularizer.{name}", space=space) for name, node in nodes.items()}
