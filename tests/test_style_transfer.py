"""Style transfer: its losses, its starts, from coarse to fine, colours that are kept, and whole runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import vgg19

import zstar.projection.batches
from zstar.checkpoints.io import load_weights
from zstar.config.reasons import Unfit
from zstar.generators.pixels import Pixels
from zstar.losses.content import Content
from zstar.losses.gram import Gram
from zstar.losses.networks import AnnotatorFeatures, VGG19Conv3
from zstar.losses.palette import give_colours
from zstar.losses.pixel import Pixel
from zstar.losses.recognise import feature_network
from zstar.losses.targets import Targets
from zstar.losses.vgg19 import VGG19
from zstar.objective import Objective, Problem
from zstar.operators.grey import Grey
from zstar.optimizers.adam import Adam
from zstar.optimizers.lbfgs import LBFGS
from zstar.projection.run import run
from zstar.projectors.base import AbstractProjector, project
from zstar.projectors.copy import Copy
from zstar.projectors.multiscale import Multiscale
from zstar.projectors.optimization import Optimization
from zstar.projectors.recolour import Recolour, luminance
from zstar.regularizers.latent_norm import LatentNorm
from zstar.regularizers.total_variation import TotalVariation
from zstar.spaces.pixels import Pixels as PixelSpace

ROOT = Path(__file__).parents[1]


class Maps(nn.Module):
    """Two smooth random maps, at any size."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = nn.functional.softplus(self.first(image))
        return [fine, nn.functional.softplus(self.second(fine))]


def pictures(count: int, size: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 6, 6, generator=rng)
    return nn.functional.interpolate(coarse, size=size, mode="bicubic").tanh()


def problem_of(size: int = 24, optimizer: Any = None, **losses: Any) -> Problem:
    space = PixelSpace(Pixels(size))
    usual = {
        "gram": Gram(Maps(), normalization="relative"),
        "content": Content(Maps(), [1], weight=0.5, relative=True),
    }
    terms = {"total_variation": TotalVariation(space, 0.1)}
    return Problem(space, losses or usual, terms, optimizer or Adam(lr=0.05))


def targets_of(count: int, size: int = 24) -> Targets:
    named = {"image": pictures(count, size, 0), "style": pictures(count, size, 1)}
    return Targets(named, [f"{row}" for row in range(count)])


CHAINS: dict[str, Callable[[Problem], list[AbstractProjector]]] = {
    "content": lambda p: [Copy(p), Optimization(p, 5)],
    "style": lambda p: [Copy(p, "style"), Optimization(p, 5, average=0.9)],
    "coarse to fine": lambda p: [Copy(p), Multiscale(p, 4, 3, smallest=6), Recolour(p)],
}


@pytest.mark.parametrize(("chain", "optimizer"), [*((chain, Adam(lr=0.05)) for chain in CHAINS), ("content", LBFGS())])
@pytest.mark.parametrize("palette", [None, "image"])
def test_a_batch_is_its_single_pictures(chain: str, palette: str | None, optimizer: Any) -> None:
    gram = Gram(Maps(), normalization="relative", palette=palette)
    problem = problem_of(optimizer=optimizer, gram=gram, content=Content(Maps(), [1], relative=True))
    targets = targets_of(3)
    together = project(problem, CHAINS[chain](problem), targets)
    for row in (0, 2):
        rows = slice(row, row + 1)
        one = Targets({name: value[rows] for name, value in targets.named.items()}, targets.ids[rows])
        alone = project(problem, CHAINS[chain](problem), one)
        torch.testing.assert_close(alone.image, together.image[rows], rtol=0, atol=1e-3)
        torch.testing.assert_close(alone.loss, together.loss[rows], rtol=1e-3, atol=0)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05), LBFGS()], ids=["adam", "lbfgs"])
def test_the_style_comes_and_the_content_stays(optimizer: Any) -> None:
    problem, targets = problem_of(optimizer=optimizer), targets_of(2)
    start = project(problem, [Copy(problem)], targets)
    assert torch.equal(start.image, targets.images) and (start.history["content"] == 0).all()
    found = project(problem, [Copy(problem), Optimization(problem, 40)], targets)
    assert (found.loss < 0.3 * start.loss).all() and (
        found.history["gram"][:, -1] < 0.2 * start.history["gram"][:, -1]
    ).all()
    assert (found.history["content"][:, -1] < 0.2).all()


@pytest.mark.parametrize("normalization", ["relative", "gatys"])
@pytest.mark.parametrize("palette", [None, "image"])
def test_gradients_are_those_of_finite_differences(normalization: Any, palette: str | None) -> None:
    image, style = pictures(1, 4, 0).double(), pictures(1, 6, 1).double()
    gram, content = Gram(Maps().double(), normalization=normalization, palette=palette), Content(Maps(), relative=True)
    gram.double(), content.double()
    pair = torch.cat([style[..., :4, :4], image], dim=1)  # of one size, as all targets
    wanted = gram.target_features(style if palette is None else pair)
    start = pictures(1, 4, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: gram.compare(gram.features(v), wanted), start)
    assert torch.autograd.gradcheck(lambda v: content.compare(content.features(v), content.features(image)), start)


def test_relative_values_know_no_units() -> None:
    image, style = pictures(2, 16, 0), pictures(2, 16, 1)
    loud = Maps()
    values = [Gram(Maps(), normalization="relative")(image, style), Content(Maps(), relative=True)(image, style)]
    loud.second.weight.data *= 30  # a layer that is thirty times as loud where its softplus is linear
    loud.second.bias.data += 300
    assert (Gram(loud, [1], normalization="relative")(image, style) < 10).all()
    assert all((value < 10).all() for value in values)
    nothing = Gram(Maps(), [0], normalization="relative")
    zero = [torch.zeros_like(each) for each in nothing.features(style)]
    torch.testing.assert_close(nothing.compare(zero, nothing.features(style)), torch.ones(2))


def test_a_palette_gives_mean_and_covariance() -> None:
    style, image = pictures(2, 20, 1), pictures(2, 28, 0)
    found = give_colours(style, image)
    for of in (found, style):
        assert of.shape == style.shape
    flat, wanted = found.flatten(2), image.flatten(2)
    torch.testing.assert_close(flat.mean(dim=2), wanted.mean(dim=2), rtol=0, atol=1e-5)
    for a, b in zip(flat, wanted, strict=True):
        torch.testing.assert_close(a.cov(correction=0), b.cov(correction=0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(give_colours(image, image), image, rtol=0, atol=1e-4)
    flat_colour = torch.full_like(style, 0.3)
    assert give_colours(flat_colour, image).isfinite().all()  # a picture of one colour has no other
    grey = give_colours(style[:, :1], image[:, :1])
    torch.testing.assert_close(grey.std(dim=(2, 3), correction=0), image[:, :1].std(dim=(2, 3), correction=0))


def test_colours_of_the_image_are_kept() -> None:
    problem, targets = problem_of(), targets_of(2)
    plain = project(problem, [Copy(problem, "style")], targets)
    found = project(problem, [Copy(problem, "style"), Recolour(problem)], targets).image
    torch.testing.assert_close(luminance(found), luminance(plain.image), rtol=0, atol=1e-5)
    chroma = found - luminance(found)
    torch.testing.assert_close(chroma, targets.images - luminance(targets.images), rtol=0, atol=1e-5)


def test_from_coarse_to_fine() -> None:
    problem, targets = problem_of(40), targets_of(1, 40)
    stage = Multiscale(problem, steps=3, later_steps=2, smallest=10)
    assert stage.sizes == [10, 20, 40] and stage.optimizer_steps == 7
    found = project(problem, [Copy(problem), stage], targets)
    assert found.evaluations.item() == 1 + stage.cost and found.image.shape == (1, 3, 40, 40)
    assert found.history["total"].shape[1] == 1 + (3 + 1) + 2 * (2 + 1)
    short = stage.timed(1e-9)(Objective(problem, targets))
    assert short.evaluations.item() == 3 * (1 + 1 + 1)  # a step at each size at least
    small = problem_of(12)
    assert Multiscale(small).sizes == [12]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: Multiscale(p, steps=0), r"projector\.multiscale\.steps: 0 is not possible"),
        (lambda p: Multiscale(p, average=1.0), r"projector\.multiscale\.average: 1\.0 is no decay; set it to"),
        (lambda p: Optimization(p, average=-0.1), r"projector\.optimization\.average: -0\.1 is no decay"),
        (
            lambda p: Optimization(p, average=0.9, keep_best=False),
            r"projector\.optimization\.average: the mean is kept",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[Problem], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make(problem_of())


def test_other_sizes_are_no_place_for_operators_and_trials_have_no_mean() -> None:
    space = PixelSpace(Pixels(16))
    grey = Problem(space, {"pixel": Pixel()}, {}, Adam(), operators={"grey": Grey()})
    with pytest.raises(Unfit, match=r"^projector\.multiscale: operator\.grey is another one at another size; choose"):
        Multiscale(grey)
    for kind in (Multiscale, Optimization):
        with pytest.raises(ValueError, match=r"average: LBFGS puts points on trial, .*set it to null, or take"):
            kind(problem_of(optimizer=LBFGS()), average=0.9)
    other = LatentNorm(space).at(PixelSpace(Pixels(8)))
    assert other({"latent": torch.zeros(1, 3, 8, 8)}, torch.zeros(1, 3, 8, 8)).item() == 0


@pytest.mark.slow
def test_a_network_is_known_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(feature_network(), AnnotatorFeatures)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = vgg19(weights=None).features[:30].eval()
    state = {f"features.{name}": value for name, value in theirs.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2)}, tmp_path / "vgg19-dcbb9e9d.pth")
    ours, image = feature_network(str(tmp_path / "vgg19-dcbb9e9d.pth")), pictures(1, 32, 0)
    assert isinstance(ours, VGG19)
    unit = [image[:, i] / 2 + 0.5 for i in range(3)]
    colours = zip(unit, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    with torch.no_grad():
        maps = ours(image)
        expected = theirs(torch.stack([(c - m) / s for c, m, s in colours], dim=1))
    torch.testing.assert_close(maps[-1], expected)
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512, 512]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"^loss\.gram\.network\.checkpoint: torchvision's vgg19-dcbb9e9d\.pth is not"):
        feature_network(None, "loss.gram.network.checkpoint")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "vgg19-dcbb9e9d.pth").rename(tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth")
    assert isinstance(feature_network(None), VGG19)
    torch.save({"0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for wrong in ("annotator65", str(tmp_path / "other.pth"), str(tmp_path / "none.pth"), __file__):
        with pytest.raises(ValueError, match=r"^loss\.\*\.network\.checkpoint: ") as error:
            feature_network(wrong)
        assert "\n" not in str(error.value) and "vgg_normalised_conv3_1.pth" in str(error.value)


def test_vgg19_to_conv3_is_known_by_its_file(shared: Path) -> None:
    file = shared / "assets" / "vgg19-conv3" / "vgg_normalised_conv3_1.pth"
    assert isinstance(feature_network(str(file)), VGG19Conv3)


@pytest.fixture
def style(tmp_path: Path) -> str:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "style.png")
    return f"data.style={tmp_path}/style.png"


RECIPE = ["experiment=style_transfer", "data=cottages", "metric=[ssim]", "logger=none", "steps=2", "data.count=2"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["projector=[random,optimization]"],
        ["projector=[copy,optimization,recolour]", "projector.copy.target=style", "loss.gram.palette=image"],
        ["projector=[copy,multiscale]", "optimizer=adam", "projector.multiscale.smallest=32"],
        ["generator=cottages", "space=w_plus", "projector=[encoder,optimization]", "space.prior_samples=100"],
    ],
    ids=["content", "noise", "style in the content's colours", "coarse to fine", "w_plus"],
)
def test_the_recipe_runs_with_nothing_but_a_style(
    words: list[str], style: str, composed: Callable[..., Any], tmp_path: Path
) -> None:
    result = run(composed("invert", *RECIPE, style, f"output={tmp_path}/out", *words))
    assert result["images"] == 2 and not result["failed"]


def test_an_unreadable_style_is_named_and_the_others_go_on(composed: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    words = [*RECIPE, f"output={tmp_path}/out", "steps=1"]
    with pytest.raises(ValueError, match=r"^data\.style: .*broken\.png can't be used, .*; give another file$"):
        run(composed("invert", *words, f"data.style={tmp_path}/broken.png"))
    for folder in ("photos", "styles"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.linear_gradient("L").resize((32, 32)).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "styles" / "b.png").write_bytes(b"no picture")
    own = ["data=folder", f"data.path={tmp_path}/photos", f"data.style={tmp_path}/styles", "data.count=null"]
    result = run(composed("invert", *words, *own))
    assert result["images"] == 1 and result["failed"].keys() == {"b.png"}
    assert result["failed"]["b.png"].startswith("data.style: ")


def test_each_photo_has_a_style_of_its_own_in_any_shape(composed: Callable[..., Any], tmp_path: Path) -> None:
    for folder, size in (("photos", (32, 32)), ("styles", (50, 40))):
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.linear_gradient("L").resize(size).save(tmp_path / folder / f"{name}.png")
    own = ["data=folder", f"data.path={tmp_path}/photos", f"data.style={tmp_path}/styles", "data.count=null"]
    result = run(composed("invert", *RECIPE, f"output={tmp_path}/out", "steps=1", *own))
    assert result["images"] == 2 and not result["failed"]


def test_without_a_style_it_says_what_is_missing(composed: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^loss\.gram\.target: the data have no 'style'; give data\.style=<file or"):
        run(composed("invert", *RECIPE, f"output={tmp_path}/out"))


def test_a_stopped_run_goes_on_and_ends_the_same(
    style: str, composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = zstar.projection.batches.project_with_start, []

    def counting(problem: Any, projectors: Any, targets: Targets, callbacks: Any) -> Any:
        seen.append(targets.ids[0])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(problem, projectors, targets, callbacks)

    words = [*RECIPE, style, "batch_size=1", "metric=[]"]
    smooth = run(composed("invert", *words, f"output={tmp_path}/smooth"))
    monkeypatch.setattr(zstar.projection.batches, "project_with_start", counting)
    with pytest.raises(KeyboardInterrupt):
        run(composed("invert", *words, f"output={tmp_path}/stopped"))
    again = run(composed("invert", *words, f"output={tmp_path}/stopped"))
    assert seen == ["test-000000", "test-000001", "test-000001"]
    one, two = (load_weights(Path(each["folder"]) / "latents.safetensors") for each in (again, smooth))
    assert one["latent"].equal(two["latent"]) and one["loss"].equal(two["loss"])


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(style: str, composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [*RECIPE, style, "batch_size=1", "metric=[]", "data.count=6", "steps=10"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "invert.py"), *words, f"output={tmp_path}/killed"]
    victim = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("killed/*/parts/000001.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert list(tmp_path.glob("killed/*/parts/000001.json")) and not list(tmp_path.glob("killed/*/result.json"))
    runs = [run(composed("invert", *words, f"output={tmp_path}/{name}")) for name in ("killed", "smooth")]
    one, two = (load_weights(Path(each["folder"]) / "latents.safetensors") for each in runs)
    assert one["latent"].equal(two["latent"]) and one["loss"].equal(two["loss"])
