"""The page for painting, driven in a real browser: strokes, undo, uploads, downloads, and no word to anybody else."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from PIL import Image
from test_painting import bad_uploads

from zstar.app.open import Workplace, open_workplace
from zstar.app.page import free_port, served
from zstar.app.strokes import read_strokes
from zstar.config.reasons import Unfit
from zstar.data.cottages import Cottages
from zstar.data.layers import read_layers
from zstar.images import to_uint8

pytestmark = pytest.mark.slow
PATIENCE = 60_000  # ms; a machine with other work takes its time
DONE = "([many]) => Number(document.querySelector('#easel canvas').closest('.easel').dataset.strokes || 0) >= many"
PIXELS = """([x, y, side]) => {
    const canvas = document.querySelector('#easel canvas.picture'), scale = canvas.width / 64;
    const data = canvas.getContext('2d').getImageData(x * scale, y * scale, side * scale, side * scale).data;
    return [0, 1, 2].map((c) => data.reduce((sum, value, k) => sum + (k % 4 === c ? value : 0), 0) / (data.length / 4));
}"""


@pytest.fixture(scope="module")
def expect(playwright: Any) -> Iterator[Callable[..., Any]]:
    playwright.expect.set_options(timeout=PATIENCE)
    yield playwright.expect
    playwright.expect.set_options(timeout=None)


@pytest.fixture(scope="module")
def workplace(composed: Callable[..., DictConfig], brushes: list[str]) -> Workplace:
    pytest.importorskip("gradio", reason="needs Gradio, which the extra paint has")
    return open_workplace(composed("paint", *brushes, "port=0"))


@pytest.fixture(scope="module")
def address(workplace: Workplace) -> Iterator[str]:
    with served(workplace) as url:
        yield url


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page; at the end, nothing may have failed in it or been asked of another host."""
    contexts, faults = [], []

    def go(width: int = 1280, height: int = 900, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        own = (f"{address}/", "data:", f"blob:{address}/")
        page.on("request", lambda request: request.url.startswith(own) or faults.append(request.url))
        page.goto(address)
        page.wait_for_function("document.querySelector('#easel .told')?.textContent.includes('choose a brush')")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not faults


def paint(page: Any, points: list[tuple[float, float]]) -> None:
    """A stroke with the mouse, in pixels of the picture, and its result."""
    before = int(page.evaluate("Number(document.querySelector('#easel .easel').dataset.strokes || 0)"))
    box = page.locator("#easel canvas.wet").bounding_box()
    places = [(box["x"] + x / 64 * box["width"], box["y"] + y / 64 * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
    page.wait_for_function(DONE, arg=[before + 1])


def choose(page: Any, group: str, name: str) -> None:
    page.locator(f"#{group} label", has_text=name).click()


def enter(page: Any, tab: str) -> None:
    """Open a tab, and wait until its fields hear: a frame after they are seen, Gradio writes their first values again,
    over whatever was typed by then."""
    page.get_by_role("tab", name=tab).click()
    page.wait_for_function("document.querySelectorAll('#seed input, #names input, #board .board').length > 0")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def told(page: Any) -> Any:
    return page.locator("#easel .told")


def differs(one: list[float], other: list[float]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) > 4


def test_a_stranger_draws_removes_and_goes_back(opened: Callable[..., Any], expect: Any) -> None:
    page = opened()
    tree, far, door = [4, 38, 10], [50, 2, 10], [30, 46, 6]
    start = {name: page.evaluate(PIXELS, place) for name, place in (("tree", tree), ("far", far), ("door", door))}
    paint(page, [(9, 38), (9, 50)])
    expect(told(page)).to_have_text("Drew: tree.")
    drawn = page.evaluate(PIXELS, tree)
    assert differs(drawn, start["tree"]) and not differs(page.evaluate(PIXELS, far), start["far"])
    choose(page, "brushes", "door")
    choose(page, "modes", "remove")
    paint(page, [(32, 46), (32, 52)])
    expect(told(page)).to_have_text("Removed: door.")
    removed = page.evaluate(PIXELS, door)
    assert differs(removed, start["door"])
    expect(page.locator("#easel .speed")).to_have_text(re.compile(r"result in \d+ ms \(median of the last 2\)"))
    page.locator("#undo").click()
    expect(told(page)).to_have_text("Undone.")
    page.wait_for_function(
        f"JSON.stringify(({PIXELS})({door})) === '{json.dumps(start['door'], separators=(',', ':'))}'"
    )
    page.locator("#redo").click()
    expect(told(page)).to_have_text("Done again.")
    assert page.evaluate(PIXELS, door) == removed
    page.locator("#reset").click()
    expect(told(page)).to_have_text(re.compile("The original"))
    assert page.evaluate(PIXELS, tree) == start["tree"] and page.evaluate(PIXELS, door) == start["door"]
    page.locator("#undo").click()
    page.locator("#easel .easel").focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(f"JSON.stringify(({PIXELS})({tree})) === '{json.dumps(drawn, separators=(',', ':'))}'")


def test_strokes_are_seen_while_they_are_drawn_and_pictures_compared(opened: Callable[..., Any]) -> None:
    page = opened()
    box = page.locator("#easel canvas.wet").bounding_box()
    wet = """() => document.querySelector('#easel canvas.wet').getContext('2d').getImageData(0, 0, 768, 768)
        .data.some(Boolean)"""
    assert not page.evaluate(wet)
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] * 0.6)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + box["height"] * 0.7, steps=4)
    assert page.evaluate(wet)
    page.mouse.up()
    page.wait_for_function(DONE, arg=[1])
    assert not page.evaluate(wet)
    left = [6, 36, 8]
    edited = page.evaluate(PIXELS, left)
    page.locator("#easel .compare input").fill("60")
    original = page.evaluate(PIXELS, left)
    assert differs(edited, original)
    page.locator("#easel .compare input").fill("0")
    assert page.evaluate(PIXELS, left) == edited


def test_sliders_restyle_the_whole_picture(opened: Callable[..., Any], expect: Any) -> None:
    page = opened()
    before = page.evaluate(PIXELS, [2, 54, 8])
    number = page.locator("#restyle-season input[type=number]")
    number.fill("0.5")
    number.blur()
    expect(told(page)).to_have_text("Restyled.")
    assert differs(page.evaluate(PIXELS, [2, 54, 8]), before)
    page.locator("#undo").click()
    expect(number).to_have_value("0")


def test_a_slider_makes_it_evening(opened: Callable[..., Any], expect: Any) -> None:
    page, sky = opened(), [50, 2, 10]
    noon = page.evaluate(PIXELS, sky)
    number = page.locator("#restyle-time_of_day input[type=number]")
    number.fill("9")  # as far as it goes
    number.blur()
    expect(told(page)).to_have_text("Restyled.")
    expect(number).to_have_value("0.5")
    assert noon[2] - page.evaluate(PIXELS, sky)[2] > 20, "the sky is darker"
    page.locator("#reset").click()
    expect(number).to_have_value("0")
    assert page.evaluate(PIXELS, sky) == noon
    page.locator("#size input[type=number]").fill("99")
    paint(page, [(9, 38), (9, 50)])
    expect(told(page)).to_have_text("Drew: tree.")
    enter(page, "Scene")
    page.locator("#seed input").fill("-3")
    page.locator("#scene").click()
    expect(told(page)).to_have_text("scene 0: choose a brush and paint.")


def test_a_held_out_picture_is_chosen_and_projected_once(
    opened: Callable[..., Any], expect: Any, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, calls, project = opened(), [], workplace.pictures.projected
    monkeypatch.setattr(workplace.pictures, "projected", lambda *words: calls.append(words) or project(*words))
    enter(page, "Picture")
    page.locator("#names input").click()
    expect(page.get_by_role("option")).to_have_count(4)
    page.get_by_role("option", name="test-000002").click()
    expect(told(page)).to_have_text("test-000002: choose a brush and paint.")
    held_out = to_uint8(Cottages(count=4).read([2]).images)[0].float()
    for x, y in ((0, 0), (24, 30), (40, 50)):
        there = held_out[y : y + 12, x : x + 12].mean(dim=(0, 1)).tolist()
        assert page.evaluate(PIXELS, [x, y, 12]) == pytest.approx(there, abs=3), "as it is, whatever its projection is"
    paint(page, [(9, 38), (9, 50)])
    expect(told(page)).to_have_text("Drew: tree.")
    assert len(calls) == 1


def test_an_optimised_brush_says_what_it_does_and_paints(opened: Callable[..., Any], expect: Any) -> None:
    page, tree, far = opened(), [4, 38, 10], [50, 2, 10]
    start, outside = page.evaluate(PIXELS, tree), page.evaluate(PIXELS, far)
    page.evaluate(
        """() => { window.heard = []; const told = document.querySelector('#easel .told');
        new MutationObserver(() => heard.push(told.textContent)).observe(told, { childList: true, subtree: true }); }"""
    )
    choose(page, "kinds", "optimise")
    choose(page, "modes", "remove")
    paint(page, [(9, 38), (9, 50)])
    expect(told(page)).to_have_text("Removed: tree.")
    assert page.evaluate(PIXELS, tree)[2] - start[2] > 50, "hills and sky are bluer than the tree"
    assert not differs(page.evaluate(PIXELS, far), outside)
    words = page.evaluate("heard")
    assert any(re.match(r"Painting … \d+ s; the latent moves until the class is seen there", one) for one in words)
    page.locator("#undo").click()
    expect(told(page)).to_have_text("Undone.")
    assert page.evaluate(PIXELS, tree) == start


def test_photos_come_in_and_files_go_out(
    opened: Callable[..., Any], expect: Any, tmp_path: Path, workplace: Workplace
) -> None:
    page = opened()
    photo = tmp_path / "photo.jpg"
    Image.linear_gradient("L").convert("RGB").resize((300, 200)).save(photo)
    page.locator("#upload input").set_input_files(photo)
    expect(told(page)).to_have_text("your photo: choose a brush and paint.")
    top, bottom = (page.evaluate(PIXELS, [20, y, 10]) for y in (2, 50))
    assert bottom[0] - top[0] > 100, "the picture is the photo, whatever its projection is"
    paint(page, [(30, 40), (34, 50)])
    for name, file in (("picture", "picture.png"), ("latents", "latents.zip"), ("strokes", "strokes.json")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save {name}").click()
        assert download.value.suggested_filename == file
        download.value.save_as(tmp_path / file)
    assert Image.open(tmp_path / "picture.png").size == (200, 200), "the middle of the photo, in its own size"
    strokes = read_strokes((tmp_path / "strokes.json").read_bytes())
    assert strokes.strokes[0].name == "tree" and "photo" in strokes.picture
    assert abs(strokes.strokes[0].points[0][0] - 30) < 0.5
    enter(page, "Scene")
    expect(page.locator("#seed input")).to_have_value("0")
    page.locator("#seed input").fill("12")
    page.locator("#scene").click()
    expect(told(page)).to_have_text("scene 12: choose a brush and paint.")


@pytest.mark.parametrize("name", ["text", "truncated", "single", "huge"])
def test_bad_uploads_get_a_sentence(opened: Callable[..., Any], expect: Any, tmp_path: Path, name: str) -> None:
    page = opened()
    content, sentence = bad_uploads(tmp_path)[name]
    before = page.evaluate(PIXELS, [0, 0, 64])
    (tmp_path / "photo.png").write_bytes(content)
    page.locator("#upload input").set_input_files(tmp_path / "photo.png")
    expect(told(page)).to_contain_text(sentence)
    assert page.evaluate(PIXELS, [0, 0, 64]) == before
    paint(page, [(9, 38), (9, 50)])
    expect(told(page)).to_have_text("Drew: tree.")


def test_painters_do_not_see_each_other(opened: Callable[..., Any]) -> None:
    one, other = opened(), opened()
    before = other.evaluate(PIXELS, [0, 0, 64])
    paint(one, [(9, 38), (9, 50)])
    other.locator("#undo").click()
    other.wait_for_function("document.querySelector('#easel .told').textContent === 'Nothing to undo.'")
    assert other.evaluate(PIXELS, [0, 0, 64]) == before != one.evaluate(PIXELS, [0, 0, 64])


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desk(opened: Callable[..., Any], width: int) -> None:
    page = opened(width, 844 if width < 500 else 900, has_touch=width < 500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#easel canvas.wet").bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1) and box["width"] >= min(340, width * 0.4)
    if width < 500:
        page.touchscreen.tap(box["x"] + 60, box["y"] + 0.7 * box["height"])
        page.wait_for_function(DONE, arg=[1])


def test_it_listens_to_this_machine_alone_and_a_taken_port_is_said(workplace: Workplace, address: str) -> None:
    assert workplace.plain["host"] == "127.0.0.1" and address.startswith("http://127.0.0.1:")
    port = int(address.rpartition(":")[2])
    with pytest.raises(ValueError, match=rf"port: {port} on 127.0.0.1 can't be had .* choose another port, or port=0"):
        with served(replace(workplace, plain={**workplace.plain, "port": port})):
            pass
    assert free_port("127.0.0.1", 0) > 0


def test_an_upload_stays_in_the_folder_of_the_page_and_goes_with_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpx = pytest.importorskip("httpx", reason="needs httpx, which Gradio has")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # and back to what it was, for the page of the other tests
    with served(workplace) as url:
        folder = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
        file = {"files": ("../../../outside.png", b"no picture", "image/png")}
        answer = httpx.post(f"{url}/gradio_api/upload", files=file, timeout=60)
        kept = [Path(path).resolve() for path in answer.json()]
        assert kept and all(folder in path.parents and path.is_file() for path in kept)
    assert not folder.exists()


def test_without_gradio_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from zstar.app.page import require_gradio

    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    with pytest.raises(Unfit, match=r"the page needs Gradio; install it with pip install 'zstar\[paint\]'"):
        require_gradio()


def drag(page: Any, places: list[tuple[float, float]]) -> None:
    """With the mouse from place to place of the page."""
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def swipe(page: Any, places: list[tuple[float, float]]) -> None:
    """The same with a finger, as the browser hears of it from a screen."""
    screen = page.context.new_cdp_session(page)
    ways = [places[0]] + [
        (a[0] + (b[0] - a[0]) * step / 6, a[1] + (b[1] - a[1]) * step / 6)
        for a, b in zip(places, places[1:], strict=False)
        for step in range(1, 7)
    ]
    for number, (x, y) in enumerate(ways):
        kind = "touchMove" if number else "touchStart"
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    screen.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def draw(page: Any, kind: str, points: list[tuple[float, float]], finger: bool = False) -> None:
    """A mark on the board with the mouse, or a finger, in pixels of the picture, and what it leads to."""
    page.locator("#board .kinds label", has_text=kind).click()
    canvas = page.locator("#board canvas.wet")
    canvas.scroll_into_view_if_needed()
    before, box = page.evaluate(ANSWERS), canvas.bounding_box()
    places = [(box["x"] + x / 64 * box["width"], box["y"] + y / 64 * box["height"]) for x, y in points]
    (swipe if finger else drag)(page, places)
    page.wait_for_function(f"(before) => {ANSWERS} > before", arg=before)


ANSWERS = "Number(document.querySelector('#board .board').dataset.answers || 0)"
BOARD = PIXELS.replace("#easel", "#board")


def at_the_board(page: Any) -> Any:
    enter(page, "Strokes")
    page.wait_for_function("document.querySelector('#board .told')?.textContent.includes('Draw what you want')")
    return page.locator("#board .told")


def test_marks_lead_to_alternatives_and_a_way_there(opened: Callable[..., Any], expect: Any, tmp_path: Path) -> None:
    page = opened()
    words = at_the_board(page)
    roof, start = [26, 24, 8], page.evaluate(BOARD, [26, 24, 8])
    page.locator("#board .colour input").fill("#2040e0")
    draw(page, "Colour", [(25, 27), (40, 27)])
    expect(words).to_have_text("Alternative 1 of 4; the slider leads there from before.")
    first = page.evaluate(BOARD, roof)
    assert first[2] - first[0] > start[2] - start[0] + 8, "it is bluer"
    expect(page.locator("#board .thumbs button")).to_have_count(4)
    expect(page.locator("#board .speed")).to_have_text(re.compile(r"A step of 4 descents takes \d+ ms"))
    page.locator("#board .way input").fill("0")
    assert max(abs(a - b) for a, b in zip(page.evaluate(BOARD, roof), start, strict=True)) < 1
    page.locator("#board .thumbs button").nth(2).click()
    expect(words).to_have_text(re.compile("^Alternative 3 of 4"))
    assert page.locator("#board .thumbs button").nth(2).get_attribute("aria-checked") == "true"
    draw(page, "Drag", [(10, 12), (45, 10)])
    expect(words).to_have_text(re.compile("^Alternative 1 of 4"))
    with page.expect_download() as download:
        page.locator("#board [data-save=marks]").click()
    download.value.save_as(tmp_path / "strokes.zip")
    shutil.unpack_archive(tmp_path / "strokes.zip", tmp_path / "strokes")
    assert [layer.kind for layer in read_layers(tmp_path / "strokes" / "strokes.json")] == ["color", "warp"]
    page.locator("#board [data-step=undo]").click()
    expect(words).to_have_text("Undone.")
    assert page.locator("#board .thumbs button").nth(2).get_attribute("aria-checked") == "true"
    page.locator("#board [data-step=clear]").click()
    expect(page.locator("#board .thumbs button")).to_have_count(0)
    assert page.evaluate(BOARD, roof) == start
    page.get_by_role("tab", name="Paint").click()
    paint(page, [(9, 38), (9, 50)])
    expect(told(page)).to_have_text("Drew: tree.")


def test_a_handle_is_dragged_with_the_mouse(opened: Callable[..., Any], expect: Any, tmp_path: Path) -> None:
    page = opened()
    words, house = at_the_board(page), [22, 26, 20]
    start = page.evaluate(BOARD, house)
    draw(page, "Handle", [(32, 48), (26, 48)])
    expect(words).to_have_text("Alternative 1 of 1; the slider leads there from before.")
    assert not page.locator("#board .size").is_visible() and differs(page.evaluate(BOARD, house), start)
    with page.expect_download() as download:
        page.locator("#board [data-save=marks]").click()
    download.value.save_as(tmp_path / "strokes.zip")
    shutil.unpack_archive(tmp_path / "strokes.zip", tmp_path / "strokes")
    (handle,) = read_layers(tmp_path / "strokes" / "strokes.json")
    assert handle.kind == "point" and handle.size == (64, 64)
    assert max(abs(a - b) for a, b in zip((*handle.start, *handle.end), (32, 48, 26, 48), strict=True)) < 0.5


def test_the_board_fits_a_phone_and_refuses_what_lies_outside(opened: Callable[..., Any], expect: Any) -> None:
    page = opened(390, 844, has_touch=True)
    words = at_the_board(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    draw(page, "Drag", [(30, 30), (30.4, 30)])
    expect(words).to_have_text(re.compile("a drag leads from one place to another"))
    before = page.evaluate("window.scrollY"), page.evaluate(BOARD, [24, 24, 10])
    draw(page, "Colour", [(25, 24), (40, 27), (40, 40)], finger=True)
    expect(words).to_have_text(re.compile("^Alternative 1 of 4"))
    assert page.evaluate("window.scrollY") == before[0], "a stroke across the picture does not scroll the page"
    assert differs(page.evaluate(BOARD, [24, 24, 10]), before[1])
    draw(page, "Sketch", [(10, 40), (50, 40)], finger=True)
    expect(words).to_have_text(re.compile("^Alternative 1 of 4"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
