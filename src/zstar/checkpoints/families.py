"""Families of generators, told by the names in their state dicts."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from zstar.checkpoints import biggan_hub, dcgan, pggan, rosinality, stylegan, stylegan2_ada
from zstar.checkpoints.formats import read_content, select
from zstar.config.constraints import Within
from zstar.config.paths import place
from zstar.config.reasons import reason


class Family(NamedTuple):
    """A kind of network: its title, the choice of ``generator=`` that reads it, and names that tell its state dict.

    Attributes:
        choice: None where none reads it.
        names: Patterns, each of which has to match the whole of some name; none where names do not tell.
        fits: What else a state dict has to be, where names do not tell.
        official: What brings other layouts of its state dicts to the one that the generator has.
        wanted: What a state dict of it is, where names do not tell; half a sentence.
        known: Name of each setting that no tensor tells, which a card has under ``settings`` → its choices or range;
            empty where they are not checked in a conversion.
        settings: Such settings, found by the path of a file and by what it holds under the key of the state dict.
    """

    title: str
    choice: str | None
    names: Sequence[str] = ()
    fits: Callable[[dict[str, Tensor]], bool] = lambda weights: True
    official: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    wanted: str = ""
    known: Mapping[str, Sequence[Any] | Within] = {}
    settings: Callable[[Path, Any], dict[str, Any]] = lambda path, value: {}


OWN = "with a class of your own, generator=module reads any network"
FAMILIES = (  # the first that fits is the one
    Family(
        "BigGAN-deep",
        "biggan_deep",
        [r"(network\.)?blocks\.0\.0\.bn4\.gain\.weight", r"(network\.)?output_layer\.2\.weight"],
    ),
    Family(
        "BigGAN-deep",
        "biggan_deep",
        [r"(network\.)?embeddings\.weight", r"(network\.)?generator\.gen_z\.weight_orig"],
        settings=lambda path, value: biggan_hub.configured(path),
    ),
    Family(
        "BigGAN", "biggan", [r"(network\.)?blocks\.0\.0\.bn2\.gain\.weight", r"(network\.)?output_layer\.2\.weight"]
    ),
    Family("discriminator of BigGAN", None, [r"blocks\.0\.0\.conv1\.sv0", r"linear\.sv0", r"embed\.weight"]),
    Family("StyleGAN3", "stylegan3", [r"synthesis\.(input\.freqs|L\d+_\d+_\d+\.weight)"]),
    Family("PGGAN", "pggan", [r"layer\d+\.wscale\.b(ias)?"], official=pggan.to_official),
    Family(
        "StyleGAN of 2018",
        "stylegan",
        [r"synthesis\.layer\d+\.epilogue\..*|(g_)?(synthesis|mapping)\.(blocks|dense)\w*\..*"],
        official=stylegan.to_official,
    ),
    Family("Glow", "glow", [r"blocks\.\d+\.flows\.\d+\.actnorm\.loc", r"blocks\.\d+\.prior\.conv\.weight"]),
    Family("RealNVP", "realnvp", [r"flows\.in_couplings\.\d+\.rescale\.weight_g", r"data_constraint"]),
    Family("VAE", "vae", [r"fc21\.weight", r"fc22\.weight", r"fc4\.weight"]),
    Family("VAE", "vae", [r"e1\.weight", r"bn1\.weight", r"fc2\.weight", r"d1\.weight"]),
    Family("VQ-VAE-2", "vqvae2", [r"quantize_t\.embed", r"quantize_b\.embed", r"enc_b\.blocks\..*"]),
    Family("discriminator of StyleGAN2", None, [r"b4\.(fc|conv)\.weight|final_conv\.0\.weight"]),
    # Told by shapes alone, so all others go first.
    Family(
        "DCGAN",
        "dcgan",
        fits=dcgan.is_generator,
        official=dcgan.to_official,
        wanted="its layers are no chain of 4×4 transposed or up-sampling 3×3 convolutions from z to 1 or 3 colours",
        known=dcgan.SETTINGS,
    ),
    Family("discriminator of DCGAN", None, fits=dcgan.is_discriminator),
)


def family_of(weights: dict[str, Tensor]) -> Family | None:
    """The family that a state dict is of; None where its names do not tell."""
    if rosinality.is_rosinality(weights) or stylegan2_ada.absent(weights) is None:
        return Family("StyleGAN2", "stylegan2", ())
    matches = (
        family
        for family in FAMILIES
        if all(any(re.fullmatch(pattern, name) for name in weights) for pattern in family.names)
        and family.fits(weights)
    )
    return next(matches, None)


def belongs(weights: dict[str, Tensor]) -> str | None:
    """Where a state dict belongs, if its names tell: what it is and what reads it; a sentence without its end."""
    family = family_of(weights)
    if family is None:
        return None
    if family.title.startswith("discriminator"):
        return f"it is a {family.title}, which makes no images; give the file of the generator"
    return f"it is a {family.title}; " + (f"choose generator={family.choice}" if family.choice else OWN)


@contextmanager
def usable(path: str | Path, title: str) -> Iterator[None]:
    """A context in which every error says that a file holds no network of this kind, and why."""
    try:
        yield
    except Exception as error:  # tensors of unexpected shapes can fail anywhere
        why = f"it has no {error}" if isinstance(error, KeyError) else reason(error)
        raise ValueError(f"checkpoint: {path} holds no {title} that can be used ({why})") from None


@contextmanager
def whole(path: str | Path, title: str) -> Iterator[None]:
    """A context in which a name or a place that is looked up in vain says that a file lacks a part of its network."""
    try:
        yield
    except (KeyError, IndexError) as error:
        raise ValueError(f"checkpoint: {path} holds no whole {title}: it lacks {reason(error)}") from None


def load_family(path: str | Path, key: str | None, choice: str) -> dict[str, Tensor]:
    """The state dict of a generator of one family under its official names, its numbers in single precision.

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
        wanted = next(one for one in FAMILIES if one.choice == choice)
        none = wanted.wanted or f"its names, such as '{next(iter(weights), '')}', are not those of one"
        why = belongs(weights) or f"{none}; {OWN}"
        raise ValueError(f"checkpoint: {path} holds no {wanted.title} that can be used ({why})")
    with usable(path, family.title):
        weights = family.official(weights)
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
