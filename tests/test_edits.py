"""Every edit in conf/edit keeps its contract, and each does what it says, by independent computations."""

import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from scipy.ndimage import convolve1d, gaussian_filter, rotate, zoom
from scipy.special import ive
from torch import Tensor

from zstar.config.build import build
from zstar.config.check import ConfigError, check
from zstar.data.cottages import FACTORS, Cottages, render, sample_factors
from zstar.edits.base import AbstractEdit
from zstar.edits.blur import Blur
from zstar.edits.brightness import Brightness
from zstar.edits.factor import Factor, moved, read_factors
from zstar.edits.function import Function
from zstar.edits.hue import Hue
from zstar.edits.lightness import Lightness
from zstar.edits.rotate import Rotate
from zstar.edits.rotate_3d import Rotate3D
from zstar.edits.saturation import Saturation
from zstar.edits.search import search
from zstar.edits.shift import Shift
from zstar.edits.warp import AbstractWarp
from zstar.edits.zoom import Zoom

CONF = Path(__file__).parents[1] / "conf" / "edit"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
LEFT_OPEN = {
    "factor": {"factor": "roof_height"},
    "function": {"function": lambda images, alpha: images.lerp(-images.square(), _each(alpha).abs() / 2)},
}
COMPOSING = ("zoom", "shift_x", "shift_y", "rotate", "brightness", "contrast", "saturation", "hue", "red", "lightness")


def _each(alpha: Tensor) -> Tensor:
    return alpha.view(-1, 1, 1, 1)


@functools.cache
def edit_of(name: str) -> AbstractEdit:
    (key, content), *others = yaml.safe_load((CONF / f"{name}.yaml").read_text()).items()
    assert key == name and not others
    return build(content | LEFT_OPEN.get(name, {}))


def pictures(count: int = 3, resolution: int = 64) -> Tensor:
    return Cottages(count, resolution=resolution).read(range(count)).images


def apply(edit: AbstractEdit, images: Tensor, *alphas: float) -> tuple[Tensor, Tensor]:
    """The same images with each of ``alphas``, one after the other in a batch."""
    alpha = torch.tensor(alphas).repeat_interleave(len(images))
    return edit(images.repeat(len(alphas), 1, 1, 1), alpha)


# ---- the contract


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_the_identity_bit_for_bit(name: str) -> None:
    images = torch.cat([pictures(), 1.3 * pictures()])  # generators leave [-1, 1] now and then
    for zero in (0.0, -0.0):
        edited, valid = apply(edit_of(name), images, zero)
        assert torch.equal(edited, images)
        assert (valid == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_image_has_its_own_strength(name: str) -> None:
    edit, images = edit_of(name), pictures()
    alpha = torch.tensor([edit.high, 0.0, 0.4 * edit.high])
    edited, valid = edit(images, alpha)
    assert edited.shape == images.shape and valid.shape == images[:, :1].shape
    assert edited.dtype == valid.dtype == torch.float32
    assert ((valid == 0) | (valid == 1)).all()
    assert torch.equal(edited[1], images[1])
    for i in range(len(images)):
        alone, alone_valid = edit(images[i : i + 1], alpha[i : i + 1])
        torch.testing.assert_close(edited[i], alone[0], rtol=0, atol=2e-5)
        assert torch.equal(valid[i], alone_valid[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_ends_of_the_range_differ_from_the_image_and_stay_in_range(name: str) -> None:
    edit, images = edit_of(name), pictures(8)
    assert edit.unit and edit.low <= 0 <= edit.high and edit.low < edit.high
    for alpha in {edit.low, edit.high} - {0.0}:
        edited, valid = apply(edit, images, alpha)
        assert edited.abs().max() <= 1
        assert (((edited - images) * valid).abs().amax(dim=(1, 2, 3)) > 0.05).any()
        assert (valid.mean(dim=(1, 2, 3)) > 0.2).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [0.0, 1.0])
def test_gradients_are_finite_and_there(name: str, part: float) -> None:
    edit, images = edit_of(name), pictures(2)
    images[:, :, :8, :8], images[:, :, 8:16, :8], images[:, :, 16:24, :8] = -1, 0, 1  # where formulas of colours break
    images.requires_grad_()
    alpha = torch.full((2,), part * edit.high).requires_grad_()
    edited, valid = edit(images, alpha)
    (edited * valid).square().sum().backward()
    assert images.grad.isfinite().all() and images.grad.abs().sum() > 0
    if not isinstance(edit, Factor):
        assert alpha.grad.isfinite().all()
        assert part == 0 or (alpha.grad != 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_images_need_not_be_square_or_in_colour(name: str) -> None:
    edit, images = edit_of(name), pictures(1)
    if isinstance(edit, Factor):
        with pytest.raises(ValueError, match="square and in colour"):
            apply(edit, images[:, :, 10:], edit.high)
    else:
        assert apply(edit, images[:, :, 10:], edit.high)[0].shape == (1, 3, 54, 64)
    if name in ("saturation", "hue", "red", "green", "blue", "lightness") or isinstance(edit, Factor):
        with pytest.raises(ValueError, match=r"^edit\.\w+: images of .*choose"):
            apply(edit, images[:, :1], edit.high)
    else:
        assert apply(edit, images[:, :1], edit.high)[0].shape == (1, 1, 64, 64)


@pytest.mark.parametrize("name", COMPOSING)
def test_two_edits_are_the_one_of_the_sum(name: str) -> None:
    edit = edit_of(name)
    images = 0.3 * torch.nn.functional.avg_pool2d(pictures(), 9, 1, 4, count_include_pad=False)  # far from clamping
    alphas = 0.3 * edit.high, 0.5 * edit.low
    first, seen = apply(edit, images, alphas[0])
    second, seen_again = apply(edit, first, alphas[1])
    once, valid = apply(edit, images, sum(alphas))
    kept = valid * seen_again * apply(edit, seen, alphas[1])[0].gt(0.999) if isinstance(edit, AbstractWarp) else valid
    assert kept.mean() > 0.3
    assert ((second - once) * kept).abs().max() < (0.05 if isinstance(edit, AbstractWarp) else 2e-3)
    assert ((once - images) * kept).abs().max() > 0.02


@pytest.mark.parametrize(("low", "high"), [(0.1, 1.0), (-1.0, -0.1), (0.0, 0.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_a_range_without_zero_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"^edit\.zoom\.low, high: .*0 has to lie within, low < high$"):
        Zoom(low, high)


def test_a_range_beyond_what_an_edit_can_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^edit\.blur\.low, high: -1 to 2 is beyond it; keep within 0\.0 to inf$"):
        Blur(-1, 2)
    with pytest.raises(ValueError, match=r"^edit\.rotate3d\.low, high: -80 to 20 is beyond it; keep within -60"):
        Rotate3D(-80, 20)
    with pytest.raises(ValueError, match=r"^edit\.blur: α = -0\.5 pixels"):
        apply(Blur(), pictures(1), -0.5)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("shift_x", "axis", "z", "edit.shift_x.axis: Shift expects 'x' | 'y', not 'z'"),
        ("red", "channel", "cyan", "edit.red.channel: Channel expects 'red' | 'green' | 'blue', not 'cyan'"),
        ("zoom", "low", "far", "edit.zoom.low: Zoom expects float, not 'far'"),
        ("function", "function", {"_target_": "torch.nn.nowhere"}, "edit.function.function._target_: there is no"),
    ],
)
def test_a_wrong_choice_is_found_before_anything_is_built(name: str, key: str, value: Any, message: str) -> None:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    content[name][key] = value
    with pytest.raises(ConfigError) as caught:
        check({"edit": content})
    assert str(caught.value).startswith(message)


def test_an_unknown_factor_is_answered_with_the_ones_there_are() -> None:
    with pytest.raises(ValueError, match="there is no factor 'seson'; choose one of time_of_day, season"):
        Factor("seson")


# ---- warps


def test_shift_moves_whole_pixels_exactly_to_the_right_and_upwards() -> None:
    images = pictures()
    right, valid = apply(Shift("x"), images, 4 / 64)
    torch.testing.assert_close(right[..., 4:], images[..., :-4], rtol=0, atol=1e-5)
    assert (valid[..., 4:] == 1).all() and (valid[..., :4] == 0).all()
    up, valid = apply(Shift("y"), images, 4 / 64)
    torch.testing.assert_close(up[..., :-4, :], images[..., 4:, :], rtol=0, atol=1e-5)
    assert (valid[..., :-4, :] == 1).all() and (valid[..., -4:, :] == 0).all()


def test_a_pixel_that_touches_an_invented_one_is_not_valid() -> None:
    images = torch.ones(1, 3, 8, 8)
    edited, valid = apply(Shift("x"), images, 0.5 / 8)  # half a pixel: the first column mixes with what is outside
    assert (valid[..., 0] == 0).all() and (valid[..., 1:] == 1).all()
    for edit in (Zoom(), Rotate(), Rotate3D(), Shift("y")):
        for alpha in (0.37 * edit.low, 0.61 * edit.high):
            edited, valid = apply(edit, images, alpha)
            assert (edited[valid.expand_as(edited) == 1] > 0.99).all()


def test_zoom_doubles_and_halves() -> None:
    images = pictures(2)
    larger, valid = apply(Zoom(), images, 1.0)
    expected = zoom(images[:, :, 16:48, 16:48].numpy(), (1, 1, 2, 2), order=1, grid_mode=True, mode="nearest")
    assert (valid == 1).all()
    assert np.abs(larger.numpy() - expected)[:, :, 2:-2, 2:-2].max() < 1e-4
    smaller, valid = apply(Zoom(), images, -1.0)
    halves = torch.nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(smaller[:, :, 16:48, 16:48], halves, rtol=0, atol=1e-4)
    assert valid.sum() == 2 * 32 * 32 and (valid[:, :, 16:48, 16:48] == 1).all()


@pytest.mark.parametrize("height", [64, 40])
def test_rotate_turns_counterclockwise_in_pixels_of_any_aspect(height: int) -> None:
    images = pictures(2)[:, :, 24:] if height == 40 else pictures(2)
    turned, valid = apply(Rotate(), images, 20.0)
    expected = rotate(images.numpy(), 20.0, axes=(3, 2), reshape=False, order=1)
    assert np.abs((turned.numpy() - expected) * valid.numpy()).max() < 1e-3
    dot = torch.zeros(1, 1, 33, 33)
    dot[..., 16, 28] = 1
    assert apply(Rotate(-90, 90), dot, 90.0)[0].flatten().argmax() == 4 * 33 + 16  # from the right to the top


def test_rotate_in_depth_is_perspective() -> None:
    edit, height = Rotate3D(), 65
    lines = torch.zeros(1, 1, height, 65)
    lines[..., 8, :] = lines[..., -9, :] = lines[..., :, 8] = lines[..., :, -9] = 1
    turned, valid = apply(edit, lines, 25.0)

    def place(x: float, y: float) -> tuple[float, float]:
        """Where a pinhole camera sees (x, y) of the board, in half widths; the eye is 3 of them away."""
        angle = np.deg2rad(25.0)
        depth = 3.0 + x * np.sin(angle)
        return 3 * x * np.cos(angle) / depth, 3 * y / depth

    for x in (-1, 1):
        for y in (-1, 1):
            column, row = place(x * 24 / 32.5, y * 24 / 32.5)
            i, j = round(32 + 32.5 * row), round(32 + 32.5 * column)
            assert turned[0, 0, i - 1 : i + 2, j - 1 : j + 2].max() > 0.4, (x, y)
    assert valid[0, 0, :, -6:].sum() == 0  # the right side has moved in
    assert valid[0, 0, 2:-2, 4].min() == 1  # the left one is nearer and larger


# ---- values


def test_hue_keeps_luma_and_greys_and_turns_red_to_yellow() -> None:
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    images = 0.3 * pictures()
    turned, _ = apply(Hue(), images, 40.0)
    torch.testing.assert_close((turned * luma).sum(1), (images * luma).sum(1), rtol=0, atol=1e-5)
    grey = torch.linspace(-1, 1, 9).view(1, 1, 3, 3).expand(1, 3, 3, 3).contiguous()
    torch.testing.assert_close(apply(Hue(), grey, 55.0)[0], grey, rtol=0, atol=1e-6)
    red = torch.tensor([0.3, -0.2, -0.2]).view(1, 3, 1, 1)
    turned, _ = apply(Hue(), red, 60.0)
    assert turned[0, 1] > -0.1 and turned[0, 0] - turned[0, 1] < 0.2
    wide, small = Hue(-180, 180), 0.3 * images
    torch.testing.assert_close(apply(wide, small, 180.0)[0], apply(wide, small, -180.0)[0], rtol=0, atol=1e-5)


def test_saturation_changes_nothing_but_the_distance_from_grey() -> None:
    images = 0.3 * pictures()
    grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    double, _ = apply(Saturation(), images, 1.0)
    torch.testing.assert_close(double - grey, 2 * (images - grey), rtol=0, atol=1e-5)


def test_contrast_keeps_the_mean() -> None:
    images = 0.3 * pictures()
    flat, _ = apply(edit_of("contrast"), images, -1.0)
    torch.testing.assert_close(flat.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), rtol=0, atol=1e-6)
    torch.testing.assert_close(flat.std(dim=(1, 2, 3)), images.std(dim=(1, 2, 3)) / 2, rtol=1e-4, atol=0)


def test_a_channel_moves_alone() -> None:
    images = 0.3 * pictures()
    for i, name in enumerate(("red", "green", "blue")):
        change = apply(edit_of(name), images, 0.25)[0] - images
        expected = torch.zeros(3).index_fill(0, torch.tensor(i), 0.25).view(1, 3, 1, 1).expand_as(change)
        torch.testing.assert_close(change, expected, rtol=0, atol=1e-6)


def test_lightness_follows_the_formula_of_cielab() -> None:
    def value(lightness: float) -> float:
        """The grey with this L*, in [-1, 1], by the definitions of CIE and of sRGB."""
        y = ((lightness + 16) / 116) ** 3
        return 2 * (1.055 * y ** (1 / 2.4) - 0.055) - 1

    grey = torch.full((1, 3, 2, 2), value(50))
    for alpha in (-20.0, 20.0):
        assert apply(Lightness(), grey, alpha)[0].mean().item() == pytest.approx(value(50 + alpha), abs=2e-3)


@pytest.mark.parametrize("sigma", [0.3, 1.5, 3.0])
def test_blur_is_the_gaussian_of_the_pixel_grid(sigma: float) -> None:
    images = pictures(2)
    blurred, _ = apply(Blur(), images, sigma)
    kernel = ive(np.abs(np.arange(-25, 26)), sigma**2)  # its closed form: Bessel functions
    expected = convolve1d(convolve1d(images.numpy(), kernel, axis=2), kernel, axis=3)
    assert np.abs(blurred.numpy() - expected).max() < 1e-5
    if sigma > 1:  # the Gaussian of the plane is near
        sampled = gaussian_filter(images.numpy(), (0, 0, sigma, sigma))
        assert np.abs(blurred.numpy() - sampled).max() < 0.03


@pytest.mark.parametrize("sigma", [0.2, 0.7, 2.0])
def test_variances_of_blurs_add_up(sigma: float) -> None:
    dot = torch.zeros(1, 1, 41, 41)
    dot[..., 20, 20] = 1
    twice, _ = apply(Blur(), apply(Blur(), dot, 0.6 * sigma)[0], 0.8 * sigma)
    torch.testing.assert_close(twice, apply(Blur(), dot, sigma)[0], rtol=0, atol=1e-5)
    place = torch.arange(41.0) - 20
    assert ((twice[0, 0].sum(dim=0) * place.square()).sum() ** 0.5).item() == pytest.approx(sigma, abs=0.005)


# ---- factors of cottages


@pytest.mark.parametrize("resolution", [64, 128])
@pytest.mark.parametrize("name", ["season", "time_of_day", "house_x", "windows", "chapel"])
def test_factors_come_near_what_the_renderer_draws_of_the_truth(name: str, resolution: int) -> None:
    edit = edit_of(name)
    batch = Cottages(12, resolution=resolution).read(range(12))
    alpha = torch.linspace(edit.low, edit.high, 12)
    truth, _ = render(moved(batch.extras["factors"], edit.factor, alpha), resolution)
    edited, _ = edit(batch.images, alpha)
    error, distance = ((edited - truth).square().mean().sqrt(), (batch.images - truth).square().mean().sqrt())
    assert error < 0.6 * distance and error < 0.07, (error, distance)


def test_factors_move_by_shares_of_their_range_and_end_at_its_ends() -> None:
    factors = sample_factors(range(50), "test")
    for name, factor in FACTORS.items():
        column = list(FACTORS).index(name)
        after = moved(factors, name, torch.full((50,), 0.25))
        change = after - factors
        assert (change[:, [i for i in range(len(FACTORS)) if i != column]] == 0).all()
        assert ((change[:, column] > 0.24 * (factor.high - factor.low)) | (after[:, column] == factor.high)).all()
        assert (after[:, column] <= factor.high).all()
        assert (moved(factors, name, torch.full((50,), -1.0))[:, column] == factor.low).all()


def test_reading_factors_gives_flags_and_values_within_their_ranges() -> None:
    batch = Cottages(32).read(range(32))
    read = read_factors(batch.images)
    for column, (name, factor) in enumerate(FACTORS.items()):
        assert (read[:, column] >= factor.low).all() and (read[:, column] <= factor.high).all(), name
        if factor.kind == "flag" and name != "chimney_present":  # which a chapel hides
            assert (read[:, column] == batch.extras["factors"][:, column]).float().mean() > 0.9, name


def test_a_small_change_of_the_hour_keeps_what_the_renderer_does_not_know() -> None:
    images = pictures()
    strange = images.clone()
    strange[:, :, 2:5, 30:34] = 0.5 * strange[:, :, 2:5, 30:34] - 0.3  # a bird
    edit = edit_of("time_of_day")
    alpha = torch.full((3,), 0.02)
    bird = (edit(strange, alpha)[0] - edit(images, alpha)[0])[:, :, 2:5, 30:34]
    assert bird.abs().mean() > 0.5 * (strange - images)[:, :, 2:5, 30:34].abs().mean()


# ---- a user's own function

OWN = """
import torch

def warmer(images, alpha):
    shift = alpha.view(-1, 1, 1, 1) * torch.tensor([0.3, 0.0, -0.3]).view(1, 3, 1, 1)
    return (images + shift).clamp(-1, 1)

def left_half(images, alpha, side=1):
    valid = torch.zeros_like(images[:, :1])
    valid[..., : images.shape[-1] // 2] = 1
    return images * side * (1 - alpha.view(-1, 1, 1, 1)), valid
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_edits.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    folder = tmp_path / "conf" / "edit"
    folder.mkdir(parents=True)
    (folder / "warmer.yaml").write_text(
        "warmer:\n  _target_: zstar.edits.function.Function\n  function:\n    _target_: my_edits.warmer\n"
        "    _partial_: true\n  low: -1.0\n  high: 1.0\n  unit: of its own\n"
    )
    (tmp_path / "conf" / "own.yaml").write_text("defaults:\n  - _self_\n  - edit: [warmer]\n")
    return tmp_path / "conf"


def test_an_edit_of_your_own_is_a_function_and_a_file(own_folder: Path) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(own_folder)):
        cfg = compose("own")
    check(cfg)
    edit, images = build(cfg.edit.warmer), pictures(2)
    edited, valid = edit(images, torch.tensor([0.0, 0.5]))
    assert torch.equal(edited[0], images[0]) and (valid == 1).all()
    expected = (images[1] + torch.tensor([0.15, 0, -0.15]).view(3, 1, 1)).clamp(-1, 1)
    torch.testing.assert_close(edited[1], expected)
    assert (edit.low, edit.high, edit.unit) == (-1.0, 1.0, "of its own")


def test_a_function_may_tell_which_pixels_are_valid_and_take_arguments(own_folder: Path) -> None:
    cfg = yaml.safe_load((CONF / "function.yaml").read_text())["function"]
    cfg["function"] |= {"_target_": "my_edits.left_half", "side": -1}
    edited, valid = build(cfg)(pictures(2), torch.tensor([0.0, 0.5]))
    assert (valid[0] == 1).all()  # nothing is invented where nothing is done
    assert (valid[1, :, :, :32] == 1).all() and (valid[1, :, :, 32:] == 0).all()
    torch.testing.assert_close(edited[1], -0.5 * pictures(2)[1])


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x, a: x[:, :1], r"\[2, 1, 64, 64\] where images of shape \[2, 3, 64, 64\]"),
        (lambda x, a: (x, a), r"\[2\] where a mask of shape \[2, 1, 64, 64\]"),
        (lambda x, a: None, "NoneType where images"),
        (lambda x, a: (x, x, x), "tuple where images"),
    ],
)
def test_a_function_that_returns_something_else_is_told_so(function: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^edit\.function\.function: <lambda> returned {found}"):
        apply(Function(function), pictures(2), 0.5)


def test_strengths_are_drawn_over_the_range_from_a_seed() -> None:
    edit = Brightness(-0.2, 0.4)
    drawn = edit.draw(2000, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, edit.draw(2000, torch.Generator().manual_seed(3)))
    assert -0.2 <= drawn.min() < -0.19 and 0.39 < drawn.max() <= 0.4


# ---- how much of an edit is in a pair of images


def steps_of(edit: AbstractEdit) -> float:
    """Distance between two tries of ``search``."""
    least, most = edit.limits
    return (min(most, 1.5 * edit.high) - max(least, 1.5 * edit.low)) / 32


@pytest.mark.parametrize("name", [name for name in NAMES if not isinstance(edit_of(name), Factor | Function)])
def test_what_was_done_is_found_again(name: str) -> None:
    edit, images = edit_of(name), pictures(8)
    alpha = torch.linspace(edit.low, edit.high, 8)
    found = edit.achieved(images, edit(images, alpha)[0])
    assert ((found - alpha).abs() < 0.6 * steps_of(edit)).all(), (found, alpha)
    assert (edit.achieved(images, images).abs() < 0.1 * steps_of(edit)).all()


@pytest.mark.parametrize("name", ["zoom", "shift_x", "shift_y", "rotate"])
def test_movements_of_a_scene_that_goes_on_outside_are_found(name: str) -> None:
    edit, scene = edit_of(name), pictures(8, resolution=128)
    alpha = torch.linspace(edit.low, edit.high, 8) / 2
    whole, _ = edit(scene, alpha / 2 if name.startswith("shift") else alpha)  # which is half as wide seen in the middle
    darker = 0.8 * whole[:, :, 32:96, 32:96] - 0.1
    found = edit.achieved(scene[:, :, 32:96, 32:96], darker)
    assert ((found - alpha).abs() < steps_of(edit)).all(), (found, alpha)


def test_a_pair_is_compared_by_itself_and_the_search_can_be_set() -> None:
    edit, images = edit_of("shift_x"), pictures(3)
    after = edit(images, torch.tensor([0.2, -0.1, 0.05]))[0]
    together = edit.achieved(images, after)
    alone = torch.cat([edit.achieved(images[i : i + 1], after[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)
    narrow = search(edit, images, low=-0.15, high=0.15, steps=61)(after)
    torch.testing.assert_close(narrow, torch.tensor([0.15, -0.1, 0.05]), rtol=0, atol=3e-3)


@pytest.mark.parametrize(("name", "tolerance"), [("season", 0.1), ("time_of_day", 0.1), ("house_x", 0.15)])
def test_factors_are_read_from_the_pair(name: str, tolerance: float) -> None:
    edit, images = edit_of(name), pictures(12)
    alpha = torch.linspace(-0.3, 0.3, 12)
    factors = read_factors(images)
    column = list(FACTORS).index(edit.factor)
    expected = (moved(factors, edit.factor, alpha) - factors)[:, column] / (
        moved(factors, edit.factor, torch.ones(12)) - moved(factors, edit.factor, -torch.ones(12))
    )[:, column]
    found = edit.achieved(images, edit(images, alpha)[0])
    assert (found - expected).abs().mean() < tolerance / 2
    assert ((found - expected).abs() < 2 * tolerance).all()
    assert torch.equal(edit.achieved(images, images), torch.zeros(12))


def test_a_flag_that_was_switched_is_read_as_one() -> None:
    edit, images = edit_of("windows"), pictures(12)
    before = read_factors(images)[:, list(FACTORS).index("window_present")]
    found = edit.achieved(images, edit(images, 1 - 2 * before)[0])
    assert ((found - (1 - 2 * before)).abs() < 0.2).float().mean() >= 0.9, (found, before)


def test_a_function_of_your_own_is_found_again() -> None:
    edit, images = Function(lambda x, a: x * (1 - 0.5 * _each(a)), -1.0, 1.0), pictures(3)
    alpha = torch.tensor([-0.5, 0.3, 0.9])
    torch.testing.assert_close(edit.achieved(images, edit(images, alpha)[0]), alpha, rtol=0, atol=0.02)
