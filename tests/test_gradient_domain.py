"""Gradient-domain editing as the equation: losses, conjugate gradients, the exact solution, and whole runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from parameters import slowly
from PIL import Image
from safetensors.torch import load_file
from test_gradients import KINDS, MASKS, pair
from torch import Tensor

from zstar.config.reasons import Unfit
from zstar.generators.pixels import Pixels
from zstar.inversion import Inversion, minimize
from zstar.losses.boundary import Boundary
from zstar.losses.fields import divergence, field, touching
from zstar.losses.gradient import Gradient
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.operators.jpeg import Jpeg
from zstar.optimizers.conjugate_gradient import ConjugateGradient
from zstar.optimizers.slices import Slices
from zstar.postprocess.gradients import clone
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.copy import Copy
from zstar.projectors.multiscale import Multiscale
from zstar.projectors.optimization import Optimization
from zstar.projectors.poisson import Poisson
from zstar.regularizers.total_variation import TotalVariation
from zstar.spaces.pixels import Pixels as PixelSpace


def problem_of(size: int, weight: float = 1e6, guide: Any = "import", width: int | None = 1, **given: Any) -> Problem:
    losses = {"boundary": Boundary(width, weight), "gradient": Gradient(guide)}
    return Problem(PixelSpace(Pixels(size)), losses, {}, **({"optimizer": ConjugateGradient()} | given))


def targets_of(background: Tensor, source: Tensor, mask: Tensor) -> Targets:
    named = {"image": background, "source": source, "mask": mask}
    return Targets(named, [f"{row}" for row in range(len(background))])


def solved(problem: Problem, targets: Targets, steps: int) -> Inversion:
    return project(problem, [Copy(problem, inside="source"), Optimization(problem, steps, keep_best=False)], targets)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    """In [−1, 1], with a batch and channels in front."""
    found = load_file(shared / "golden/poisson/io.safetensors")
    names = ("background", "source", *(f"exact/{kind}" for kind in KINDS.values()))
    return {name: found[name].double().permute(2, 0, 1)[None] / 127.5 - 1 for name in names} | {
        "mask": found["mask"][None, None].double()
    }


@pytest.mark.parametrize("guide", [slowly(kind, "average", "import") for kind in KINDS])
def test_the_equation_comes_to_the_exact_solution_of_photos(golden: dict[str, Tensor], guide: Any) -> None:
    targets = targets_of(golden["background"], golden["source"], golden["mask"])
    wanted, errors = golden[f"exact/{KINDS[guide]}"], []
    for weight in (1e3, 1e7):
        found = solved(problem_of(96, weight, guide), targets, 100).image
        errors.append((found - wanted).abs().max().item() * 127.5)
    assert errors[0] > 50 * errors[1] and errors[1] < 1e-4, errors  # of 255 grey levels
    outside = (golden["mask"] == 0).expand_as(wanted)
    assert (found - golden["background"])[outside].abs().max() < 1e-6
    single = targets_of(*(golden[name].float() for name in ("background", "source", "mask")))
    assert (solved(problem_of(96, 1e6, guide), single, 100).image - wanted).abs().max() < 1e-4
    exact = project(problem_of(96), [Poisson(problem_of(96), guide)], targets).image
    assert (exact - wanted).abs().max() < 1e-4
    assert torch.equal(exact[outside], golden["background"][outside])


@pytest.mark.parametrize("width", [1, None])
@pytest.mark.parametrize("name", MASKS)
def test_masks_of_any_shape_that_touch_the_border_or_not(name: str, width: int | None) -> None:
    background, source = (one[..., :23, :23] for one in pair(23, 31))
    y, x = torch.meshgrid(torch.arange(23), torch.arange(23), indexing="ij")
    mask = MASKS[name](y, x)[None, None].double()
    found = solved(problem_of(23, 1e7, width=width), targets_of(background, source, mask), 90).image
    wanted = clone(background, source, mask, tolerance=1e-10)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("guide", KINDS)
def test_gradients_are_those_of_finite_differences(guide: Any) -> None:
    background, source = (one[:, :1] for one in pair(7, 7))
    image = torch.randn(2, 1, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    mask = torch.zeros(2, 1, 7, 7, dtype=torch.float64)
    mask[0, :, 2:5, 2:6], mask[1, :, :3] = 1.0, 1.0
    edges = Gradient(guide)
    wanted = edges.target_features(source if guide == "import" else torch.cat([source, background], dim=1))
    assert torch.autograd.gradcheck(lambda v: edges.compare(edges.features(v), wanted, mask), image)
    for width in (1, 2, None) if guide == "import" else ():
        assert torch.autograd.gradcheck(lambda v, w=width: Boundary(w)(v, background.expand_as(v), mask), image)


def test_a_field_and_its_divergence_are_transposes() -> None:
    image, other = torch.randn(2, 2, 3, 6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    flow = field(other)
    inner = sum((a * b).sum() for a, b in zip(field(image), flow, strict=True))
    torch.testing.assert_close((image * divergence(flow)).sum(), inner)
    one = torch.zeros(1, 1, 3, 4)
    one[..., 1, 1] = 1.0
    assert [int(pair.sum()) for pair in touching(one)] == [2, 2]  # its neighbours beside, above and below


def test_a_batch_is_its_single_pictures() -> None:
    background, source = pair(24, 24, count=3)
    mask = torch.zeros(3, 1, 24, 24, dtype=torch.float64)
    mask[0, :, 5:20, 3:9], mask[1, :, :12], mask[2, :, 11, 11] = 1.0, 1.0, 1.0
    targets = targets_of(background.float(), source.float(), mask.float())
    together = solved(problem_of(24), targets, 60)
    sliced = solved(problem_of(24, slices=Slices(1)), targets, 60)  # one image in memory at once
    torch.testing.assert_close(sliced.image, together.image, rtol=0, atol=1e-5)
    for row in range(3):
        rows = slice(row, row + 1)
        one = Targets({name: value[rows] for name, value in targets.named.items()}, targets.ids[rows])
        alone = solved(problem_of(24), one, 60)
        torch.testing.assert_close(alone.image, together.image[rows], rtol=0, atol=1e-5)
        exact = [project(problem_of(24), [Poisson(problem_of(24))], each).image for each in (one, targets)]
        torch.testing.assert_close(exact[0], exact[1][rows], rtol=0, atol=1e-5)


def test_the_preconditioner_pays() -> None:
    background, source = (one.float() for one in pair(64, 64))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 6:58, 4:60] = 1.0
    wanted, left = clone(background, source, mask), {}
    for multilevel in (True, False):
        problem = problem_of(64, 1e4, optimizer=ConjugateGradient(multilevel))
        found = solved(problem, targets_of(background, source, mask), 80)
        left[multilevel] = (found.image - wanted).abs().max().item()
    assert left[True] < 1e-3 < 100 * left[True] < left[False], left


def test_a_small_picture_is_a_good_start_and_other_terms_may_join_in() -> None:
    background, source = (one.float() for one in pair(64, 64))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 6:58, 4:60] = 1.0
    targets, wanted = targets_of(background, source, mask), clone(background, source, mask)
    problem = problem_of(64, 1e4, width=None)  # all of the background holds its place when it is scaled
    chain = [Copy(problem, inside="source"), Multiscale(problem, 40, 60, smallest=32, average=None)]
    assert (project(problem, chain, targets).image - wanted).abs().max() < 4e-3
    problem = problem_of(64, 1e4)
    problem.losses["pixel"] = Pixel(weight=0.1, target="source", mask="mask")  # the source's colours count a little
    mixed = solved(problem, targets, 80).image
    inside = mask.expand_as(source) > 0
    assert (mixed - source)[inside].abs().mean() < 0.5 * (wanted - source)[inside].abs().mean()


def test_equations_that_are_not_quadratic_are_refused(tiny: torch.nn.Module) -> None:
    from zstar.spaces.w import W

    space = PixelSpace(Pixels(16))
    for given, reason in [
        ({"space": W(tiny, prior_samples=20)}, "StyleGAN2 is not linear as generator=pixels is"),
        ({"losses": {"pixel": Pixel("l1")}}, r"loss\.pixel makes this one none"),
        ({"regularizers": {"total_variation": TotalVariation(space)}}, r"regularizer\.total_variation makes this one"),
        ({"operators": {"jpeg": Jpeg()}}, r"operator\.jpeg makes this one none"),
    ]:
        parts = {"space": space, "losses": {"pixel": Pixel()}, "regularizers": {}} | given
        with pytest.raises(Unfit, match=f"^optimizer: ConjugateGradient is for quadratic equations, and {reason}.*;"):
            Problem(**parts, optimizer=ConjugateGradient())


def test_what_is_missing_is_named() -> None:
    problem, images = problem_of(16), torch.zeros(1, 3, 16, 16)
    for projector, key in [
        (Copy(problem, "style"), "projector.copy.target: the data have no 'style'; give data.style=<file or folder>"),
        (Copy(problem, inside="source"), "projector.copy.inside: the data have no 'source'"),
        (Poisson(problem), "projector.poisson.source: the data have no 'source'"),
        (
            Poisson(problem, source="image"),
            "projector.poisson.mask: the data have no 'mask'; give data.mask=<file or folder>$",
        ),
    ]:
        pixel = Problem(problem.space, {"pixel": Pixel()}, {}, ConjugateGradient())
        with pytest.raises(ValueError, match=f"^{key}"):
            project(pixel, [projector], Targets({"image": images}, ["a"]))
    with pytest.raises(ValueError, match=r"^loss\.gradient\.background: the data have no 'background'"):
        problem.losses["gradient"] = Gradient("mixed", background="background")
        mask = torch.ones(1, 1, 16, 16)
        Objective(problem, Targets({"image": images, "source": images, "mask": mask}, ["a"]))


def test_an_image_without_a_value_leaves_the_others_alone() -> None:
    background, source = (one.float() for one in pair(16, 16, count=2))
    mask = torch.zeros(2, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1.0
    background[0] = torch.nan
    problem = problem_of(16)
    objective = Objective(problem, targets_of(background, source, mask))
    v = problem.start(objective.targets, torch.zeros(2, 3, 16, 16))
    found = minimize(objective, v, problem.groups(v), 30)
    assert found.status == ["diverged", "done"]


def store(folder: Path, name: str, size: tuple[int, int], colour: Any, mode: str = "RGB") -> None:
    folder.mkdir(exist_ok=True)
    picture = Image.radial_gradient("L").resize(size) if colour is None else Image.new("L", size, colour)
    picture.convert(mode).save(folder / name)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Seven backgrounds; of five of them something is wrong with the mask or the source."""
    for name in ("a", "b", "c", "d", "e", "f", "g"):
        store(tmp_path / "photos", f"{name}.png", (40, 40), 90)
        large = (80, 40) if name == "e" else (120, 120)  # another shape, or larger and of the same
        store(tmp_path / "sources", f"{name}.png", large, None)
        white = Image.new("L", (40, 40), 0)
        white.paste(255, (8, 8, 30, 32))
        white.save(tmp_path / "masks" / f"{name}.png") if (tmp_path / "masks").mkdir(exist_ok=True) is None else None
    store(tmp_path / "masks", "b.png", (40, 30), 255, "L")
    store(tmp_path / "masks", "c.png", (40, 40), 0, "L")
    store(tmp_path / "masks", "g.png", (40, 40), 120, "L")
    (tmp_path / "sources" / "d.png").write_bytes(b"no picture")
    words = ["data=folder", f"data.path={tmp_path}/photos", f"data.source={tmp_path}/sources"]
    return [
        *words,
        f"data.mask={tmp_path}/masks",
        "logger=none",
        f"output={tmp_path}/out",
        "generator.resolution=32",
        "steps=60",
    ]


@pytest.mark.parametrize("chain", [[], ["projector=[copy,poisson]"], ["loss.gradient.guide=mixed"]])
def test_the_recipe_runs_and_bad_pictures_are_named(
    composed: Callable[..., Any], folders: list[str], chain: list[str]
) -> None:
    result = run(composed("invert", "experiment=gradient_domain", *folders, *chain))
    folder = Path(result["folder"])
    reasons = {name: result["failed"][f"{name}.png"] for name in "bcdeg"}
    assert "data.mask: b.png has 30 × 40 pixels and the image 40 × 40; give it the image's ratio" in reasons["b"]
    assert "data.mask: c.png is black everywhere and leaves nothing of the image" in reasons["c"]
    assert "data.mask: the mask of g.png is nowhere above a half at this resolution (0.47 at the most)" in reasons["g"]
    assert reasons["d"].startswith("data.source: ") and "data.source: e.png has 40 × 80 pixels" in reasons["e"]
    assert all("\n" not in reason for reason in reasons.values())
    rows = pl.read_parquet(folder / "results.parquet").filter(pl.col("metric") == "ssim")
    assert sorted(rows["image"].unique()) == ["a.png", "f.png"]
    (file,) = (folder / "reconstructions").glob("a*.png")
    with Image.open(file) as picture:
        made = torch.tensor(list(picture.convert("L").tobytes())).view(32, 32)
    assert (made[:6] == 90).all() and made[7:25, 7:23].float().std() > 5  # the background, and edges in it
