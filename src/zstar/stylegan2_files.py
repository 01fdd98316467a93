"""What a file says about the StyleGAN2 in it: its sizes by the shapes of the weights, the rest by its settings."""

from typing import Any

from torch import Tensor

from zstar.pickled_values import Record

REQUIRED = ("synthesis.b4.const", "synthesis.b8.conv1.weight", "mapping.fc0.weight", "mapping.w_avg")


def absent(weights: dict[str, Tensor]) -> str | None:
    """The first name of an official generator that is not among the weights; None where they are one."""
    return next((name for name in REQUIRED if name not in weights), None)


def sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """The constructor's sizes, read off an official state dict; ``widths`` maps each resolution to its channels."""
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    widths: dict[int, int] = {}
    while f"synthesis.b{4 * 2 ** len(widths)}.conv1.weight" in shapes:
        resolution = 4 * 2 ** len(widths)
        widths[resolution] = shapes[f"synthesis.b{resolution}.conv1.weight"][0]
    embedded, c_dim = shapes.get("mapping.embed.weight", (0, 0))
    architecture = "resnet" if "synthesis.b8.skip.weight" in shapes else "orig"
    return {
        "widths": widths,
        "channels": shapes[f"synthesis.b{max(widths)}.torgb.bias"][0],
        "w_dim": shapes["mapping.w_avg"][0],
        "z_dim": shapes["mapping.fc0.weight"][1] - embedded,
        "num_mapping_layers": sum(name.startswith("mapping.fc") and name.endswith(".weight") for name in shapes),
        "architecture": "skip" if "synthesis.b4.torgb.bias" in shapes else architecture,
        "c_dim": c_dim,
    }


def settings(said: dict[str, Any]) -> dict[str, Any]:
    """What no shape tells, from the ``settings`` of a card (or empty), with the official defaults."""
    return {"conv_clamp": None, "mapping_lr_multiplier": 0.01} | said


def record_settings(record: Record) -> dict[str, Any]:
    """The same from the constructor's arguments that an official pickle keeps.

    Raises:
        ValueError: The network uses an activation other than leaky ReLU, as no published one does.
    """
    arguments = record.state.get("_init_kwargs", {})
    mapping, synthesis = arguments.get("mapping_kwargs", {}), arguments.get("synthesis_kwargs", {})
    for part in (mapping, synthesis):
        if part.get("activation", "lrelu") != "lrelu":
            raise ValueError(f"the activation '{part['activation']}' is unknown; only 'lrelu' can be read")
    return {
        "conv_clamp": synthesis.get("conv_clamp"),
        "mapping_lr_multiplier": mapping.get("lr_multiplier", 0.01),
    }


def flatten(record: Record, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a pickled ``torch.nn.Module``: parameters and persistent buffers by their dotted names."""
    state = record.state
    hidden = state.get("_non_persistent_buffers_set", ())
    own = {**state.get("_parameters", {}), **state.get("_buffers", {})}
    tensors = {prefix + name: value for name, value in own.items() if isinstance(value, Tensor) and name not in hidden}
    for name, module in state.get("_modules", {}).items():
        if isinstance(module, Record):
            tensors |= flatten(module, f"{prefix}{name}.")
    return tensors
