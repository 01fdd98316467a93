"""docs/strokes.png: the tab for strokes after a colour and a drag, as a browser shows it.

python docs/strokes.py
"""

from pathlib import Path

from browser import draw, opened
from playwright.sync_api import Page

MARKS = (  # brush, its width, and points in pixels of the picture
    ("Colour", 5, ((26, 27), (40, 27))),
    ("Drag", 30, ((31, 40), (38, 40))),
)
ANSWERS = "Number(document.querySelector('#board .board').dataset.answers || 0)"


def mark(page: Page, brush: str, width: int, points: tuple[tuple[float, float], ...]) -> None:
    """Choose the brush, draw, and wait for what it leads to."""
    page.locator("#board .kinds label", has_text=brush).click()
    page.locator("#board .size input").fill(str(width))
    before = page.evaluate(ANSWERS)
    draw(page, "#board canvas.wet", points)
    page.wait_for_function(f"(before) => {ANSWERS} > before", arg=before)


def main() -> None:
    """Open the page, draw, look."""
    with opened(830) as page:
        page.get_by_role("tab", name="Strokes").click()
        page.wait_for_function("document.querySelector('#board .told')?.textContent.includes('Draw what you want')")
        page.locator("#board .colour input").fill("#3b5ba8")
        for one in MARKS:
            mark(page, *one)
        page.screenshot(path=Path(__file__).with_name("strokes.png"))


if __name__ == "__main__":
    main()
