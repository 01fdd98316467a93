"""``edit.py`` with post-processing: photos at their own resolution, beside the pictures of the generator."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from zstar.data.companions import Companions
from zstar.data.cottages import Cottages
from zstar.data.edited import Edited
from zstar.data.folder import Folder
from zstar.data.landmarks import landmarks_table
from zstar.data.reading import read_large
from zstar.data.subset import Subset
from zstar.detectors.base import Face
from zstar.directions.base import Label
from zstar.directions.library import save_directions
from zstar.directions.linear import Linear
from zstar.editing.photos import Photos
from zstar.editing.run import run
from zstar.edits.shift import Shift
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import to_uint8, write_png
from zstar.runs.folder import safe_name

Edit = Callable[..., dict[str, Any]]
WARMER = Label("warmer light", "σ", -2, 2, {"method": "made up"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny: StyleGAN2, store_generator: Callable[..., None]) -> Path:
    """A generator, a direction of it, and the projections, each of which is made once."""
    folder = tmp_path_factory.mktemp("home")
    store_generator(folder / "tiny.safetensors", tiny)
    warm = Linear("w", torch.randn(16, generator=torch.Generator().manual_seed(0)), WARMER)
    save_directions(folder / "found.safetensors", {"warm": warm}, tiny)
    return folder


@pytest.fixture
def edit(home: Path, tmp_path: Path, composed: Callable[..., DictConfig]) -> Edit:
    """``edit("postprocess=[transfer]", …)``: a small run of ``edit.py`` on three cottages, and its result."""
    words = [
        "generator=stylegan2", f"generator.checkpoint={home}/tiny.safetensors", "steps=2",
        "space.prior_samples=100", "loss=[pixel]", "metric=[mse]", "logger=none", "space@search=w",
        "search.prior_samples=100", "direction=[file]", f"direction.file.path={home}/found.safetensors",
        "editability=[]", "frames=2", "strengths=3", "video=false",
        f"output={tmp_path}/edit", f"projections={home}/invert",
    ]  # fmt: skip
    return lambda *more: run(composed("edit", *words, *more))


COTTAGES = ("data.resolution=16", "data.count=3", "data.photo_resolution=48")


def edits(result: dict[str, Any], name: str) -> dict[str, Path]:
    """Strength → file of the edits of a photo."""
    return {path.stem.removeprefix("warm"): path for path in Path(result["folder"], "photos", "warm", name).iterdir()}


def test_each_edit_is_written_on_the_photo_in_its_own_size(edit: Edit) -> None:
    result = edit(*COTTAGES, "postprocess=[transfer]")
    assert result["postprocess"] == ["transfer"] and result["photos_failed"] == {}
    photos = Cottages(3, resolution=48).read(range(3))
    for name, photo in zip(photos.ids, photos.images, strict=True):
        files = edits(result, name)
        assert set(files) == {"-2", "+0", "+2"}
        shown = {alpha: read_large(path)[0] for alpha, path in files.items()}
        assert all(picture.shape == (3, 48, 48) for picture in shown.values())
        assert torch.equal(to_uint8(shown["+0"][None]), to_uint8(photo[None])), "no edit, and the photo bit for bit"
        assert (shown["+2"] - photo).abs().mean() > 0.01
    with Image.open(Path(result["folder"], "strips", "warm", "test-000000.png")) as strip:
        assert strip.width == 4 * 52 - 4 and strip.height > 2 * 48, "the photo stands below G(v)"
    page = Path(result["folder"], "report.html").read_text()
    assert page.count(">photo, +2<") == 3 and "the photo itself with the edit" in page
    assert edit(*COTTAGES, "postprocess=[transfer]")["skipped"]


@pytest.mark.slow
def test_what_is_written_on_photos_belongs_to_the_identity_of_a_run(edit: Edit) -> None:
    plain = edit(*COTTAGES)
    assert plain["postprocess"] is None and not Path(plain["folder"], "photos").exists()
    folders = {plain["folder"]}
    for words in (["postprocess=[residual]"], ["postprocess=[transfer]"], ["postprocess=[transfer,poisson]"]):
        result = edit(*COTTAGES, *words)
        folders.add(result["folder"])
        assert result["inversion"] == plain["inversion"], "the projection is the same"
    folders.add(edit(*COTTAGES, "postprocess=[transfer]", "postprocess.transfer.margin=3")["folder"])
    folders.add(edit(*COTTAGES[:2], "data.photo_resolution=32", "postprocess=[transfer]")["folder"])
    assert len(folders) == 6


def test_a_run_that_was_killed_keeps_what_it_has_written(edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    made, write = [], Photos.edit

    def killed(self: Photos, sheet: Any, rows: list[int], *rest: Any) -> None:
        made.append(rows)
        if len(made) == 2:
            raise KeyboardInterrupt
        write(self, sheet, rows, *rest)

    monkeypatch.setattr("zstar.editing.photos.TOGETHER", 2)
    monkeypatch.setattr(Photos, "edit", killed)
    with pytest.raises(KeyboardInterrupt):
        edit(*COTTAGES, "postprocess=[transfer]")
    result = edit(*COTTAGES, "postprocess=[transfer]")
    assert made == [[0, 1], [2], [2]] and not result["skipped"]
    assert all(len(edits(result, f"test-00000{row}")) == 3 for row in range(3))
    assert Path(result["folder"], "report.html").read_text().count(">photo, +2<") == 3


def test_photos_of_a_folder_have_sizes_of_their_own_and_a_small_one_is_left_out(edit: Edit, tmp_path: Path) -> None:
    whole = Cottages(4, resolution=60).read(range(4)).images
    write_png(tmp_path / "photos/a.png", whole[0])
    write_png(tmp_path / "photos/b.png", whole[1][:, :, 10:50])
    write_png(tmp_path / "photos/c.png", whole[2][:, :10, :10])
    (tmp_path / "photos/d.png").write_bytes((tmp_path / "photos/a.png").read_bytes()[:500])
    words = ("data=folder", f"data.path={tmp_path}/photos", "postprocess=[transfer]")
    result = edit(*words)
    sizes = {name: read_large(edits(result, name)["+2"])[0].shape[-2:] for name in ("a.png", "b.png")}
    assert sizes == {"a.png": (60, 60), "b.png": (40, 40)}
    sentence = "postprocess.transfer: the photo has 10 × 10 pixels, fewer than the 16 × 16 of the generator"
    assert set(result["photos_failed"]) == {"c.png"} and result["photos_failed"]["c.png"].startswith(sentence)
    assert sentence in Path(result["folder"], "report.html").read_text()
    small = edit(*words, "megapixels=0.0009")
    assert read_large(edits(small, "a.png")["+0"])[0].shape == (3, 30, 30)


def test_faces_go_back_into_their_photos(edit: Edit, tmp_path: Path) -> None:
    photo = Cottages(1, resolution=128).read([0]).images[0]
    write_png(tmp_path / "photos/group.png", photo)
    shape = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1.1], [0.4, 1.1]]) * 9
    faces = [Face(shape + middle, 15) for middle in ([40, 50], [90, 70])]
    (tmp_path / "faces.csv").write_text(landmarks_table([("group.png", faces)]))
    words = ("data=faces", f"data.path={tmp_path}/photos", f"data.landmarks={tmp_path}/faces.csv", "data.detector=null")
    result = edit(*words, "postprocess=[residual]")
    before = read_large(tmp_path / "photos/group.png")[0]
    for name, (x, y) in (("group.png", (40, 50)), ("group#2.png", (90, 70))):
        files = edits(result, safe_name(name))
        unedited, edited = (read_large(files[alpha])[0] for alpha in ("+0", "+2"))
        assert torch.equal(unedited, before), "without an edit the photo, bit for bit"
        moved = (edited - before).abs().amax(dim=0) > 0.01
        rows, columns = moved.nonzero(as_tuple=True)
        assert moved.any() and (rows - y).abs().max() <= 32 and (columns - x).abs().max() <= 27, "its own face alone"
    both = edits(result, safe_name("group#all.png"))
    alone = [read_large(edits(result, safe_name(name))["+2"])[0] - before for name in ("group.png", "group#2.png")]
    expected = (before + alone[0] + alone[1]).clamp(-1, 1)
    assert torch.allclose(read_large(both["+2"])[0], expected, atol=1e-5), "all faces at once"
    assert torch.equal(read_large(both["+0"])[0], before)
    assert Path(result["folder"], f"strips/warm/{safe_name('group#all.png')}.png").is_file()
    assert "group#all.png" in Path(result["folder"], "report.html").read_text()
    alone = edit(*words, "postprocess=[residual]", "seam=null")
    assert read_large(edits(alone, "group.png")["+0"])[0].shape == (3, 36, 36), "the crop, at the photo's resolution"
    none = edit(*words, "postprocess=[none]", "seam=poisson")
    assert read_large(edits(none, "group.png")["+2"])[0].shape == (3, 128, 128)
    saved = edit(*words, f"inversion={none['inversion']}", "postprocess=[none]")
    assert read_large(edits(saved, "group.png")["+2"])[0].shape == (3, 128, 128), "of saved latents as well"


def test_a_mask_says_where_the_photo_may_change(edit: Edit, tmp_path: Path) -> None:
    mask = Image.new("L", (48, 48))
    mask.paste(255, (0, 0, 16, 48))
    mask.save(tmp_path / "mask.png")
    words = ("postprocess=[blend]", "postprocess.blend.mask=given", f"data.mask={tmp_path}/mask.png")
    result = edit(*COTTAGES, *words)
    photo = to_uint8(Cottages(1, resolution=48).read([0]).images)
    made = to_uint8(read_large(edits(result, "test-000000")["+2"])[0][None])
    assert torch.equal(made[:, :, 24:], photo[:, :, 24:]) and not torch.equal(made[:, :, :16], photo[:, :, :16])
    failed = edit(*COTTAGES, *words[:2])["photos_failed"]
    assert len(failed) == 3 and "set data.mask=<files>" in failed["test-000000"]


def test_saved_latents_need_the_data_that_was_projected(edit: Edit) -> None:
    latents = edit(*COTTAGES)["inversion"]
    again = (f"inversion={latents}", "postprocess=[residual]")
    assert len(edits(edit(*again, *COTTAGES), "test-000002")) == 3
    with pytest.raises(ValueError, match=r"data: test-000002 was projected and is not there, .* or postprocess=\[\]"):
        edit(*again, "data.resolution=16", "data.count=2")
    with pytest.raises(ValueError, match="data: test-000000 is another image than the one of this name"):
        edit(*again, *COTTAGES, "data.seed=5")
    with pytest.raises(ValueError, match=r"postprocess: transfer follows the frames .* write \[transfer,blend\]"):
        edit(*again, *COTTAGES, "postprocess=[blend,transfer]")


def test_samples_of_the_generator_are_their_own_photos(edit: Edit) -> None:
    result = edit("data=samples", "data.count=2", "postprocess=[none]")
    assert len(edits(result, "sample-000000")) == 3
    card = json.loads(Path(result["folder"], "result.json").read_text())
    assert card["postprocess"] == ["none"]


def test_images_come_at_their_own_resolution(tmp_path: Path) -> None:
    whole = Cottages(1, resolution=90).read([0]).images[0][:, :, :60]  # 90 × 60
    write_png(tmp_path / "photos/a.png", whole)
    sizes = {"crop": (60, 60), "pad": (90, 90), "resize": (90, 60)}
    for fit, size in sizes.items():
        data = Folder(str(tmp_path / "photos"), 30, fit=fit)
        large = data.large(0)
        assert large.ids == ["a.png"] and large.images.shape[-2:] == size and large.shapes == {"a.png": (90, 60)}
        small = torch.nn.functional.interpolate(large.images, size=(30, 30), mode="bilinear", antialias=True)
        assert (small - data.read([0]).images).abs().mean() < 0.05, "the same view"
        capped = data.large(0, megapixels=900e-6).images.shape
        assert 0.8 * 900 < capped[-1] * capped[-2] <= 900
        Image.new("L", (60, 90), 255).save(tmp_path / "mask.png")
        beside = Companions(data, {"mask": str(tmp_path / "mask.png")}).large(0)
        assert beside.extras["mask"].shape == (1, 1, *size)
    data = Folder(str(tmp_path / "photos"), 16)
    assert Subset(data, [0]).large(0).images.shape[-1] == 60
    moved = Edited(data, Shift("x"), 0.25).large(0).images
    torch.testing.assert_close(moved[..., 20:50], data.large(0).images[..., 5:35], atol=0.05, rtol=0)
    (tmp_path / "photos/a.png").write_bytes(b"nothing")
    assert data.large(0).ids == [] and set(data.large(0).failed) == {"a.png"}
    with pytest.raises(ValueError, match=r"data\.photo_resolution is 4; give 8 or more"):
        Cottages(1, photo_resolution=4)
