"""A painting: a picture, what was painted on it, and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.app.strokes import MOST_STROKES, BadStrokes, Stroke, Strokes
from zstar.app.studio import Change as Rule
from zstar.app.studio import Picture, Studio
from zstar.images import shrink
from zstar.postprocess.base import Change

KEPT = 200  # states that can be gone back to


@dataclass(frozen=True)
class State:
    """What has been done so far.

    Attributes:
        strokes: One after the other, each with the change that its brush has made of it.
        restyle: Name of a direction → how far.
    """

    strokes: tuple[tuple[Stroke, Rule], ...] = ()
    restyle: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


class Painting:
    """One picture being painted on. It belongs to one painter and knows of no page.

    Each stroke, each restyling and each reset is a state, and all states can be gone back to and forth.

    Arguments:
        studio: The generator, the brushes and what else all paintings share.
        picture: Where it begins.
    """

    def __init__(self, studio: Studio, picture: Picture) -> None:
        self.studio, self.picture = studio, picture
        self._states, self._place = [State()], 0
        self._drawn: dict[tuple, Tensor] = {}

    @property
    def state(self) -> State:
        """What has been done, less what has been undone."""
        return self._states[self._place]

    @property
    def undoable(self) -> bool:
        """Whether there is a state before this one."""
        return self._place > 0

    @property
    def redoable(self) -> bool:
        """Whether something was undone."""
        return self._place < len(self._states) - 1

    def add(self, stroke: Stroke) -> None:
        """Paint a stroke.

        Raises:
            BadStrokes: No brush can make it, or there are too many.
        """
        self.studio.require(stroke)
        if not stroke.mask(self.studio.generator.resolution).any():
            raise BadStrokes("the stroke lies outside of the picture")
        if len(self.state.strokes) >= MOST_STROKES:
            raise BadStrokes(f"a painting has at most {MOST_STROKES} strokes; undo some, or begin a new one")
        brush = self.studio.brushes[stroke.kind]
        change = brush(stroke, *self.variables(), self.picture.noise)
        self._go_on(State((*self.state.strokes, (stroke, change)), self.state.restyle))

    def restyle(self, amounts: Mapping[str, float]) -> None:
        """Set how far the whole picture is moved along directions; those that are not named stay as they are.

        Raises:
            BadStrokes: There is no such direction, or an amount is out of its range.
        """
        self.studio.require_restyle(amounts)
        every = {name: amount for name, amount in {**self.state.restyle, **amounts}.items() if amount}
        if every != dict(self.state.restyle):
            self._go_on(State(self.state.strokes, MappingProxyType(every)))

    def undo(self) -> None:
        """Go back by one state, if there is one."""
        self._place = max(self._place - 1, 0)

    def redo(self) -> None:
        """Go forth to what was undone, if anything was."""
        self._place = min(self._place + 1, len(self._states) - 1)

    def reset(self) -> None:
        """Begin again with the picture itself; this too can be undone."""
        if self.state.strokes or self.state.restyle:
            self._go_on(State())

    def variables(self) -> tuple[dict[str, Tensor], str]:
        """v with all that was done, and the space of its latent."""
        v, space = self.studio.restyle(self.picture, self.state.restyle)
        for _, change in self.state.strokes:
            v = change(v)
        return v, space

    def mask(self) -> Float[Tensor, "1 1 h w"]:
        """How much of each pixel was painted on, in [0, 1]."""
        size = self.studio.generator.resolution
        masks = [stroke.mask(size) for stroke, _ in self.state.strokes]
        return torch.stack(masks).amax(dim=0) if masks else torch.zeros(1, 1, size, size)

    def render(self, limit: int | None = None) -> Float[Tensor, "1 c h w"]:
        """The photo with what was done to it, in [−1, 1]: restyled everywhere, painted within reach of the strokes.

        Arguments:
            limit: A photo with more pixels a side is made smaller, though not smaller than the generator's pictures;
                ``None`` for its own resolution.
        """
        photo, state, chain = self.picture.photo, self.state, self.studio.postprocess
        generator = self.studio.generator
        photo = generator.bring(photo if limit is None else shrink(photo, max(limit, generator.resolution)))
        restyled = State((), state.restyle)
        if state.restyle:
            everywhere = photo.new_ones(1, 1, 1, 1)
            photo = chain(Change(photo, self._draw(State()), self._draw(restyled), everywhere, self._restyled))
        if state.strokes:
            photo = chain(Change(photo, self._draw(restyled), self._draw(state), self.mask(), self._painted))
        return photo

    def _restyled(self, share: float) -> Float[Tensor, "1 c h w"]:
        """G on the way to the restyled picture."""
        return self._draw(State((), {name: share * amount for name, amount in self.state.restyle.items()}))

    def _painted(self, share: float) -> Float[Tensor, "1 c h w"]:
        """G on the straight way of v from the restyled picture to the painted one; a change that is not there is 0."""
        before, space = self.studio.restyle(self.picture, self.state.restyle)
        after, _ = self.variables()
        moved = {name: value for name, value in after.items() if before.get(name) is not value}
        zeros = {name: torch.zeros_like(value) for name, value in moved.items()}
        v = after | {name: torch.lerp({**zeros, **before}[name], value, share) for name, value in moved.items()}
        return self.studio.render(v, space, self.picture.noise)

    def strokes(self) -> Strokes:
        """What is kept of it as a file."""
        fingerprint = self.studio.generator.fingerprint()
        return Strokes(
            fingerprint, self.picture.origin, self.state.restyle, [stroke for stroke, _ in self.state.strokes]
        )

    def replay(self, strokes: Strokes) -> None:
        """Do what a file says, on this picture.

        Raises:
            BadStrokes: It is of another generator, or has strokes or directions that are not possible here.
        """
        here = self.studio.generator.fingerprint()
        if strokes.generator != here:
            raise BadStrokes(
                f"it was painted with the generator {strokes.generator[:12]}…, and this one is {here[:12]}…; choose "
                "that generator"
            )
        self.restyle(strokes.restyle)
        for stroke in strokes.strokes:
            self.add(stroke)

    def _go_on(self, state: State) -> None:
        """Make a state the latest one; what was undone is gone."""
        self._states = [*self._states[: self._place + 1], state][-KEPT:]
        self._place = len(self._states) - 1

    def _draw(self, state: State) -> Float[Tensor, "1 c h w"]:
        """The picture of a state, without the photo: the last few are remembered."""
        key = (tuple(sorted(state.restyle.items())), tuple(change for _, change in state.strokes))
        if key not in self._drawn:
            v, space = self.studio.restyle(self.picture, state.restyle)
            for _, change in state.strokes:
                v = change(v)
            self._drawn = dict([*self._drawn.items()][-3:])
            self._drawn[key] = self.studio.render(v, space, self.picture.noise)
        return self._drawn[key]
