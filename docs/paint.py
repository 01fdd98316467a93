"""docs/paint.png: the page of paint.py after some strokes, as a browser shows it.

python docs/paint.py
"""

import shutil
from pathlib import Path

from hydra import compose, initialize_config_module
from playwright.sync_api import Page, sync_playwright

from zstar.app.open import open_workplace
from zstar.app.page import served

STROKES = (  # brush, mode, kind, and points in pixels of the picture
    ("tree", "draw", "optimise", ((56, 40), (56, 50))),
    ("cloud", "draw", "switch units", ((11, 14), (21, 14))),
)


def stroke(page: Page, brush: str, mode: str, kind: str, points: tuple[tuple[float, float], ...]) -> None:
    """Choose the brush and paint with the mouse."""
    for group, name in (("brushes", brush), ("modes", mode), ("kinds", kind)):
        page.locator(f"#{group} label", has_text=name).click()
    box = page.locator("#easel canvas.wet").bounding_box()
    places = [(box["x"] + x / 64 * box["width"], box["y"] + y / 64 * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()
    done = "Drew" if mode == "draw" else "Removed"
    page.wait_for_function(f"document.querySelector('#easel .told').textContent === '{done}: {brush}.'")


def main() -> None:
    """Open the page, paint, look."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        workplace = open_workplace(compose("paint", ["port=0"]))
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with served(workplace) as address, sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page(
            viewport={"width": 1180, "height": 960}
        )
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_function("document.querySelector('#easel .told')?.textContent.includes('choose a brush')")
        for one in STROKES:
            stroke(page, *one)
        page.locator("#easel .compare input").fill("0")
        page.screenshot(path=Path(__file__).with_name("paint.png"))


if __name__ == "__main__":
    main()
