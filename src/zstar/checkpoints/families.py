"""Families of generators, told by the names in their state dicts."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from zstar.checkpoints import rosinality, stylegan2_ada
from zstar.checkpoints.formats import read_content, select
from zstar.config.paths import place


class Family(NamedTuple):
    """A kind of network: its title, the choice of ``generator=`` that reads it, and names that tell its state dict.

    Attributes:
        choice: None where none reads it.
        names: Patterns, each of which has to match the whole of some name.
    """

    title: str
    choice: str | None
    names: Sequence[str]


FAMILIES = (  # the first that fits is the one
    Family(
        "BigGAN-deep",
        "biggan_deep",
        [r"(network\.)?blocks\.0\.0\.bn4\.gain\.weight", r"(network\.)?output_layer\.2\.weight"],
    ),
    Family(
        "BigGAN-deep", "biggan_deep", [r"(network\.)?embeddings\.weight", r"(network\.)?generator\.gen_z\.weight_orig"]
    ),
    Family(
        "BigGAN", "biggan", [r"(network\.)?blocks\.0\.0\.bn2\.gain\.weight", r"(network\.)?output_layer\.2\.weight"]
    ),
    Family("discriminator of BigGAN", None, [r"blocks\.0\.0\.conv1\.sv0", r"linear\.sv0", r"embed\.weight"]),
    Family("StyleGAN3", None, [r"synthesis\.(input\.freqs|L\d+_\d+_\d+\.weight)"]),
    Family("PGGAN", None, [r"layer\d+\.wscale\.b(ias)?"]),
    Family(
        "StyleGAN of 2018", None, [r"synthesis\.layer\d+\.epilogue\..*|(g_)?(synthesis|mapping)\.(blocks|dense)\w*\..*"]
    ),
    Family("Glow", "glow", [r"blocks\.\d+\.flows\.\d+\.actnorm\.loc", r"blocks\.\d+\.prior\.conv\.weight"]),
    Family("RealNVP", "realnvp", [r"flows\.in_couplings\.\d+\.rescale\.weight_g", r"data_constraint"]),
    Family("VAE", "vae", [r"fc21\.weight", r"fc22\.weight", r"fc4\.weight"]),
    Family("VAE", "vae", [r"e1\.weight", r"bn1\.weight", r"fc2\.weight", r"d1\.weight"]),
    Family("VQ-VAE-2", "vqvae2", [r"quantize_t\.embed", r"quantize_b\.embed", r"enc_b\.blocks\..*"]),
    Family("discriminator of StyleGAN2", None, [r"b4\.(fc|conv)\.weight|final_conv\.0\.weight"]),
)


def family_of(weights: dict[str, Tensor]) -> Family | None:
    """The family that a state dict is of; None where its names do not tell."""
    if rosinality.is_rosinality(weights) or stylegan2_ada.absent(weights) is None:
        return Family("StyleGAN2", "stylegan2", ())
    matches = (
        family
        for family in FAMILIES
        if all(any(re.fullmatch(pattern, name) for name in weights) for pattern in family.names)
    )
    return next(matches, None)


def belongs(weights: dict[str, Tensor]) -> str | None:
    """Where a state dict belongs, if its names tell: what it is and what reads it; a sentence without its end."""
    family = family_of(weights)
    if family is None:
        return None
    own = "with a class of your own, generator=module reads any network"
    return f"it is a {family.title}; " + (f"choose generator={family.choice}" if family.choice else own)


def load_family(path: str | Path, key: str | None, choice: str) -> dict[str, Tensor]:
    """The state dict of a generator of one family, its numbers in single precision.

    Arguments:
        path: A file of weights, of any kind that is read.
        key: Which of several state dicts in the file, or how the names in one begin; None finds the usual one.
        choice: The family, as ``generator=`` names it.

    Raises:
        ValueError: The file can't be read, or its network is of another family, which is named.
    """
    weights = select(read_content(place(path)), key, path)[1]
    family = family_of(weights)
    if family is None or family.choice != choice:
        title = next(one.title for one in FAMILIES if one.choice == choice)
        why = belongs(weights) or f"its names, such as '{next(iter(weights), '')}', are not those of one"
        raise ValueError(f"checkpoint: {path} holds no {title} that can be used ({why})")
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
