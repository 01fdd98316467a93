"""Operators: every one in conf/operator keeps the contract, and nothing that looks for v sees more than they leave."""

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zstar.config.build import build
from zstar.data.companions import Companions
from zstar.data.cottages import Cottages
from zstar.data.reading import read_image
from zstar.generators.pixels import Pixels as PixelGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import to_float, to_uint8, write_png
from zstar.losses.base import AbstractLoss, spatial_mean
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.operators.base import AbstractOperator
from zstar.operators.blur import Blur
from zstar.operators.chain import degrade, observe, picture
from zstar.operators.downscale import Downscale
from zstar.operators.grey import Grey
from zstar.operators.jpeg import Jpeg
from zstar.operators.mask import Mask
from zstar.operators.noise import Noise
from zstar.operators.none import Identity
from zstar.optimizers.adam import Adam
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.projectors.base import AbstractProjector, project
from zstar.projectors.best_of import BestOf
from zstar.projectors.encoder import Encoder
from zstar.projectors.optimization import Optimization
from zstar.spaces.pixels import Pixels
from zstar.spaces.w import W
from zstar.stats.streams import stream
from zstar.tasks.encoder import EncoderTask
from zstar.tasks.imitation import Imitation

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "conf" / "operator").glob("*.yaml"))
CORNER = [0.5, 0.5, 1.0, 1.0]
SIZE = 16


def pictures(count: int, seed: int = 0, size: int = SIZE) -> Tensor:
    """Smooth random pictures in [−1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    return F.interpolate(torch.randn(count, 3, 4, 4, generator=rng), size=size, mode="bilinear").tanh()


def maps(count: int, size: int = SIZE) -> Tensor:
    """Another half hidden in each image."""
    half = torch.ones(count, 1, size, size)
    for row in range(count):
        half[row, :, row % 2 * size // 2 : (row % 2 + 1) * size // 2] = 0
    return half


@pytest.fixture(scope="module", params=NAMES)
def operator(request: pytest.FixtureRequest) -> AbstractOperator:
    """The operator as conf/ has it."""
    path = Path(__file__).parents[1] / "conf" / "operator" / f"{request.param}.yaml"
    return build(yaml.safe_load(path.read_text())[request.param])


def test_every_file_is_covered() -> None:
    assert {"none", "mask", "downscale", "grey", "noise", "blur", "jpeg"} <= set(NAMES)


def test_a_batch_is_exactly_its_images(operator: AbstractOperator) -> None:
    images, named = pictures(3), {"mask": maps(3)}
    ids = ["a", "b", "c"]
    together, seen = operator(images, named), picture([operator], images, named, ids)
    for row in range(3):
        own = {"mask": named["mask"][row : row + 1]}
        torch.testing.assert_close(operator(images[row : row + 1], own), together[row : row + 1])
        alone = picture([operator], images[row : row + 1], own, ids[row : row + 1])
        torch.testing.assert_close(alone, seen[row : row + 1])


def test_gradients_reach_each_image_alone(operator: AbstractOperator) -> None:
    images = pictures(3).requires_grad_()
    (slope,) = torch.autograd.grad(operator(images, {"mask": maps(3)})[1].square().sum(), images)
    assert slope.isfinite().all() and slope[1].abs().sum() > 0 and not slope[[0, 2]].any()


def test_an_observation_is_a_picture_again_and_is_observed_as_itself(operator: AbstractOperator) -> None:
    images, named, ids = pictures(2), {"mask": maps(2)}, ["a", "b"]
    seen = picture([operator], images, named, ids)
    assert seen.shape == images.shape and seen.abs().max() <= 1
    once = operator.observe(images, named, ids)
    if isinstance(operator, Blur | Noise):  # which do more to what they have done: a picture is told to be finished
        given: tuple[AbstractOperator, ...] = (Blur(already=True),) if isinstance(operator, Blur) else ()
        assert torch.equal(observe(given, seen, named, ids), once)
        return
    twice = operator(seen, named)
    assert (twice - once).square().mean().sqrt() < 0.2 * once.std()


def test_a_box_and_a_map_hide_what_they_say() -> None:
    images, hidden = pictures(2), torch.zeros(2, 1, SIZE, SIZE, dtype=torch.bool)
    hidden[..., 8:, 8:] = True
    boxed = Mask(CORNER)(images, {})
    mapped = Mask()(images, {"mask": (~hidden).float()})
    assert torch.equal(boxed, mapped)
    assert torch.equal(boxed[~hidden.expand_as(boxed)], images[~hidden.expand_as(images)])
    visible = [picture[:, ~hidden[0, 0]].mean(dim=1) for picture in images]
    torch.testing.assert_close(boxed[:, :, 12, 12], torch.stack(visible))
    assert (Mask(CORNER, fill=-0.5)(images, {})[..., 8:, 8:] == -0.5).all()
    soft = torch.full((2, 1, SIZE, SIZE), 0.6)
    soft[..., :4] = 0.4
    assert (Mask(fill=0)(images, {"mask": soft}) == 0).all(dim=1).sum() == 2 * SIZE * 4


@pytest.mark.parametrize("fill", ["mean", 0.25])
def test_masking_a_masked_picture_changes_nothing(fill: str | float) -> None:
    named = {"mask": maps(3)}
    for mask in (Mask(fill=fill), Mask(CORNER, fill)):
        once = mask(pictures(3), named)
        torch.testing.assert_close(mask(once, named), once)


def test_a_picture_that_is_hidden_altogether_stays_finite() -> None:
    assert (Mask()(pictures(1), {"mask": torch.zeros(1, 1, SIZE, SIZE)}) == 0).all()


def test_area_is_the_mean_over_blocks() -> None:
    image, target = torch.rand(2, 2, 3, 8, 12).unbind()
    down = Downscale(4)
    small = [x.reshape(2, 3, 2, 4, 3, 4).mean(dim=(3, 5)) for x in (image, target)]
    torch.testing.assert_close(down(image, {}), small[0])
    uneven = Downscale(5)(image, {})
    assert uneven.shape == (2, 3, 2, 3)
    torch.testing.assert_close(uneven[:, :, 1, 2], image[:, :, 5:, 10:].mean(dim=(2, 3)))
    assert torch.equal(Downscale(1)(image, {}), image) and Downscale(64)(image, {}).shape == (2, 3, 1, 1)


def test_grey_is_luma_in_every_channel() -> None:
    images = pictures(2)
    grey = Grey()(images, {})
    luma = 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]
    assert grey.shape == images.shape
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], luma)
    assert torch.equal(Grey()(images[:, :1], {}), images[:, :1])


@pytest.mark.parametrize("kernel", ["gaussian", "box"])
def test_a_blur_is_as_wide_as_it_says_along_each_axis(kernel: Any) -> None:
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    place = torch.arange(41.0) - 20
    for sigma in (0.5, 1.3, 3.0):
        spread = Blur(sigma, kernel)(point, {})[0, 0]
        torch.testing.assert_close(spread.sum(), torch.tensor(1.0))
        torch.testing.assert_close(spread, spread.T)
        width = (spread.sum(dim=0) * place.square()).sum().sqrt().item()
        assert width == pytest.approx(sigma, rel=1e-4 if kernel == "box" else 0.08)  # a Gaussian is cut
    torch.testing.assert_close(Blur(2, kernel)(torch.full((2, 3, 16, 20), 0.3), {}), torch.full((2, 3, 16, 20), 0.3))


@pytest.mark.parametrize("quality", [1, 20, 75, 100])
@pytest.mark.parametrize("shape", [(64, 64), (50, 37)])
def test_jpeg_makes_what_a_file_would_hold(quality: int, shape: tuple[int, int]) -> None:
    """Pillow's encoder and decoder, which are libjpeg's."""
    pixels = to_uint8(Cottages(2, resolution=64).read(range(2)).images[..., : shape[0], : shape[1]])
    images, decoded, single = to_float(pixels), [], []
    for kinds, mode in ((decoded, "RGB"), (single, "L")):
        for one in pixels:
            file = BytesIO()
            Image.fromarray(one.numpy()).convert(mode).save(file, "jpeg", quality=quality, subsampling=2)
            kinds.append(torch.from_numpy(np.array(Image.open(file))).view(*shape, -1))
    grey = torch.stack([torch.from_numpy(np.array(Image.fromarray(one.numpy()).convert("L"))) for one in pixels])
    for given, kinds in ((images, decoded), (to_float(grey[..., None]), single)):
        wanted = torch.stack(kinds).float()
        found = to_uint8(Jpeg(quality)(given, {})).float()
        assert found.shape == wanted.shape
        off, taken = ((some - wanted).abs().mean().item() for some in (found, to_uint8(given)))
        assert off < 1.3 and off < max(0.1, 0.4 * taken)


def test_pixels_are_found_that_make_the_same_file() -> None:
    """The gradient through what is rounded leads there."""
    jpeg, wanted = Jpeg(30), pictures(1)
    made = torch.zeros_like(wanted).requires_grad_()
    goal, optimizer = jpeg.observe(wanted, {}, ["a"]), torch.optim.Adam([made], lr=0.1)
    losses = []
    for _ in range(20):
        loss = (jpeg(made, {}) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_noise_is_that_of_the_image_and_of_observations_alone() -> None:
    images = torch.zeros(3, 3, 64, 64)
    noise, ids = Noise(25), ["a", "b", "c"]
    seen = noise.observe(images, {}, ids)
    assert torch.equal(noise(images, {}), images)
    assert seen.std().item() * 127.5 == pytest.approx(25, rel=0.02) and not torch.equal(seen[0], seen[1])
    assert torch.equal(noise.observe(images, {}, ["c", "a", "b"]), seen[[2, 0, 1]])
    assert not torch.equal(Noise(25, seed=1).observe(images, {}, ids), seen)
    assert torch.equal(Noise(0).observe(images, {}, ids), images)


@pytest.mark.parametrize("chain", [[Noise(25)], [Mask(CORNER), Noise(25), Downscale(2)]], ids=["noise", "chain"])
def test_what_looks_for_v_sees_the_noise_that_the_losses_see(chain: list[AbstractOperator]) -> None:
    losses = {"a": Counting(), "b": Pixel()}
    problem = pixels_problem(losses, *chain)
    targets = Targets({"image": pictures(2)}, ["a", "b"])
    objective = Objective(problem, targets)
    goal = observe(chain, targets.images, {}, targets.ids)
    assert torch.equal(objective.goals["a"], goal) and torch.equal(objective.goals["b"], goal)
    assert torch.equal(objective.targets.images, picture(chain, targets.images, {}, targets.ids))
    made = pictures(2, 2)
    value = objective({"latent": made}).terms["b"]
    torch.testing.assert_close(value, (degrade(chain, made, {}) - goal).square().mean(dim=(1, 2, 3)))
    if len(chain) == 1:
        assert not objective({"latent": objective.targets.images}).terms["b"].any()
    own = Objective(problem, Targets({"image": targets.images[1:]}, ["b"]))
    assert torch.equal(own.goals["a"][0], objective.goals["a"][1])


def test_a_blurred_picture_is_not_blurred_again() -> None:
    sharp = pictures(1)
    blurred = Blur(1.5)(sharp, {})
    problem = pixels_problem({"pixel": Pixel()}, Blur(1.5, already=True))
    objective = Objective(problem, Targets({"image": blurred}, ["a"]))
    assert torch.equal(objective.targets.images, blurred)
    assert objective({"latent": sharp}).total < 1e-10 < objective({"latent": blurred}).total


@pytest.mark.parametrize(
    ("chain", "sentence"),
    [
        ([Mask([0, 0, 1, 1])], r"operator.mask.box: \[0.0, 0.0, 1.0, 1.0\] hides the whole of 16 × 16 images and lea"),
        ([Mask([0, 0, 0.99, 1])], "operator.mask.box: .* hides the whole of 16 × 16 images"),
        ([Downscale(17)], "operator.downscale.factor: 17 leaves less than a pixel of 16 × 16 images; set it to 16 or"),
        ([Downscale(4), Downscale(5)], "operator.downscale.factor: 5 leaves less than a pixel of 4 × 4 images"),
        ([Blur(3)], "operator.blur.sigma: 3 makes a kernel of 19 pixels, which is wider than images of 16 × 16"),
        ([Downscale(2), Blur(3, "box")], "operator.blur.sigma: 3 makes a kernel of 11 pixels, .* of 8 × 8"),
    ],
)  # fmt: skip
def test_a_degradation_that_leaves_nothing_is_refused(chain: list[AbstractOperator], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pixels_problem({"pixel": Pixel()}, *chain)


@pytest.mark.parametrize("kind", [Grey, Jpeg])
def test_colours_are_asked_of_images_that_have_some(kind: type[AbstractOperator]) -> None:
    assert kind().shape((1, 16, 16)) == (1, 16, 16) and kind().shape((3, 16, 16)) == (3, 16, 16)
    with pytest.raises(ValueError, match=r"operator\.(grey|jpeg): .*2 channels"):
        kind().shape((2, 16, 16))


@pytest.mark.parametrize("factor", [1, 3, 4, 5])
def test_a_pixel_loss_behind_it_is_the_squared_error_of_small_pictures(factor: int) -> None:
    """The loss of PULSE, by its formula."""
    images, made, mask = pictures(2), pictures(2, seed=1), torch.rand(2, 1, SIZE, SIZE)
    space = Pixels(PixelGenerator(resolution=SIZE), prior_samples=10)
    for named in ({}, {"mask": mask}):
        problem = Problem(space, {"pixel": Pixel()}, {}, Adam(), operators={"downscale": Downscale(factor)})
        value = Objective(problem, Targets({"image": images, **named}, ["a", "b"]))({"latent": made}).total
        small = [F.avg_pool2d(x, factor, ceil_mode=True) for x in (made, images)]
        assert torch.equal(value, spatial_mean((small[0] - small[1]).square(), named.get("mask")))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_smooth_filters_do_not_alias(filter: str) -> None:
    stripes = torch.ones(1, 1, 16, 16)
    stripes[..., ::2] = -1  # finer than the small picture can show
    assert Downscale(4, filter)(stripes, {}).abs().max() < 0.15
    ramp = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    small = Downscale(4, filter)(ramp, {})
    assert small.shape == (1, 1, 8, 8)
    torch.testing.assert_close(small[0, 0, 0, 2:6], Downscale(4)(ramp, {})[0, 0, 0, 2:6], atol=1e-4, rtol=0)
    torch.testing.assert_close(Downscale(4, filter)(torch.full((1, 3, 8, 8), 0.3), {}), torch.full((1, 3, 2, 2), 0.3))


def test_a_list_is_applied_in_its_order() -> None:
    images, named = pictures(2), {"mask": maps(2)}
    mask, small = Mask(fill=1.0), Downscale(8)
    first, second = degrade([mask, small], images, named), degrade([small, mask], images, named)
    assert torch.equal(first, small(mask(images, named), named)) and torch.equal(second, mask(small(images, {}), named))
    assert first.shape == (2, 3, 2, 2) and (second[0, :, 0] == 1).all()
    for chain in ([mask, small], [small, mask]):
        seen = picture(chain, images, named, ["a", "b"])
        assert seen.shape == images.shape
    hidden = (named["mask"] == 0).expand_as(images)
    assert (
        picture([mask, small], images, named, ["a", "b"])[hidden] == 1
    ).all()  # the edge is not blurred into the hole
    assert torch.equal(degrade([Identity(), mask], images, named), mask(images, named))


class Counting(AbstractLoss):
    """A pixel loss that counts how often it is asked for features."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.sizes: list[tuple[int, ...]] = []

    def features(self, image: Tensor) -> list[Tensor]:
        self.sizes.append(tuple(image.shape))
        return [image]

    def compare(self, features: list[Tensor], target: list[Tensor], weights: Tensor | None = None) -> Tensor:
        return spatial_mean((features[0] - target[0]).square(), weights)


def pixels_problem(losses: Mapping[str, AbstractLoss], *operators: AbstractOperator) -> Problem:
    space = Pixels(PixelGenerator(resolution=SIZE), prior_samples=10)
    return Problem(space, dict(losses), {}, Adam(), operators={str(i): one for i, one in enumerate(operators)})


def test_a_loss_looks_at_the_target_and_the_mask_that_it_names() -> None:
    image, style, made, mask = pictures(2), pictures(2, 1), pictures(2, 2), maps(2)
    losses = {"a": Counting(), "b": Counting(target="style", mask=None), "c": Counting(mask="edge")}
    named = {"image": image, "style": style, "mask": mask, "edge": 1 - mask}
    objective = Objective(pixels_problem(losses), Targets(named, ["x", "y"]))
    for _ in range(3):
        terms = objective({"latent": made}).terms
    torch.testing.assert_close(terms["a"], spatial_mean((made - image).square(), mask))
    torch.testing.assert_close(terms["b"], (made - style).square().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(terms["c"], spatial_mean((made - image).square(), 1 - mask))
    assert all(len(loss.sizes) == 4 for loss in losses.values())  # of the fixed target once
    repeated = objective.repeated(2)({"latent": made.repeat_interleave(2, dim=0)}).terms
    torch.testing.assert_close(repeated["c"], terms["c"].repeat_interleave(2))


def test_targets_of_a_loss_are_degraded_once_like_its_images() -> None:
    losses = {"a": Counting(target="style")}
    style, made = pictures(1, 1), pictures(1, 2)
    problem = pixels_problem(losses, Mask(CORNER), Downscale(4))
    objective = Objective(problem, Targets({"image": pictures(1), "style": style}, ["x"]))
    total = objective({"latent": made}).total
    assert losses["a"].sizes == [(1, 3, 4, 4)] * 2
    chain = list(problem.operators.values())
    torch.testing.assert_close(total, (degrade(chain, made, {}) - degrade(chain, style, {})).square().mean()[None])


def test_the_value_does_not_depend_on_what_is_hidden() -> None:
    images, made, named = pictures(2), pictures(2, 2), {"mask": maps(2)}
    other = torch.where(named["mask"].bool(), images, pictures(2, 7))
    assert not torch.equal(other, images)
    both = [Targets({"image": image, **named}, ["a", "b"]) for image in (images, other)]
    for mask in (None, "mask"):
        problem = pixels_problem({"pixel": Pixel(mask=mask)}, Mask())
        assert torch.equal(*(Objective(problem, targets)({"latent": made}).total for targets in both))
    weighed = pixels_problem({"pixel": Pixel()})  # a mask alone hides the same pixels from the loss
    assert torch.equal(*(Objective(weighed, targets)({"latent": made}).total for targets in both))


class Around(AbstractLoss):
    """Distance between means of 3×3 pixels, which know what lies beyond the edge of a mask."""

    looks_around = True

    def features(self, image: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(image, 3, stride=1, padding=1)]

    def compare(self, features: list[Tensor], target: list[Tensor], weights: Tensor | None = None) -> Tensor:
        return spatial_mean((features[0] - target[0]).square(), weights)


@pytest.mark.parametrize("operators", [(), (Downscale(2),)], ids=["plain", "downscale"])
def test_features_that_look_around_see_the_target_where_it_does_not_count(operators: tuple) -> None:
    """What is right wherever the mask is not 0 costs nothing, and nothing pulls at the rest."""
    target, mask = pictures(2), maps(2)
    made = torch.where(mask > 0, target, pictures(2, 7)).requires_grad_()
    problem = pixels_problem({"around": Around()}, *operators)
    objective = Objective(problem, Targets({"image": target, "mask": mask}, ["a", "b"]))
    if not operators:
        torch.testing.assert_close(objective({"latent": made}).total, torch.zeros(2))
        torch.testing.assert_close(
            objective.repeated(2)({"latent": made.repeat_interleave(2, 0)}).total, torch.zeros(4)
        )
    spoilt = (made * 0.5).detach().requires_grad_()
    total = objective({"latent": spoilt}).total
    (gradient,) = torch.autograd.grad(total.sum(), spoilt)
    assert (total > 0.01).all() and gradient[(mask > 0).expand_as(gradient)].abs().sum() > 0
    if not operators:
        assert not gradient[(mask == 0).expand_as(gradient)].any()


@pytest.mark.parametrize("kind", [Encoder, BestOf, Optimization])
def test_no_projector_sees_what_is_hidden(kind: type[AbstractProjector], tiny: StyleGAN2, guess: Any) -> None:
    images, named = pictures(2), {"mask": maps(2)}
    other = torch.where(named["mask"].bool(), images, pictures(2, 7))
    space = W(tiny, prior_samples=100)
    settings = {"encoder": guess(space)} if kind is Encoder else {}
    settings |= {Optimization: {"steps": 3}, BestOf: {"candidates": 8}}.get(kind, {})
    for operators in ({}, {"mask": Mask()}, {"mask": Mask(), "noise": Noise(), "downscale": Downscale(2)}):
        problem = Problem(space, {"pixel": Pixel(mask=None)}, {}, Adam(), operators=operators)
        found = [
            project(problem, [kind(problem, **settings)], Targets({"image": x, **named}, ["a", "b"])).v["latent"]
            for x in (images, other)
        ]
        if operators:
            assert torch.equal(*found)
        elif kind is not BestOf:  # which may choose the same draw
            assert not torch.equal(*found)


def test_a_network_sees_the_observation_at_the_size_of_the_image(tiny: StyleGAN2) -> None:
    images = pictures(2)
    problem = Problem(W(tiny, prior_samples=100), {"pixel": Pixel()}, {}, Adam(), operators={"d": Downscale(4)})
    seen = Objective(problem, Targets({"image": images}, ["a", "b"])).targets.images
    assert seen.shape == images.shape and not torch.allclose(seen, images, atol=0.05)
    assert torch.equal(seen, problem.observe(Targets({"image": images}, ["a", "b"])).images)


def test_the_best_draw_is_the_best_under_each_images_own_mask(tiny: StyleGAN2) -> None:
    targets = Targets({"image": pictures(3), "mask": maps(3)}, ["a", "b", "c"])
    losses = {"pixel": Pixel(), "around": Around()}
    noisy = {"noise": Noise(), "grey": Grey()}
    for operators in ({}, {"mask": Mask()}, {"mask": Mask(CORNER)}, {"downscale": Downscale(4)}, noisy):
        problem = Problem(W(tiny, prior_samples=100), losses, {}, Adam(), operators=operators)
        projector = BestOf(problem, candidates=6, chunk=4)
        draws = problem.space.constrain(problem.space.sample(6, stream("candidates", 0)))
        objective = Objective(problem, targets)
        values = torch.stack([objective({"latent": draw.expand(3, *draw.shape)}).total for draw in draws])
        torch.testing.assert_close(projector(objective).loss, values.min(dim=0).values, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Mask([0.5, 0, 0.2, 1]), r"operator.mask.box: \[0.5, 0.0, 0.2, 1.0\] is no part of an image; give its"),
        (lambda: Mask([0.5, 0.5]), "operator.mask.box: .* is no part of an image"),
        (lambda: Mask(fill=3.0), "operator.mask.fill: 3.0 is no level of an image; give mean or a number from -1 to 1"),
        (lambda: Blur(0), "operator.blur.sigma: 0 is not possible; set it to a number above 0"),
        (lambda: Noise(-1), "operator.noise.sigma: -1 is not possible; set it to 0 to 255"),
        (lambda: Jpeg(0), "operator.jpeg.quality: 0 is not possible; set it to 1 to 100"),
        (lambda: Downscale(0), "operator.downscale.factor: 0 is not possible; set it to 1 or more"),
        (lambda: Targets({"mask": maps(1)}, ["a"]), "targets: there is no 'image' among mask; give one"),
        (lambda: Targets({"image": pictures(2)}, ["a"]), "targets: 2 of 'image' for 1 images; give one for each"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_in_one_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (
            pixels_problem({"pixel": Pixel(target="style")}),
            r"^loss.pixel.target: the data have no 'style'; give data.style=<file or folder>, or choose one of image$",
        ),
        (pixels_problem({"pixel": Pixel(target="imgae")}), r"^loss.pixel.target: the data have no 'imgae'; choose"),
        (pixels_problem({"pixel": Pixel(mask="strokes")}), r"^loss\.pixel\.mask: .* data\.strokes=.*one of null$"),
        (pixels_problem({"pixel": Pixel(mask="image")}), r"^loss.pixel.mask: 'image' is a picture and no map; choo"),
        (pixels_problem({"pixel": Pixel()}, Mask()), r"^operator\.0: the data have no 'mask'; give data\.mask=<file"),
    ],
)  # fmt: skip
def test_targets_that_there_are_not_are_named(problem: Problem, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Objective(problem, Targets({"image": pictures(1)}, ["a"]))


@pytest.fixture
def words(tiny: StyleGAN2, store_generator: Callable[..., None], tmp_path: Path) -> list[str]:
    store_generator(tmp_path / "tiny.safetensors", tiny)
    return [
        "generator=stylegan2", f"generator.checkpoint={tmp_path}/tiny.safetensors", "space.prior_samples=100",
        "data.resolution=16", "data.count=2", "metric=[mse]", "logger=none", "device=cpu", "loss=[pixel]", "steps=3",
        "projector=[best_of,optimization]", "projector.best_of.candidates=20", "space=w", f"output={tmp_path}/out",
    ]  # fmt: skip


def test_a_run_keeps_the_observation_and_measures_against_the_truth(
    composed: Callable[..., Any], words: list[str], tmp_path: Path
) -> None:
    result = run(
        composed("invert", *words, "operator=[mask]", "operator.mask.box=[0.5,0.5,1,1]", "operator.mask.fill=1")
    )
    folder = Path(result["folder"])
    kinds = {kind: sorted((folder / kind).glob("*.png")) for kind in ("targets", "observed", "reconstructions")}
    assert all(len(files) == 2 for files in kinds.values())
    target, seen, made = (torch.stack([read_image(file, 16) for file in files]) for files in kinds.values())
    assert torch.equal(seen[..., :8], target[..., :8]) and (seen[..., 8:, 8:] == 1).all()
    assert (target[..., 8:, 8:] < 1).any()
    mse = ((made - target) / 2).square().mean().item()
    assert result["summary"]["mse"]["mean"] == pytest.approx(mse, rel=0.02)
    page = (folder / "report.html").read_text()
    assert 'alt="observed"' in page and "what a projection saw of it" in page
    plain = run(composed("invert", *words))
    assert not (Path(plain["folder"]) / "observed").exists()
    assert 'alt="observed"' not in (Path(plain["folder"]) / "report.html").read_text()
    assert plain["protocol_hash"] != result["protocol_hash"]
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_operators_and_targets_are_part_of_a_runs_identity(composed: Callable[..., Any], words: list[str]) -> None:
    both = ["operator.mask.box=[0,0,0.5,0.5]", "operator.downscale.factor=2"]
    choices = [
        [], ["operator=[none]"], ["operator=[mask,downscale]", *both], ["operator=[downscale,mask]", *both],
        ["loss.pixel.mask=null"], ["operator=[noise]"], ["operator=[noise]", "operator.noise.seed=1"],
        ["operator=[grey,noise]"], ["operator=[noise,grey]"], ["operator=[blur]"],
    ]  # fmt: skip
    keys = [make_job(composed("invert", *words, *choice)).key for choice in choices]
    assert len(set(keys)) == len(keys)
    older = make_job(composed("invert", *words, "~loss.pixel.target", "~loss.pixel.mask"))
    assert older.key == keys[0]  # what a loss looks at if nothing is chosen adds nothing


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["loss.pixel.target=style"], "loss.pixel.target: the data have no 'style'; give data.style=<file or folder>"),
        (["operator=[mask]"], "operator.mask: the data have no 'mask'; give data.mask=<file or folder>, or choose"),
        (["data.style=nowhere"], "data.style: there is no folder or .tar file 'nowhere'; point it at your images"),
        (["operator=[mask]", "operator.mask.fill=noise"], "operator.mask.fill: Mask expects 'mean' | float, not"),
        (["operator=[blur]", "operator.blur.kernel=x"], "operator.blur.kernel: Blur expects"),
        (["operator=[downscale]", "operator.downscale.factor=99"], "operator.downscale.factor: 99 leaves less than a"),
        (["operator=[downscale]", "operator.downscale.filter=x"], "operator.downscale.filter: Downscale expects"),
        (["data.mask=[1]"], "data.mask: [1] is no path; give a picture file, a folder or a .tar"),
    ],
)  # fmt: skip
def test_a_job_refuses_targets_that_there_are_not(
    composed: Callable[..., Any], words: list[str], chosen: list[str], sentence: str
) -> None:
    with pytest.raises(ValueError) as error:
        make_job(composed("invert", *words, *chosen))
    assert str(error.value).startswith(sentence)


def test_a_map_that_leaves_nothing_of_an_image_fails_that_image(tmp_path: Path) -> None:
    data, masks = Cottages(2, resolution=16), tmp_path / "masks"
    for name, level in zip(data.read(range(2)).ids, (-1.0, 1.0), strict=True):
        write_png(masks / f"{name}.png", torch.full((1, 16, 16), level))
    batch = Companions(data, {"mask": str(masks)}).read(range(2))
    (reason,) = batch.failed.values()
    assert len(batch.ids) == 1 and "is black everywhere and leaves nothing of the image" in reason


def test_a_training_has_the_targets_of_its_data_alone(composed: Callable[..., Any], tiny: StyleGAN2) -> None:
    words = ["space=w", "space.prior_samples=100", "loss=[pixel]", "loss.pixel.target=style"]
    with pytest.raises(ValueError, match="loss.pixel.target: the data have no 'style'; give data.style="):
        EncoderTask.compose(composed("train", "task=encoder", *words))
    with pytest.raises(
        ValueError, match="operator.mask: the data of this training have no 'mask'; give data.mask=…, or set what"
    ):
        EncoderTask.compose(composed("train", "task=encoder", *words[:2], "operator=[mask]"))
    with pytest.raises(ValueError, match="loss.pixel.target: a training of directions has no 'style'; choose"):
        Imitation.compose(composed("train", "task=direction", "edit=[hue]", *words), tiny)
