"""Paintings: strokes as masks and files, undo and redo, what stays, and what is refused."""

import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from parameters import slowly
from PIL import Image

from zstar.app.files import as_inversion, save_painting
from zstar.app.open import Workplace, open_workplace
from zstar.app.painting import Painting
from zstar.app.pictures import photo_hash
from zstar.app.run import replay
from zstar.app.session import Session
from zstar.app.strokes import MOST_BYTES, BadStrokes, Stroke, Strokes, make_stroke, read_strokes
from zstar.config.build import to_plain
from zstar.data.cottages import Cottages
from zstar.data.decoding import BadImage
from zstar.data.reading import read_image
from zstar.images import to_uint8, write_png
from zstar.inversion import Inversion
from zstar.postprocess.base import Change
from zstar.postprocess.chain import Chain, make_chain
from zstar.postprocess.none import Nothing

TREE = Stroke("tree", ((9.0, 38.0), (9.0, 50.0)), size=9.0)
DOOR = Stroke("door", ((35.0, 44.0), (35.0, 52.0)), size=12.0, mode="remove")
Composed = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def workplace(composed: Composed, brushes: list[str]) -> Workplace:
    return open_workplace(composed("paint", *brushes))


@pytest.fixture
def painting(workplace: Workplace) -> Painting:
    return Painting(workplace.studio, workplace.pictures.sample(3))


def test_strokes_cover_what_they_go_over() -> None:
    dot = Stroke("tree", ((10.0, 20.0),), size=6.0).mask(64)
    assert dot[0, 0, 20, 10] == 1 and dot[0, 0, 20, 14] == 0 and dot[0, 0, 10, 20] == 0
    assert abs(dot.sum().item() - torch.pi * 9) < 1.5
    line = Stroke("tree", ((10.0, 20.0), (30.0, 20.0), (30.0, 40.0)), size=4.0).mask(64)
    assert line[0, 0, 20, 10:30].eq(1).all() and line[0, 0, 20:40, 30].eq(1).all() and line[0, 0, 35, 20] == 0
    assert Stroke("tree", ((-50.0, -50.0),), size=6.0).mask(64).sum() == 0
    many = tuple((k / 10, 30 + k % 2) for k in range(600))  # in several parts
    assert Stroke("tree", many, size=2.0).mask(64)[0, 0, 30, :59].min() > 0.9


def test_unpainted_pixels_are_those_of_the_photo(workplace: Workplace) -> None:
    painting = Painting(workplace.studio, workplace.pictures.image("test-000001"))
    assert torch.equal(painting.render(), painting.picture.photo), "nothing is painted, so nothing is lost"
    painting.add(TREE)
    made, photo = painting.render(), painting.picture.photo
    assert (made - photo).abs().amax() > 0.3
    assert ((made - photo) * (painting.mask() == 0)).abs().mean() <= 2 / 255
    assert torch.equal(made[..., 32:], photo[..., 32:])


def test_brushes_draw_and_remove_what_the_segmenter_sees(workplace: Workplace) -> None:
    def pixels(name: str, stroke: Stroke) -> float:
        seen = workplace.segmenter(painting.render()) == workplace.segmenter.column(name, "test")
        return (seen.float()[:, None] * stroke.mask(64)).sum().item()

    painting = Painting(workplace.studio, workplace.pictures.sample(0))
    before = pixels("tree", TREE), pixels("door", DOOR)
    painting.add(TREE)
    painting.add(DOOR)
    assert pixels("tree", TREE) > before[0] + 20
    assert before[1] > 20 and pixels("door", DOOR) < 0.3 * before[1]


def test_strengths_are_ordered(painting: Painting) -> None:
    changes = []
    for strength in ("low", "med", "high"):
        painting.add(replace(TREE, strength=strength))
        changes.append((painting.render() - painting.picture.photo).abs().mean().item())
        painting.undo()
    assert 0 < changes[0] < changes[1] < changes[2]


def test_undo_redo_and_reset(painting: Painting) -> None:
    pictures = [painting.render()]
    for act in (lambda: painting.add(TREE), lambda: painting.restyle({"season": 0.4}), lambda: painting.add(DOOR)):
        act()
        pictures.append(painting.render())
    assert len({picture.sum().item() for picture in pictures}) == 4
    for picture in pictures[2::-1]:
        painting.undo()
        assert torch.equal(painting.render(), picture)
    assert not painting.undoable
    painting.undo()
    for picture in pictures[1:]:
        painting.redo()
        assert torch.equal(painting.render(), picture)
    painting.reset()
    assert torch.equal(painting.render(), pictures[0]) and not painting.redoable
    painting.undo()
    assert torch.equal(painting.render(), pictures[3])
    painting.undo()
    painting.add(replace(TREE, name="cloud"))
    assert not painting.redoable, "what was undone is gone"


def test_a_painting_is_its_file(workplace: Workplace, painting: Painting, tmp_path: Path) -> None:
    painting.restyle({"season": -0.3, "time_of_day": 0.2})
    painting.add(TREE)
    painting.add(DOOR)
    save_painting(painting, tmp_path)
    strokes = read_strokes((tmp_path / "strokes.json").read_bytes())
    assert strokes == painting.strokes() and strokes.strokes == [TREE, DOOR]
    again = Painting(workplace.studio, workplace.pictures.sample(strokes.picture["sample"]))
    again.replay(strokes)
    assert torch.equal(again.render(), painting.render())
    found = Inversion.load(tmp_path / "latents.safetensors")
    assert torch.equal(found.render(workplace.studio.generator), workplace.studio.generator.render(*again.variables()))
    assert read_image(tmp_path / "picture.png", 64).sub(again.render()[0]).abs().max() < 0.01
    assert as_inversion(again).ids == ["scene 3"]


@pytest.mark.slow
def test_a_file_is_replayed_from_the_command_line(
    root: Path, brushes: list[str], painting: Painting, tmp_path: Path
) -> None:
    painting.add(TREE)
    save_painting(painting, tmp_path / "first")
    words = [*brushes, f"strokes={tmp_path}/first/strokes.json", f"output={tmp_path}/again"]
    done = subprocess.run([sys.executable, root / "paint.py", *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == f"1 strokes on scene 3: {tmp_path}/again/picture.png"
    for name in ("picture.png", "latents.safetensors", "strokes.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()


def test_a_photo_is_asked_for_and_known_again(workplace: Workplace, tmp_path: Path) -> None:
    def again(photo: str | None) -> None:
        plain = {**workplace.plain, "output": f"{tmp_path}/again", "photo": photo}
        file = tmp_path / "first" / "strokes.json"
        replay(replace(workplace, plain=plain), read_strokes(file.read_bytes()), file)

    write_png(tmp_path / "photo.png", workplace.pictures.sample(5).photo[0])
    write_png(tmp_path / "other.png", workplace.pictures.sample(6).photo[0])
    painting = Painting(workplace.studio, workplace.pictures.photo((tmp_path / "photo.png").read_bytes()))
    painting.add(TREE)
    save_painting(painting, tmp_path / "first")
    with pytest.raises(ValueError, match="photo: the strokes were painted on a photo; set photo="):
        again(None)
    with pytest.raises(ValueError, match="is not the photo that the strokes were painted on"):
        again(f"{tmp_path}/other.png")
    again(f"{tmp_path}/photo.png")
    assert (tmp_path / "again/picture.png").read_bytes() == (tmp_path / "first/picture.png").read_bytes()
    assert painting.picture.origin == {"photo": photo_hash((tmp_path / "photo.png").read_bytes())}


CHAINS = ("[residual]", "[transfer]", "[blend,poisson]", "[]")


@pytest.mark.parametrize("postprocess", [slowly(name, "[transfer]", "[blend,poisson]") for name in CHAINS])
def test_a_larger_photo_comes_back_in_its_own_size(
    composed: Composed, workplace: Workplace, tmp_path: Path, postprocess: str
) -> None:
    chain = make_chain(to_plain(composed("paint", f"postprocess={postprocess}")).get("postprocess"))
    workplace = replace(workplace, studio=replace(workplace.studio, postprocess=chain))
    write_png(tmp_path / "photo.png", Cottages(1, resolution=160).read([0]).images[0])
    session = Session(workplace)
    content = (tmp_path / "photo.png").read_bytes()
    *_, news = session.begin(lambda progress: workplace.pictures.photo(content, progress))
    assert not news["bad"] and size_of(news["picture"].partition(",")[2]) == (160, 160)
    before = session.painting.render()
    if postprocess != "[]":
        assert torch.equal(to_uint8(before), to_uint8(read_image(tmp_path / "photo.png", 160)[None]))
    assert not session.restyle({"season": 0.4})["bad"]
    assert size_of(session.download("picture")["download"]["content"]) == (160, 160)
    assert (session.painting.render() - before).abs().mean() > 0.01
    assert not session.stroke({**STROKE, "kind": "units", "mode": "draw"})["bad"], "strokes go the same way"
    assert size_of(session.download("picture")["download"]["content"]) == (160, 160)
    assert session.painting.render(80).shape[-1] == 80, "a screen gets less"
    assert session.painting.render(40).shape[-1] == 64, "and no less than the generator has"
    save_painting(session.painting, tmp_path / "saved")
    assert read_image(tmp_path / "saved/photo.png", 160).shape == (3, 160, 160)


class Halfway(Nothing):
    """The frame in the middle of the way."""

    def __call__(self, change: Change) -> torch.Tensor:
        assert change.path is not None
        return change.path(0.5)


def test_a_picture_with_a_few_weights_of_its_own_is_painted_on(workplace: Workplace) -> None:
    """Their places are whole numbers, which nothing lies between."""
    name, picture = "weights/synthesis.b64.torgb.bias", workplace.pictures.sample(3)
    own = {f"{name}/places": torch.tensor([[0, 2]], dtype=torch.int32), f"{name}/values": torch.tensor([[0.2, -0.2]])}
    studio = replace(workplace.studio, postprocess=Chain({"halfway": Halfway()}))
    painting = Painting(studio, replace(picture, v={**picture.v, **own}))
    painting.add(TREE)
    plain = Painting(studio, picture)
    plain.add(TREE)
    halfway, other = painting.render(), plain.render()
    torch.testing.assert_close((halfway - other).mean(dim=(2, 3)), torch.tensor([[0.2, 0.0, -0.2]]), atol=0.05, rtol=0)


def size_of(content: str) -> tuple[int, int]:
    """Width and height of a picture as the page gets it."""
    with Image.open(BytesIO(base64.b64decode(content))) as picture:
        return picture.size


def test_images_of_the_data_are_painted_on_in_their_own_size(composed: Composed, brushes: list[str]) -> None:
    workplace = open_workplace(composed("paint", *brushes, "data.photo_resolution=128"))
    painting = Painting(workplace.studio, workplace.pictures.image("test-000002"))
    assert torch.equal(painting.render(), Cottages(3, resolution=128).read([2]).images)
    painting.add(TREE)
    made, photo = painting.render(), painting.picture.photo
    assert (made - photo).abs().amax() > 0.3 and torch.equal(made[..., 64:], photo[..., 64:])


def test_a_painting_of_another_generator_is_refused(workplace: Workplace, painting: Painting) -> None:
    strokes = Strokes("0123456789abcdef", {"sample": 3}, {}, [TREE])
    with pytest.raises(BadStrokes, match="painted with the generator 0123456789ab…, and this one is"):
        painting.replay(strokes)


FINE = json.loads(Strokes("abc", {"sample": 3}, {"season": 0.1}, [TREE]).to_json())
STROKE = FINE["strokes"][0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "direction"}, "it holds no strokes"),
        ({"version": 2}, "it is of version 2, and this program reads 1"),
        ({"extra": 1}, "the file has 'extra', which is unknown"),
        ({"generator": None}, "generator is None and no fingerprint"),
        ({"picture": {"sample": -1}}, "picture.sample is -1"),
        ({"picture": {"file": "/etc/passwd"}}, "picture is .* and is one of sample, image, photo"),
        ({"restyle": {"season": "much"}}, "restyle is no mapping from names to finite numbers"),
        ({"strokes": {}}, "strokes is no list"),
        ({"strokes": [1]}, r"strokes\[0\] is 1 and no mapping"),
        ({"strokes": [{**STROKE, "kind": "eval"}]}, r"strokes\[0\].kind is 'eval'; choose one of units, optimize"),
        ({"strokes": [{**STROKE, "size": True}]}, r"strokes\[0\].size is True"),
        ({"strokes": [{**STROKE, "points": []}]}, r"strokes\[0\].points is no list"),
        ({"strokes": [{**STROKE, "points": [[1, 2], [3]]}]}, r"has \[3\], which is no pair of numbers"),
        ({"strokes": [{**STROKE, "points": [[1, 1e9]]}]}, "which is no pair of numbers"),
        ({"strokes": [{**STROKE, "name": 3}]}, r"strokes\[0\].name is 3 and no class"),
        ({"strokes": [{k: v for k, v in STROKE.items() if k != "mode"}]}, r"strokes\[0\] has no mode"),
    ],
)
def test_what_is_no_painting_is_said(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadStrokes, match=sentence):
        read_strokes(json.dumps(FINE | change))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": NaN}', "x" * (MOST_BYTES + 1), b"\xff\xfe"])
def test_what_is_no_text_of_a_painting_is_said(text: str | bytes) -> None:
    with pytest.raises(BadStrokes, match="it is no JSON|MB, and a painting has at most"):
        read_strokes(text)


def test_damaged_files_are_strokes_or_refused() -> None:
    text, rng = json.dumps(FINE), random.Random(3)
    for _ in range(300):
        place = rng.randrange(len(text))
        changed = text[:place] + rng.choice('0{}[]",:x-e9') + text[place + rng.randrange(3) :]
        try:
            read_strokes(changed)
        except BadStrokes:
            continue


def test_brushes_and_directions_that_there_are_not(painting: Painting) -> None:
    with pytest.raises(BadStrokes, match="there is no brush for 'trea'; did you mean 'tree'"):
        painting.add(replace(TREE, name="trea"))
    with pytest.raises(BadStrokes, match="the stroke lies outside of the picture"):
        painting.add(replace(TREE, points=((-90.0, 4.0),)))
    with pytest.raises(BadStrokes, match="there is no direction 'winter' here"):
        painting.restyle({"winter": 1.0})
    with pytest.raises(BadStrokes, match="9 along season is outside of its range"):
        painting.restyle({"season": 9.0})
    assert not painting.undoable
    with pytest.raises(BadStrokes, match="stroke.strength is 'full'"):
        make_stroke({**STROKE, "strength": "full"})


def bad_uploads(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Name → content and what is said of it."""

    def png(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    noise = Image.effect_noise((256, 256), 80)
    return {
        "empty": (b"", "the file is empty"),
        "text": (b"I am no picture", "not a picture in a format that is read here"),
        "truncated": (png(noise)[:3000], "it can't be decoded"),
        "single": (png(Image.new("RGB", (1, 1))), "it has 1 × 1 pixels, too few to paint on"),
        "huge": (png(Image.new("1", (9000, 9000))), "it has 9000 × 9000 pixels, more than the 40 megapixels"),
        "heavy": (b"\0" * 20_000_001, "its file has 20.0 MB, more than the 20 MB"),
    }


@pytest.mark.parametrize("name", ["empty", "text", "truncated", "single", "huge", "heavy"])
def test_photos_that_cannot_be_used_get_a_sentence(workplace: Workplace, tmp_path: Path, name: str) -> None:
    content, sentence = bad_uploads(tmp_path)[name]
    with pytest.raises(BadImage, match=sentence):
        workplace.pictures.read(content)
    session = Session(workplace)
    *_, news = session.begin(lambda progress: workplace.pictures.photo(content, progress))
    assert news["bad"] and sentence in news["told"] and session.painting is None


def test_photos_are_read_upright_and_opaque(workplace: Workplace) -> None:
    turned = Image.new("RGB", (40, 80), "red")
    turned.paste("blue", (0, 40, 40, 80))
    exif, buffer = Image.Exif(), BytesIO()
    exif[0x0112] = 3  # upside down
    turned.save(buffer, "JPEG", exif=exif, quality=95)
    made = workplace.pictures.read(buffer.getvalue())
    assert made[2, :20].mean() > 0.5 > made[2, 44:].mean()
    buffer = BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(buffer, "PNG")
    assert workplace.pictures.read(buffer.getvalue()).min() == 1


def test_each_message_may_be_asked_for_by_another_thread(workplace: Workplace) -> None:
    session = Session(workplace)
    messages = session.begin(lambda progress: workplace.pictures.sample(3))

    def elsewhere(act: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(act).result(timeout=60)

    heard = []
    while (news := elsewhere(lambda: next(messages, None))) is not None:
        heard.append(news)
    assert "choose a brush" in heard[-1]["told"]
    assert elsewhere(session.undo)["told"] == "Nothing to undo."


def test_sessions_share_nothing(workplace: Workplace) -> None:
    one, other = Session(workplace), Session(workplace)
    for session, seed in ((one, 3), (other, 4)):
        *_, news = session.begin(lambda progress, seed=seed: workplace.pictures.sample(seed))
        assert news["picture"].startswith("data:image/png;base64,") and not news["bad"]
    before = other.painting.render()
    assert one.stroke({**STROKE, "name": "trea"})["told"].endswith("did you mean 'tree'?")
    told = one.stroke({**STROKE})
    assert told["answer"] and told["picture"] != other.show("")["picture"]
    assert torch.equal(other.painting.render(), before) and not other.painting.undoable
    assert one.undo()["told"] == "Undone." and one.undo()["told"] == "Nothing to undo."
    assert one.redo()["told"] == "Done again." and one.reset()["told"].startswith("The original")
    assert one.stroke({"name": "tree"})["bad"] and Session(workplace).undo()["bad"]
    files = {what: one.download(what)["download"] for what in ("picture", "latents", "strokes")}
    assert [file["name"] for file in files.values()] == ["picture.png", "latents.zip", "strokes.json"]
