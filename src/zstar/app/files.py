"""A painting as files: picture, latents and strokes."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from safetensors.torch import save

from zstar.app.painting import Painting
from zstar.editing.latents import pack_inversion, save_inversion, without_cost
from zstar.generators.base import AbstractGenerator
from zstar.images import encode_png, to_uint8, write_png
from zstar.inversion import Inversion
from zstar.runs.folder import write_text


def save_painting(painting: Painting, folder: Path) -> None:
    """Write ``picture.png``, ``photo.png``, ``latents.safetensors`` with its card, and ``strokes.json``."""
    write_png(folder / "picture.png", painting.render()[0].cpu())
    write_png(folder / "photo.png", painting.picture.photo[0].cpu())
    save_inversion(folder / "latents.safetensors", as_inversion(painting), painting.studio.generator)
    write_text(folder / "strokes.json", painting.strokes().to_json())


def as_inversion(painting: Painting) -> Inversion:
    """The latents of a painting with all that was done, as those of a projection, which ``edit.py`` goes on from."""
    v, space = painting.variables()
    v = {name: value.cpu().contiguous() for name, value in v.items()}
    return replace(without_cost([painting.picture.title], space, v), noise_mode=painting.picture.noise)


def picture_bytes(painting: Painting) -> bytes:
    """The content of ``picture.png``."""
    return encode_png(to_uint8(painting.render())[0].cpu())


def latents_bytes(painting: Painting) -> bytes:
    """``latents.safetensors`` and its card ``latents.json``, as one zip."""
    return inversion_zip(as_inversion(painting), painting.studio.generator)


def inversion_zip(inversion: Inversion, generator: AbstractGenerator) -> bytes:
    """``latents.safetensors`` and its card ``latents.json``, as one zip."""
    tensors, card = pack_inversion(inversion, generator)
    buffer = BytesIO()
    with ZipFile(buffer, "w") as file:
        file.writestr("latents.safetensors", save({name: value.clone() for name, value in tensors.items()}))
        file.writestr("latents.json", json.dumps(card, indent=2))
    return buffer.getvalue()
