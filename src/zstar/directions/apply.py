"""Application of directions to latents, in whatever spaces the two are."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.directions.achieved import in_achieved, requested
from zstar.directions.base import AbstractDirection, Label
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import Variables


def apply(
    generator: AbstractGenerator,
    v: Variables,
    space: str,
    steps: Sequence[tuple[AbstractDirection, Float[Tensor, " b"]]],
) -> tuple[dict[str, Tensor], str]:
    """Change v along directions, one after the other, each image by its own strengths.

    Returns:
        v, and the space that its latents are in then.

    Raises:
        ValueError: A direction is of a poorer space, from which there is no way back.
    """
    v = dict(v)
    for direction, alpha in steps:
        v, space = direction.carry(generator, v, space, alpha)
    return v, space


def in_order(
    generator: AbstractGenerator, steps: Sequence[tuple[AbstractDirection, Float[Tensor, " b"]]]
) -> list[tuple[AbstractDirection, Float[Tensor, " b"]]]:
    """The steps from the poorest space to the richest, from which there is no way back, and then those of no space."""
    order = [*generator.spaces, None]
    return sorted(steps, key=lambda step: order.index(step[0].space))


def choose_strengths(
    directions: Mapping[str, AbstractDirection],
    strengths: int | Sequence[float] | Mapping[str, object],
    beyond: bool,
    achieved: bool = False,
) -> dict[str, list[float]]:
    """The strengths for each direction, as values of α.

    Arguments:
        strengths: A count, spread over each direction's useful range; a list for all of them; or a mapping from names
            to counts, lists or single numbers with a decimal point, where directions that it leaves out get seven.
        beyond: Whether strengths outside of the useful range are allowed.
        achieved: Whether ``strengths`` are those that the pictures are to have, by the direction's curve.

    Raises:
        ValueError: An unknown name, no strength at all, or one outside of the useful range; one sentence.
    """
    if isinstance(strengths, Mapping):
        if unknown := [name for name in strengths if name not in directions]:
            raise ValueError(f"strengths.{unknown[0]}: there is no such direction; these are: {', '.join(directions)}")
    chosen = {}
    for name, direction in directions.items():
        label = in_achieved(direction.label, beyond) if achieved else direction.label
        if label is None:
            raise ValueError(
                f"achieved: there is no curve of what {name} achieves, such as a training of directions measures; "
                "leave it out with only=[…], or set achieved=false"
            )
        own = strengths.get(name, 7) if isinstance(strengths, Mapping) else strengths
        values = list_strengths(name, label, own)
        slack = 1e-6 * max(1.0, abs(label.low), abs(label.high))  # of numbers that were float32
        outside = [value for value in values if not label.low - slack <= value <= label.high + slack]
        if outside and achieved:
            raise ValueError(
                f"strengths: {outside[0]:g} {label.unit} can't be reached along {name}, which achieves {label.low:.3g} "
                f"to {label.high:.3g}; stay within" + ("" if beyond else ", or set beyond=true")
            )
        if outside and not beyond:
            raise ValueError(
                f"strengths: {outside[0]:g} {label.unit} lies outside of the useful range of {name}, {label.low:g} to "
                f"{label.high:g}; stay within, or set beyond=true"
            )
        chosen[name] = requested(direction.label, values, beyond) if achieved else values
    return chosen


def list_strengths(name: str, label: Label, value: object) -> list[float]:
    """The strengths that a count, a list or a single number with a decimal point stands for."""
    if isinstance(value, int) and not isinstance(value, bool):
        values = label.strengths(max(value, 0)).tolist()
    else:
        values = value if isinstance(value, list | tuple) else [value]
    wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, int | float)]
    if wrong := wrong or [value for value in values if not math.isfinite(value)]:
        raise ValueError(
            f"strengths: {wrong[0]!r} is no strength for {name}; give a number of them, such as 7, or a list"
        )
    if not values:
        raise ValueError(f"strengths: {name} gets none; give a number of them, such as 7, or a list")
    return [float(value) for value in values]


def slerp(a: Float[Tensor, "b ..."], b: Float[Tensor, "b ..."], share: float) -> Float[Tensor, "b ..."]:
    """Spherical interpolation between latents, on the arc between them for any angle up to a half turn.

    Lengths are interpolated linearly. Parallel latents, and opposite ones, between which no arc is the shortest, are
    interpolated linearly too.
    """
    flat = [latent.flatten(1).double() for latent in (a, b)]
    lengths = [latent.norm(dim=1, keepdim=True).clamp_min(1e-12) for latent in flat]
    units = [latent / length for latent, length in zip(flat, lengths, strict=True)]
    angle = torch.acos((units[0] * units[1]).sum(dim=1, keepdim=True).clamp(-1, 1))
    sine = angle.sin()
    arc = ((1 - share) * angle).sin() / sine * units[0] + (share * angle).sin() / sine * units[1]
    arc = arc * torch.lerp(*lengths, share)
    straight = torch.lerp(*flat, share)
    return torch.where(sine > 1e-6, arc, straight).to(a).view_as(a)
