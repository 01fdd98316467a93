"""``zstar-convert in.pkl out.safetensors``: weights of others as safetensors with a JSON card."""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from zstar.checkpoints.io import (
    card_path,
    is_stylegan2,
    load_generator_checkpoint,
    load_weights,
    read_card,
    resolve,
    save_weights,
    stylegan2_within,
)
from zstar.config.paths import place
from zstar.runs.ending import ending_well


def program() -> None:
    """The script ``zstar-convert``."""
    with ending_well():
        convert()


def convert(argv: Sequence[str] | None = None) -> None:
    """Read a checkpoint of any known kind without running it, and write safetensors and a card.

    Generators of StyleGAN2 come out under their official names, with their settings on the card. What a card beside the
    source says is said by the new one too.
    """
    parser = argparse.ArgumentParser(prog="zstar-convert", description=convert.__doc__.splitlines()[0])
    parser.add_argument(
        "source",
        help="safetensors, torch state dict, StyleGAN2-ADA .pkl, rosinality .pt, or the name of shipped weights",
    )
    parser.add_argument("target", help="file to write, ending in .safetensors; its card ends in .json")
    parser.add_argument("--key", help="the state dict of the source to keep, e.g. state_dict or D")
    arguments = parser.parse_args(argv)
    target = place(arguments.target)
    if target.suffix != ".safetensors":
        parser.error(f"target: {target} must end in .safetensors")
    at_fault: object = arguments.source
    try:
        source = resolve(arguments.source)
        weights, card = read(source, arguments.key)
        at_fault = target
        require_free(target, source)
        save_weights(target, weights, card)
    except ValueError as error:
        parser.exit(1, f"{error}\n")
    except OSError as error:
        parser.exit(1, f"{at_fault}: {error.strerror}; choose another file\n")
    count = sum(value.numel() for value in weights.values())
    what = "StyleGAN2" if card.get("network") == "StyleGAN2" else card["kind"]
    print(f"{target}: {len(weights)} tensors, {count:,} values, {what}")


def read(source: Path, key: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights in a file, and the card for them."""
    card: dict[str, Any] = {"kind": "weights"} | read_card(source)
    weights = load_weights(source, key)
    if is_stylegan2(stylegan2_within(weights)):
        weights, settings = load_generator_checkpoint(source, key)
        told = {name: settings[name] for name in ("conv_clamp", "mapping_lr_multiplier")}
        card |= {"kind": "generator", "network": "StyleGAN2", "settings": told}
    return weights, card | {"source": source.name, "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest()}


def require_free(target: Path, source: Path) -> None:
    """Refuse to write a card over a JSON file that is none, neither of the target as it is nor of the source."""
    card = card_path(target)
    if not card.exists() or card == card_path(source) or (target.is_file() and "kind" in read_card(target)):
        return
    raise ValueError(f"target: {card}, where the card of {target.name} would go, is another file; choose another name")
