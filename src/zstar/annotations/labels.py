"""Scores from a table of labels, for real images that were projected."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.annotations.base import AbstractAnnotation, ScoredLatents
from zstar.annotations.tables import match, read_labels
from zstar.checkpoints.io import read_card
from zstar.config.constraints import FilePath, RunPath
from zstar.generators.base import AbstractGenerator
from zstar.inversion import Inversion
from zstar.runs.latents import latents_file
from zstar.spaces.base import AbstractSpace

KEY = "annotation.inversion"


class Labels(AbstractAnnotation):
    """Projected images with labels that people gave: for attributes that no network knows yet.

    Images without labels, and those whose projection diverged, are left out; empty cells are NaN.

    Arguments:
        path: The table: a CSV with the images' names in the column ``id`` (or the first) and one column per attribute
            with 0 and 1, −1 and 1, or scores; or CelebA's ``list_attr_celeba.txt``. Names match with or without their
            suffix, and without the folder where that is unambiguous.
        inversion: The run folder of an ``invert.py``, or its ``latents.safetensors``.

    Raises:
        ValueError: A file is missing or damaged, no image has labels, or the latents are those of another generator or
            can't be brought to the space that is asked for; one sentence.
    """

    def __init__(self, path: FilePath, inversion: RunPath) -> None:
        self.path, self.file = path, latents_file(inversion, KEY)
        self.images, self.names, self.scores = read_labels(path)
        self.home = str(space) if (space := read_card(self.file).get("space")) else None

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        ids, latents = read_latents(self.file, space.generator, space.name, KEY)
        rows = match(ids, self.images)
        finite = latents.flatten(1).isfinite().all(dim=1).tolist()
        kept = [place for place, row in enumerate(rows) if row is not None and finite[place]]
        if not kept:
            raise ValueError(
                f"annotation.path: no image of {self.file} has a row in {self.path}; the images are called "
                f"e.g. {ids[0] if ids else 'nothing'}, the rows {self.images[0]}"
            )
        scores = self.scores[[rows[place] for place in kept]]
        origin = {"annotation": "labels", "path": Path(self.path).name, "count": len(kept)}
        origin |= {"inversion": f"{self.file.parent.name}/{self.file.name}"}
        return ScoredLatents(latents[kept], scores, self.names, origin)


def read_latents(
    file: Path, generator: AbstractGenerator, space: str, key: str
) -> tuple[list[str], Float[Tensor, "n ..."]]:
    """Names and latents of a saved inversion, lifted to ``space`` where they are of a poorer one; on the CPU."""
    inversion, origin = Inversion.load(file), read_card(file).get("generator")
    if isinstance(origin, str) and origin != generator.fingerprint():
        raise ValueError(
            f"{key}: {file} was projected into the generator {origin[:12]}…, and this one is "
            f"{generator.fingerprint()[:12]}…; choose that generator, or project again"
        )
    names, latents = list(generator.spaces), inversion.latent.float()
    if inversion.space not in names or names.index(inversion.space) > names.index(space):
        raise ValueError(
            f"{key}: {file} holds latents of {inversion.space}, which can't be brought to {space}; "
            f"choose space@search={inversion.space} (of invert.py space={inversion.space}), or project again with "
            f"space={space}"
        )
    if tuple(latents.shape[1:]) != generator.shape(inversion.space):
        sizes = f"{tuple(latents.shape[1:])}, not {generator.shape(inversion.space)}"
        raise ValueError(f"{key}: the latents in {file} are {sizes} as those of this generator; project again")
    if inversion.space != space:
        classes = inversion.v.get("class")
        with torch.no_grad(), generator.conditioned(None if classes is None else generator.bring(classes)):
            latents = generator.lift(generator.bring(latents), inversion.space, space).cpu()
    return inversion.ids, latents
