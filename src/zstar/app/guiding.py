"""The tab for strokes: its board, and what happens between it and the session."""

from collections.abc import Callable, Iterator
from typing import Any

from zstar.app.board import Board, refused
from zstar.app.bundled import asset
from zstar.app.guided import Guide
from zstar.app.open import Workplace
from zstar.app.session import News, Session
from zstar.app.strokes import BadStrokes

STEPS = ("undo", "redo", "clear")


def add_strokes(gr: Any, workplace: Workplace, session: Any, tabs: Any) -> None:
    """Add the tab to a page.

    Arguments:
        gr: Gradio.
        workplace: What all sessions share.
        session: Gradio's state that holds the session of each page that is open.
        tabs: Where it comes to stand.
    """
    guide = Guide(workplace.pictures.pipeline.space, workplace.pictures.lock)
    held = gr.State(None)
    with tabs, gr.Tab("Strokes", elem_id="guided") as tab:
        board = gr.HTML(
            value=None,
            html_template=asset("board.html"),
            css_template=asset("board.css"),
            js_on_load=asset("canvas.js") + asset("board.js"),
            elem_id="board",
        )
    quick = {"show_progress": "hidden", "api_visibility": "private", "queue": False, "trigger_mode": "multiple"}
    slow = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}

    def begin(session: Session | None, held: Board | None) -> list[Any]:
        return list(opened(guide, session, held))

    def mark(data: gr.EventData, held: Board | None) -> Iterator[News]:
        yield from held.mark(data._data) if held is not None else [{**NONE, "answer": True}]

    def act(name: str) -> Callable[..., News]:
        return lambda held: NONE if held is None else getattr(held, name)()

    def choose(data: gr.EventData, held: Board | None) -> News:
        return NONE if held is None else held.choose(sent(data, "place"))

    def save(data: gr.EventData, held: Board | None) -> News:
        return NONE if held is None else held.download(sent(data, "what"))

    tab.select(begin, [session, held], [held, board], **quick)
    board.mark(mark, [held], board, **slow)
    board.choose(choose, [held], board, **quick)
    board.save(save, [held], board, **quick)
    for name in STEPS:
        getattr(board, name)(act(name), [held], board, **quick)


def opened(guide: Guide, session: Session | None, held: Board | None) -> tuple[Board | None, News]:
    """The board of a session's painting as that is now, the same as before if nothing was painted since; and what it
    shows."""
    painting = None if session is None else session.painting
    if painting is None:
        return None, NONE
    try:
        board = held if held is not None and held.of(painting) else Board(guide, painting)
    except BadStrokes as error:
        return None, refused(error)
    return board, board.show()


def sent(data: Any, key: str) -> Any:
    """A value of a message from the page."""
    return data._data.get(key) if isinstance(data._data, dict) else None


NONE: News = {"told": "There is no picture yet: choose one in the tab Paint.", "bad": True}
