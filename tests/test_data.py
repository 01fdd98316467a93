"""Folders, archives and samples as sources of images."""

import importlib
import inspect
import io
import os
import pkgutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

import zstar.data
from zstar.config.build import offer
from zstar.config.check import CLASSES, COMPANIONS, SHARD, STYLES
from zstar.data.base import AbstractData
from zstar.data.companions import Companions, take_companions
from zstar.data.cottages import Cottages
from zstar.data.edited import Edited
from zstar.data.folder import Folder
from zstar.data.samples import Samples
from zstar.edits.blur import Blur
from zstar.edits.hue import Hue
from zstar.edits.shift import Shift
from zstar.generators.base import AbstractGenerator, Noise

NAMES = ["a.jpg", "a.png", "b/c.PNG", "b/d e.webp", "ü.png"]  # in the order of their ids


class Tiny(AbstractGenerator):
    """z of 4 numbers → 1 × 8 × 8 pixels; w is 2 z, and truncation acts on w alone."""

    resolution, channels, layers, noise_shapes = 8, 1, (), {}
    spaces: Mapping[str, tuple[int, ...]] = {"z": (4,), "w": (4,)}

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 64)
        self.freeze()

    def sample(
        self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None
    ) -> Float[Tensor, "n ..."]:
        z = torch.randn(n, 4, generator=rng)
        return 2 * truncation * z if space == "w" else z

    def lift(self, latent: Float[Tensor, "b ..."], source: str, target: str) -> Float[Tensor, "b ..."]:
        return latent * 2 if (source, target) == ("z", "w") else latent

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        assert noise == "const"
        return self.body(self.lift(latent, space, "w")).reshape(-1, 1, 8, 8)

    def layer(self, name: str) -> nn.Module:
        return self.body


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five images of different greys in two folders, beside what is none."""
    root = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10 + number, 12), (40 * number,) * 3).save(root / name)
    (root / "notes.txt").write_text("no image")
    for hidden in ("__MACOSX/a.png", ".cache/a.png", "._a.png", ".DS_Store"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"\0\5")
    return root


def packed(root: Path) -> Path:
    with tarfile.open(root.with_suffix(".tar"), "w") as archive:
        archive.add(root, ".")
    return root.with_suffix(".tar")


def levels(data: AbstractData) -> list[int]:
    return [round((image.mean().item() + 1) * 127.5) for image in data.read(range(len(data))).images]


@pytest.mark.parametrize("source", [lambda root: root, packed])
def test_a_folder_and_its_tar_give_the_same_images_under_the_same_names(photos: Path, source: object) -> None:
    data = Folder(str(source(photos)), resolution=8)
    batch = data.read(range(5))
    assert len(data) == 5 and batch.ids == NAMES and not batch.failed
    assert batch.images.shape == (5, 3, 8, 8) and batch.images.dtype == torch.float32
    assert all(abs(level - 40 * number) <= 2 for number, level in enumerate(levels(data)))
    again = data.read([3, 1, 3])
    assert again.ids == [NAMES[3], NAMES[1], NAMES[3]]
    assert torch.equal(again.images, batch.images[[3, 1, 3]])
    assert [b.ids for b in data.batches(2)] == [NAMES[:2], NAMES[2:4], NAMES[4:]]
    assert data.fingerprint() == Folder(str(photos), resolution=8).fingerprint()


def test_broken_files_are_recorded_by_name_and_the_others_go_on(photos: Path) -> None:
    (photos / "a.png").write_bytes((photos / "a.png").read_bytes()[:40])
    (photos / "b" / "c.PNG").write_bytes(b"")
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    os.mkfifo(photos / "pipe.png")  # would block whoever reads it
    batch = Folder(str(photos), resolution=8).read(range(7))
    assert batch.ids == ["a.jpg", "b/d e.webp", "ü.png"] and len(batch.images) == 3
    assert set(batch.failed) == {"a.png", "b/c.PNG", "phone.heic", "gone.png"}
    assert "empty" in batch.failed["b/c.PNG"] and "No such file" in batch.failed["gone.png"]
    assert "not a picture in a format" in batch.failed["phone.heic"]
    broken = Folder(str(photos), resolution=8).read([1])
    assert broken.ids == [] and broken.images.shape == (0, 3, 8, 8) and list(broken.failed) == ["a.png"]


def test_files_without_a_unicode_name_get_an_id_that_can_be_written(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as stream:
        Image.new("RGB", (4, 4)).save(stream, format="PNG")
    batch = Folder(str(tmp_path), resolution=4).read([0])
    assert batch.ids == ["caf\\udce9.png"] and batch.ids[0].encode()


def test_members_that_lead_out_of_an_archive_are_refused_by_name(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, format="PNG")
    (tmp_path / "inner").mkdir()
    with tarfile.open(tmp_path / "inner" / "evil.tar", "w") as archive:
        for name in ("good.png", "../out.png", "/tmp/abs.png", "x/../../out2.png"):
            member = tarfile.TarInfo(name)
            member.size = len(content.getvalue())
            archive.addfile(member, io.BytesIO(content.getvalue()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    data = Folder(str(tmp_path / "inner" / "evil.tar"), resolution=4)
    batch = data.read(range(len(data)))
    assert batch.ids == ["good.png"]
    assert set(batch.failed) == {"../out.png", "/tmp/abs.png", "x/../../out2.png", "link.png"}
    assert "leads out" in batch.failed["../out.png"] and "link" in batch.failed["link.png"]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_fingerprint_follows_the_content(photos: Path) -> None:
    first = Folder(str(photos), resolution=8)
    prints = {first.fingerprint(), Folder(str(photos), resolution=16).fingerprint()}
    prints |= {Folder(str(photos), resolution=8, **other).fingerprint() for other in ({"count": 4}, {"channels": 1})}
    os.utime(photos / "a.png", (0, 0))
    assert Folder(str(photos), resolution=8).fingerprint() == first.fingerprint()
    (photos / "a.png").rename(photos / "a2.png")
    prints.add(Folder(str(photos), resolution=8).fingerprint())
    Image.new("RGB", (11, 12), (41,) * 3).save(photos / "a2.png")
    prints.add(Folder(str(photos), resolution=8).fingerprint())
    assert len(prints) == 6


def test_sizes_come_from_the_generator(photos: Path) -> None:
    data = Folder(str(photos), generator=Tiny(), count=2)
    assert data.read([0, 1]).images.shape == (2, 1, 8, 8) and len(data) == 2
    assert Folder(str(photos), resolution=16, channels=3, generator=Tiny()).read([0]).images.shape == (1, 3, 16, 16)


def test_a_part_of_a_folder_begins_where_it_is_told_to(photos: Path) -> None:
    whole, part = Folder(str(photos), resolution=8), Folder(str(photos), resolution=8, first=1, count=2)
    assert part.read([0, 1]).ids == whole.read([1, 2]).ids and len(part) == 2
    assert part.fingerprint() != Folder(str(photos), resolution=8, count=2).fingerprint()
    with pytest.raises(ValueError, match=r"data.first: 99 is no place among \d+ images; set it to 0"):
        Folder(str(photos), resolution=8, first=99)


def test_what_is_wrong_is_said_in_one_sentence_with_its_key(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "none").mkdir()
    with tarfile.open(tmp_path / "small.tar.gz", "w:gz") as archive:
        archive.add(photos, "photos")
    cut = packed(photos).read_bytes()
    (tmp_path / "cut.tar").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "bad.tar").write_bytes(cut.replace(b"./a.png\0", b"?!a.png\0"))  # the header's sum is wrong now
    wrong = {
        "data.path: there is no folder": {"path": str(tmp_path / "nowhere")},
        "data.path: .* holds no images": {"path": str(tmp_path / "none")},
        "data.path: .* uncompressed": {"path": str(tmp_path / "small.tar.gz")},
        "data.path: .*cut.tar' is neither a folder nor a whole": {"path": str(tmp_path / "cut.tar")},
        "data.path: .*bad.tar' is neither a folder nor a whole": {"path": str(tmp_path / "bad.tar")},
        "data.count": {"count": 0},
        "data.channels": {"channels": 2},
        "data.resolution: is not given": {"resolution": None},
        "data.resolution: 0": {"resolution": 0},
    }
    for sentence, arguments in wrong.items():
        with pytest.raises(ValueError, match=sentence):
            Folder(**{"path": str(photos), "resolution": 8, **arguments})


def test_samples_are_reproduced_by_their_latents() -> None:
    generator = Tiny()
    for space in (None, "w"):
        data = Samples(generator, count=20, truncation=1.0 if space is None else 0.5, space=space)
        batch = data.read(range(20))
        assert batch.ids[12] == "sample-000012" and batch.extras["latent"].shape == (20, 4)
        assert (generator.synthesize(batch.extras["latent"], data.space) - batch.images).abs().max() < 1e-6
        assert not batch.images.requires_grad and not batch.images.is_inference()
    prior = Samples(generator, count=2000).read(range(2000)).extras["latent"]
    assert prior.mean().abs() < 0.05 and (prior.std() - 1).abs() < 0.05
    assert len(prior.unique(dim=0)) == 2000


def test_a_sample_depends_on_seed_and_index_alone() -> None:
    generator = Tiny()
    whole = Samples(generator, count=20).read(range(20))
    other = Samples(generator, count=13).read([12, 0, 12])  # another count, order and company
    assert torch.equal(other.images, whole.images[[12, 0, 12]])
    assert torch.equal(other.extras["latent"], whole.extras["latent"][[12, 0, 12]])
    assert (
        not torch.isclose(Samples(generator, count=20, seed=1).read(range(20)).images, whole.images).all(dim=-1).any()
    )
    with pytest.raises(IndexError):
        Samples(generator, count=13).read([13])


def test_the_samples_fingerprint_follows_all_that_decides_them() -> None:
    generator, another = Tiny(), Tiny()
    settings = [{}, {"count": 3}, {"seed": 1}, {"truncation": 0.5}, {"space": "w"}]
    prints = [Samples(generator, **setting).fingerprint() for setting in settings]
    prints += [Samples(another).fingerprint()]
    assert len(set(prints)) == 6 and prints[0] == Samples(generator).fingerprint()


def test_samples_of_a_space_that_the_generator_lacks_name_the_ones_it_has() -> None:
    with pytest.raises(ValueError, match="no space 'w_plus'; choose one of z, w"):
        Samples(Tiny(), space="w_plus")
    with pytest.raises(ValueError, match="data.count"):
        Samples(Tiny(), count=0)


def test_both_are_built_from_their_files(photos: Path, composed: object) -> None:
    from zstar.config.build import offer, to_plain
    from zstar.projection.shards import take_shard

    generator = Tiny()
    words = (["data=folder", f"data.path={photos}"], ["data=samples", "data.count=3"])
    nodes = [take_companions(take_shard(to_plain(composed("invert", *chosen)))[0]["data"])[0] for chosen in words]
    nodes = [{key: value for key, value in node.items() if key not in (CLASSES, STYLES)} for node in nodes]
    folder, samples = (offer(node, generator=generator) for node in nodes)
    assert folder.read([0]).images.shape == (1, 1, 8, 8)
    assert len(samples) == 3


def test_real_cats_from_their_archive(shared: Path) -> None:
    archives = sorted((shared / "assets" / "grumpy-cats-64").glob("*.tar"))
    if not archives:
        pytest.skip("needs assets/grumpy-cats-64")
    sizes = [len(Folder(str(archive), resolution=64)) for archive in archives]
    assert sorted(sizes) == [75, 204]
    batch = Folder(str(archives[0]), resolution=64, count=8).read(range(8))
    assert not batch.failed and batch.images.std() > 0.1


def test_edited_images_are_those_of_another_set_after_an_edit(composed: object) -> None:
    def make(*words: str) -> AbstractData:
        cfg = composed("invert", "data=edited", "data.data.resolution=16", *words)
        return offer(
            {key: value for key, value in cfg.data.items() if key not in (*SHARD, *COMPANIONS, CLASSES, STYLES)}
        )

    data = make("data.data.count=3", "data.alpha=90")
    batch, before = data.read([2, 0]), Cottages(3, resolution=16).read([2, 0])
    turned, _ = Hue(-180, 180)(before.images, torch.full((2,), 90.0))
    assert batch.ids == before.ids and len(data) == 3 and "masks" not in batch.extras
    torch.testing.assert_close(batch.images, turned.clamp(-1, 1))
    other = [make(word) for word in ("data.alpha=90", "data.data.count=3", "data.alpha=0")]
    assert len({one.fingerprint() for one in [data, *other]}) == 4
    kept, held = data.split(2)
    assert kept.alpha == held.alpha == 90 and held.read([0]).ids[0].startswith("validation")


def test_pixels_that_an_edit_invents_carry_no_loss() -> None:
    batch = Edited(Cottages(2, resolution=16), Shift("x"), 0.5).read(range(2))
    assert batch.extras["mask"].shape == (2, 1, 16, 16) and 0 < batch.extras["mask"].mean() < 1
    assert "mask" not in Edited(Cottages(2, resolution=16), Hue(), 30.0).read(range(2)).extras


def test_an_edit_has_its_limits() -> None:
    with pytest.raises(ValueError, match="data.alpha: -1.0 is beyond what the edit can do; keep it within 0.0 to inf"):
        Edited(Cottages(2, resolution=16), Blur(), -1.0)


def masks_of(photos: Path, folder: Path) -> Path:
    """A grey map for each photo, of its shape and of the level 40 + 40 · number, with another suffix."""
    for number, name in enumerate(NAMES):
        path = (folder / name).with_suffix(".png" if number else ".jpg")  # a.jpg and a.png have each their own
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (10 + number, 12), 40 + 40 * number).save(path)
    return folder


@pytest.mark.parametrize("source", [lambda root: root, packed])
def test_companions_come_beside_their_images(photos: Path, tmp_path: Path, source: object) -> None:
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "painting.png")
    masks = source(masks_of(photos, tmp_path / "masks"))
    plain = Folder(str(photos), resolution=8)
    data = Companions(plain, {"mask": str(masks), "style": str(tmp_path / "painting.png")})
    batch = data.read([4, 1, 2])
    assert batch.ids == [NAMES[4], NAMES[1], NAMES[2]] and not batch.failed and len(data) == 5
    assert torch.equal(batch.images, plain.read([4, 1, 2]).images)
    levels = torch.tensor([200.0, 80.0, 120.0]) / 255
    torch.testing.assert_close(batch.extras["mask"], levels.view(3, 1, 1, 1).expand(3, 1, 8, 8), atol=0.01, rtol=0)
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(batch.extras["style"], red.expand(3, 3, 8, 8))


def test_companions_become_square_as_their_images_do(tmp_path: Path) -> None:
    wide = Image.new("RGB", (16, 8), (0, 0, 0))
    wide.paste((255, 255, 255), (0, 0, 6, 8))  # half of it outside of the central square
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
        wide.save(tmp_path / folder / "a.png")
    for fit in ("crop", "pad", "resize"):
        images = Folder(str(tmp_path / "photos"), resolution=8, fit=fit)
        batch = Companions(images, {"mask": str(tmp_path / "masks")}).read([0])
        torch.testing.assert_close(batch.extras["mask"], batch.images[:, :1] / 2 + 0.5, atol=0.01, rtol=0)
        kept = Companions(Edited(images, Hue(), 0.0), {"mask": str(tmp_path / "masks")})
        assert kept.fit == fit and torch.equal(kept.read([0]).extras["mask"], batch.extras["mask"])


def test_companions_of_any_data_set(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 128).save(tmp_path / "half.png")
    (tmp_path / "maps").mkdir()
    for name in ("test-000000", "test-000002", "sample-000000"):
        Image.new("L", (32, 32), 255).save(tmp_path / "maps" / f"{name}.png")
    shared = Companions(Cottages(2, resolution=16), {"mask": str(tmp_path / "half.png")}).read([0, 1])
    assert shared.extras["mask"].shape == (2, 1, 16, 16) and "factors" in shared.extras
    own = Companions(Cottages(3, resolution=16), {"mask": str(tmp_path / "maps")}).read([0, 1, 2])
    assert own.ids == ["test-000000", "test-000002"] and len(own.images) == len(own.extras["factors"]) == 2
    assert own.failed == {
        "test-000001": "data.mask: there is no file for test-000001; add one of the same name, whatever its suffix"
    }
    grey = Companions(Samples(Tiny(), count=1), {"style": str(tmp_path / "maps")}).read([0])
    assert grey.extras["style"].shape == (1, 1, 8, 8) and (grey.extras["style"] == 1).all()
    moved = Edited(Cottages(2, resolution=16), Shift("x"), 0.5)
    both = Companions(moved, {"mask": str(tmp_path / "half.png")}).read([0, 1])
    torch.testing.assert_close(both.extras["mask"], moved.read([0, 1]).extras["mask"] * 128 / 255)


def test_an_image_with_a_bad_companion_fails_by_name_and_the_others_go_on(photos: Path, tmp_path: Path) -> None:
    masks = masks_of(photos, tmp_path / "masks")
    Image.new("L", (12, 10)).save(masks / "b" / "c.png")  # another shape
    (masks / "b" / "d e.png").write_bytes(b"none")
    (masks / "ü.png").unlink()
    Image.new("L", (10, 12), 255).save(masks / "a.webp")
    data = Companions(Folder(str(photos), resolution=8), {"mask": str(masks)})
    batch = data.read(range(5))
    assert batch.ids == ["a.jpg", "a.png"] and len(batch.extras["mask"]) == 2
    assert batch.failed["b/c.PNG"] == (
        "data.mask: b/c.png has 10 × 12 pixels and the image 12 × 12; give it the image's ratio of height to width"
    )
    assert "not a picture in a format" in batch.failed["b/d e.webp"] and "no file for ü.png" in batch.failed["ü.png"]
    (masks / "a.png").unlink()
    assert "a.jpg and a.webp are both of this name" in data_of(photos, masks).read([1]).failed["a.png"]
    none = Companions(Folder(str(photos), resolution=8), {"mask": str(masks)}).read([2])
    assert none.ids == [] and none.images.shape == (0, 3, 8, 8) and none.extras == {}


def data_of(photos: Path, masks: Path) -> Companions:
    return Companions(Folder(str(photos), resolution=8), {"mask": str(masks)})


def test_the_fingerprint_follows_the_companions_where_there_are_some(photos: Path, tmp_path: Path) -> None:
    masks = masks_of(photos, tmp_path / "masks")
    plain = Folder(str(photos), resolution=8)
    prints = {plain.fingerprint(), data_of(photos, masks).fingerprint()}
    assert data_of(photos, masks.rename(tmp_path / "elsewhere")).fingerprint() in prints
    masks = tmp_path / "elsewhere"
    prints |= {Companions(plain, {"style": str(masks)}).fingerprint()}
    prints |= {Companions(plain, {"mask": str(masks / "a.png")}).fingerprint()}
    Image.new("L", (11, 12), 51).save(masks / "a.png")
    prints |= {data_of(photos, masks).fingerprint()}
    assert len(prints) == 5
    kept, held = Companions(Cottages(20, resolution=16), {"mask": str(masks / "a.png")}).split(2)
    assert "mask" in kept.read([0]).extras and "mask" in held.read([0]).extras


def test_data_without_companions_keep_the_fingerprint_that_protocols_freeze(photos: Path) -> None:
    node, paths = take_companions({"path": str(photos), "mask": None, "style": None})
    assert node == {"path": str(photos)} and paths == {}
    assert Cottages(64).fingerprint() == "73fddfcbc86ecbfa"


def test_what_is_wrong_with_companions_is_said_in_one_sentence(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"none")
    for path, sentence in {
        str(tmp_path / "nowhere"): "data.style: there is no folder or .tar file .*nowhere'; point it at your images",
        str(tmp_path / "broken.png"): "data.style: .*broken.png can't be used, the content is not a picture",
        str(photos / "notes.txt"): "data.style: .*notes.txt' is neither a folder nor a whole, uncompressed .tar",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            Companions(Folder(str(photos), resolution=8), {"style": path})


def test_what_wraps_images_passes_their_own_resolution_on() -> None:
    for module in pkgutil.iter_modules(zstar.data.__path__):
        importlib.import_module(f"zstar.data.{module.name}")
    families = [AbstractData, *AbstractData.__subclasses__()]
    kinds = [kind for base in families for kind in base.__subclasses__() if kind.__module__.startswith("zstar.")]
    wrappers = [kind for kind in kinds if "data" in inspect.signature(kind.__init__).parameters]
    assert {"Subset", "Styled", "Companions", "Known", "Stroked", "AbstractView"} <= {
        kind.__name__ for kind in wrappers
    }
    for kind in wrappers:
        assert kind.large is not AbstractData.large, (
            f"{kind.__name__}: post-processing would get the small image for the photo"
        )
        assert kind.whole is not AbstractData.whole, f"{kind.__name__}: an edited face would not go back into its photo"
