"""One painter's session: what the page asks for, in plain values, without a page."""

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zstar.app.background import followed
from zstar.app.files import latents_bytes, picture_bytes
from zstar.app.open import Workplace
from zstar.app.painting import Painting
from zstar.app.pictures import Progress
from zstar.app.strokes import BadStrokes, make_stroke
from zstar.app.studio import Picture
from zstar.config.reasons import ended
from zstar.data.decoding import BadImage
from zstar.images import encode_png, shrink, to_uint8
from zstar.reports.pages import data_uri

News = dict[str, Any]
"""What the easel hears: ``picture`` and ``photo`` as data addresses, ``told`` in words, ``bad`` if it is a refusal,
``busy`` and ``share`` while something takes longer, ``download``, and ``answer`` to a stroke."""

SCREEN = 768  # pixels of a side that are shown at the most; a download has all


class Session:
    """A painting and the messages about it. Each painter has one of their own, and no session knows of another.

    Arguments:
        workplace: What all sessions share.
    """

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self.painting: Painting | None = None
        self.lock = threading.RLock()

    def begin(self, make: Callable[[Progress], Picture]) -> Iterator[News]:
        """Begin a new painting with the picture that ``make`` finds; progress comes first, the picture last."""

        def describe(share: float, what: str) -> News:
            return {"busy": f"{what.capitalize()} …", "share": share}

        try:
            result = yield from followed(make, describe)
        except (BadImage, ValueError) as error:
            yield self.refuse(ended(f"This picture can't be used: {error}"))
            return
        with self.lock:
            self.painting = Painting(self.workplace.studio, result)
            news = self.show(f"{result.title}: choose a brush and paint.", photo=True)
        yield news  # not within the lock, as whoever asks for what follows may be another thread

    def stroke(self, entry: Mapping[str, Any]) -> News:
        """Paint a stroke, given in plain values."""

        def paint(painting: Painting) -> str:
            stroke = make_stroke(entry)
            painting.add(stroke)
            return f"{'Drew' if stroke.mode == 'draw' else 'Removed'}: {stroke.name}."

        return {**self._do(paint), "answer": True, "quick": entry.get("kind") == "units"}

    def restyle(self, amounts: Mapping[str, float]) -> News:
        """Move the whole picture along directions."""
        return self._do(lambda painting: painting.restyle(amounts) or "Restyled.")

    def undo(self) -> News:
        """Go back by a step."""

        def back(painting: Painting) -> str:
            told = "Undone." if painting.undoable else "Nothing to undo."
            painting.undo()
            return told

        return self._do(back)

    def redo(self) -> News:
        """Go forth by a step."""

        def forth(painting: Painting) -> str:
            told = "Done again." if painting.redoable else "Nothing to redo."
            painting.redo()
            return told

        return self._do(forth)

    def reset(self) -> News:
        """Begin again with the picture; this can be undone."""
        return self._do(lambda painting: painting.reset() or "The original; Undo brings the painting back.")

    def amounts(self) -> dict[str, float]:
        """How far the picture is moved along each direction."""
        names = self.workplace.studio.directions
        restyle = {} if self.painting is None else self.painting.state.restyle
        return {name: restyle.get(name, 0.0) for name in names}

    def download(self, what: str) -> News:
        """The picture, the latents or the strokes as a file."""

        def pack(painting: Painting) -> News:
            if what == "picture":
                return file_of("picture.png", "image/png", picture_bytes(painting))
            if what == "latents":
                return file_of("latents.zip", "application/zip", latents_bytes(painting))
            return file_of("strokes.json", "application/json", painting.strokes().to_json().encode())

        with self.lock:
            if self.painting is None:
                return self.refuse("There is no picture yet.")
            made = pack(self.painting)
            return {"download": made, "told": f"Saved {made['name']}."}

    def show(self, told: str, photo: bool = False) -> News:
        """The picture as it is now."""
        assert self.painting is not None
        news = {"picture": address(self.painting.render(SCREEN)), "told": told, "bad": False}
        news |= {"photo": address(shrink(self.painting.picture.photo, SCREEN))} if photo else {}
        return news | {"size": self.workplace.studio.generator.resolution}

    def refuse(self, sentence: str) -> News:
        """A sentence about what was not done, and why."""
        return {"told": sentence, "bad": True}

    def _do(self, act: Callable[[Painting], str]) -> News:
        with self.lock:
            if self.painting is None:
                return self.refuse("There is no picture yet: choose a scene, a picture or a photo.")
            try:
                told = act(self.painting)
            except BadStrokes as error:
                return self.refuse(ended(f"This can't be painted: {error}"))
            return self.show(told)


def address(image: Float[Tensor, "1 c h w"]) -> str:
    """A picture as an address that holds it, so that no file of it lies anywhere."""
    return data_uri(encode_png(to_uint8(image)[0].cpu()), "image/png")


def file_of(name: str, kind: str, content: bytes) -> dict[str, str]:
    """A file as the page takes it to save it."""
    return {"name": name, "type": kind, "content": base64.b64encode(content).decode()}
