"""What an encoder is trained with, from its configuration: the network, and the penalties on what it finds."""

import inspect
from collections.abc import Mapping
from typing import Any

from zstar.config.build import Config, build, offer
from zstar.config.signatures import resolve
from zstar.encoders.base import AbstractEncoder
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.noise_maps import NoiseMaps
from zstar.spaces.base import AbstractSpace

ONE = "choose one that can be trained, such as encoder=psp"


def make_network(node: Config, space: AbstractSpace) -> AbstractEncoder:
    """The network in the sizes of the generator and the space; an error where it is none to be trained."""
    if not node.get("_partial_"):
        raise ValueError(
            f"encoder: this one is finished and there is nothing to train; {ONE}, or give the node of a class of your "
            "own _partial_: true"
        )
    sizes = {"resolution": space.generator.resolution, "channels": space.generator.channels, "shape": space.shape}
    network = build({**node, "_partial_": False}, **sizes, mean=space.mean, spread=space.spread)
    if not isinstance(network, AbstractEncoder):
        raise ValueError(f"encoder: a {type(network).__name__} is no network to be trained; {ONE}")
    return network


def make_prices(nodes: Mapping[str, Any], space: AbstractSpace) -> dict[str, AbstractRegularizer]:
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
    return {name: offer(node, space=space) for name, node in nodes.items()}
