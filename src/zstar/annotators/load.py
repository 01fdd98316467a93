"""Trained annotators, from a file of weights and its card to a frozen network and its vocabulary.

The network is the one that the card names, within the limits of ``zstar.checkpoints.cards``.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.vocabulary import Meaning, Vocabulary
from zstar.checkpoints import cards
from zstar.checkpoints.networks import load_network
from zstar.config.signatures import annotations, fits


def load_annotator(path_or_name: str | Path) -> tuple[AbstractAnnotator, Vocabulary]:
    """An annotator in ``eval()`` without gradient to its weights, and the meaning of its outputs.

    Arguments:
        path_or_name: A safetensors file with its JSON card beside it, or the name of a shipped one. The card can name
            annotators of this package only; a network of your own is passed as an object where one is asked for.

    Raises:
        ValueError: The card is missing, is not that of an annotator, or asks for something else than a class of this
            package with plain values; one sentence with its path.
    """
    network, card = load_network(path_or_name, "annotator", _describe)
    fold(network)
    network.size = _size(card)
    return network.to(memory_format=torch.channels_last), Vocabulary.from_card(card)


def _describe(card: dict[str, Any], weights: dict[str, Tensor]) -> tuple[type[AbstractAnnotator], dict[str, Any]]:
    """The class that the card names, and its arguments."""
    vocabulary = _vocabulary(card)
    kind, arguments = cards.network(card.get("network"), AbstractAnnotator, ("classes", "factors"))
    return kind, arguments | {"classes": len(vocabulary.classes), "factors": len(vocabulary.factors)}


def _vocabulary(card: dict[str, Any]) -> Vocabulary:
    """The meaning of the outputs on a card, whose types are checked."""
    classes, factors = card.get("classes"), card.get("factors")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes must be a list of names")
    hints = annotations(Meaning)
    for i, factor in enumerate(factors if isinstance(factors, list) else [None]):
        if not isinstance(factor, dict) or not {"name", "low", "high", "needs"} <= set(factor) <= set(hints):
            raise ValueError("factors must be a list of mappings, each with name, low, high, unit, flag and needs")
        if wrong := [name for name, value in factor.items() if not fits(value, hints[name])]:
            raise ValueError(f"factors[{i}].{wrong[0]} is {repr(factor[wrong[0]])[:40]}, which is of another type")
    names = {factor["name"] for factor in factors}
    for factor in factors:
        if unknown := [name for name in factor["needs"] if name.lstrip("!") not in names]:
            raise ValueError(f"the factor {factor['name'][:40]!r} needs {unknown[0][:40]!r}, which is no factor")
    return Vocabulary.from_card(card)


def _size(card: dict[str, Any]) -> int | None:
    """Height and width of the images that it was trained on, where its card says it."""
    found: Any = card
    for name in ("config", "data", "resolution"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) and 8 <= found <= 4096 else None


def fold(network: nn.Module) -> None:
    """Fold batch norms into the convolutions before them: the same function in ``eval()``, in fewer passes."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                if isinstance(module[i], nn.Conv2d) and isinstance(module[i + 1], nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(module[i], module[i + 1]), nn.Identity()
