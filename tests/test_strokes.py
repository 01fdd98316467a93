"""Strokes of a user: layers as targets, the losses that look at them, and runs that begin with a finished one."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killed import kill
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from zstar.config.check import STROKES
from zstar.data.cottages import Cottages
from zstar.data.decoding import BadImage
from zstar.data.folder import Folder
from zstar.data.layers import drawn, moved, read_layers
from zstar.data.strokes import Stroked
from zstar.discriminators.stylegan2 import StyleGAN2 as Discriminator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import Inversion
from zstar.losses.hog import hog
from zstar.losses.pixel import Pixel
from zstar.losses.sketch import Sketch
from zstar.losses.targets import Targets
from zstar.losses.warp import Warp
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.projection.alternatives import way
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.mean import Mean
from zstar.projectors.starts import Starts
from zstar.regularizers.origin_norm import OriginNorm
from zstar.regularizers.realism import Realism
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z

SIDE = 32


def layer(
    kind: str, box: tuple[int, int, int, int], side: int = SIDE, color: tuple[int, ...] = (200, 40, 40)
) -> Image.Image:
    """A layer that is opaque in a box, first and last column and row."""
    picture = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    picture.paste((*color, 255), box)
    return picture


def put(folder: Path, *layers: tuple[str, Image.Image, dict[str, Any]]) -> Path:
    """Write layers and their JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for place, (kind, picture, more) in enumerate(layers):
        picture.save(folder / f"{place}.png")
        entries.append({"kind": kind, "file": f"{place}.png", **more})
    (folder / "strokes.json").write_text(json.dumps({"kind": "layers", "version": 1, "layers": entries}))
    return folder


def photos(folder: Path, count: int = 3) -> Folder:
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(count):
        pixels = np.random.default_rng(place).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"p{place}.png")
    return Folder(str(folder), resolution=SIDE)


# Layers


def test_layers_become_targets_of_their_image(tmp_path: Path) -> None:
    image = torch.rand(3, SIDE, SIDE) * 2 - 1
    layers = read_layers(
        put(
            tmp_path,
            ("color", layer("color", (2, 3, 6, 5)), {}),
            ("color", layer("color", (4, 3, 8, 5), color=(0, 0, 255)), {}),
            ("sketch", layer("sketch", (0, 20, 32, 22)), {}),
            ("warp", layer("warp", (10, 10, 16, 18)), {"by": [5, -4]}),
        )
        / "strokes.json"
    )
    made = drawn(layers, image, "crop")
    assert list(made) != [] and set(made) == set(STROKES)
    assert made["color_mask"].sum() == 6 * 2 and made["color_mask"][0, 3:5, 2:8].min() == 1
    torch.testing.assert_close(made["color_strokes"][:, 3, 2], torch.tensor([200, 40, 40]) / 127.5 - 1)
    torch.testing.assert_close(made["color_strokes"][:, 3, 5], torch.tensor([-1.0, -1.0, 1.0]))  # the later layer
    assert made["sketch_mask"].sum() == 64 and made["sketch"].unique().tolist() == [-1, 1]
    assert made["warp_mask"][0, 6:14, 15:21].min() == 1 and made["warp_mask"].sum() == 6 * 8
    torch.testing.assert_close(made["warp"][:, 6:14, 15:21], image[:, 10:18, 10:16])


def test_a_picture_moves_by_whole_pixels_and_out_of_sight() -> None:
    image = torch.arange(16.0).view(1, 4, 4)
    assert moved(image, 1, -2)[0, 0].tolist() == [0, 8, 9, 10] and moved(image, 1, -2)[0, 2:].sum() == 0
    assert not moved(image, 4, 0).any() and not moved(image, 0, -9).any() and moved(image, 0, 0).equal(image)


@pytest.mark.parametrize("fit", ["crop", "pad", "resize"])
def test_layers_become_square_as_their_image_does(tmp_path: Path, fit: Any) -> None:
    """Twice as wide as high, and of twice the resolution; what is laid around a picture is no stroke."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (64, 32), "white").save(folder / "a.png")
    picture = Image.new("RGBA", (128, 64), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (48, 24, 80, 40))
    put(tmp_path / "strokes" / "a", ("color", picture, {}), ("warp", picture, {"by": [16, 0]}))
    batch = Stroked(Folder(str(folder), resolution=SIDE, fit=fit), str(tmp_path / "strokes")).read([0])
    assert not batch.failed
    mask, scale = batch.extras["color_mask"][0, 0], {"crop": (2, 2), "pad": (4, 4), "resize": (4, 2)}[fit]
    rows, columns = (mask > 0.5).nonzero(as_tuple=True)
    assert (columns.max() - columns.min() + 1).item() == 32 // scale[0]
    assert (rows.max() - rows.min() + 1).item() == 16 // scale[1]
    shift = batch.extras["warp_mask"][0, 0] > 0.5
    assert shift.nonzero()[:, 1].min() - columns.min() == 16 // scale[0]


def test_one_image_fails_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    data, strokes = photos(tmp_path / "photos", 9), tmp_path / "strokes"
    good = layer("color", (2, 3, 6, 5))
    put(strokes / "p0", ("color", good, {}))
    put(strokes / "p1", ("color", layer("color", (2, 3, 6, 5)).resize((32, 24)), {}))
    put(strokes / "p2", ("color", Image.new("RGBA", (SIDE, SIDE), (9, 9, 9, 0)), {}))
    put(strokes / "p3", ("warp", good, {"by": [0, 40]}))
    put(strokes / "p4", ("color", good.convert("RGB"), {}))
    put(strokes / "p5", ("paint", good, {}))
    put(strokes / "p6", ("color", good, {}))
    (strokes / "p6" / "strokes.json").write_text(
        '{"kind": "layers", "version": 1, "layers": [{"kind": "color", "file": "../x.png"}]}'
    )
    put(strokes / "p7", ("warp", good, {"by": [float("nan"), 0]}))
    batch = Stroked(data, str(strokes)).read(range(9))
    assert batch.ids == ["p0.png"] and batch.images.shape[0] == 1
    sentences = {
        "p1.png": "0.png has 24 × 32 pixels and the image 32 × 32; give it the image's ratio of height to width",
        "p2.png": "0.png is transparent everywhere; draw something, or leave it out",
        "p3.png": "0.png is moved out of the picture; let some of it stay inside",
        "p4.png": "0.png: it has no transparency, so all of it would be a stroke; save it on a transparent ground",
        "p5.png": "layers[0] has no kind; choose one of color, sketch, warp, movable, point",
        "p6.png": "layers[0].file is '../x.png'; give the name of a PNG beside the JSON",
        "p7.png": "layers[0].by is '[nan, 0]'; give two numbers of pixels, to the right and down",
        "p8.png": "there are no strokes for p8.png; add p8/strokes.json",
    }
    assert batch.failed == {name: f"data.strokes: {sentence}" for name, sentence in sentences.items()}


def test_strokes_outside_of_the_part_that_is_used(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    picture.paste((1, 2, 3, 255), (0, 0, 8, 8))
    (made,) = read_layers(put(tmp_path, ("color", picture, {})) / "strokes.json")
    with pytest.raises(BadImage, match="0.png has no stroke within the part of the picture that is used"):
        drawn([made], torch.zeros(3, SIDE, SIDE), "crop")


def test_one_folder_for_all_and_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    data, strokes = photos(tmp_path / "photos"), tmp_path / "strokes"
    put(strokes, ("color", layer("color", (2, 3, 6, 5)), {}))
    before = Stroked(data, str(strokes))
    assert before.read(range(3)).ids == ["p0.png", "p1.png", "p2.png"] and before.fingerprint() != data.fingerprint()
    put(strokes / "p1", ("sketch", layer("sketch", (2, 3, 6, 5)), {}))
    after = Stroked(data, str(strokes))
    assert after.read(range(3)).extras["sketch_mask"].sum(dim=(1, 2, 3)).tolist() == [0, 8, 0]
    assert before.fingerprint() == after.fingerprint()  # of what lies there now
    kept, held = after.split(0)
    assert len(kept) == 3 and held is None
    for path, sentence in (
        (tmp_path / "none", "there is no folder"),
        (tmp_path / "photos", "there is no strokes.json"),
    ):
        with pytest.raises(ValueError, match=f"^data.strokes: {sentence}"):
            Stroked(data, str(path))


# Losses


def reference(grey: np.ndarray, cell: int, bins: int, contrast: float) -> np.ndarray:
    """Histograms of oriented gradients, pixel by pixel in double precision."""
    height, width = grey.shape
    found = np.zeros((bins, height // cell, width // cell))
    for y in range(height // cell * cell):
        for x in range(width // cell * cell):
            dx = (grey[y, x + 1] - grey[y, x - 1]) / 2 if 0 < x < width - 1 else 0.0
            dy = (grey[y + 1, x] - grey[y - 1, x]) / 2 if 0 < y < height - 1 else 0.0
            place = (math.degrees(math.atan2(dy, dx)) % 180) / (180 / bins)
            low, share = math.floor(place) % bins, place - math.floor(place)
            for index, vote in ((low, 1 - share), ((low + 1) % bins, share)):
                found[index, y // cell, x // cell] += vote * math.hypot(dx, dy) / cell**2
    return found / np.sqrt((found**2).sum(axis=0) + contrast**2)


@pytest.mark.parametrize("cell, bins, size", [(8, 8, 32), (4, 9, 30), (5, 2, 11)])
def test_hog_equals_its_definition(cell: int, bins: int, size: int) -> None:
    image = Cottages(1, resolution=64).read([0]).images[:, :, 5 : 5 + size, 9 : 9 + size]
    grey = ((image[0] + 1) / 2 * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=0).double().numpy()
    found = hog(image, cell, bins)[0].double().numpy()
    np.testing.assert_allclose(found, reference(grey, cell, bins, 0.02), atol=1e-4)
    single = hog(torch.from_numpy(grey * 2 - 1).float()[None, None], cell, bins)[0].double().numpy()
    np.testing.assert_allclose(single, found, atol=1e-4)


@pytest.mark.parametrize("degrees", [0, 22.5, 90, 157.5])
def test_a_ramp_votes_for_its_own_orientation(degrees: float) -> None:
    axis = torch.linspace(-1, 1, 16, dtype=torch.float64)
    angle = math.radians(degrees)
    ramp = 0.9 * (axis[None, :] * math.cos(angle) + axis[:, None] * math.sin(angle)) / 1.5
    found = hog(ramp.expand(1, 3, 16, 16), 4, 8)[0, :, 1, 1]
    assert found.argmax() == round(degrees / 22.5) and found.max() > 0.99 * found.norm()


@pytest.mark.parametrize("kind", ["color", "sketch", "warp"])
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    torch.manual_seed(1)
    loss = {"color": Pixel(target="color_strokes", mask="color_mask"), "sketch": Sketch(cell=4), "warp": Warp(cell=4)}[
        kind
    ]
    image, target = (torch.rand(2, 3, 8, 8, dtype=torch.float64) * 2 - 1 for _ in range(2))
    weights = torch.rand(2, 1, 8, 8, dtype=torch.float64).round()

    def value(image: Tensor) -> Tensor:
        return loss.compare(loss.features(image), loss.features(target), weights)

    assert torch.autograd.gradcheck(value, image.requires_grad_(), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("kind", ["color", "sketch", "warp"])
def test_a_value_does_not_depend_on_how_much_is_drawn(kind: str) -> None:
    """The same stroke twice, on a picture that is there twice."""
    loss = {"color": Pixel(), "sketch": Sketch(cell=4), "warp": Warp(cell=4)}[kind]
    image, target = (torch.rand(1, 3, 16, 16) * 2 - 1 for _ in range(2))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:8, 4:12] = 1
    once = loss(image, target, mask)
    two, twice, both = (torch.cat([one, one], dim=3) for one in (image, target, mask))
    left = both.clone()
    left[..., 16:] = 0
    torch.testing.assert_close(loss(two, twice, both), loss(two, twice, left), rtol=1e-5, atol=1e-6)
    assert once > 0 and loss(image, target, 0 * mask) == 0


def test_a_sketch_asks_for_orientation_and_not_for_contrast() -> None:
    drawn_line, faint, crossed, flat = (torch.full((1, 3, 16, 16), -1.0) for _ in range(4))
    drawn_line[:, :, 7:9], faint[:, :, 7:9], crossed[:, :, :, 7:9] = 1.0, -0.7, 1.0
    mask = torch.zeros(1, 1, 16, 16)
    mask[:, :, 7:9] = 1
    values = [Sketch(cell=8)(image, drawn_line, mask).item() for image in (drawn_line, faint, flat, crossed)]
    assert values[0] < 1e-6 and values[1] < 0.1 and values[2] == pytest.approx(1, abs=0.15) and values[3] > values[2]
    with pytest.raises(ValueError, match="^loss.sketch.cell: 32 is more than images of 16×16 pixels have; choose less"):
        Sketch(cell=32)(flat, flat)


# Regularizers


def test_the_latent_is_held_where_the_chain_began_in_the_units_of_its_space(tiny: StyleGAN2) -> None:
    space = W(tiny, prior_samples=500)
    first, last = space.sample(2, torch.Generator().manual_seed(0)), space.sample(2, torch.Generator().manual_seed(1))
    image = torch.zeros(2, 3, 16, 16)
    found = OriginNorm(space)({"latent": last, "origin": first}, image)
    torch.testing.assert_close(found, ((last - first) / space.spread).square().mean(dim=1))
    assert OriginNorm(space)({"latent": first, "origin": first}, image).tolist() == [0, 0]
    latent = first.clone().requires_grad_()
    OriginNorm(space)({"latent": latent, "origin": first}, image).sum().backward()
    assert not latent.grad.any(), "it is least at z₀ itself, and no tanh is between the two"


def test_realism_sees_each_image_alone_and_says_which_file(
    tiny: StyleGAN2, judge: dict[str, Any], tmp_path: Path
) -> None:
    space, settings = Z(tiny), {key: value for key, value in judge["discriminator"].items() if key != "_target_"}
    realism = Realism(space, Discriminator(**settings), judge["checkpoint"])
    images = (torch.rand(3, 3, 16, 16) * 2 - 1).requires_grad_()
    values = realism({}, images)
    alone = torch.cat([realism({}, images[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(values, alone)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    step = 0.02 * gradient / gradient.abs().amax()
    assert (realism({}, images - step) < values).all()
    with pytest.raises(ValueError, match=r"^regularizer\.realism\.checkpoint: no discriminator ships; give the"):
        Realism(space, Discriminator(**settings))
    with pytest.raises(
        ValueError, match=r"^regularizer\.realism\.checkpoint: .* does not fit StyleGAN2 .*as it was tr"
    ):
        Realism(space, Discriminator(resolution=32), judge["checkpoint"])


# Several starts


def guided(generator: StyleGAN2, names: int = 2, **settings: Any) -> tuple[Problem, Targets]:
    space = WPlus(generator, prior_samples=200)
    losses = {"color_strokes": Pixel(target="color_strokes", mask="color_mask")}
    problem = Problem(space, losses, {"origin_norm": OriginNorm(space, 0.01)}, Adam(lr=0.05), **settings)
    mask = torch.zeros(names, 1, 16, 16)
    mask[..., 4:9, 4:9] = 1
    colours = torch.linspace(-0.5, 0.5, names).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    named = {"image": torch.zeros(names, 3, 16, 16), "color_strokes": colours, "color_mask": mask}
    return problem, Targets(named, [f"image-{row}" for row in range(names)])


def test_alternatives_are_ranked_and_a_batch_is_its_images(tiny: StyleGAN2) -> None:
    problem, targets = guided(tiny)
    chain = [Mean(problem), Starts(problem, count=5, keep=3, steps=12)]
    found, start = project(problem, chain, targets), project(problem, chain[:1], targets)
    values, latents = found.v["alternatives/value"], found.v["alternatives/latent"]
    assert values.shape == (2, 3) and (values.diff(dim=1) >= 0).all() and values[:, 0].equal(found.loss)
    assert latents[:, 0].equal(found.latent) and found.v["origin"].equal(start.latent)
    assert (found.loss < start.loss).all() and found.evaluations.tolist() == [1 + 5 * 14] * 2
    again = Objective(problem, targets).repeated(3)(
        {"latent": latents.flatten(0, 1), "origin": found.v["origin"].repeat_interleave(3, dim=0)}
    )
    torch.testing.assert_close(again.total.view(2, 3), values, rtol=1e-4, atol=1e-6)
    one = Targets({name: value[1:] for name, value in targets.named.items()}, targets.ids[1:])
    alone = project(problem, chain, one)
    torch.testing.assert_close(alone.v["alternatives/value"], values[1:], rtol=1e-3, atol=1e-5)


def test_the_first_start_is_where_the_chain_stands_and_the_others_lead_to_draws(tiny: StyleGAN2) -> None:
    problem, targets = guided(tiny)
    objective, projector = Objective(problem, targets), Starts(problem, count=4, reach=1.0)
    v = problem.start(targets)
    starts = projector.starts(objective, v)
    assert starts[:, 0].equal(v["latent"])
    far = (starts - v["latent"][:, None]).flatten(2).norm(dim=2)
    assert (far[:, 1:] > 0).all() and (far[:, 3] > far[:, 1]).all() and not starts[0].equal(starts[1])
    near = Starts(problem, count=4, reach=0.0).starts(objective, v)
    assert near.equal(v["latent"][:, None].expand_as(near))


def test_the_way_ends_at_both_ends(tiny: StyleGAN2) -> None:
    for space in ("z", "w_plus"):
        first, last = (tiny.sample(1, torch.Generator().manual_seed(seed), space=space) for seed in (0, 1))
        found = way(tiny, space, first, last, 5)
        torch.testing.assert_close(found[:1], first), torch.testing.assert_close(found[4:], last)
        straight = torch.lerp(first, last, 0.5)
        assert torch.allclose(found[2:3], straight) == (space == "w_plus")


# Whole runs


@pytest.fixture
def words(weights: str, tmp_path: Path) -> list[str]:
    """A small run on three photos of a folder, with strokes for two of them."""
    photos(tmp_path / "photos")
    put(tmp_path / "strokes" / "p0", ("color", layer("color", (4, 4, 20, 12)), {}))
    put(
        tmp_path / "strokes" / "p2",
        ("sketch", layer("sketch", (0, 14, 32, 16)), {}),
        ("warp", layer("warp", (4, 4, 14, 14)), {"by": [8, 4]}),
    )
    return [
        weights, "generator=stylegan2", "space.prior_samples=50", "data=folder", f"data.path={tmp_path}/photos",
        "metric=[mse]", "logger=none", f"output={tmp_path}/out", "batch_size=2",
    ]  # fmt: skip


def test_strokes_that_nothing_follows_are_said_by_image(
    words: list[str], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    held = {"kind": "point", "size": [SIDE, SIDE], "from": [8, 8], "to": [20, 8]}
    (tmp_path / "strokes" / "p1").mkdir()
    (tmp_path / "strokes" / "p1" / "strokes.json").write_text(
        json.dumps({"kind": "layers", "version": 1, "layers": [held]})
    )
    for loss, failed in (
        ("color_strokes", {"p1": "point", "p2": "sketch"}),
        ("sketch,warp", {"p0": "color", "p1": "point"}),
    ):
        asked = composed("invert", *words, "projector=[mean]", f"loss=[{loss}]", f"data.strokes={tmp_path}/strokes")
        said = make_job(asked).data.read(range(3)).failed
        assert set(said) == {f"{name}.png" for name in failed}
        for name, kind in failed.items():
            assert said[f"{name}.png"].startswith(
                f"data.strokes: layers[0] is of kind {kind}, which nothing follows; add "
            )


@pytest.mark.slow
def test_strokes_on_a_finished_run(
    words: list[str], composed: Callable[..., DictConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = run(composed("invert", *words, "space=w", "projector=[mean,optimization]", "loss=[pixel]", "steps=3"))
    more = [*words, "experiment=strokes", "projector.starts.count=3", "steps=3", f"data.strokes={tmp_path}/strokes"]
    more += [f"inversion={base['folder']}"]
    found = run(composed("invert", *more))
    folder = Path(found["folder"])
    assert found["failed"] == {"p1.png": "data.strokes: there are no strokes for p1.png; add p1/strokes.json"}
    assert found["projectors"] == ["saved", "starts"] and found["stochastic"]
    saved, before = (
        Inversion.load(folder / "latents.safetensors"),
        Inversion.load(Path(base["folder"]) / "latents.safetensors"),
    )
    assert saved.ids == ["p0.png", "p2.png"] and saved.v["alternatives/latent"].shape[:2] == (2, 3)
    expected = before.latent[[0, 2]][:, None].expand_as(saved.v["origin"])  # lifted from w
    torch.testing.assert_close(saved.v["origin"], expected)
    for name in ("p0.png", "p2.png"):
        kinds = {"strokes": ".png", "alternatives": ".png", "morphs": ".png"}
        assert all((folder / kind / f"{name}{suffix}").is_file() for kind, suffix in kinds.items())
        with Image.open(folder / "morphs" / f"{name}.gif") as film:
            assert film.n_frames == 30
    page = (folder / "report.html").read_text()
    assert page.count(": alternatives") == 2 and page.count("data:image/gif") == 2
    assert run(composed("invert", *more))["skipped"]
    other = run(composed("invert", *more, "metric=[mse,psnr]"))
    assert (Path(other["folder"]) / "morphs" / "p0.png.gif").is_file() and "latents: those of" in " ".join(
        other["notices"]
    )
    put(tmp_path / "strokes" / "p0", ("color", layer("color", (4, 4, 20, 13)), {}))
    assert not run(composed("invert", *more)).get("skipped"), "other strokes are another run"


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_end(
    words: list[str], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    base = run(composed("invert", *words, "space=w", "projector=[mean]", "loss=[pixel]"))
    more = [*words, "experiment=strokes", "projector.starts.count=2", "steps=2", f"data.strokes={tmp_path}/strokes"]
    more = [*more, f"inversion={base['folder']}", "batch_size=1"]

    kill(composed("invert", *more))
    on = run(composed("invert", *more))
    whole = run(composed("invert", *more, f"output={tmp_path}/whole"))
    ends = [Inversion.load(Path(one["folder"]) / "latents.safetensors") for one in (on, whole)]
    assert ends[0].latent.equal(ends[1].latent)
    assert ends[0].v["alternatives/value"].equal(ends[1].v["alternatives/value"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["inversion=null"], "inversion: saved begins with the latents of a run; set inversion=<its folder>"),
        (["inversion=/none"], "inversion: there is no /none; give the folder of a finished run of invert.py"),
        (["projector=[mean]"], "inversion: no projector begins with it; choose projector="),
        (["space=z"], r"inversion: .* is in w, which can't be brought to z; choose space=w"),
        (["noise=none"], r"inversion: .* was made with noise=const, and here noise=none; set it to the same"),
        (
            ["data.strokes=null"],
            r"loss.color_strokes.target: the data have no 'color_strokes'; give data.strokes=<file or",
        ),
        (
            ["generator=cottages", "generator.checkpoint=cottages64"],
            "inversion: .* is of another generator; choose that",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(
    more: list[str], sentence: str, words: list[str], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    base = run(composed("invert", *words, "space=w", "projector=[mean]", "loss=[pixel]"))
    given = [*words, "experiment=strokes", f"data.strokes={tmp_path}/strokes", f"inversion={base['folder']}", *more]
    with pytest.raises(ValueError, match=f"^{sentence}") as error:
        run(composed("invert", *given))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_images_that_the_run_lacks_fail_by_name(
    words: list[str], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    base = run(composed("invert", *words, "space=w", "projector=[mean]", "loss=[pixel]"))
    photos(tmp_path / "photos", 4)
    put(tmp_path / "strokes", ("color", layer("color", (4, 4, 20, 12)), {}))
    given = [*words, "experiment=strokes", f"data.strokes={tmp_path}/strokes", f"inversion={base['folder']}", "steps=1"]
    found = run(composed("invert", *given, "projector.starts.count=1"))
    assert found["failed"] == {"p3.png": f"inversion: {base['folder']} has no latents of it"} and found["images"] == 3
