"""Post-processing: what an edit makes of the photo, and what it leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from zstar.config.build import build
from zstar.postprocess.base import AbstractPostprocess, Change, grow
from zstar.postprocess.blend import Blend
from zstar.postprocess.chain import Chain, make_chain
from zstar.postprocess.none import Nothing
from zstar.postprocess.poisson import Poisson
from zstar.postprocess.residual import Residual
from zstar.postprocess.transfer import Transfer
from zstar.segmenters.base import AbstractSegmenter

FILES = sorted((Path(__file__).parents[1] / "conf" / "postprocess").glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def postprocess(request: pytest.FixtureRequest) -> AbstractPostprocess:
    (node,) = yaml.safe_load(request.param.read_text()).values()
    return build(node)


def change(photo: Tensor, before: Tensor, after: Tensor, mask: Tensor | None = None) -> Change:
    """An edit whose frames lie on the straight way."""
    return Change(photo, before, after, mask, lambda share: torch.lerp(before, after, share))


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
    made = postprocess(change(photo, before, after, box(20, 40)))
    reach = round(postprocess.reach * 64) + round(postprocess.fade * 64)
    far = grow(box(20, 40), reach).expand_as(photo) == 0
    assert torch.equal(made[far], photo[far])
    if isinstance(postprocess, Transfer):
        return  # whose colours are smooth, for edits of a whole picture
    outside = box(20, 40).expand_as(photo) == 0
    assert (made - photo)[outside].abs().mean() <= 2 / 255  # of [−1, 1]: 1/255 of the range
    assert (made - after)[~outside].abs().mean() < (photo - after)[~outside].abs().mean() / 3


def test_no_mask_and_no_change_leave_the_photo(postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]) -> None:
    photo, before, after = pictures
    assert torch.equal(postprocess(change(photo, before, after, torch.zeros(1, 1, 64, 64))), photo)
    if not isinstance(postprocess, Nothing):
        torch.testing.assert_close(postprocess(change(photo, before, before, torch.ones(1, 1, 64, 64))), photo)


def test_a_batch_is_its_single_pictures(postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]) -> None:
    together = postprocess(change(*pictures, torch.cat([box(5, 30), box(30, 50)])))
    for i, mask in enumerate((box(5, 30), box(30, 50))):
        alone = postprocess(change(*(one[i : i + 1] for one in pictures), mask))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=0)


def test_a_larger_photo_keeps_its_detail(postprocess: AbstractPostprocess, pictures: tuple[Tensor, ...]) -> None:
    _, before, after = pictures
    photo = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(2)) * 2 - 1
    made = postprocess(change(photo, before, after, box(20, 40)))
    assert made.shape == photo.shape and torch.equal(made[..., :40, :], photo[..., :40, :])
    assert (made - photo)[..., 100:140, 100:140].abs().mean() > 0.1


def test_residual_keeps_what_the_projection_lost_and_blend_does_not(pictures: tuple[Tensor, ...]) -> None:
    photo, before, _ = pictures
    after, mask = before + 0.3, torch.ones(1, 1, 64, 64)
    torch.testing.assert_close(Residual()(change(photo, before, after, mask)), (photo + 0.3).clamp(-1, 1))
    torch.testing.assert_close(Blend()(change(photo, before, after, mask)), after.clamp(-1, 1), atol=1e-5, rtol=0)


def test_the_next_step_gets_the_change_of_the_photo_to_the_picture_so_far(pictures: tuple[Tensor, ...]) -> None:
    photo, before, after = pictures
    edit = change(photo, before, after, box(20, 40))
    first = Residual()(edit)
    assert torch.equal(Chain({"residual": Residual()})(edit), first)
    twice = Chain({"residual": Residual(), "again": Residual()})(edit)
    torch.testing.assert_close(twice[..., 20:40, 20:40], first[..., 20:40, 20:40])  # and no change is added twice
    blended = Blend()(change(photo, photo, first, box(20, 40)))
    torch.testing.assert_close(Chain({"residual": Residual(), "blend": Blend()})(edit), blended)
    other = Chain({"blend": Blend(), "residual": Residual()})(edit)
    assert (other - blended).abs().amax() > 0.05, "the order is that of the list"
    sewn = Chain({"blend": Blend(), "poisson": Poisson()})(edit)
    torch.testing.assert_close(sewn, Poisson()(change(photo, photo, Blend()(edit), box(20, 40))))


def test_without_a_step_the_picture_is_the_edit_in_the_size_of_the_photo(pictures: tuple[Tensor, ...]) -> None:
    _, before, after = pictures
    photo = torch.zeros(2, 3, 128, 96)
    for chain in (make_chain(None), make_chain({}), Chain({"none": Nothing()})):
        made = chain(change(photo, before, after))
        assert made.shape == photo.shape and (made[..., 100, 60] - after[..., 50, 40]).abs().amax() < 0.5
    assert torch.equal(Chain({"none": Nothing()})(change(after, before, after)), after)


class Halves(AbstractSegmenter):
    """Sees ``left`` in the left half of a picture and ``right`` in the other."""

    classes, kinds = ("left", "right"), {"left": "object", "right": "object"}  # noqa: RUF012

    def logits(self, images: Tensor) -> Tensor:
        right = (torch.arange(images.shape[-1]) >= images.shape[-1] // 2).float().expand_as(images[:, 0])
        return torch.stack([1 - right, right], dim=1)

    def require_images(self, generator: object) -> None:
        pass


def test_a_blend_has_its_mask_from_the_difference_the_segmenter_or_the_user(pictures: tuple[Tensor, ...]) -> None:
    photo, before, after = pictures

    made = Blend(mask="segmenter", classes=["right"], segmenter=Halves)(change(photo, before, after))
    assert torch.equal(made[..., :20], photo[..., :20]), "soft, but not so far"
    torch.testing.assert_close(made[..., 40:], after[..., 40:])
    given = Blend(mask="given")(change(photo, before, after, box(20, 40)))
    torch.testing.assert_close(given[..., 20:40, 20:40], after[..., 20:40, 20:40])
    assert torch.equal(given[..., :10, :], photo[..., :10, :])
    edges = (given - photo)[0, 0, 30].abs()
    assert 0 < edges[15] < edges[19] + 0.5, "a soft edge"
    with pytest.raises(ValueError, match=r"postprocess\.blend\.mask: nothing was painted .* set data\.mask"):
        Blend(mask="given")(change(photo, before, after))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Residual(reach=-0.1), r"postprocess\.reach: .* set it to"),
        (lambda: Blend(least=0), r"postprocess\.least: .* set it to"),
        (lambda: Blend(fade=2), r"postprocess\.fade: .* set it to"),
        (lambda: Blend(mask="segmenter"), r"postprocess\.blend\.classes: .* name some"),
        (lambda: Transfer(frames=0), r"postprocess\.frames: .* set it to"),
        (lambda: Transfer(smooth_flow=0), r"postprocess\.smooth_flow: .* set it to"),
        (lambda: Chain({"blend": Blend(), "transfer": Transfer()}), r"postprocess: transfer .* \[transfer,blend\]"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
