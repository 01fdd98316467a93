"""Painting from its configuration: a page in the browser, or a file of strokes replayed without one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zstar.app.files import save_painting
from zstar.app.open import Workplace, open_workplace
from zstar.app.painting import Painting
from zstar.app.pictures import Progress, photo_hash
from zstar.app.strokes import BadStrokes, Strokes, read_strokes
from zstar.app.studio import Picture
from zstar.config.paths import place
from zstar.data.decoding import BadImage
from zstar.runs.folder import command, record_result


def run(cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run ``paint.py``: replay ``strokes`` where there are some, else serve the page until it is interrupted."""
    if cfg["strokes"] is None:
        from zstar.app.page import require_gradio, serve

        require_gradio()  # before anything that takes long
        workplace = open_workplace(cfg)
        serve(workplace, first_picture(workplace))
        return None
    file = place(cfg["strokes"])
    try:
        strokes = read_strokes(file.read_bytes())
    except OSError as error:
        raise ValueError(f"strokes: {file} can't be opened ({error.strerror})") from None
    except BadStrokes as error:
        raise ValueError(f"strokes: {file} can't be used: {error}") from None
    return replay(open_workplace(cfg), strokes, file)


def replay(workplace: Workplace, strokes: Strokes, file: Path) -> dict[str, Any]:
    """The painting of a file, as files in the folder ``output``."""
    here = workplace.studio.generator.fingerprint()
    if strokes.generator != here:
        raise ValueError(
            f"strokes: {file} was painted with the generator {strokes.generator[:12]}…, and this one is {here[:12]}…; "
            "choose that generator, or another file"
        )
    painting = Painting(workplace.studio, find_picture(workplace, strokes.picture))
    try:
        painting.replay(strokes)
    except BadStrokes as error:
        raise ValueError(f"strokes: {file} can't be painted: {error}") from None
    folder = place(workplace.plain["output"])
    save_painting(painting, folder)
    names = ["picture.png", "latents.safetensors", "strokes.json"]
    result = {
        "command": command(),
        "generator": here,
        "picture": dict(strokes.picture),
        "strokes": len(strokes.strokes),
    }
    record_result(folder, result, names)
    print(f"{len(strokes.strokes)} strokes on {painting.picture.title}: {folder}/picture.png")
    return {**result, "folder": str(folder)}


def find_picture(workplace: Workplace, origin: Mapping[str, Any]) -> Picture:
    """The picture that a painting began with.

    Raises:
        ValueError: It is a photo that is not there, or another one.
    """
    ((kind, which),) = origin.items()
    if kind == "sample":
        return workplace.pictures.sample(which)
    if kind == "image":
        return workplace.pictures.image(which)
    path = workplace.plain["photo"]
    if path is None:
        raise ValueError("photo: the strokes were painted on a photo; set photo=<its file>")
    content = read_photo(path)
    if photo_hash(content) != which:
        raise ValueError(f"photo: {path} is not the photo that the strokes were painted on; give that one")
    return photo_of(workplace, path, content)


def first_picture(workplace: Workplace) -> Callable[[Progress], Picture]:
    """What a page begins with: the photo of the configuration, or its scene."""
    plain, pictures = workplace.plain, workplace.pictures
    if plain["photo"] is not None:
        found = photo_of(workplace, plain["photo"], read_photo(plain["photo"]))
        return lambda progress: found
    return lambda progress: pictures.sample(plain["scene"])


def read_photo(path: str) -> bytes:
    """The content of the photo that the configuration names."""
    try:
        return place(path).read_bytes()
    except OSError as error:
        raise ValueError(f"photo: {path} can't be opened ({error.strerror})") from None


def photo_of(workplace: Workplace, path: str, content: bytes) -> Picture:
    """A photo of the configuration, projected."""
    try:
        return workplace.pictures.photo(content)
    except BadImage as error:
        raise ValueError(f"photo: {path} can't be used: {error}") from None
