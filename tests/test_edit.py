"""``edit.py`` end to end: pictures, films, latents, numbers and the report; from saved latents; and its mistakes."""

import copy
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
import torch
import wandb
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from zstar.checkpoints.io import load_weights, read_card, save_weights
from zstar.cli import edit
from zstar.data.reading import read_image
from zstar.directions.apply import apply
from zstar.directions.base import Label
from zstar.directions.library import load_directions, save_directions
from zstar.directions.linear import Linear
from zstar.editability.base import AbstractEditability, Traversal
from zstar.editing import job as editjob
from zstar.editing import latents as editlatents
from zstar.editing.films import between, fit
from zstar.editing.layouts import Sheet, make_sheets
from zstar.editing.run import run
from zstar.editing.work import measure
from zstar.generators.changes import weight_changes
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import named, part
from zstar.images import to_uint8
from zstar.inversion import Inversion
from zstar.projection import run as projection
from zstar.reports.video import there_and_back, write_gif, write_mp4

ROOT = Path(tempfile.mkdtemp(prefix="zstar-"))
TINY, OTHER, FOUND = ROOT / "tiny.safetensors", ROOT / "other.safetensors", ROOT / "found.safetensors"
SAVED = ROOT / "saved"
PROJECTION = [
    "generator=stylegan2", f"generator.checkpoint={TINY}", "data.resolution=16", "data.count=3", "steps=2",
    "space.prior_samples=100", "loss=[pixel]", "metric=[mse]", "logger=none",
]  # fmt: skip
QUICK = [
    *PROJECTION, "space@search=w", "search.prior_samples=100", "direction=[file]", f"direction.file.path={FOUND}",
    "editability=[]", "frames=4", "only=[warm]", "strengths=3",
]  # fmt: skip
FROM_SAVED = [f"inversion={SAVED}"]
CELL = 16 * 3  # small pictures are shown at three times their size
BAR = 19  # pixels of a line of text at this size


@pytest.fixture(scope="module", autouse=True)
def files(tiny: StyleGAN2, store_generator: Callable[..., None]) -> Iterator[None]:
    """The small generator and another one, directions of it in three spaces, and a saved inversion."""
    torch.manual_seed(0)
    store_generator(TINY, tiny)
    other = StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=16)
    store_generator(OTHER, other)
    found = {
        "warm": Linear("w", torch.randn(16), Label("warmer light", "σ", -2, 2, {"method": "made up"})),
        "roof+dome": Linear("w_plus", torch.randn(6, 16), Label(low=0, high=1)),
        "tint": Linear("style", torch.randn(tiny.shape("style")), Label("another tint", "channels", -1, 3)),
        "deep": Linear("z", torch.randn(16)),
    }
    save_directions(FOUND, found, tiny)
    save_directions(ROOT / "foreign.safetensors", {"warm": found["warm"]}, other)
    save_inversion(SAVED, tiny, "w_plus", 5)
    yield
    shutil.rmtree(ROOT)


def save_inversion(folder: Path, tiny: StyleGAN2, space: str, count: int, noise: bool = False) -> Inversion:
    """What a run of invert.py leaves, with latents that are far apart."""
    latent = tiny.sample(count, torch.Generator().manual_seed(count), space=space)
    latent = latent + 0.5 * torch.randn(latent.shape, generator=torch.Generator().manual_seed(1))
    maps = {name: torch.randn(count, 1, *size) for name, size in tiny.noise_shapes.items()} if noise else {}
    found = Inversion(
        [f"photo-{i}" for i in range(count)], space, {"latent": latent, **named("noise", maps)}, None,
        torch.zeros(count), torch.zeros(count), torch.zeros(count), ["done"] * count, "optimize" if noise else "const",
    )  # fmt: skip
    tensors, card = found.pack()
    save_weights(folder / "latents.safetensors", tensors, {**card, "generator": tiny.fingerprint()})
    return found


@pytest.fixture
def cfg(composed: Callable[..., DictConfig], tmp_path: Path) -> Callable[..., DictConfig]:
    """``cfg("combine=grid", …)``: an editing run of a second; later words win."""

    def make(*words: str) -> DictConfig:
        chosen = {word.partition("=")[0].strip("~+") for word in words}
        places = [f"output={tmp_path / 'edit'}", f"projections={tmp_path / 'invert'}"]
        dropped = {"direction.file.path"} if "direction" in chosen else set()
        return composed("edit", *(w for w in [*QUICK, *places] if w.partition("=")[0] not in chosen | dropped), *words)

    return make


def finish(cfg: DictConfig) -> tuple[dict[str, Any], Path]:
    result = run(cfg)
    return result, Path(result["folder"])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def cell(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """One of the pictures in a strip, at its own size."""
    top, left = BAR + row * (CELL + BAR + 4), column * (CELL + 4)
    return picture[top : top + CELL : 3, left : left + CELL : 3]


def size(rows: int, columns: int) -> tuple[int, int, int]:
    """Height, width and channels of a strip."""
    return BAR + rows * (CELL + BAR + 4) - 4, columns * (CELL + 4) - 4, 3


def seen(image: Tensor) -> np.ndarray:
    return to_uint8(image[None])[0].numpy().astype(int)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """The same up to rounding, which differs between batches of different sizes."""
    return a.shape == b.shape and np.abs(a - b).max() <= 1


def labelled(folder: Path, tiny: StyleGAN2, space: str) -> list[str]:
    """Words for directions from labels of six images that were projected into a space."""
    save_inversion(folder / "run", tiny, space, 6)
    rows = "".join(f"photo-{i},{i % 2}\n" for i in range(6))
    (folder / "labels.csv").write_text(f"id,smile\n{rows}")
    return [
        "direction=[attribute]", "annotation=labels", f"annotation.path={folder}/labels.csv", "only=[smile]",
        f"annotation.inversion={folder}/run", *FROM_SAVED, "video=false",
    ]  # fmt: skip


def test_directions_from_labels_are_sought_where_the_labelled_latents_are(
    composed: Callable[..., DictConfig], tiny: StyleGAN2, tmp_path: Path
) -> None:
    words = [*PROJECTION, *labelled(tmp_path, tiny, "w_plus"), "editability=[]", f"output={tmp_path}/edit"]
    with pytest.raises(ValueError, match=r"which can't be brought to w; choose space@search=w_plus \(of invert.py"):
        editjob.make_edit_job(composed("edit", *words, "space@search=w"))
    job = editjob.make_edit_job(composed("edit", *words))
    assert job.pipeline.directions["smile"].space == "w_plus"


def test_a_generator_without_w_is_edited_in_its_own_space(
    composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "generator=module", "generator.network={_target_: torch.nn.Unflatten, dim: 1, unflattened_size: [3, 8, 8]}",
        "generator.latent_shape=[192]", "generator.output_range=[-1,1]", "space=z", "loss=[pixel]", "data.count=2",
        "metric=[mse]", "direction=[random]", "editability=[]", "steps=1", "logger=none", "data.resolution=8",
        "projector=[mean]", f"projections={tmp_path}/invert", f"output={tmp_path}/edit",
    ]  # fmt: skip
    job = editjob.make_edit_job(composed("edit", *words))
    assert {one.space for one in job.pipeline.directions.values()} == {"z"}
    with pytest.raises(ValueError, match="^space@search: Module has no space 'w'; choose one of z"):
        editjob.make_edit_job(composed("edit", *words, "space@search=w"))


def test_a_run_leaves_everything_behind_and_is_not_done_twice(
    cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2, capsys: pytest.CaptureFixture
) -> None:
    asked = cfg("only=[warm,roof+dome,tint]", "logger=csv", "measured=2", "editability=[smoothness]")
    asked.editability.smoothness.distance = {"_target_": "zstar.losses.pixel.Pixel"}  # at this size, of networks, none
    result, folder = finish(asked)
    names = {"warm": "warm", "roof+dome": next((folder / "edited").glob("roof*.safetensors")).stem, "tint": "tint"}
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "config.yaml", "directions.safetensors", "directions.json", "strips", "edited", "animations",
        "results.parquet", "report.html", "result.json", "log",
    }  # fmt: skip
    strengths = {"warm": [-2, 0, 2], "roof+dome": [0, 0.5, 1], "tint": [-1, 0, 3]}
    assert [sheet["name"] for sheet in result["sheets"]] == list(names)
    inversion = Inversion.load(result["inversion"])
    found = load_directions(FOUND, tiny)
    for name, file in names.items():
        card = read_card(folder / "edited" / f"{file}.safetensors")
        latents = load_weights(folder / "edited" / f"{file}.safetensors")["latent"]
        assert card["ids"] == inversion.ids and card["generator"] == tiny.fingerprint()
        assert card["combinations"] == [[[name, alpha]] for alpha in strengths[name]]
        assert card["space"] == ("style" if name == "tint" else "w_plus")
        steps = [(found[name], torch.full((3,), float(strengths[name][2])))]
        torch.testing.assert_close(latents[:, 2], apply(tiny, inversion.v, "w_plus", steps)[0]["latent"])
        for index, image in enumerate(inversion.ids):
            strip = pixels(folder / "strips" / file / f"{image}.png")
            assert strip.shape == size(1, 4)
            target = read_image(Path(result["inversion"]).parent / "targets" / f"{image}.png", 16)
            assert close(cell(strip, 0, 0), seen(target))
            drawn = tiny.synthesize(latents[index], card["space"]).clamp(-1, 1)
            assert all(close(cell(strip, 0, 1 + i), seen(drawn[i])) for i in range(3))
            still = strengths[name].index(0)
            assert close(cell(strip, 0, 1 + still), seen(inversion.render(tiny)[index].clamp(-1, 1)))
            assert not close(cell(strip, 0, 3), cell(strip, 0, 1))
        assert not (folder / "animations" / f"{file}.gif").exists()  # which is many times as large
        with av.open(str(folder / "animations" / f"{file}.mp4")) as film:
            frames = list(film.decode(video=0))
            assert len(frames) == 6 and (frames[0].width, frames[0].height) == (3 * (CELL + 4) - 4, CELL + BAR - 1)
            tops = [frame.to_ndarray(format="gray")[:BAR] for frame in frames]
            assert all(top.min() < 100 for top in tops) and np.abs(tops[0].astype(int) - tops[1]).max() > 50

    rows = pl.read_parquet(folder / "results.parquet")
    assert rows.height == 3 * 2 * 2 and set(rows["image"]) == set(inversion.ids[:2])
    assert set(rows["metric"]) == {"smoothness/length", "smoothness/unevenness"} and set(rows["direction"]) == set(
        names
    )
    length = rows.filter((pl.col("direction") == "warm") & (pl.col("metric") == "smoothness/length"))["value"]
    scores = result["scores"]["warm"]["smoothness/length"]
    assert scores["mean"] == pytest.approx(length.mean()) and scores["low"] is None  # two images show no interval
    page = (folder / "report.html").read_text()
    assert page.count("smoothness/unevenness") == 3 and page.count("data:video/mp4") == 3
    assert (
        page.count("data:image/webp") == 3 * 3 * 4
        and "found by made up" in page
        and "http" not in page.split("<body")[-1]
    )
    for text in ("warm", "roof+dome", "tint", "warmer light", "another tint", ">−2<", ">0<", ">+0.5<", ">+3<"):
        assert text in page, text
    assert load_directions(folder / "directions.safetensors", tiny).keys() == names.keys()
    assert (folder / "log" / "editability.csv").is_file() and len(list((folder / "log" / "images").iterdir())) == 3
    log = capsys.readouterr().out
    assert "editing   22%  2 of 9 parts  warm: film" in log and "9 of 9 parts  tint: smoothness" in log

    stamp = (folder / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert finish(asked)[1] == folder
    assert capsys.readouterr().out.count("finished already") == 2  # the projection, and what was done with it
    assert (folder / "result.json").stat().st_mtime_ns == stamp


def test_what_invert_has_projected_is_found(
    composed: Callable[..., DictConfig], cfg: Callable[..., DictConfig], tmp_path: Path
) -> None:
    projected = projection.run(composed("invert", *PROJECTION, f"output={tmp_path / 'invert'}"))["folder"]
    result, _ = finish(cfg("video=false"))
    assert result["inversion"] == f"{projected}/latents.safetensors"
    assert len(list((tmp_path / "invert").glob("*/result.json"))) == 1


def test_saved_latents_are_not_projected_again(
    cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tiny: StyleGAN2
) -> None:
    monkeypatch.setattr(editlatents.projection, "run", lambda cfg: pytest.fail("projected again"))
    result, folder = finish(cfg(*FROM_SAVED, "video=false"))
    assert result["images"] == [f"photo-{i}" for i in range(5)] and not list((folder / "animations").glob("*.mp4"))
    strip = pixels(folder / "strips" / "warm" / "photo-3.png")
    assert strip.shape == size(1, 3)  # nobody has kept the target
    still = Inversion.load(SAVED / "latents.safetensors").render(tiny)[3]
    assert close(cell(strip, 0, 1), seen(still.clamp(-1, 1)))
    again, same = finish(cfg(f"inversion={SAVED / 'latents.safetensors'}", "video=false"))
    assert same == folder and again["config_hash"] == result["config_hash"]
    others = [["video=false", "strengths=[1]"], ["video=false", "frames=3"], ["video=false", "only=[roof+dome]"]]
    keys = {finish(cfg(*FROM_SAVED, *words))[0]["config_hash"] for words in others}
    assert len(keys | {result["config_hash"]}) == 4


def test_what_a_key_depends_on(cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2) -> None:
    first = save_inversion(tmp_path / "a", tiny, "w", 2)
    key = editjob.make_edit_job(cfg(f"inversion={tmp_path / 'a'}")).key
    tensors, card = first.pack()
    card |= {"generator": tiny.fingerprint()}
    for change in ({"ids": ["x", "y"]}, {"noise_mode": "none"}):
        save_weights(tmp_path / "b" / "latents.safetensors", tensors, card | change)
        assert editjob.make_edit_job(cfg(f"inversion={tmp_path / 'b'}")).key != key
    save_weights(tmp_path / "b" / "latents.safetensors", tensors | {"seconds": torch.ones(2)}, card)
    assert editjob.make_edit_job(cfg(f"inversion={tmp_path / 'b'}")).key == key


def test_directions_together_and_as_a_table(cfg: Callable[..., DictConfig], tiny: StyleGAN2) -> None:
    words = [*FROM_SAVED, "video=false", "only=[tint,warm]", "frames=2"]  # style first: there is no way back from it
    result, folder = finish(cfg(*words, "combine=together"))
    (sheet,) = result["sheets"]
    (file,) = (folder / "edited").glob("*.safetensors")
    assert sheet["name"] == "tint+warm"
    pairs = [[["tint", a], ["warm", b]] for a, b in ((-1, -2), (0, 0), (3, 2))]
    assert read_card(file)["combinations"] == pairs and read_card(file)["space"] == "style"
    found, latent = load_directions(FOUND, tiny), Inversion.load(SAVED / "latents.safetensors").latent
    warm = latent + 2 * found["warm"].vector
    expected = tiny.lift(warm, "w_plus", "style") + 3 * found["tint"].vector
    torch.testing.assert_close(load_weights(file)["latent"][:, 2], expected, atol=1e-4, rtol=1e-4)
    page = (folder / "report.html").read_text()
    assert "<strong>warm:</strong>" in page and "<strong>tint:</strong>" in page

    result, folder = finish(cfg(*words, "combine=grid", "strengths={tint: [0, 3], warm: 3}"))
    (sheet,) = result["sheets"]
    assert [[step[1] for step in steps] for steps in sheet["combinations"]] == [
        [a, b] for a in (0, 3) for b in (-2, 0, 2)
    ]
    strip = pixels(next((folder / "strips").rglob("photo-0.png")))
    assert strip.shape == size(2, 3)
    page = (folder / "report.html").read_text()
    assert "tint from top to bottom, warm from left to right" in page and ">+3, −2<" in page


def test_a_strip_without_zero_shows_the_reconstruction_too(cfg: Callable[..., DictConfig], tiny: StyleGAN2) -> None:
    words = [*FROM_SAVED, "video=false", "only=[tint,warm]", "frames=2", "combine=grid"]
    _, folder = finish(cfg(*words, "strengths={tint: [1, 3], warm: [-2, 0]}"))
    strip = pixels(next((folder / "strips").rglob("photo-0.png")))
    assert strip.shape == size(2, 3)
    still = Inversion.load(SAVED / "latents.safetensors").render(tiny)[0]
    assert close(cell(strip, 0, 0), seen(still.clamp(-1, 1)))
    assert cell(strip, 1, 0).min() == 255  # a blank one, which keeps the table a table
    page = (folder / "report.html").read_text()
    assert page.count(">reconstruction<") == 5 and page.count("data:image/webp") == 5 * 5


def test_no_page_is_wider_than_a_phone(cfg: Callable[..., DictConfig], browser: Any) -> None:
    words = [*FROM_SAVED, "frames=2", "only=[warm,roof+dome]", "measured=1", "editability=[smoothness]"]
    chosen = cfg(*words, "combine=grid", "strengths={warm: 7, roof+dome: 2}", "interpolation=linear", "pairs=[[0,1]]")
    chosen.editability.smoothness.distance = {"_target_": "zstar.losses.pixel.Pixel"}
    _, folder = finish(chosen)
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((folder / "report.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.locator("table").count() > 0 and page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_pictures_of_a_film_are_neither_too_small_nor_too_large() -> None:
    small, large = torch.zeros(8, 3, 64, 64), torch.zeros(1, 3, 2048, 2048)
    assert fit(small, 4, True).shape[-1] == 128 and fit(small, 4, False).shape[-1] == 64
    assert fit(large, 1, True).shape[-1] == 1024 and fit(large, 4, True).shape[-1] == 256


@pytest.mark.parametrize("kind", ["linear", "spherical", "w_plus"])
def test_between_images(cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2, kind: str) -> None:
    inversion = save_inversion(tmp_path / "own", tiny, "z", 4)
    words = [f"inversion={tmp_path / 'own'}", "direction=[]", "only=null", f"interpolation={kind}", "frames=5"]
    result, folder = finish(cfg(*words, "pairs=[[0,3],[2,1]]", "video=false"))
    assert result["interpolations"] == ["photo-0--photo-3", "photo-2--photo-1"] and not result["sheets"]
    ends = inversion.render(tiny).clamp(-1, 1)
    middle = (inversion.latent[0] + inversion.latent[3]) / 2
    if kind == "spherical":
        a, b = inversion.latent[0], inversion.latent[3]
        middle = torch.nn.functional.normalize(a / a.norm() + b / b.norm(), dim=0) * (a.norm() + b.norm()) / 2
    drawn = tiny.synthesize(middle[None], "z")[0].clamp(-1, 1)
    if kind == "w_plus":
        rows = tiny.lift(inversion.latent, "z", "w_plus")
        drawn = tiny.synthesize((rows[:1] + rows[3:]) / 2, "w_plus")[0].clamp(-1, 1)
    for name, (a, b) in zip(result["interpolations"], ((0, 3), (2, 1)), strict=True):
        strip = pixels(folder / "interpolations" / f"{name}.png")
        assert strip.shape == size(1, 9)
        assert close(cell(strip, 0, 0), seen(ends[a])) and close(cell(strip, 0, 8), seen(ends[b]))
        with Image.open(folder / "interpolations" / f"{name}.gif") as film:
            assert film.n_frames == 8
    strip = pixels(folder / "interpolations" / "photo-0--photo-3.png")
    assert close(cell(strip, 0, 4), seen(drawn)) and not close(cell(strip, 0, 4), cell(strip, 0, 0))
    page = (folder / "report.html").read_text()
    assert "photo-0--photo-3" in page and "photo-2--photo-1" in page


@pytest.mark.parametrize("form", ["places", "products"])
def test_between_images_with_weights_of_their_own_are_those_between(
    cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2, form: str
) -> None:
    """Neither places nor thin matrices can be mixed number by number: the changes that they stand for are."""
    plain, name = save_inversion(tmp_path / "own", tiny, "w", 2), "synthesis.b16.conv0.weight"
    few = torch.stack([torch.randperm(2304)[:300] for _ in range(2)]).int()
    places = {"places": few, "values": 3 * torch.randn(2, 300)}
    products = {"left": torch.randn(2, 16, 1), "right": torch.randn(2, 1, 144)}
    own = {f"weights/{name}/{end}": x for end, x in (places if form == "places" else products).items()}
    file = tmp_path / "own" / "latents.safetensors"
    save_weights(file, {**load_weights(file), **own}, read_card(file))
    words = [f"inversion={tmp_path / 'own'}", "direction=[]", "only=null", "interpolation=linear", "frames=3"]
    result, folder = finish(cfg(*words, "video=false"))
    changes = weight_changes(own, tiny)[name]
    strip = pixels(folder / "interpolations" / f"{result['interpolations'][0]}.png")
    for place, share in ((0, 0.0), (4, 0.5), (8, 1.0)):
        latent, change = (torch.lerp(x[:1], x[1:], share) for x in (plain.latent, changes))
        drawn = tiny.synthesize(latent, "w", "const", {name: change})[0].clamp(-1, 1)
        assert close(cell(strip, 0, place), seen(drawn))
        assert not close(seen(drawn), seen(tiny.synthesize(latent, "w")[0].clamp(-1, 1)))


def test_noise_that_was_optimised_stays_with_its_image(
    cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2
) -> None:
    noisy = copy.deepcopy(tiny)
    state = {name: value + 0.5 * name.endswith("noise_strength") for name, value in tiny.state_dict().items()}
    noisy.load_state_dict(state)
    save_weights(tmp_path / "noisy.safetensors", state, {"kind": "generator", "settings": tiny.settings})
    save_directions(tmp_path / "warm.safetensors", {"warm": Linear("w", torch.ones(16))}, noisy)
    inversion = save_inversion(tmp_path / "own", noisy, "w", 3, noise=True)
    words = [f"inversion={tmp_path / 'own'}", "interpolation=linear", "video=false", "frames=2"]
    words += [f"generator.checkpoint={tmp_path}/noisy.safetensors", f"direction.file.path={tmp_path}/warm.safetensors"]
    result, folder = finish(cfg(*words))
    assert result["interpolations"] == ["photo-0--photo-1"]  # neighbours; the third has none
    images = inversion.render(noisy).clamp(-1, 1)
    assert not close(seen(images[0]), seen(noisy.synthesize(inversion.latent, "w")[0].clamp(-1, 1)))
    for index in range(3):
        assert close(cell(pixels(folder / "strips" / "warm" / f"photo-{index}.png"), 0, 1), seen(images[index]))
    strip = pixels(folder / "interpolations" / "photo-0--photo-1.png")
    assert close(cell(strip, 0, 0), seen(images[0])) and close(cell(strip, 0, 8), seen(images[1]))


def test_samples_that_are_no_pictures_are_left_out(
    composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [word for word in QUICK if not word.startswith("data")]
    words += ["data=samples", "data.count=3", "video=false", f"output={tmp_path}"]
    synthesize, calls = StyleGAN2.synthesize, []

    def exploding(self: StyleGAN2, *given: object) -> Tensor:
        images = synthesize(self, *given)
        calls.append(len(images))
        if len(calls) == 1:
            images[1] = torch.nan
        return images

    monkeypatch.setattr(StyleGAN2, "synthesize", exploding)
    result, folder = finish(composed("edit", *words))
    assert result["images"] == ["sample-000000", "sample-000002"] and list(result["left_out"]) == ["sample-000001"]
    assert "left out: sample-000001: it is no picture" in capsys.readouterr().out
    assert "Left out: sample-000001 (it is no picture" in (folder / "report.html").read_text()
    assert Inversion.load(folder / "latents.safetensors").ids == result["images"]


def test_images_that_diverged_are_left_out(
    cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2, capsys: pytest.CaptureFixture
) -> None:
    whole = save_inversion(tmp_path / "some", tiny, "w", 5, noise=True)

    def spoil(rows: list[int]) -> list[str]:
        tensors, card = whole.pack()
        tensors["latent"], card["status"] = tensors["latent"].clone(), ["done"] * 5
        tensors["latent"][rows[0]], card["status"][rows[-1]] = torch.nan, "diverged"
        for row in rows[1:-1]:
            tensors["latent"][row] = torch.inf
        save_weights(tmp_path / "some" / "latents.safetensors", tensors, {**card, "generator": tiny.fingerprint()})
        return [f"inversion={tmp_path / 'some'}", "video=false"]

    result, folder = finish(cfg(*spoil([1, 3])))
    assert result["images"] == ["photo-0", "photo-2", "photo-4"] and list(result["left_out"]) == ["photo-1", "photo-3"]
    assert "left out: photo-1: its projection diverged" in capsys.readouterr().out
    both = "photo-1 (its projection diverged), photo-3 (its projection diverged)."
    assert f"Left out: {both}" in (folder / "report.html").read_text()
    strip = pixels(folder / "strips" / "warm" / "photo-4.png")
    own = {name: maps[4:] for name, maps in part(whole.v, "noise").items()}
    assert close(cell(strip, 0, 1), seen(tiny.synthesize(whole.latent[4:], "w", own)[0].clamp(-1, 1)))
    with pytest.raises(ValueError, match="^inversion: all images in .* diverged; project them again with a lower"):
        run(cfg(*spoil([0, 1, 2, 3, 4])))


class Counted(AbstractEditability):
    """A value for each image, and one for all of them."""

    def __call__(self, traversal: Traversal) -> dict[str, Tensor]:
        return {"each": torch.arange(float(len(traversal))), "all": torch.tensor([7.0])}


def test_what_is_of_all_images_together_is_of_none(cfg: Callable[..., DictConfig]) -> None:
    job = editjob.make_edit_job(cfg(*FROM_SAVED))
    job.pipeline.editability = {"counted": Counted()}
    assert measure(job, 2)[0].rows() == [
        ("warm", "photo-0", "each", 0.0),
        ("warm", "photo-1", "each", 1.0),
        ("warm", None, "all", 7.0),
    ]


class Mute(AbstractEditability):
    """Has nothing to say."""

    def __call__(self, traversal: Traversal) -> dict[str, Tensor]:
        return {}


def test_what_says_nothing_is_named(cfg: Callable[..., DictConfig]) -> None:
    job = editjob.make_edit_job(cfg(*FROM_SAVED))
    job.pipeline.editability = {"mute": Mute(), "counted": Counted()}
    rows, silent = measure(job, 2)
    assert silent == ["mute of warm"] and len(rows) == 3


@pytest.mark.slow
def test_a_run_is_in_wandb(cfg: Callable[..., DictConfig], request: pytest.FixtureRequest) -> None:
    request.addfinalizer(wandb.teardown)  # which keeps the address of its service in the environment of other tests
    _, folder = finish(cfg(*FROM_SAVED, "logger=wandb", "video=false", "frames=2", "name=mine", "tags=[a]"))
    assert folder.name.startswith("mine_") and len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1


def test_a_run_that_failed_is_done_again(cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*FROM_SAVED, "video=false", "frames=2", "logger=csv"]
    with monkeypatch.context() as patch:
        patch.setattr("zstar.editing.work.write_edit_report", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finish(cfg(*words))
    (failed,) = Path(cfg().output).glob("*/failed.txt")
    assert json.loads((failed.parent / "log" / "run.json").read_text())["status"] == "failed"
    _, folder = finish(cfg(*words))
    assert folder == failed.parent and not failed.exists() and (folder / "result.json").is_file()


MISTAKES = [
    (["only=[cold]"], "only: no direction is called 'cold'; choose from warm, roof+dome, tint, deep"),
    (["only=[]"], "only: no direction is left and nothing is to be done; choose some, or only=null for all"),
    (["direction=[]", "only=null"], "direction: the list is empty and nothing is to be done; choose e.g. direction="),
    (["strengths=[-3,0]"], "strengths: -3 σ lies outside of the useful range of warm, -2 to 2; stay within, or set"),
    (["strengths={cold: 3}"], "strengths.cold: there is no such direction; these are: warm"),
    (["strengths=-1"], "strengths: warm gets none; give a number of them"),
    ([f"direction.file.path={ROOT}/foreign.safetensors"], f"checkpoint: {ROOT}/foreign.safetensors is for the genera"),
    ([f"generator.checkpoint={OTHER}", f"direction.file.path={ROOT}/foreign.safetensors"], f"inversion: {SAVED}/laten"),
    (["generator.checkpoint=null"], "generator.checkpoint: without one the weights are random and there is nothing"),
    (["interpolation=linear", "pairs=[[0,5]]"], "pairs: [0, 5] are no two of the images; give two numbers from 0 to 4"),
    (["interpolation=linear", "pairs=[[1]]"], "pairs: [1] are no two of the images; give two numbers from 0 to 4"),
    (["interpolation=linear", "pairs=[[-1,0]]"], "pairs: [-1, 0] are no two of the images"),
    (["interpolation=cubic"], "interpolation: edit expects 'linear' | 'spherical' | 'w_plus' | None, not 'cubic'"),
    (["combine=grid"], "combine: a grid has two directions, not 1; choose two with only=[…], or combine=each"),
    (["only=[warm,tint]", "combine=together", "strengths={warm: 2}"], "strengths: combine=together needs equally many"),
    (["only=[deep]"], "direction: it moves latents of z, and these images were projected into w_plus, which leads no"),
    ([f"inversion={ROOT}/nowhere"], f"inversion: there is no {ROOT}/nowhere; give the folder of a finished run"),
    ([f"inversion={FOUND}"], f"{FOUND}: not a saved inversion; give a latents.safetensors that invert.py wrote"),
    (["direction=[attribute]", "~annotation"], "annotation: nothing is chosen and attribute needs it; choose e.g."),
    (["frames=1"], "frames: edit expects int (2 or more), not 1"),
]


@pytest.mark.parametrize(
    ("words", "sentence"), MISTAKES, ids=[words[0].replace(str(ROOT), "") for words, _ in MISTAKES]
)
def test_mistakes_are_one_sentence_before_anything_is_projected(
    words: list[str],
    sentence: str,
    cfg: Callable[..., DictConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(editlatents.projection, "run", lambda cfg: pytest.fail("projected"))
    saved = [] if any(word.startswith("inversion=") for word in words) else FROM_SAVED
    with pytest.raises(ValueError) as error:
        run(cfg(*saved, *words))
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
    assert not (tmp_path / "edit").exists()


def test_a_space_without_a_way_is_said_before_the_projection(
    cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: StyleGAN2
) -> None:
    monkeypatch.setattr(editlatents.projection, "run", lambda cfg: pytest.fail("projected"))
    with pytest.raises(ValueError, match="^direction: it moves latents of w, and these images were projected into sty"):
        run(cfg("space=style"))
    save_inversion(tmp_path / "one", tiny, "w", 1)
    with pytest.raises(ValueError, match="^interpolation: it takes two images and there is one; project more, or"):
        run(cfg(f"inversion={tmp_path / 'one'}", "interpolation=linear"))
    card = {"kind": "inversion", "ids": [], "space": "w", "status": [], "noise_mode": "const"}
    save_weights(tmp_path / "none" / "latents.safetensors", {}, card)
    with pytest.raises(ValueError, match=r"^inversion: .*latents.safetensors holds no images"):
        run(cfg(f"inversion={tmp_path / 'none'}"))


def test_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*QUICK, *FROM_SAVED, "video=false", "frames=2"]
    monkeypatch.setattr(sys, "argv", ["edit.py", *words])
    edit()
    (folder,) = (tmp_path / "outputs" / "edit").iterdir()
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
    assert "report: " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["edit.py", *words, "only=[cold]"])
    with pytest.raises(SystemExit) as end:
        edit()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: only: no direction is called 'cold'")


def test_frames_between_strengths() -> None:
    (sheet,) = make_sheets({"a": [-1.0, 0.0, 3.0]}, "each")
    found = [alpha for ((_, alpha),) in between(sheet, 5)]
    assert found == pytest.approx([-1, -0.5, 0, 1.5, 3])
    assert between(Sheet("a", ((("a", 2.0),),), 1), 3) == [(("a", 2.0),)] * 3
    both = make_sheets({"a": [0.0, 1.0], "b": [4.0, 2.0]}, "together")[0]
    assert between(both, 3)[1] == (("a", 0.5), ("b", 3.0))
    table = make_sheets({"a": [0.0, 1.0], "b": [4.0, 2.0, 0.0]}, "grid")[0]
    assert (len(table.combinations), table.columns) == (6, 3) and table.combinations[3] == (("a", 1.0), ("b", 4.0))


@pytest.mark.parametrize("channels", [1, 3])
def test_moving_pictures(tmp_path: Path, channels: int) -> None:
    frames = [torch.full((channels, 33, 47), value) for value in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    loop = there_and_back(frames)
    assert [frame.mean().item() for frame in loop] == [-1, -0.5, 0, 0.5, 1, 0.5, 0, -0.5]
    write_gif(tmp_path / "a.gif", loop, rate=10)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 8 and film.size == (47, 33) and film.info["duration"] == 100
        for index, frame in enumerate(loop):
            film.seek(index)
            assert abs(np.asarray(film.convert("L")).mean() - (frame.mean().item() + 1) * 127.5) < 2
    write_mp4(tmp_path / "a.mp4", loop, rate=10)
    with av.open(str(tmp_path / "a.mp4")) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 10
    assert [picture.shape for picture in pictures] == [(32, 46, 3)] * 8  # H.264 has even sizes only
    assert [picture.mean() for picture in pictures] == pytest.approx(
        [(f.mean().item() + 1) * 127.5 for f in loop], abs=4
    )
    assert {path.name for path in tmp_path.iterdir()} == {"a.gif", "a.mp4"}


def test_large_pictures_share_a_palette_too(tmp_path: Path) -> None:
    frames = [torch.linspace(-1, 1, 1100)[None, None, :].expand(3, 40, 1100) * sign for sign in (1, -1)]
    write_gif(tmp_path / "wide.gif", frames)
    with Image.open(tmp_path / "wide.gif") as film:
        assert film.size == (1100, 40)
        wanted = (frames[0][0, 0].numpy() + 1) * 127.5
        assert np.abs(np.asarray(film.convert("L")).mean(axis=0) - wanted).max() < 6
