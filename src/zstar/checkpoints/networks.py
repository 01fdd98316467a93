"""Trained networks, from a file of weights and its card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from zstar.checkpoints import io
from zstar.config.reasons import reason

Network = TypeVar("Network", bound=nn.Module)
Card = dict[str, Any]
Weights = dict[str, Tensor]


def load_network(
    path_or_name: str | Path, role: str, describe: Callable[[Card, Weights], tuple[Callable[..., Network], Card]]
) -> tuple[Network, Card]:
    """A trained network in ``eval()`` without gradient to its weights, and its card.

    Arguments:
        path_or_name: A safetensors file with its JSON card beside it, or the name of a shipped one.
        role: What the network is: the ``kind`` on the card, the task that exports it, and the first word of errors.
        describe: Card and weights → the class of the network and its arguments; it raises an error that says why where
            the card asks for something that it may not.

    Raises:
        ValueError: The card is missing, is that of something else or can't be used, or the weights do not fit the
            network that it names; one sentence with the path.
    """
    path = io.resolve(path_or_name)
    card = io.read_card(path)
    if card.get("kind") != role:
        raise ValueError(f"{role}: {path} is no {role} by its card; choose a file that task={role} exported")
    weights = io.load_weights(path)
    try:
        kind, arguments = describe(card, weights)
        with torch.device("meta"):  # sizes on a card may be of any size, so they take no memory until the weights fit
            empty = kind(**arguments)
    except Exception as error:  # a constructor can fail in any way at values that nobody meant for it
        raise ValueError(f"{role}: the card {io.card_path(path)} cannot be used: {reason(error)}") from None
    io.compare(empty, weights, path)
    network = kind(**arguments)
    io.load_into(network, weights, path)
    return network.eval().requires_grad_(False), card


def filled(make: Callable[[], Network], weights: Weights, origin: object) -> Network:
    """A network with weights that fit it. Sizes read off a file may be of any size, so that they take no memory, nor
    initial weights any time, until they do.

    Raises:
        ValueError: They do not fit, or are not finite; one sentence.
    """
    with torch.device("meta"):
        network = make()
    io.compare(network, weights, origin)
    network = network.to_empty(device="cpu").to(memory_format=torch.channels_last)
    io.load_into(network, weights, origin)
    return network
