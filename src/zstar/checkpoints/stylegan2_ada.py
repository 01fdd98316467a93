"""Sizes and settings of a StyleGAN2, from the shapes of its weights and from its card or pickle."""

import math
import re
from typing import Any

import torch
from torch import Tensor

from zstar.checkpoints.pickle_values import PickledObject
from zstar.checkpoints.records import mapping, parts

DEFAULTS = {"conv_clamp": None, "mapping_lr_multiplier": 0.01}
NEWER_CLAMP = 256  # the default in the code base of StyleGAN3
SYNTHESIS = {"conv_clamp", "activation", "channel_base", "channel_max", "num_fp16_res", "fused_modconv_default"}
FC_WEIGHT = r"mapping\.fc\d+\.weight"
PLAIN = str | int | float | bool | None
REQUIRED = (
    "synthesis.b4.const",
    "synthesis.b4.resample_filter",
    "synthesis.b8.conv1.weight",
    "mapping.fc0.weight",
    "mapping.w_avg",
)


def absent(weights: dict[str, Tensor]) -> str | None:
    """The first name of an official generator that is not among the weights; None where they are one."""
    return next((name for name in REQUIRED if name not in weights), None)


def sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """The constructor's sizes, read off an official state dict; ``widths`` maps each resolution to its channels."""
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    widths: dict[int, int] = {}
    while f"synthesis.b{4 * 2 ** len(widths)}.conv1.weight" in shapes:
        resolution = 4 * 2 ** len(widths)
        block, width = f"synthesis.b{resolution}", shapes[f"synthesis.b{resolution}.conv1.weight"][0]
        # These give the network its size, so a small file must not claim to be a large one.
        for part, shape in (("conv1.weight", (width, width, 3, 3)), ("conv1.noise_const", (resolution, resolution))):
            if shapes[f"{block}.{part}"] != shape or width == 0:
                raise ValueError(f"'{block}.{part}' is {shapes[f'{block}.{part}']} instead of {shape}")
        widths[resolution] = width
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


def settings(values: Any) -> dict[str, Any]:
    """The arguments that no shape tells, from the ``settings`` of a card (or empty), with the official defaults.

    Raises:
        ValueError: They are no settings, or others than these two; half a sentence.
    """
    if not isinstance(values, dict):
        raise ValueError(f"settings is a {type(values).__name__}; make it a mapping")
    if unknown := sorted(set(values) - set(DEFAULTS)):
        raise ValueError(f"settings.{unknown[0]} is not for it to say; sizes come from the tensors, so remove it")
    chosen = DEFAULTS | values
    for name, value in chosen.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
        if not number and not (value is None and DEFAULTS[name] is None):
            choice = "a positive number" + (" or null" if DEFAULTS[name] is None else "")
            shown = repr(value)[:40] if isinstance(value, PLAIN) else f"a {type(value).__name__}"
            raise ValueError(f"settings.{name} is {shown}; it must be {choice}")
    return chosen


def require_multiplier(weights: dict[str, Tensor], multiplier: float) -> None:
    """Refuse an assumed learning-rate multiplier of the mapping that its weights contradict.

    Weights are stored divided by it, so that at first they are of size one over it, and training moves them little.
    """
    inner = torch.cat([value.flatten() for name, value in weights.items() if re.fullmatch(FC_WEIGHT, name)])
    size = inner.square().mean().sqrt().item()
    if not 1 / 3 < size * multiplier < 3:
        raise ValueError(
            f"its mapping network has weights of size {size:.2g}, as of a learning-rate multiplier (lr_mlp) near "
            f"{1 / max(size, 1e-9):.1g}, where {multiplier:g} is assumed; a card beside the file says it, "
            '{"settings": {"mapping_lr_multiplier": …}}'
        )


def record_settings(record: PickledObject) -> dict[str, Any]:
    """The same from an official pickle: from the layers, which keep them, or from the constructor's arguments.

    StyleGAN2-ADA has the arguments of the synthesis network in a mapping of their own and clamps nothing by default;
    the code base of StyleGAN3 has them beside the others and clamps at 256.

    Raises:
        ValueError: The network uses an activation other than leaky ReLU, as no published one does; its layers differ
            from each other or from the arguments; or these are not such arguments.
    """
    arguments = mapping(record.state, "_init_kwargs")
    mapped, synthesis = mapping(arguments, "mapping_kwargs"), mapping(arguments, "synthesis_kwargs")
    newer = "synthesis_kwargs" not in arguments and SYNTHESIS & set(arguments)
    synthesis = arguments if newer else synthesis
    claims = [("conv_clamp", synthesis["conv_clamp"])] if "conv_clamp" in synthesis else []
    claims += [("mapping_lr_multiplier", mapped["lr_multiplier"])] if "lr_multiplier" in mapped else []
    for part in (mapped, synthesis):
        _require_leaky(part.get("activation", "lrelu"))
    for name, layer in parts(record):
        claims += _of_layer(name, layer.state)
    said = {"conv_clamp": NEWER_CLAMP} if newer and all(key != "conv_clamp" for key, _ in claims) else {}
    for key, value in claims:
        settings({key: value})
        if said.setdefault(key, value) != value:
            raise ValueError(f"{key} is {said[key]} in one place of its network and {value} in another")
    return settings(said)


def _of_layer(name: str, state: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a layer of the official networks, by its dotted name with a dot at the end, says of the settings."""
    if name.startswith("synthesis.") and "conv_clamp" in state:
        _require_leaky(state.get("activation", "lrelu"))
        return [("conv_clamp", state["conv_clamp"])]
    if name.startswith("mapping.fc") and "bias_gain" in state:
        _require_leaky(state.get("activation", "lrelu"))
        return [("mapping_lr_multiplier", state["bias_gain"])]
    return []


def _require_leaky(activation: Any) -> None:
    if not isinstance(activation, str) or activation != "lrelu":
        shown = repr(activation)[:40] if isinstance(activation, PLAIN) else f"a {type(activation).__name__}"
        raise ValueError(f"the activation {shown} is unknown; only 'lrelu' can be read")
