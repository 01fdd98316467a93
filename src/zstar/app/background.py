"""Work in a thread of its own, with news of it on the way."""

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")

EVERY = 0.15  # seconds between two messages of progress


def followed(
    act: Callable[[Callable[..., None]], Result], describe: Callable[..., dict[str, Any]]
) -> Generator[dict[str, Any], None, Result]:
    """Do something in a thread, and yield the latest news of it every moment; returns what it returns.

    Arguments:
        act: What is done; it is given a function to call with what there is to say.
        describe: From the arguments of such a call to the news.

    Raises:
        Exception: Whatever ``act`` raises.
    """
    heard: queue.Queue[tuple] = queue.Queue()
    found: list[Any] = []

    def work() -> None:
        try:
            found.append((act(lambda *news: heard.put(news)), None))
        except Exception as error:  # raised again below, where somebody hears of it
            found.append((None, error))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(EVERY)
        latest = None
        while not heard.empty():
            latest = heard.get()
        if latest is not None and worker.is_alive():
            yield describe(*latest)
    ((result, error),) = found
    if error is not None:
        raise error
    return result
