"""The board of strokes without a page: marks, alternatives, the way back, and what is refused."""

import threading
import zipfile
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from zstar.app.board import Board
from zstar.app.guided import Guidance, Guide
from zstar.app.guiding import NONE, opened
from zstar.app.marks import make_mark
from zstar.app.open import Workplace, open_workplace
from zstar.app.painting import Painting
from zstar.app.session import Session
from zstar.app.strokes import BadStrokes
from zstar.data.layers import read_layers
from zstar.inversion import Inversion

COLOR = {"kind": "color", "points": [[24, 27], [40, 27]], "size": 6, "color": "#2040E0"}
DRAG = {"kind": "warp", "points": [[10, 12], [20, 14], [44, 12]], "size": 14}
HANDLE = {"kind": "point", "points": [[20, 46], [14, 46], [14, 44]], "size": 2}
SKETCH = {"kind": "sketch", "points": [[10, 40], [50, 40]], "size": 1}


@pytest.fixture(scope="module")
def workplace(composed: Callable[..., DictConfig], brushes: list[str]) -> Workplace:
    return open_workplace(composed("paint", *brushes))


@pytest.fixture(scope="module")
def guide(workplace: Workplace) -> Guide:
    return Guide(workplace.pictures.pipeline.space, workplace.pictures.lock, Guidance(starts=2, steps=4, drag_steps=4))


@pytest.fixture
def board(workplace: Workplace, guide: Guide) -> Board:
    return Board(guide, Painting(workplace.studio, workplace.pictures.sample(21)))


def last(news: Any) -> dict[str, Any]:
    *_, end = news
    return end


def same(one: str, other: str) -> bool:
    """Whether two addresses hold one picture, but for the rounding of batches of different sizes."""
    one, other = (np.asarray(Image.open(BytesIO(b64decode(address.partition(",")[2])))) for address in (one, other))
    return np.abs(one.astype(int) - other).max() <= 1


def test_marks_lead_to_alternatives_that_can_be_undone(board: Board) -> None:
    begin = board.show()
    assert len(begin["frames"]) == 1 and not begin["alternatives"] and not begin["marks"]
    first = last(board.mark(COLOR))
    assert len(first["frames"]) == 12 and same(first["frames"][0], begin["frames"][0]) and first["answer"]
    assert same(first["frames"][-1], first["alternatives"][0]["picture"]) and len(first["alternatives"]) == 2
    assert board.state.found.values == sorted(board.state.found.values)
    second = last(board.mark(SKETCH))
    assert [mark["kind"] for mark in second["marks"]] == ["color", "sketch"]
    chosen = board.choose(1)
    assert chosen["chosen"] == 1 and same(chosen["frames"][-1], second["alternatives"][1]["picture"])
    assert board.undo()["marks"] == first["marks"] and board.redo()["chosen"] == 1
    assert not board.clear()["marks"] and board.undo()["told"] == "Undone." and len(board.state.marks) == 2
    for _ in range(5):
        end = board.undo()
    assert end["told"] == "Nothing to undo." and end["frames"] == begin["frames"]


def test_more_marks_pull_the_picture_to_them(board: Board, guide: Guide) -> None:
    targets = guide.targets([make_mark(COLOR)], board.image)
    whole = Guide(guide.space, guide.lock, Guidance(starts=1, steps=25))
    found = whole.find(board.v, board.noise, targets, lambda *news: None)
    near = (targets["color_mask"] > 0.5).expand_as(board.image)
    before, after = (
        (image - targets["color_strokes"])[near].square().mean() for image in (board.image, found.pictures)
    )
    assert after < 0.5 * before and found.pictures.abs().max() <= 1


def test_a_handle_leads_to_one_picture_on_the_way_to_its_target(board: Board, guide: Guide) -> None:
    whole = Guide(guide.space, guide.lock, Guidance(drag_steps=6))
    seen: list[tuple[int, int]] = []
    targets = whole.targets([make_mark(HANDLE)], board.image)
    found = whole.find(board.v, board.noise, targets, lambda done, steps, *_: seen.append((done, steps)))
    assert len(found.latents) == 1 and seen[-1] == (6, 6)
    assert (found.pictures[0] - board.image[0]).abs().max() > 0.1
    end = last(board.mark(HANDLE))
    assert len(end["alternatives"]) == 1 and end["speed"].startswith("A step takes") and end["marks"][0]["size"] == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "oil"}, "a mark has no kind; choose one of color, sketch, warp, point"),
        ({"color": "red"}, "color is 'red' and not #rrggbb"),
        ({"size": 0}, "size is '0'; give pixels, from 0.5 on"),
        ({"stay": "much"}, "stay is 'much'; give a number from 0 to 100"),
        ({"points": []}, "points is no list of 1 to 2000 points"),
        ({"points": [[1, "a"]]}, "points has \"[1, 'a']\", which is no pair of numbers"),
        ({"points": [[1, float("nan")]]}, "points has '[1, nan]', which is no pair of numbers"),
        ({"points": [[-40, -40], [-30, -40]]}, "the stroke lies outside of the picture"),
        ({"kind": "warp", "points": [[20, 20], [20.5, 20]]}, "a drag leads from one place to another"),
        ({"kind": "warp", "points": [[20, 20], [300, 20]]}, "the patch is moved out of the picture"),
        ({"kind": "point", "points": [[20, 20], [300, 20]]}, "the handle is outside of the part of the picture"),
    ],
)
def test_what_is_no_mark_is_refused_in_one_sentence(board: Board, change: dict[str, Any], sentence: str) -> None:
    news = list(board.mark({**COLOR, **change}))
    assert len(news) == 1 and news[0]["bad"] and news[0]["answer"] and sentence in news[0]["told"]
    assert not board.state.marks


def test_the_more_it_stays_near_the_less_it_changes(board: Board, guide: Guide) -> None:
    targets, moved = guide.targets([make_mark(COLOR)], board.image), []
    for stay in (0.01, 10.0):
        found = guide.find(board.v, board.noise, targets, lambda *news: None, stay)
        moved.append((found.pictures[0] - board.image[0]).abs().mean())
    assert moved[0] > 1.5 * moved[1]


def test_what_is_saved_can_be_read_again(board: Board, tmp_path: Path, workplace: Workplace) -> None:
    assert board.download("marks")["bad"]
    last(board.mark(COLOR))
    last(board.mark(DRAG))
    last(board.mark(HANDLE))
    zipfile.ZipFile(BytesIO(b64decode(board.download("marks")["download"]["content"]))).extractall(tmp_path / "strokes")
    layers = read_layers(tmp_path / "strokes" / "strokes.json")
    assert [layer.kind for layer in layers] == ["color", "warp", "point"] and layers[1].by == (34, 0)
    assert (layers[2].size, layers[2].start, layers[2].end) == ((64, 64), (20, 46), (14, 44))
    zipfile.ZipFile(BytesIO(b64decode(board.download("latents")["download"]["content"]))).extractall(tmp_path)
    inversion = Inversion.load(tmp_path / "latents.safetensors")
    image = inversion.render(workplace.pictures.pipeline.generator).clamp(-1, 1)
    torch.testing.assert_close(image, board.state.found.pictures[:1], rtol=0, atol=1e-4)
    assert board.download("picture")["download"]["name"] == "picture.png"


def test_no_lock_is_held_while_news_are_told_and_sessions_are_apart(board: Board, workplace: Workplace) -> None:
    """Gradio takes each piece of news in whichever thread is free."""
    news = board.mark(COLOR)
    told: list[dict[str, Any]] = []

    def take() -> None:
        told.append(next(news))

    while not told or not told[-1].get("answer"):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        assert not board.lock.locked()
    other = Board(board.guide, Painting(workplace.studio, workplace.pictures.sample(21)))
    assert not other.state.marks and len(board.state.marks) == 1


def test_a_board_is_kept_until_something_else_is_painted(workplace: Workplace, guide: Guide) -> None:
    session = Session(workplace)
    assert opened(guide, None, None) == (None, NONE) and opened(guide, session, None) == (None, NONE)
    list(session.begin(lambda progress: workplace.pictures.sample(3)))
    held, news = opened(guide, session, None)
    assert held is not None and not news["bad"] and opened(guide, session, held)[0] is held
    name = next(iter(workplace.studio.directions))
    session.restyle({name: 0.5})
    again = opened(guide, session, held)[0]
    assert again is not held and not torch.equal(again.image, held.image)


def test_a_picture_in_a_richer_space_is_refused(guide: Guide) -> None:
    with pytest.raises(BadStrokes, match="the picture is in style, which can't be brought to"):
        guide.lifted({"latent": torch.zeros(1, *guide.space.generator.shape("style"))}, "style")
