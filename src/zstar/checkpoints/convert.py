"""``zstar-convert in.pkl out.safetensors``: weights of others as safetensors with a JSON card."""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from zstar.checkpoints.io import load_generator_checkpoint, load_weights, save_weights


def convert(argv: Sequence[str] | None = None) -> None:
    """Read a checkpoint of any known kind without running it, and write safetensors and a card.

    Generators of StyleGAN2 come out under their official names, with their settings on the card.
    """
    parser = argparse.ArgumentParser(prog="zstar-convert", description=convert.__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="safetensors, torch state dict, StyleGAN2-ADA .pkl or rosinality .pt")
    parser.add_argument("target", type=Path, help="file to write, ending in .safetensors; its card ends in .json")
    parser.add_argument("--key", help="keep this state dict of the source as it is, e.g. state_dict or D")
    arguments = parser.parse_args(argv)
    if arguments.target.suffix != ".safetensors":
        parser.error(f"target: {arguments.target} must end in .safetensors")
    try:
        card = {"source": arguments.source.name}
        weights = load_weights(arguments.source, arguments.key)
        if arguments.key is None:
            try:
                weights, settings = load_generator_checkpoint(arguments.source)
                keys = ("conv_clamp", "mapping_lr_multiplier")
                card |= {"kind": "generator", "network": "StyleGAN2", "settings": {key: settings[key] for key in keys}}
            except ValueError:
                card |= {"kind": "weights"}
        card["source_sha256"] = hashlib.sha256(arguments.source.read_bytes()).hexdigest()
        save_weights(arguments.target, weights, card)
    except ValueError as error:
        parser.exit(1, f"{error}\n")
    count = sum(value.numel() for value in weights.values())
    print(f"{arguments.target}: {len(weights)} tensors, {count:,} values, {card.get('network', 'state dict')}")
