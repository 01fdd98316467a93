"""Finished annotators: from a file of weights and its card to a frozen network and its vocabulary."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zstar import checkpoints
from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.vocabulary import Vocabulary
from zstar.config import build


def load_annotator(path_or_name: str | Path) -> tuple[AbstractAnnotator, Vocabulary]:
    """An annotator in ``eval()`` without gradient to its weights, and what its outputs mean.

    Arguments:
        path_or_name: A safetensors file with its JSON card beside it, or the name of a shipped one.

    Raises:
        ValueError: The card is missing or is not that of an annotator.
    """
    path = checkpoints.resolve(path_or_name)
    card = checkpoints.read_card(path)
    if card.get("kind") != "annotator":
        raise ValueError(f"annotator: {path} is no annotator by its card; choose a file that task=annotator exported")
    vocabulary = Vocabulary.from_card(card)
    sizes = {"classes": len(vocabulary.classes), "factors": len(vocabulary.factors)}
    network = build(card["network"] | {"_partial_": False}, **sizes)
    checkpoints.load_into(network, checkpoints.load_weights(path), path)
    fold(network.eval())
    return network.to(memory_format=torch.channels_last).requires_grad_(False), vocabulary


def fold(network: nn.Module) -> None:
    """Fold batch norms into the convolutions before them: the same function in ``eval()``, in fewer passes."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                if isinstance(module[i], nn.Conv2d) and isinstance(module[i + 1], nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(module[i], module[i + 1]), nn.Identity()
