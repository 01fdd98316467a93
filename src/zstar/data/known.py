"""The images of a data set that a finished run has projected."""

from collections.abc import Sequence
from dataclasses import replace

from zstar.checkpoints.io import read_card
from zstar.data.base import AbstractData, AbstractView, Batch
from zstar.runs.latents import latents_file

KEY = "inversion"


class Known(AbstractView):
    """The images of ``data``, where those that a run has no latents of come back in ``Batch.failed``.

    Arguments:
        data: The images.
        run: The folder of a finished run of ``invert.py``, or its ``latents.safetensors``.

    Raises:
        ValueError: There is no such run; one sentence.
    """

    def __init__(self, data: AbstractData, run: str) -> None:
        super().__init__(data)
        self.run = run
        card = read_card(latents_file(run, KEY))
        status = dict(zip(card.get("ids", ()), card.get("status", ()), strict=False))
        self.names = {name for name, end in status.items() if end != "diverged"}

    def read(self, indices: Sequence[int]) -> Batch:
        batch = self.data.read(indices)
        rows = [row for row, name in enumerate(batch.ids) if name in self.names]
        unknown = {name: f"{KEY}: {self.run} has no latents of it" for name in batch.ids if name not in self.names}
        return replace(
            batch,
            ids=[batch.ids[row] for row in rows],
            images=batch.images[rows],
            extras={name: value[rows] for name, value in batch.extras.items()},
            failed=batch.failed | unknown,
        )

    def fingerprint(self) -> str:
        """That of the images: which of them are left is said by the latents that the run begins with."""
        return self.data.fingerprint()

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        """Both parts of the images, of the same run."""
        kept, held = self.data.split(count)
        return Known(kept, self.run), held and Known(held, self.run)
