"""``zstar-convert in.pkl out.safetensors``: weights of others as safetensors with a JSON card."""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from zstar.checkpoints import stylegan2_ada
from zstar.checkpoints.families import family_of, usable
from zstar.checkpoints.formats import read_content, select
from zstar.checkpoints.io import (
    card_path,
    halved,
    load_generator_checkpoint,
    read_card,
    resolve,
    save_weights,
    stylegan2_within,
)
from zstar.checkpoints.settings import unfit
from zstar.config.paths import place
from zstar.runs.ending import ending_well


def program() -> None:
    """The script ``zstar-convert``."""
    with ending_well():
        convert()


def convert(argv: Sequence[str] | None = None) -> None:
    """Read a checkpoint of any known kind without running it, and write safetensors and a card.

    Generators of a known family come out under their official names, with the family and the settings that no tensor
    tells on the card. What a card beside the source says is said by the new one too.
    """
    parser = argparse.ArgumentParser(prog="zstar-convert", description=convert.__doc__.splitlines()[0])
    parser.add_argument(
        "source",
        help="safetensors, torch state dict, StyleGAN2-ADA .pkl, rosinality .pt, or the name of shipped weights",
    )
    parser.add_argument("target", help="file to write, ending in .safetensors; its card ends in .json")
    parser.add_argument("--key", help="the state dict of the source to keep, e.g. state_dict or D")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        type=setting,
        metavar="NAME=VALUE",
        help="a setting of the generator that no tensor tells, e.g. prior=uniform",
    )
    parser.add_argument("--half", action="store_true", help="weights in half precision, in half of the bytes")
    arguments = parser.parse_args(argv)
    target = place(arguments.target)
    if target.suffix != ".safetensors":
        parser.error(f"target: {target} must end in .safetensors")
    at_fault: object = arguments.source
    try:
        source = resolve(arguments.source)
        weights, card = read(source, arguments.key, dict(arguments.settings))
        at_fault = target
        require_free(target, source)
        # Vectors stay: running variances can be too small for it, and all vectors together are few numbers.
        half = [name for name, value in weights.items() if arguments.half and value.ndim > 1]
        save_weights(target, halved(weights, half), card)
    except ValueError as error:
        parser.exit(1, f"{error}\n")
    except OSError as error:
        parser.exit(1, f"{at_fault}: {error.strerror}; choose another file\n")
    count = sum(value.numel() for value in weights.values())
    what = card["network"] if isinstance(card.get("network"), str) else card["kind"]
    print(f"{target}: {len(weights)} tensors, {count:,} values, {what}")


def setting(word: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; the value is as in JSON, or else text."""
    name, equals, value = word.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"'{word}' is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def read(source: Path, key: str | None, told: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights in a file, and the card for them.

    Raises:
        ValueError: The file can't be read, or settings are ``told`` of what is no generator of a known family.
    """
    card: dict[str, Any] = {"kind": "weights"} | read_card(source)
    content = read_content(source)
    found, weights = select(content, key, source)
    family = family_of(stylegan2_within(weights))
    if family is None or family.choice is None:
        if told:
            raise ValueError(f"--set: {source} holds no generator of a known family, which alone has settings")
    elif family.choice == "stylegan2":
        weights, settings = load_generator_checkpoint(source, key)
        with usable(source, family.title):
            settings = stylegan2_ada.settings({name: settings[name] for name in stylegan2_ada.DEFAULTS} | told)
        card |= {"kind": "generator", "network": family.title, "settings": settings}
    else:
        if family.names:  # else it is told by shapes, and its names may be those of a user's own class
            with usable(source, family.title):
                weights = family.official(weights)
        settings = {**family.settings(source, content.get(found)), **mapping_of(card, source), **told}
        card |= {"kind": "generator", "network": family.title, "settings": settings}
        if family.known and (why := unfit(settings, family.known)):
            raise ValueError(f"checkpoint: {source} can't have such a card ({why})")
    return weights, card | {"source": source.name, "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest()}


def mapping_of(card: dict[str, Any], source: Path) -> dict[str, Any]:
    """The settings on a card; empty where it has none."""
    settings = card.get("settings", {})
    if not isinstance(settings, dict):
        raise ValueError(f"checkpoint: the card {card_path(source)} cannot be used ({unfit(settings, {})})")
    return settings


def require_free(target: Path, source: Path) -> None:
    """Refuse to write a card over a JSON file that is none, neither of the target as it is nor of the source."""
    card = card_path(target)
    if not card.exists() or card == card_path(source) or (target.is_file() and "kind" in read_card(target)):
        return
    raise ValueError(f"target: {card}, where the card of {target.name} would go, is another file; choose another name")
