"""Gradient-domain editing against exact solutions of the same systems."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor
from torch.nn import functional as F

from zstar.postprocess.gradients import Guide, clone

KINDS: dict[Guide, str] = {"import": "import", "average": "average", "mixed": "mixed_per_channel"}


def pair(height: int, width: int, count: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, count, 3, 6, 6, generator=rng, dtype=torch.float64)
    background, source = (F.interpolate(one, size=(height, width), mode="bicubic") for one in coarse)
    return background, source + 0.1 * torch.randn(source.shape, generator=rng, dtype=torch.float64)


def exact(background: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """The solution pixel by pixel: a sparse system, solved directly."""
    found, (height, width) = background.clone(), mask.shape
    places = {(y, x): i for i, (y, x) in enumerate(mask.nonzero().tolist())}
    matrix, right = lil_matrix((len(places), len(places))), np.zeros((len(places), 3))
    for (y, x), i in places.items():
        for b, a in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if not (0 <= b < height and 0 <= a < width):
                continue
            matrix[i, i] += 1
            right[i] += (source[0, :, y, x] - source[0, :, b, a]).numpy()
            if (b, a) in places:
                matrix[i, places[b, a]] -= 1
            else:
                right[i] += background[0, :, b, a].numpy()
    for channel in range(3):
        solved = torch.from_numpy(np.atleast_1d(spsolve(matrix.tocsr(), right[:, channel])))
        for (y, x), i in places.items():
            found[0, channel, y, x] = solved[i]
    return found


@pytest.mark.parametrize("guide", KINDS)
def test_it_is_the_exact_solution_of_photos(shared: Path, guide: Guide) -> None:
    golden = load_file(shared / "golden/poisson/io.safetensors")
    background, source, wanted = (
        golden[name].double().permute(2, 0, 1)[None] for name in ("background", "source", f"exact/{KINDS[guide]}")
    )
    mask = golden["mask"][None, None].double()
    found = clone(background, source, mask, guide, tolerance=1e-9)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)  # of values to 255, some of them below 0
    single = clone(background.float(), source.float(), mask.float(), guide)
    torch.testing.assert_close(single.double(), wanted, rtol=0, atol=2e-2)
    outside = (mask == 0).expand_as(found)
    assert torch.equal(found[outside], background[outside])


MASKS = {
    "on the border": lambda y, x: (x < 9) & (y > 3),
    "in a corner": lambda y, x: (x + y) < 17,
    "all but a pixel": lambda y, x: (x != 20) | (y != 11),
    "scattered": lambda y, x: (7 * x + 13 * y + x * y) % 5 > 1,
    "a pixel": lambda y, x: (x == 20) & (y == 11),
    "a line across": lambda y, x: y == 11,
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_any_shape(name: str) -> None:
    background, source = pair(23, 31)
    y, x = torch.meshgrid(torch.arange(23), torch.arange(31), indexing="ij")
    mask = MASKS[name](y, x)
    found = clone(background, source, mask[None, None].double(), tolerance=1e-10)
    torch.testing.assert_close(found, exact(background, source, mask), rtol=0, atol=1e-6)


def test_where_nothing_is_known_the_mean_stays() -> None:
    background, source = pair(16, 16)
    found = clone(background, source, torch.ones(1, 1, 16, 16, dtype=torch.float64), tolerance=1e-10)
    shift = background.mean(dim=(2, 3), keepdim=True) - source.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(found, source + shift, rtol=0, atol=1e-6)
    assert torch.equal(clone(background, source, torch.zeros(1, 1, 16, 16, dtype=torch.float64)), background)


def test_a_batch_is_its_single_pictures() -> None:
    background, source = pair(40, 40, count=3)
    rng = torch.Generator().manual_seed(2)
    mask = (F.interpolate(torch.randn(3, 1, 5, 5, generator=rng, dtype=torch.float64), size=(40, 40)) > 0).double()
    together = clone(background, source, mask, tolerance=1e-9)
    for i in range(3):
        alone = clone(background[i : i + 1], source[i : i + 1], mask[i : i + 1], tolerance=1e-9)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6)


def test_an_edge_of_the_source_takes_the_colours_around_it() -> None:
    background = torch.zeros(1, 3, 32, 32, dtype=torch.float64) + torch.linspace(-1, 1, 32, dtype=torch.float64)
    source = background + 5.0  # the same edges, in other colours: nothing may be left of these
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    mask[..., 8:24, 5:30] = 1.0
    torch.testing.assert_close(clone(background, source, mask, tolerance=1e-9), background, rtol=0, atol=1e-6)
    assert clone(background, source, mask, most=0).sub(background).abs().max() > 4
