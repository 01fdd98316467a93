"""Images of another data set, edited."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zstar.data.base import MEGAPIXELS, AbstractData, AbstractView, Batch


class Edited(AbstractView):
    """The images of ``data`` after ``edit`` with the strength ``alpha``: targets that a generator of ``data`` has
    no latents for, and what they were made from.

    The choice to see what a projection makes of images from outside of its generator's domain, without having to find
    such images; or how well it undoes an edit. Where the edit had to invent pixels, the others come as the target
    ``mask``, which weighs the losses.

    Arguments:
        data: The images.
        edit: What is done to them, one of ``zstar.edits`` or any function of images and strengths that gives the edited
            images and their valid pixels.
        alpha: How strongly, in the unit of the edit; the same for all.
    """

    def __init__(
        self, data: AbstractData, edit: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], alpha: float
    ) -> None:
        least, most = getattr(edit, "limits", (-math.inf, math.inf))
        if not least <= alpha <= most:
            raise ValueError(f"data.alpha: {alpha} is beyond what the edit can do; keep it within {least} to {most}")
        super().__init__(data)
        self.edit, self.alpha = edit, float(alpha)

    def read(self, indices: Sequence[int]) -> Batch:
        return self._edit(self.data.read(indices))

    def large(self, index: int, megapixels: float = MEGAPIXELS) -> Batch:
        return self._edit(self.data.large(index, megapixels))

    def _edit(self, batch: Batch) -> Batch:
        """The images of a batch, edited."""
        if not batch.ids:
            return batch
        images, valid = self.edit(batch.images, torch.full((len(batch.ids),), self.alpha))
        extras = {name: value for name, value in batch.extras.items() if name == "factors"}  # masks may have moved
        if not valid.all():
            extras["mask"] = valid
        return replace(batch, images=images.clamp(-1, 1), extras=extras)

    def fingerprint(self) -> str:
        """A hash of the images and of what is done to them, seen on the first of them."""
        digest = hashlib.sha256(f"{self.data.fingerprint()} {type(self.edit).__name__} {self.alpha}".encode())
        first = self.read(range(min(2, len(self)))).images
        digest.update(((first + 1) * 127.5).round().to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def split(self, count: int) -> tuple["Edited", "Edited | None"]:
        """Both parts of the images, edited alike."""
        kept, held = self.data.split(count)
        return Edited(kept, self.edit, self.alpha), held and Edited(held, self.edit, self.alpha)
