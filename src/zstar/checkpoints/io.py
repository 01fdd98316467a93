"""Weights, read and written without executing anything in them.

Read are safetensors, state dicts of torch, pickles of StyleGAN2-ADA and checkpoints of rosinality/stylegan2-pytorch;
written are safetensors with a JSON card beside them.
"""

import hashlib
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zstar.checkpoints import rosinality, stylegan2_ada
from zstar.checkpoints.card_files import card_path, read_card
from zstar.checkpoints.families import belongs
from zstar.checkpoints.formats import read_content, select
from zstar.checkpoints.pickle_values import PickledObject
from zstar.config.paths import place
from zstar.config.reasons import reason
from zstar.runs.folder import write_atomic, write_json

LARGEST = 6e4  # that half precision holds
INNER = ("", "decoder.", "generator.", "g_ema.", "G_ema.", "G.")  # where the generator may be in a larger network
_fingerprints: WeakKeyDictionary[nn.Module, tuple[list[Any], list[ref], str]] = WeakKeyDictionary()


def shipped(name: str) -> Path:
    """The file of weights called ``name`` that ships with the package; an unknown name lists what does."""
    files = {path.stem: path for path in all_shipped()}
    path = files.get(name.removesuffix(".safetensors"))
    if path is None:
        known = ", ".join(files) or "none"
        raise ValueError(f"checkpoint: no file and no shipped weights are called '{name}'; shipped are: {known}")
    return path


def all_shipped() -> list[Path]:
    """The files of weights that ship with the package, by name."""
    return sorted(Path(str(resources.files("zstar") / "weights")).glob("*.safetensors"))


def resolve(path_or_name: str | Path) -> Path:
    """A file as it is, anything else as the name of shipped weights."""
    path = place(path_or_name)
    return path if path.is_file() else shipped(str(path_or_name))


def save_weights(path: str | Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write safetensors and a JSON card beside it, each under a temporary name first; the card comes last."""
    path = place(path)
    # Copies, because safetensors refuses tensors that share their memory.
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    write_atomic(path, lambda file: save_file(plain, file))
    write_json(card_path(path), card)


def halved(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Weights of which those with these names are in half precision, but for those that hold numbers beyond it."""

    def fits(name: str, value: Tensor) -> bool:
        return name in names and value.is_floating_point() and bool((value.abs() < LARGEST).all())

    return {name: value.half() if fits(name, value) else value for name, value in weights.items()}


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of a network's weights (names, shapes, values).

    Weights that have not changed since the last call are not hashed again; torch counts what is done to a tensor in
    place, so only a change by way of ``tensor.data`` goes unseen.
    """
    state = sorted(module.state_dict(keep_vars=True).items())
    stamps = [(name, value.data_ptr(), value.dtype, value.shape, value._version) for name, value in state]
    then, tensors, known = _fingerprints.get(module, ([], [], ""))
    if then != stamps or any(old() is not value for old, (_, value) in zip(tensors, state, strict=True)):
        digest = hashlib.sha256()
        for name, value in state:
            digest.update(f"{name}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        known = digest.hexdigest()
        _fingerprints[module] = stamps, [ref(value) for _, value in state], known
    return known


def load_weights(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """Tensors by name, on the CPU.

    Arguments:
        path: A file of any kind that this module reads.
        key: Which of several state dicts in the file, such as ``state_dict``, or how the names in one begin that are
            meant, such as ``decoder``; by default the state dict that is usual for a generator.

    Raises:
        ValueError: One sentence with the path: the file is missing, empty, damaged, of another kind, asks for code to
            be run, or holds no state dict of this key.
    """
    return select(read_content(place(path)), key, path)[1]


def stylegan2_within(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a state dict that is a generator of StyleGAN2, as the decoder of pSp; all of it where none is."""
    for prefix in INNER:
        part = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if is_stylegan2(part):
            return part
    return weights


def is_stylegan2(weights: dict[str, Tensor]) -> bool:
    """Whether a state dict is that of a StyleGAN2 generator, by its names, official or rosinality's."""
    return rosinality.is_rosinality(weights) or stylegan2_ada.absent(weights) is None


def load_generator_checkpoint(path: str | Path, key: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A StyleGAN2 generator: its state dict under the official names, and the arguments of its constructor.

    A card may say what no shape tells, ``conv_clamp`` and ``mapping_lr_multiplier``; sizes come from the tensors.

    Arguments:
        path, key: As for ``load_weights``.

    Raises:
        ValueError: As ``load_weights``, or the weights are those of another network, or the card says something else.
    """
    content = read_content(place(path))
    key, weights = select(content, key, path)
    weights = stylegan2_within(weights)
    record, told = content.get(key), {} if isinstance(content.get(key), PickledObject) else _card_settings(path)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    try:
        if isinstance(record, PickledObject):
            told = stylegan2_ada.record_settings(record)
        settings = stylegan2_ada.settings(rosinality.options(content) | told)
        if rosinality.is_rosinality(weights):
            latent_avg = content.get("latent_avg")
            weights = rosinality.to_official(weights, latent_avg, settings["mapping_lr_multiplier"])
        if absent := stylegan2_ada.absent(weights):
            own = "with a class of your own, generator=module reads any network"
            raise ValueError(belongs(weights) or f"it has no '{absent}'; {own}")
        if "mapping_lr_multiplier" not in told:
            stylegan2_ada.require_multiplier(weights, settings["mapping_lr_multiplier"])
        return weights, stylegan2_ada.sizes(weights) | settings
    except Exception as error:  # tensors of unexpected shapes can fail anywhere
        raise ValueError(f"checkpoint: {path} holds no StyleGAN2 that can be used ({reason(error)})") from None


def _card_settings(path: str | Path) -> dict[str, Any]:
    """What the card of a file says of a StyleGAN2; empty where it says nothing."""
    card = read_card(path)
    try:
        stylegan2_ada.settings(settings := card.get("settings", {}))
    except ValueError as error:
        raise ValueError(f"checkpoint: the card {card_path(path)} cannot be used ({error})") from None
    return settings


def compare(module: nn.Module, weights: dict[str, Tensor], origin: object) -> None:
    """Refuse a state dict that does not fit, without loading it.

    Raises:
        ValueError: One sentence with the first name that is missing, left over or of another shape.
    """
    own = module.state_dict()
    kind = type(module).__name__
    for name, value in own.items():
        if name not in weights and name.split(".")[-1] == "num_batches_tracked":
            continue  # a counter that files older than PyTorch 0.4.1 lack; in eval() nothing depends on it
        if name not in weights:
            raise ValueError(f"checkpoint: {origin} lacks '{name}' {tuple(value.shape)} of {kind}")
        if weights[name].shape != value.shape:
            theirs, ours = tuple(weights[name].shape), tuple(value.shape)
            raise ValueError(f"checkpoint: '{name}' is {theirs} in {origin}, but {ours} in {kind}")
    for name in weights:
        if name not in own:
            raise ValueError(f"checkpoint: {origin} has '{name}', which {kind} has not")


def load_into(module: nn.Module, weights: dict[str, Tensor], origin: object) -> None:
    """Load a state dict, or refuse it as ``compare`` does, and where a parameter is not finite; the module's precision
    stays."""
    compare(module, weights, origin)
    for name, _ in module.named_parameters():
        if not weights[name].isfinite().all():
            fix = "its training has diverged, or the file is damaged; give another one"
            raise ValueError(f"checkpoint: '{name}' in {origin} holds numbers that are not finite: {fix}")
    module.load_state_dict(weights)
