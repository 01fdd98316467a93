"""A painter's board: marks on a picture, the alternatives that they have led to, and the way back."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from torch import Tensor

from zstar.app.background import followed
from zstar.app.files import inversion_zip
from zstar.app.guided import Found, Guide
from zstar.app.marks import MOST_MARKS, Mark, make_mark, read_stay, zipped
from zstar.app.painting import Painting
from zstar.app.session import News, address, file_of
from zstar.app.strokes import BadStrokes
from zstar.config.reasons import ended
from zstar.editing.latents import without_cost
from zstar.images import encode_png, to_uint8

KEPT = 30  # states that can be gone back to


@dataclass(frozen=True)
class State:
    """What has been drawn so far, what came of it, and which of the alternatives is looked at."""

    marks: tuple[Mark, ...] = ()
    found: Found | None = None
    chosen: int = 0


class Board:
    """One picture being guided by marks. It belongs to one painter, and begins with the painting as it was then.

    Each mark and each clearing is a state, and all states can be gone back to and forth. What takes long is done by a
    thread of its own; no lock is held while news of it are told.

    Arguments:
        guide: What finds pictures.
        painting: Where it begins.

    Raises:
        BadStrokes: The picture is in a space from which there is no way to that of the guide.
    """

    def __init__(self, guide: Guide, painting: Painting) -> None:
        self.guide, self.painting, self.origin = guide, painting, painting.state
        v, space = painting.variables()
        self.noise, self.title = painting.picture.noise, painting.picture.title
        self.v = guide.lifted(v, space)
        self.image = guide.render(self.v, self.noise)
        self.lock = threading.Lock()
        self._states, self._place = [State()], 0

    @property
    def state(self) -> State:
        """What has been done, less what has been undone."""
        return self._states[self._place]

    def of(self, painting: Painting | None) -> bool:
        """Whether it began with a painting as that is now."""
        return painting is self.painting and painting.state is self.origin

    def mark(self, entry: Mapping[str, Any]) -> Iterator[News]:
        """Draw a mark and find pictures; news of the steps come first, the alternatives last."""
        try:
            mark, stay, before = make_mark(entry), read_stay(entry), self.state
            if len(before.marks) >= MOST_MARKS:
                raise BadStrokes(f"there are {MOST_MARKS} marks already; undo some")
            self.guide.targets([mark], self.image)  # of itself, so that it is this one that is refused
            marks = (*before.marks, mark)
            targets = self.guide.targets(marks, self.image)
        except BadStrokes as error:
            yield {**refused(error), "answer": True}
            return

        def act(told: Callable[..., None]) -> Found:
            return self.guide.find(self.v, self.noise, targets, told, stay)

        found = yield from followed(act, describe)
        with self.lock:
            self._go_on(State(marks, found))
        yield {**self.show(), "answer": True}

    def undo(self) -> News:
        """Go back by a step."""
        return self._step(-1, "Undone.", "Nothing to undo.")

    def redo(self) -> News:
        """Go forth by a step."""
        return self._step(1, "Done again.", "Nothing to redo.")

    def clear(self) -> News:
        """Begin again without marks; this can be undone."""
        with self.lock:
            if self.state.marks:
                self._go_on(State())
        return self.show("Cleared; Undo brings the marks back.")

    def choose(self, place: Any) -> News:
        """Look at another alternative."""
        state = self.state
        count = 0 if state.found is None else len(state.found.values)
        if type(place) is not int or not 0 <= place < count:
            return refused(BadStrokes(f"there is no alternative {str(place)[:20]}"))
        with self.lock:
            self._states[self._place] = changed(state, chosen=place)
        return self.show()

    def download(self, what: Any) -> News:
        """The picture, the latents or the marks as a file."""
        state = self.state
        if what == "marks" and not state.marks:
            return refused(BadStrokes("there are no marks yet"))
        if what == "marks":
            made = file_of("strokes.zip", "application/zip", zipped(state.marks, self.image.shape[-1]))
        elif what == "latents":
            latent = self.v["latent"].cpu() if state.found is None else state.found.latents[state.chosen][None]
            v = {name: value.cpu().contiguous() for name, value in {**self.v, "latent": latent}.items()}
            inversion = changed(without_cost([self.title], self.guide.space.name, v), noise_mode=self.noise)
            made = file_of("latents.zip", "application/zip", inversion_zip(inversion, self.guide.space.generator))
        else:
            image = self.image if state.found is None else state.found.pictures[state.chosen][None]
            made = file_of("picture.png", "image/png", encode_png(to_uint8(image)[0].cpu()))
        return {"download": made, "told": f"Saved {made['name']}."}

    def show(self, told: str = "") -> News:
        """The board as it is now."""
        state, side = self.state, self.image.shape[-1]
        marks = [mark.plain() for mark in state.marks]
        news: News = {"marks": marks, "size": side, "bad": False, "preview": None}
        if state.found is None:
            begin = "Draw what you want: a colour, an edge, or drag a part to another place."
            return news | {"frames": [address(self.image)], "alternatives": [], "chosen": 0, "told": told or begin}
        frames = self.guide.way(self.v, state.found.latents[state.chosen], self.noise)
        pairs = zip(state.found.pictures, state.found.values, strict=True)
        shown = [{"picture": address(picture[None]), "value": f"{value:.3g}"} for picture, value in pairs]
        what = f"A step of {len(shown)} descents" if len(shown) > 1 else "A step"
        speed = f"{what} takes {1000 * state.found.seconds:.0f} ms (median)."
        told = told or f"Alternative {state.chosen + 1} of {len(shown)}; the slider leads there from before."
        news |= {"frames": [address(frame[None]) for frame in frames], "alternatives": shown, "speed": speed}
        return news | {"chosen": state.chosen, "told": told}

    def _step(self, way: int, done: str, nothing: str) -> News:
        with self.lock:
            place = min(max(self._place + way, 0), len(self._states) - 1)
            told, self._place = (done if place != self._place else nothing), place
        return self.show(told)

    def _go_on(self, state: State) -> None:
        """Make a state the latest one; what was undone is gone."""
        self._states = [*self._states[: self._place + 1], state][-KEPT:]
        self._place = len(self._states) - 1


def refused(error: BadStrokes) -> News:
    """A sentence about what was not done, and why."""
    return {"told": ended(f"This can't be done: {error}"), "bad": True}


def describe(done: int, steps: int, seconds: float, picture: Tensor) -> News:
    """The news of a step: the best picture so far, and how long a step takes."""
    speed = f"step {done} of {steps}, {1000 * seconds:.0f} ms each"
    return {"preview": address(picture[None].clamp(-1, 1)), "share": done / steps, "speed": speed}
