"""Streaming quantiles: exact while there are few values, near beyond, the same in any order of merging."""

import numpy as np
import pytest
import torch

from zstar.dissection.quantiles import WHOLE, Quantiles

SHARES = torch.tensor([0.0, 0.005, 0.1, 0.5, 0.995, 1.0], dtype=torch.float64)


def draws(count: int, seed: int = 1) -> torch.Tensor:
    """Three streams of different shapes."""
    values = torch.randn(3, count, generator=torch.Generator().manual_seed(seed))
    return torch.stack([values[0], values[1].exp(), values[2].relu()])


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_few_values_have_hazens_quantiles(count: int) -> None:
    values, sketch = draws(count), Quantiles(3)
    for part in values.split(300, dim=1):
        sketch.add(part)
    exact = np.quantile(values.numpy(), SHARES.numpy(), axis=1, method="hazen").T
    np.testing.assert_allclose(sketch.at(SHARES).numpy(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [20_000, 4 * WHOLE + 200_000])
def test_ranks_are_near_where_there_are_many(count: int) -> None:
    values, sketch = draws(count), Quantiles(3, capacity=1024)
    for part in values.split(7_777, dim=1):
        sketch.add(part)
    found = sketch.at(SHARES)
    ranks = (values[:2, :, None] <= found[:2, None]).float().mean(dim=1)
    torch.testing.assert_close(ranks, SHARES.float().expand(2, -1), atol=4e-3, rtol=0)
    assert torch.equal(found[:, 0], values.amin(dim=1)) and torch.equal(found[:, -1], values.amax(dim=1))
    kept = sum(part.shape[1] for level in sketch.levels for part in level)
    assert kept <= 1024 * len(sketch.levels) <= 1024 * 20


def test_sketches_are_merged() -> None:
    first, second = draws(3_000), draws(5_000, 2) + 1
    one, other = Quantiles(3, 1024), Quantiles(3, 1024)
    one.add(first)
    other.add(second)
    one.merge(other)
    one.merge(Quantiles(3, 1024))
    both = torch.cat([first, second], dim=1)
    assert one.count == 8_000
    ranks = (both[:2, :, None] <= one.at(SHARES)[:2, None]).float().mean(dim=1)
    torch.testing.assert_close(ranks, SHARES.float().expand(2, -1), atol=4e-3, rtol=0)


def test_nothing_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="no values have been added"):
        Quantiles(3).at(SHARES)
