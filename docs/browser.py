"""The page of paint.py in a browser, for the pictures of it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_module
from playwright.sync_api import Page, sync_playwright

from zstar.app.open import open_workplace
from zstar.app.page import served

SIDE = 64  # pixels of the generator's pictures


@contextmanager
def opened(height: int) -> Iterator[Page]:
    """The page once its picture is there, in a window of so many pixels."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        workplace = open_workplace(compose("paint", ["port=0"]))
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with served(workplace) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": height})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_function("document.querySelector('#easel .told')?.textContent.includes('choose a brush')")
        yield page


def draw(page: Page, canvas: str, points: Sequence[tuple[float, float]]) -> None:
    """A line with the mouse, through points in pixels of the picture."""
    box = page.locator(canvas).bounding_box()
    assert box is not None
    places = [(box["x"] + x / SIDE * box["width"], box["y"] + y / SIDE * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
