"""Post-processing: what an edit makes of the photo, and what it leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from zstar.config.build import build
from zstar.postprocess.base import AbstractPostprocess, grow
from zstar.postprocess.blend import Blend
from zstar.postprocess.residual import Residual

FILES = sorted((Path(__file__).parents[1] / "conf" / "postprocess").glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def postprocess(request: pytest.FixtureRequest) -> AbstractPostprocess:
    return build(yaml.safe_load(request.param.read_text()))


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """A photo, its projection, and an edit that changes the projection everywhere and most of all in one place."""
    rng = torch.Generator().manual_seed(1)
    photo = torch.rand(2, 3, 64, 64, generator=rng) * 1.6 - 0.8
    before = (photo + 0.05 * torch.randn(2, 3, 64, 64, generator=rng)).clamp(-1, 1)
    after = before + 0.02
    after[:, :, 20:40, 20:40] = 0.9
    return photo, before, after.clamp(-1, 1)


def box(first: int, last: int) -> Tensor:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., first:last, first:last] = 1.0
    return mask


def test_what_was_not_painted_stays_that_of_the_photo(
    postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]
) -> None:
    photo, before, after = pictures
    made = postprocess(photo, before, after, box(20, 40))
    reach = round(postprocess.reach * 64) + round(postprocess.fade * 64)
    far = grow(box(20, 40), reach).expand_as(photo) == 0
    assert torch.equal(made[far], photo[far])
    outside = box(20, 40).expand_as(photo) == 0
    assert (made - photo)[outside].abs().mean() <= 2 / 255  # of [−1, 1]: 1/255 of the range
    assert (made - after)[~outside].abs().mean() < (photo - after)[~outside].abs().mean() / 3


def test_no_mask_and_no_change_leave_the_photo(postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]) -> None:
    photo, before, after = pictures
    assert torch.equal(postprocess(photo, before, after, torch.zeros(1, 1, 64, 64)), photo)
    torch.testing.assert_close(postprocess(photo, before, before, torch.ones(1, 1, 64, 64)), photo)


def test_a_batch_is_its_single_pictures(postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]) -> None:
    together = postprocess(*pictures, torch.cat([box(5, 30), box(30, 50)]))
    for i, mask in enumerate((box(5, 30), box(30, 50))):
        alone = postprocess(*(one[i : i + 1] for one in pictures), mask)
        torch.testing.assert_close(together[i : i + 1], alone)


def test_a_larger_photo_keeps_its_detail(postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]) -> None:
    _, before, after = pictures
    photo = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(2)) * 2 - 1
    made = postprocess(photo, before, after, box(20, 40))
    assert made.shape == photo.shape and torch.equal(made[..., :40, :], photo[..., :40, :])
    assert (made - photo)[..., 100:140, 100:140].abs().mean() > 0.1


def test_residual_keeps_what_the_projection_lost_and_blend_does_not(pictures: tuple[Tensor, ...]) -> None:
    photo, before, _ = pictures
    after, mask = before + 0.3, torch.ones(1, 1, 64, 64)
    torch.testing.assert_close(Residual()(photo, before, after, mask), (photo + 0.3).clamp(-1, 1))
    torch.testing.assert_close(Blend()(photo, before, after, mask), after.clamp(-1, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [lambda: Residual(reach=-0.1), lambda: Blend(least=0), lambda: Blend(fade=2)])
def test_settings_out_of_range_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"postprocess\.(reach|least|fade): .* set it to"):
        make()
