"""Networks that produce images: what they see, what they learn from, and what they are applied to."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from zstar.checkpoints.io import resolve
from zstar.config.reasons import Unfit
from zstar.data.class_maps import ClassMaps, class_colours
from zstar.data.cottages import CLASSES, Cottages
from zstar.data.folder import Folder
from zstar.data.samples import Samples
from zstar.data.styled import Styled
from zstar.directions.directed import Directed
from zstar.encoders.base import EncoderSpec
from zstar.encoders.trained import find_encoder, load_encoder
from zstar.encoders.translator import Translator
from zstar.generators.pixels import Pixels
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import to_unit, write_png
from zstar.metrics.psnr import PSNR
from zstar.projection.run import run
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.tasks.encoder import EncoderTask
from zstar.tasks.fit import fit

TRAINING = [
    "task=image_network", "trainer.accelerator=cpu", "logger=none", "generator.resolution=16", "encoder.width=4",
    "encoder.blocks=1", "task.steps=6", "task.batch=4", "validation.count=4", "metric=[psnr]", "loss=[pixel]",
    "callbacks.samples_every=0", "callbacks.scores_every=0", "callbacks.snapshot_every=0",
]  # fmt: skip


def test_the_network_that_ships_draws_cottages_from_maps() -> None:
    assert resolve("maps64").stat().st_size < 2_000_000
    batch = ClassMaps(Cottages(16)).read(range(16))
    with torch.no_grad():
        made = load_encoder("maps64").network(batch.extras["source"], batch.extras["source"])
    worth = PSNR()(made.clamp(-1, 1), batch.images).mean()
    assert worth > 23, "its card says 24.6 dB of 64 others"


@pytest.fixture
def cfg(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    def make(*words: str) -> DictConfig:
        chosen = {word.partition("=")[0] for word in words}
        kept = [word for word in TRAINING if word.partition("=")[0] not in chosen]
        sizes = ["data.resolution=16", "data.count=64"] if not {"data", "experiment"} & chosen else []
        return composed("train", *kept, *sizes, *words)

    return make


@pytest.fixture
def paintings(tmp_path: Path) -> Path:
    folder = tmp_path / "paintings"
    for number, colour in enumerate(((255, 0, 0), (0, 0, 255))):
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (20, 16), colour).save(folder / f"{number}.png")
    return folder


def translator(size: int = 16, **settings: Any) -> Translator:
    torch.manual_seed(2)
    spec = EncoderSpec(size, 3, (3, size, size), torch.zeros(3, size, size), 1.0)
    return Translator(spec, **{"width": 4, "blocks": 1, **settings}).eval()


def cottages(folder: Path, count: int = 8, size: int = 16) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    batch = Cottages(count, resolution=size).read(range(count))
    for name, image in zip(batch.ids, batch.images, strict=True):
        write_png(folder / f"{name}.png", image)
    return folder


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (5, 9), (64, 64)])
@pytest.mark.parametrize("settings", [{}, {"skips": True}, {"residual": True, "skips": True}], ids=str)
def test_pictures_of_any_size_keep_it(size: tuple[int, int], settings: dict[str, Any]) -> None:
    network = translator(**settings)
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        made = network(images, images)
    assert made.shape == images.shape and made.isfinite().all()
    if settings.get("residual"):
        assert torch.equal(made, images)  # nothing is added as yet
    else:
        assert made.abs().max() <= 1 and not torch.equal(made[0], made[1])


def test_skips_hand_on_where_things_are() -> None:
    """A single pixel that changes moves the result at its place most with skips, as its place is not halved away."""
    images = torch.zeros(1, 3, 16, 16)
    other = images.clone()
    other[..., 8, 8] = 1
    shares = []
    for skips in (False, True):
        network = translator(skips=skips)
        change = (network(other, other) - network(images, images)).abs().mean(dim=1)[0]
        shares.append((change[4:13, 4:13].sum() / change.sum()).item())
    assert shares[1] > shares[0]


def test_styles_are_chosen_and_mixed() -> None:
    network = translator(styles=2)
    with torch.no_grad():
        for module in network.modules():
            if getattr(module, "weight", torch.empty(0)).shape[:1] == (2,):
                module.weight[1] *= 3
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    made = {}
    for name, style in {"first": [[1.0, 0]], "second": [[0, 1.0]], "each": [[1.0, 0], [0, 1.0]]}.items():
        network.style = torch.tensor(style)
        made[name] = network(images, images)
    torch.testing.assert_close(made["each"][0], made["first"][0])
    torch.testing.assert_close(made["each"][1], made["second"][1])
    network.style = None
    mixed = network(images, images)
    assert all((mixed - made[name]).abs().max() > 1e-3 for name in ("first", "second"))


def test_a_space_without_pictures_is_refused() -> None:
    with pytest.raises(Unfit, match="translator makes pictures; choose generator=pixels space=pixels"):
        Translator(EncoderSpec(16, 3, (8,), torch.zeros(8), 1.0))


# --- what it learns from ---------------------------------------------------------------------------------------------


def test_class_maps_have_the_colours_of_the_masks() -> None:
    data = ClassMaps(Cottages(2, resolution=32))
    batch = data.read([0, 1])
    masks, colours = batch.extras["masks"], class_colours(len(CLASSES))
    assert torch.equal(colours, (colours * 255).round() / 255) and len(colours.unique(dim=0)) == len(CLASSES)
    assert (torch.cdist(colours, colours) + torch.eye(len(CLASSES))).min() > 0.15  # told apart by an eye
    painted = to_unit(batch.extras["source"])
    for column in range(len(CLASSES)):
        there = masks.argmax(dim=1) == column
        if there.any():
            assert (painted.permute(0, 2, 3, 1)[there] - colours[column]).abs().max() < 1e-6
    assert torch.equal(batch.images, Cottages(2, resolution=32).read([0, 1]).images)
    with pytest.raises(ValueError, match=r"^data.data: Pixel.* has no masks to paint; choose cottages"):
        ClassMaps(PixelNoise()).read([0])


class PixelNoise(Cottages):
    """Images of which nothing else is known."""

    def read(self, indices: Any) -> Any:
        batch = super().read(indices)
        batch.extras = {}
        return batch


def test_every_image_stands_beside_every_style(tmp_path: Path, paintings: Path) -> None:
    data = Styled(Cottages(3, resolution=16), str(paintings))
    assert len(data) == 6 and data.count == 2
    batch = data.read([5, 0, 2])
    assert set(batch.ids) == {"test-000002-style-1", "test-000000-style-0", "test-000001-style-0"}
    for name, style, share in zip(batch.ids, batch.extras["style"], batch.extras["style_share"], strict=True):
        number = int(name[-1])
        assert share.tolist() == [float(number == 0), float(number == 1)]
        assert style[2 * number].min() > 0.99 and style[2 - 2 * number].max() < -0.99
    (tmp_path / "mixed").mkdir()
    write_png(tmp_path / "mixed" / "a.png", torch.zeros(3, 16, 16))
    (tmp_path / "mixed" / "b.png").write_bytes(b"no picture")
    both = Styled(Folder(str(tmp_path / "mixed"), 16), str(paintings)).read(range(4))
    assert sorted(both.ids) == ["a.png-style-0", "a.png-style-1"]
    assert sorted(both.failed) == ["b.png-style-0", "b.png-style-1"]
    kept, held = data.split(1)
    assert len(held) == 2 and kept.fingerprint() != held.fingerprint()
    before = data.fingerprint()
    Image.new("RGB", (20, 16), (0, 255, 0)).save(paintings / "0.png")
    assert Styled(Cottages(3, resolution=16), str(paintings)).fingerprint() != before
    (paintings / "2.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^data.styles: 2.png can't be used, .*; remove it"):
        Styled(Cottages(3), str(paintings))


def test_samples_stand_beside_themselves_after_an_edit() -> None:
    cottages64 = StyleGAN2(checkpoint="cottages64")
    data = Directed(cottages64, "directions64", "season", 0.5, count=4)
    batch, drawn = data.read([2, 0]), Samples(cottages64, 4).read([2, 0])
    assert batch.ids == drawn.ids and torch.equal(batch.extras["source"], drawn.images.clamp(-1, 1))
    season = data.direction
    moved = season.move(cottages64.lift(drawn.extras["latent"], "z", season.space), torch.full((2,), 0.5))
    with torch.no_grad():
        wanted = cottages64.synthesize(moved, season.space).clamp(-1, 1)
    torch.testing.assert_close(batch.images, wanted, atol=1e-4, rtol=0)
    assert (batch.images - batch.extras["source"]).abs().mean() > 0.02
    kept, held = data.split(2)
    assert kept is data and len(held) == 2 and not torch.equal(held.read([0]).images, data.read([0]).images)
    other = Directed(cottages64, "directions64", "season", -0.5, count=4)
    assert len({data.fingerprint(), held.fingerprint(), other.fingerprint()}) == 3
    with pytest.raises(ValueError, match=r"^data.name: there is no direction 'seasons' in directions64; did you mean"):
        Directed(cottages64, "directions64", "seasons", 0.5)


# --- training --------------------------------------------------------------------------------------------------------


def test_it_learns_and_is_applied_to_a_folder(cfg: Callable[..., DictConfig], composed: Any, tmp_path: Path) -> None:
    result = fit(cfg("task.steps=30"), tmp_path / "net")
    card = json.loads((tmp_path / "net" / "weights.json").read_text())
    assert card["kind"] == "encoder" and card["space"] == "pixels" and "samples/psnr" not in result["scores"]
    photos = cottages(tmp_path / "photos", 3, 24)
    words = ["experiment=apply_network", f"encoder.checkpoint={tmp_path / 'net' / 'weights.safetensors'}"]
    words += [f"data.path={photos}", "logger=none", "device=cpu", f"output={tmp_path}", "metric=[psnr]"]
    sizes = {}
    for size in (16, 24):  # it takes pictures of other sizes than it was trained with
        folder = Path(run(composed("invert", *words, f"generator.resolution={size}", f"name=at{size}"))["folder"])
        sizes[size] = Image.open(folder / "reconstructions" / "test-000000.png.png").size
    assert sizes == {16: (16, 16), 24: (24, 24)}
    restored = run(composed("invert", *words, "generator.resolution=24", "operator=[downscale]", "name=restored"))
    frame = pl.read_parquet(Path(restored["folder"]) / "results.parquet").filter(pl.col("metric") == "psnr")
    assert frame["value"].is_finite().all()


@pytest.mark.slow
def test_pairs_are_learned_from_one_side_to_the_other(cfg: Callable[..., DictConfig], tmp_path: Path) -> None:
    """Photos whose reds and blues are exchanged: the way from a photo to that is found, and not the identity."""
    before, after = cottages(tmp_path / "before"), tmp_path / "after"
    after.mkdir()
    for path in before.iterdir():
        Image.fromarray(np.asarray(Image.open(path))[..., ::-1].copy()).save(after / path.name)
    words = [
        "experiment=learned_edit",
        "data=folder",
        f"data.path={after}",
        f"data.source={before}",
        "validation.count=1",
    ]
    words += ["encoder.width=8", "task.lr=5e-3", "callbacks.snapshot_every=0"]
    losses = []
    for steps in (1, 120):
        task = EncoderTask.compose(cfg(*words, f"task.steps={steps}"))
        fit(cfg(*words, f"task.steps={steps}", "callbacks.scores_every=0"), tmp_path / f"net{steps}")
        network = load_encoder(tmp_path / f"net{steps}" / "weights.safetensors").network
        shown, wanted = (Folder(str(path), 16).read(range(8)).images for path in (before, after))
        with torch.no_grad():
            losses.append((network(shown, shown) - wanted).square().mean().item())
        assert task.degradation.shows == "source"
    assert losses[1] < 0.35 * losses[0]


@pytest.mark.slow
def test_several_styles_in_one_network(cfg: Callable[..., DictConfig], tmp_path: Path, paintings: Path) -> None:
    words = ["operator=[]", "loss=[pixel]", "loss.pixel.target=style", f"data.styles={paintings}", "task.lr=1e-2"]
    words += ["encoder.styles=2", "encoder.residual=false", "task.steps=80"]
    fit(cfg(*words), tmp_path / "net")
    path = tmp_path / "net" / "weights.safetensors"
    image = Cottages(1, resolution=16).read([0]).images
    made = [load_encoder(path, style=style).network(image, image).mean(dim=(0, 2, 3)) for style in (0, 1)]
    assert made[0][0] > 0.3 > -0.3 > made[0][2] and made[1][2] > 0.3 > -0.3 > made[1][0]
    with pytest.raises(ValueError, match=r"^encoder.style: 2 is none of the 2 styles of this network; count from 0"):
        load_encoder(path, style=2)


def test_a_changed_companion_is_another_training(cfg: Callable[..., DictConfig], tmp_path: Path) -> None:
    write_png(tmp_path / "style.png", torch.zeros(3, 16, 16))
    words = ["operator=[]", "loss.pixel.target=style", f"data.style={tmp_path / 'style.png'}", "task.steps=1"]
    assert not fit(cfg(*words), tmp_path / "net")["skipped"]
    assert fit(cfg(*words), tmp_path / "net")["skipped"]
    write_png(tmp_path / "style.png", torch.ones(3, 16, 16))
    again = fit(cfg(*words), tmp_path / "net")
    assert not again["skipped"] and Path(again["folder"]) != tmp_path / "net"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["task.shows=source"], r"^task.shows: the data have no 'source'; give data.source="),
        (["loss.pixel.target=style"], r"^loss.pixel.target: the data have no 'style'; give data.style="),
        (["operator.downscale=null", "operator=[mask]"], r"^operator.mask: the data of this training have no 'mask'"),
        (["data.styles=STYLES"], r"^encoder.styles: 1 and 2 pictures of data.styles; set encoder.styles"),
        (["encoder.styles=2"], r"^encoder.styles: 2 and no pictures of data.styles; set"),
        (["data=class_maps", "data.data.resolution=16", "task.shows=source", "task.samples=0.5"], "^task.samples: 0.5"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_mistakes(
    words: list[str], sentence: str, cfg: Callable[..., DictConfig], tmp_path: Path, paintings: Path
) -> None:
    words = [word.replace("STYLES", str(paintings)) for word in words if not word.startswith("operator.downscale")]
    with pytest.raises(ValueError, match=sentence):
        fit(cfg(*words, "task.steps=1"), tmp_path / "net")


def test_no_run_takes_a_shipped_image_network_by_itself() -> None:
    assert find_encoder(PixelSpace(Pixels(64))) is None


def test_resumed_after_a_kill_it_ends_the_same(cfg: Callable[..., DictConfig], tmp_path: Path, paintings: Path) -> None:
    words = [
        "experiment=label_maps",
        "generator.resolution=16",
        "data.data.resolution=16",
        "loss=[pixel]",
        "task.steps=6",
    ]
    words += [f"adversary.image.discriminator.{name}=16" for name in ("channel_base", "channel_max")]

    def begin() -> EncoderTask:
        torch.manual_seed(0)  # initial weights, which a restored one leaves behind
        return EncoderTask.compose(cfg(*words))

    whole = begin()
    data = ClassMaps(Cottages(16, resolution=16))
    batches = [{"images": b.images, **b.extras} for b in islice(data.batches(4), 4)]
    for batch in batches:
        step(whole, batch)
    half = begin()
    for batch in batches[:2]:
        step(half, batch)
    state = half.checkpoint()
    again = EncoderTask.compose(cfg(*words))
    again.restore(state)
    for batch in batches[2:]:
        step(again, batch)
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(value, again.encoder.state_dict()[name]), name


def step(task: EncoderTask, batch: dict[str, torch.Tensor]) -> None:
    """A step without Lightning around it."""
    task.manual_backward = lambda loss: loss.backward()
    task.update(batch)
    task.done += 1
