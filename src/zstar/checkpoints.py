"""Weights, read and written without executing anything in them."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


def shipped(name: str) -> Path:
    """The file of weights called ``name`` that ships with the package."""
    folder = Path(str(resources.files("zstar") / "weights"))
    path = folder / f"{name.removesuffix('.safetensors')}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none yet"
        raise ValueError(f"checkpoint: no file and no shipped weights are called '{name}'; shipped are: {known}")
    return path


def resolve(path_or_name: str | Path) -> Path:
    """A file as it is, anything else as the name of shipped weights."""
    path = Path(path_or_name).expanduser()
    return path if path.is_file() else shipped(str(path_or_name))


def read_card(path: str | Path) -> dict[str, Any]:
    """The JSON card beside a file of weights; empty where there is none."""
    card = Path(path).with_suffix(".json")
    return json.loads(card.read_text()) if card.is_file() else {}


def load_weights(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """Tensors by name."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"checkpoint: {path} is no complete safetensors file ({error})") from error


def stylegan2_settings(weights: dict[str, Tensor]) -> dict[str, Any]:
    """The sizes of a StyleGAN2 generator, read off the shapes of its official state dict."""
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    widths = {}
    while f"synthesis.b{4 * 2 ** len(widths)}.conv1.weight" in shapes:
        r = 4 * 2 ** len(widths)
        widths[r] = shapes[f"synthesis.b{r}.conv1.weight"][0]
    c_dim, embedded = 0, 0
    if "mapping.embed.weight" in shapes:
        embedded, c_dim = shapes["mapping.embed.weight"]
    architecture = "resnet" if "synthesis.b8.skip.weight" in shapes else "orig"
    return {
        "widths": widths,
        "channels": shapes[f"synthesis.b{max(widths)}.torgb.weight"][0],
        "w_dim": shapes["mapping.w_avg"][0],
        "z_dim": shapes["mapping.fc0.weight"][1] - embedded,
        "num_mapping_layers": sum(f"mapping.fc{i}.weight" in shapes for i in range(64)),
        "architecture": "skip" if "synthesis.b4.torgb.weight" in shapes else architecture,
        "c_dim": c_dim,
        "conv_clamp": None,
        "mapping_lr_multiplier": 0.01,
    }


def load_generator_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A StyleGAN2 generator's official state dict and its sizes."""
    weights = load_weights(path)
    return weights, stylegan2_settings(weights) | read_card(path).get("settings", {})


def load_into(module: nn.Module, weights: dict[str, Tensor], origin: object) -> None:
    """Load a state dict; the first name that is missing, left over or of another shape is named in one sentence."""
    wanted = module.state_dict()
    for name, value in wanted.items():
        if name not in weights:
            raise ValueError(f"checkpoint: {origin} lacks '{name}' {tuple(value.shape)} of {type(module).__name__}")
        if weights[name].shape != value.shape:
            raise ValueError(
                f"checkpoint: '{name}' is {tuple(weights[name].shape)} in {origin} "
                f"and {tuple(value.shape)} in {type(module).__name__}"
            )
    for name in weights:
        if name not in wanted:
            raise ValueError(f"checkpoint: {origin} has '{name}', which {type(module).__name__} has not")
    module.load_state_dict(weights)
