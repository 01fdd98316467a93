"""Edit transfer: motions and colours that are known are found, and the photo has them at its own resolution."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zstar.data.cottages import Cottages
from zstar.postprocess.base import Change, to_size
from zstar.postprocess.estimation import Estimator
from zstar.postprocess.fields import solve
from zstar.postprocess.motion import Motion, sample
from zstar.postprocess.transfer import Transfer

INSIDE = (..., slice(8, -8), slice(8, -8))


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """Cottages of four times the size of the frames."""
    return Cottages(3, resolution=256).read(range(3)).images


def small(photos: Tensor) -> Tensor:
    return F.interpolate(photos, size=(64, 64), mode="area")


def moved(photos: Tensor, flow: Tensor) -> Tensor:
    """Photos whose pixels come from elsewhere, by a flow in their own pixels."""
    return sample(photos, flow.expand(len(photos), 2, *photos.shape[-2:]), "bicubic")


def shift(photos: Tensor, across: float, down: float) -> Tensor:
    return moved(photos, torch.tensor([across, down]).view(1, 2, 1, 1))


def zoom(photos: Tensor, scale: float) -> Tensor:
    """Enlarged about the middle."""
    side = photos.shape[-1]
    axis = torch.arange(side) - (side - 1) / 2
    places = torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)])
    return moved(photos, ((1 / scale - 1) * places)[None])


def along(photos: Tensor, make: object) -> Change:
    """An edit whose frames are small ones of the photos after ``make(photos, share)``."""
    path = lambda share: small(make(photos, share))  # noqa: E731
    return Change(photos, path(0.0), path(1.0), None, path)


def decibel(a: Tensor, b: Tensor) -> float:
    return float(10 * (4 / (a - b).square().mean()).log10())


def test_a_smooth_field_solves_its_equation() -> None:
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 3, 2, 6, 5, generator=rng, dtype=torch.float64)
    matrix = torch.einsum("bnihw,bnjhw->bijhw", rows, rows)
    right = torch.randn(2, 2, 6, 5, generator=rng, dtype=torch.float64)

    def energy(field: Tensor) -> Tensor:
        fit = (field[:, :, None] * matrix * field[:, None]).sum() - 2 * (right * field).sum()
        return fit + 0.7 * (field.diff(dim=-1).square().sum() + field.diff(dim=-2).square().sum())

    found = solve(matrix, right, 0.7, torch.zeros_like(right), steps=200).requires_grad_()
    (slope,) = torch.autograd.grad(energy(found), found)
    assert slope.abs().amax() < 1e-6, "no change of it makes the energy smaller"


@pytest.mark.parametrize("model", ["auto", "colour", "flow"])
def test_no_edit_is_the_photo_bit_for_bit(photos: Tensor, model: str) -> None:
    step = Transfer(model=model)
    edit = along(photos, lambda photos, share: photos)
    motion = step.motion(step.way(edit))
    assert motion.flow.abs().amax() == 0 and torch.equal(motion.gain, torch.ones_like(motion.gain))
    assert torch.equal(step(edit), photos)


def test_a_shift_is_found_and_the_photo_is_shifted(photos: Tensor) -> None:
    make = lambda photos, share: shift(photos, 12 * share, -8 * share)  # noqa: E731
    edit, step = along(photos, make), Transfer()
    motion = step.motion(step.way(edit))
    error = (motion.flow - torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)).norm(dim=1)[INSIDE]
    textured = small(photos).std(dim=1)[INSIDE] > 0  # of everything
    assert error[textured].mean() < 0.35, "pixels of the generator"
    recoloured = motion.gain * edit.after + motion.offset - edit.after
    assert recoloured[INSIDE].abs().mean() < 0.03, "of 2 from black to white"
    made, truth = step(edit), make(photos, 1.0)
    inner = (..., slice(24, -24), slice(24, -24))
    assert decibel(made[inner], truth[inner]) > decibel(to_size(edit.after, (256, 256))[inner], truth[inner]) + 2
    assert decibel(made[inner], truth[inner]) > 31


def test_a_zoom_is_found_and_the_photo_keeps_its_detail(photos: Tensor) -> None:
    make = lambda photos, share: zoom(photos, 1.25**share)  # noqa: E731
    edit, step = along(photos, make), Transfer()
    motion = step.motion(step.way(edit))
    axis = (1 / 1.25 - 1) * (torch.arange(64) - 31.5)
    truth = torch.stack([axis.expand(64, 64), axis[:, None].expand(64, 64)])
    assert (motion.flow - truth).norm(dim=1)[INSIDE].mean() < 0.6, "of up to 9 pixels of the generator"
    assert decibel(step(edit), make(photos, 1.0)) > decibel(to_size(edit.after, (256, 256)), make(photos, 1.0))


def test_a_change_of_colour_is_found_and_nothing_moves(photos: Tensor) -> None:
    gain = torch.tensor([0.8, 1.1, 0.7]).view(1, 3, 1, 1)
    offset = torch.tensor([0.1, -0.15, -0.1]).view(1, 3, 1, 1)
    make = lambda photos, share: torch.lerp(photos, gain * photos + offset, share)  # noqa: E731
    edit, step = along(0.7 * photos, make), Transfer()
    motion = step.motion(step.way(edit))
    assert motion.flow.abs().amax() == 0, "colour alone explains it"
    error = (step(edit) - make(0.7 * photos, 1.0)).abs()
    assert error.mean() < 0.004 and error.amax() < 0.06, "of 2 from black to white"


@pytest.mark.slow
def test_a_batch_is_its_single_photos(photos: Tensor) -> None:
    make = lambda photos, share: shift(photos, 6 * share, 2 * share)  # noqa: E731
    step, together = Transfer(), Transfer()(along(photos, make))
    for row in range(len(photos)):
        torch.testing.assert_close(step(along(photos[row : row + 1], make)), together[row : row + 1], atol=1e-3, rtol=0)


def test_what_comes_from_beyond_the_photo_is_the_generators(photos: Tensor) -> None:
    make = lambda photos, share: shift(photos, 24 * share, 0)  # noqa: E731
    edit = along(photos, make)
    after = edit.after.clone()
    after[..., -4:] = torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1)  # no such thing is in the photo
    made = Transfer(model="flow", explained=0.0)(Change(photos, edit.before, after, None, edit.path))
    assert (made[..., -2:] - to_size(after, (256, 256))[..., -2:]).abs().mean() < 0.1


def test_what_no_motion_explains_is_the_generators(photos: Tensor) -> None:
    before = small(photos)
    after = before.clone()
    after[..., 6:18, 40:52] = torch.tensor([-1.0, 1.0, -1.0]).view(1, 3, 1, 1)  # a green box in the sky
    edit = Change(photos, before, after, None, lambda share: torch.lerp(before, after, share))
    middle = (..., slice(36, 60), slice(172, 196))
    shown = to_size(after, (256, 256))[middle]
    trusted, seen = (Transfer(model="colour", explained=most)(edit) for most in (0.0, 0.1))
    assert (seen[middle] - shown).abs().mean() < 0.05 < (trusted[middle] - shown).abs().mean()


def test_a_share_of_what_a_flow_leaves_is_added(photos: Tensor) -> None:
    """And of what colours alone leave nothing is: that is what moves, and would be seen twice."""
    edit = along(photos, lambda photos, share: zoom(photos, 1 + 0.3 * share))
    truth = zoom(photos, 1.3)
    errors = [decibel(Transfer(model="flow", rest=rest)(edit), truth) for rest in (0.0, 0.5)]
    assert errors[1] > errors[0] + 0.5
    assert Transfer(model="colour", rest=0.0)(edit).equal(Transfer(model="colour", rest=1.0)(edit))


def test_each_image_has_the_model_that_suits_it(photos: Tensor) -> None:
    def make(photos: Tensor, share: float) -> Tensor:
        return torch.cat([shift(photos[:1], 16 * share, 0), photos[1:2] * (1 - 0.4 * share), photos[2:]])

    step, edit = Transfer(), along(photos, make)
    frames = step.way(edit)
    gains = step.gain(frames)
    assert gains[0] > step.margin > gains[1] and gains[2] == 0
    motion = step.motion(frames)
    assert motion.flow[0].abs().amax() > 2 and motion.flow[1:].abs().amax() == 0
    never = Transfer(margin=99.0)
    assert never.motion(frames).flow.abs().amax() == 0


def test_motions_compose_as_they_are_applied(photos: Tensor) -> None:
    image = small(photos)
    rng = torch.Generator().manual_seed(3)

    def draw() -> Motion:
        wide = torch.randn(3, 8, 4, 4, generator=rng)
        flow, gain, offset = F.interpolate(wide, size=(64, 64), mode="bicubic").split([2, 3, 3], dim=1)
        return Motion(1.5 * flow, 1 + 0.1 * gain, 0.1 * offset)

    first, second = draw(), draw()
    one_by_one = second.apply(first.apply(image))
    assert (second.after(first).apply(image) - one_by_one)[INSIDE].abs().mean() < 0.02
    large = second.resized((256, 128))
    assert large.flow.shape == (3, 2, 256, 128)
    torch.testing.assert_close(
        large.flow[0, :, 100, 64] / torch.tensor([2.0, 4.0]), second.flow[0, :, 25, 32], atol=0.3, rtol=0
    )


def test_photos_of_any_shape_are_brought_along(photos: Tensor) -> None:
    wide = to_size(photos, (192, 320))
    frames = lambda share: small(wide) * (1 - 0.3 * share)  # noqa: E731
    made = Transfer()(Change(wide, frames(0.0), frames(1.0), None, frames))
    assert made.shape == wide.shape and (made - 0.7 * wide).abs().amax() < 0.02


def test_the_pyramid_begins_where_it_can() -> None:
    estimate = Estimator()
    assert estimate.sizes((64, 64)) == [(16, 16), (32, 32), (64, 64)]
    assert estimate.sizes((12, 20)) == [(12, 20)] and estimate.sizes((1, 1)) == [(1, 1)]
    flat = torch.zeros(1, 3, 1, 1)
    assert torch.equal(estimate(flat, flat).offset, flat)


def test_photos_and_edits_that_do_not_suit_are_refused(photos: Tensor) -> None:
    frames = small(photos)
    with pytest.raises(ValueError, match=r"the photo has 48 × 48 pixels, fewer than the 64 × 64 of the generator"):
        Transfer()(Change(to_size(photos, (48, 48)), frames, frames, None, lambda share: frames))
    with pytest.raises(ValueError, match=r"postprocess\.transfer: there is no path from G\(v\) to G\(v′\)"):
        Transfer()(Change(photos, frames, frames))
