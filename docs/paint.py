"""docs/paint.png: the page of paint.py after some strokes, as a browser shows it.

python docs/paint.py
"""

from pathlib import Path

from browser import draw, opened
from playwright.sync_api import Page

STROKES = (  # brush, mode, kind, and points in pixels of the picture
    ("tree", "draw", "optimise", ((56, 40), (56, 50))),
    ("cloud", "draw", "switch units", ((11, 14), (21, 14))),
)


def stroke(page: Page, brush: str, mode: str, kind: str, points: tuple[tuple[float, float], ...]) -> None:
    """Choose the brush, paint, and wait for the picture."""
    for group, name in (("brushes", brush), ("modes", mode), ("kinds", kind)):
        page.locator(f"#{group} label", has_text=name).click()
    draw(page, "#easel canvas.wet", points)
    done = "Drew" if mode == "draw" else "Removed"
    page.wait_for_function(f"document.querySelector('#easel .told').textContent === '{done}: {brush}.'")


def main() -> None:
    """Open the page, paint, look."""
    with opened(960) as page:
        for one in STROKES:
            stroke(page, *one)
        page.locator("#easel .compare input").fill("0")
        page.screenshot(path=Path(__file__).with_name("paint.png"))


if __name__ == "__main__":
    main()
