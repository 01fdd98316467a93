"""Sizes and settings of a StyleGAN2, from the shapes of its weights and from its card or pickle."""

import math
from typing import Any

from torch import Tensor

from zstar.checkpoints.pickle_values import PickledObject, Refused

DEFAULTS = {"conv_clamp": None, "mapping_lr_multiplier": 0.01}
KINDS = ("parameters", "buffers", "modules")
LARGEST, LONGEST = 100_000, 1000  # tensors and modules of a network, and characters of a name in it
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


def record_settings(record: PickledObject) -> dict[str, Any]:
    """The same from the constructor's arguments that an official pickle keeps.

    Raises:
        ValueError: The network uses an activation other than leaky ReLU, as no published one does; or these are not
            such arguments.
    """
    arguments = _mapping(record.state, "_init_kwargs")
    mapping, synthesis = _mapping(arguments, "mapping_kwargs"), _mapping(arguments, "synthesis_kwargs")
    for part in (mapping, synthesis):
        activation = part.get("activation", "lrelu")
        if not isinstance(activation, str) or activation != "lrelu":
            shown = repr(activation)[:40] if isinstance(activation, PLAIN) else f"a {type(activation).__name__}"
            raise ValueError(f"the activation {shown} is unknown; only 'lrelu' can be read")
    clamp, multiplier = synthesis.get("conv_clamp"), mapping.get("lr_multiplier", 0.01)
    return settings({"conv_clamp": clamp, "mapping_lr_multiplier": multiplier})


def _mapping(state: dict[Any, Any], name: str) -> dict[str, Any]:
    """The mapping of names that is called ``name``; empty where there is none."""
    value = state.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Refused(f"'{name}' in its network is no mapping of names")
    return value


def flatten(record: PickledObject) -> dict[str, Tensor]:
    """The state dict of a pickled ``torch.nn.Module``: parameters and persistent buffers by their dotted names.

    Raises:
        Refused: It is no module, or one that holds itself or a part of itself so often that it has no end.
    """
    tensors: dict[str, Tensor] = {}
    waiting, count = [("", record)], 0
    while waiting:
        prefix, module = waiting.pop()
        parameters, buffers, modules = (_mapping(module.state, f"_{kind}") for kind in KINDS)
        hidden = module.state.get("_non_persistent_buffers_set", ())
        if not isinstance(hidden, set | list | tuple):
            raise Refused(f"'_non_persistent_buffers_set' in its network is a {type(hidden).__name__}")
        count += 1 + len(parameters) + len(buffers)
        if count > LARGEST or len(prefix) > LONGEST:
            raise Refused("its network has too many parts; does it hold itself?")
        hidden = {name for name in hidden if isinstance(name, str)}
        own = {name: value for name, value in {**parameters, **buffers}.items() if name not in hidden}
        tensors |= {prefix + name: value for name, value in own.items() if isinstance(value, Tensor)}
        inner = [(f"{prefix}{name}.", part) for name, part in modules.items() if isinstance(part, PickledObject)]
        waiting += reversed(inner)
    return tensors
