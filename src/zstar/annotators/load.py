"""Finished annotators: from a file of weights and its card to a frozen network and its vocabulary.

A card comes with the weights of strangers, so nothing on it is built as a configuration would be: it chooses one of the
classes in this folder and gives plain values to it.
"""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zstar import checkpoints
from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.vocabulary import Meaning, Vocabulary
from zstar.signatures import annotations, fits

PLAIN = str | int | float | bool | None


def load_annotator(path_or_name: str | Path) -> tuple[AbstractAnnotator, Vocabulary]:
    """An annotator in ``eval()`` without gradient to its weights, and what its outputs mean.

    Arguments:
        path_or_name: A safetensors file with its JSON card beside it, or the name of a shipped one. The card can name
            annotators of this package only; a network of your own is passed as an object where one is asked for.

    Raises:
        ValueError: The card is missing, is not that of an annotator, or asks for something else than a class of this
            package with plain values; one sentence with its path.
    """
    path = checkpoints.resolve(path_or_name)
    card = checkpoints.read_card(path)
    if card.get("kind") != "annotator":
        raise ValueError(f"annotator: {path} is no annotator by its card; choose a file that task=annotator exported")
    weights = checkpoints.load_weights(path)
    try:
        vocabulary = _vocabulary(card)
        kind, arguments = _network(card.get("network"))
        arguments |= {"classes": len(vocabulary.classes), "factors": len(vocabulary.factors)}
        with torch.device("meta"):  # sizes on a card may be of any size, so they take no memory until the weights fit
            empty = kind(**arguments)
    except Exception as error:  # a constructor can fail in any way at values that nobody meant for it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"annotator: the card {checkpoints.card_path(path)} cannot be used: {reason}") from None
    checkpoints.compare(empty, weights, path)
    network = kind(**arguments)
    checkpoints.load_into(network, weights, path)
    fold(network.eval())
    return network.to(memory_format=torch.channels_last).requires_grad_(False), vocabulary


def _network(said: Any) -> tuple[type[AbstractAnnotator], dict[str, Any]]:
    """The class that a card's ``network`` names, and the arguments for it."""
    if not isinstance(said, dict):
        raise ValueError(f"network is a {type(said).__name__}; it must be a mapping with a _target_")
    kind = _class(said.get("_target_"))
    hints = annotations(kind)
    arguments = {name: value for name, value in said.items() if name not in ("_target_", "_partial_")}
    for name, value in arguments.items():
        if name.startswith("_") or name not in inspect.signature(kind).parameters or name in ("classes", "factors"):
            raise ValueError(f"network.{name[:40]} is no setting of {kind.__name__}; remove it")
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, PLAIN):
                raise ValueError(f"network.{name} holds a {type(item).__name__}; give plain values or a list of them")
        if not fits(value, hints.get(name, Any)):
            raise ValueError(f"network.{name} is {repr(value)[:40]}, which {kind.__name__} cannot take")
    return kind, arguments


def _class(target: Any) -> type[AbstractAnnotator]:
    """The annotator with this full name. Modules outside of this folder are not even imported."""
    found = re.fullmatch(r"zstar\.annotators\.([a-z][a-z0-9_]*)\.([A-Za-z]\w*)", str(target)[:200], re.ASCII)
    kind: Any = None
    if found and (Path(__file__).parent / f"{found[1]}.py").is_file():
        kind = getattr(importlib.import_module(f"zstar.annotators.{found[1]}"), found[2], None)
    if not (inspect.isclass(kind) and issubclass(kind, AbstractAnnotator)) or inspect.isabstract(kind):
        raise ValueError(
            f"network._target_ is {repr(target)[:80]}, but a card can only name an annotator in zstar.annotators; "
            "pass a network of your own as an object"
        )
    return kind


def _vocabulary(card: dict[str, Any]) -> Vocabulary:
    """What the outputs mean, once the types of all that the card says about them are right."""
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


def fold(network: nn.Module) -> None:
    """Fold batch norms into the convolutions before them: the same function in ``eval()``, in fewer passes."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                if isinstance(module[i], nn.Conv2d) and isinstance(module[i + 1], nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(module[i], module[i + 1]), nn.Identity()
