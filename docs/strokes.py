"""docs/strokes.png: the tab for strokes after a colour and a drag, as a browser shows it.

python docs/strokes.py
"""

import shutil
from pathlib import Path

from hydra import compose, initialize_config_module
from playwright.sync_api import Page, sync_playwright

from zstar.app.open import open_workplace
from zstar.app.page import served

MARKS = (  # brush, its width, and points in pixels of the picture
    ("Colour", 5, ((26, 27), (40, 27))),
    ("Drag", 30, ((31, 40), (38, 40))),
)
ANSWERS = "Number(document.querySelector('#board .board').dataset.answers || 0)"


def mark(page: Page, brush: str, width: int, points: tuple[tuple[float, float], ...]) -> None:
    """Choose the brush, draw with the mouse, and wait for what it leads to."""
    page.locator("#board .kinds label", has_text=brush).click()
    page.locator("#board .size input").fill(str(width))
    box, before = page.locator("#board canvas.wet").bounding_box(), page.evaluate(ANSWERS)
    places = [(box["x"] + x / 64 * box["width"], box["y"] + y / 64 * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.wait_for_function(f"(before) => {ANSWERS} > before", arg=before)


def main() -> None:
    """Open the page, draw, look."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        workplace = open_workplace(compose("paint", ["port=0"]))
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with served(workplace) as address, sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page(
            viewport={"width": 1180, "height": 830}
        )
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_function("document.querySelector('#easel .told')?.textContent.includes('choose a brush')")
        page.get_by_role("tab", name="Strokes").click()
        page.wait_for_function("document.querySelector('#board .told')?.textContent.includes('Draw what you want')")
        page.locator("#board .colour input").fill("#3b5ba8")
        for one in MARKS:
            mark(page, *one)
        page.screenshot(path=Path(__file__).with_name("strokes.png"))


if __name__ == "__main__":
    main()
