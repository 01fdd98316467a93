"""What happens between the page's controls and a session."""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zstar.app.open import Workplace
from zstar.app.pictures import Progress
from zstar.app.session import News, Session
from zstar.app.studio import Picture
from zstar.data.decoding import BadImage


class Wires:
    """Connects events to a session and the session's answers to the easel and the sliders.

    Arguments:
        gr: Gradio.
        workplace: What all sessions share.
        session: Gradio's state that holds the session of each page that is open.
        easel: Where news are shown.
        sliders: Name of a direction → its slider.
    """

    def __init__(self, gr: Any, workplace: Workplace, session: Any, easel: Any, sliders: dict[str, Any]) -> None:
        self.gr, self.workplace, self.session, self.easel, self.sliders = gr, workplace, session, easel, sliders
        self.outputs = [session, easel, *sliders.values()]
        plain = {"show_progress": "hidden", "api_visibility": "private"}
        self.quick = {**plain, "queue": False, "trigger_mode": "multiple"}
        self.slow = {**plain, "concurrency_limit": None}

    def opened(self, first: Callable[[Progress], Picture]) -> Callable[[], Iterator[list[Any]]]:
        """What a page does when it is opened: a session of its own, and a first picture."""

        def start() -> Iterator[list[Any]]:
            session = Session(self.workplace)
            for news in session.begin(first):
                yield self._all(session, news)

        return start

    def stroke(self, event: Any, controls: Sequence[Any]) -> None:
        """A stroke on the easel, with the brush that the controls describe."""

        def paint(data: self.gr.EventData, session: Session, *brush: Any) -> News:
            name, mode, strength, size, kind = brush
            points = data._data.get("points") if isinstance(data._data, dict) else None
            entry = {"name": name, "mode": mode, "strength": strength, "size": size, "kind": kind, "points": points}
            return session.stroke(entry)

        event(paint, [self.session, *controls], self.easel, **self.quick)

    def step(self, events: Sequence[Any], name: str) -> None:
        """Undo, redo and reset, by whichever events."""

        def go(session: Session) -> list[Any]:
            news = getattr(session, name)()
            return self._all(session, news)[1:]

        for event in events:
            event(go, [self.session], self.outputs[1:], **self.quick)

    def slide(self, event: Any, name: str, slider: Any) -> None:
        """A slider that was let go."""
        event(lambda session, amount: session.restyle({name: amount}), [self.session, slider], self.easel, **self.quick)

    def save(self, event: Any, what: str) -> None:
        """A download."""
        event(lambda session: session.download(what), [self.session], self.easel, **self.quick)

    def begin(self, event: Any, inputs: Sequence[Any], make: Callable[[Any, Progress], Picture]) -> None:
        """Another picture, chosen with a control."""

        def start(session: Session, choice: Any) -> Iterator[list[Any]]:
            for news in session.begin(lambda progress: make(choice, progress)):
                yield self._all(session, news)

        event(start, [self.session, *inputs], self.outputs, **self.slow)

    def upload(self, event: Any) -> None:
        """A photo of the painter's own."""

        def start(data: self.gr.EventData, session: Session) -> Iterator[list[Any]]:
            def make(progress: Progress) -> Picture:
                return self.workplace.pictures.photo(decoded(data._data), progress)

            for news in session.begin(make):
                yield self._all(session, news)

        event(start, [self.session], self.outputs, **self.slow)

    def _all(self, session: Session, news: News) -> list[Any]:
        """The session, the news, and where the sliders stand."""
        if "busy" in news or news.get("bad"):
            return [session, news, *(self.gr.skip() for _ in self.sliders)]
        return [session, news, *(session.amounts()[name] for name in self.sliders)]


def decoded(data: Any) -> bytes:
    """The content of a file as the page sends it."""
    content = data.get("content") if isinstance(data, dict) else None
    try:
        return base64.b64decode(content or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise BadImage("it did not arrive whole; send it again") from None
