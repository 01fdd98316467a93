"""Distances between sets of images: zero where there is none, growing where it grows, with honest intervals."""

import pytest
import torch

from zstar.metrics.distribution import Estimate, diversity, kid, pooled, presence, shares, squared_mmd


def normal(n: int, shift: float, seed: int) -> torch.Tensor:
    return torch.randn(n, 12, generator=torch.Generator().manual_seed(seed)) + shift


def test_squared_mmd_is_unbiased() -> None:
    values = torch.stack([squared_mmd(normal(20, 0, 2 * i), normal(30, 0, 2 * i + 1)) for i in range(400)])
    assert abs(values.mean().item()) < 3 * (values.std() / 20).item()
    assert values.min() < 0  # unlike the biased estimate, which never is


def test_kid_grows_with_the_distance_and_ignores_units() -> None:
    real = normal(600, 0, 0)
    near, far = (kid(real, normal(600, shift, 1), size=200) for shift in (0.2, 0.6))
    floor = kid(real, normal(600, 0, 2), size=200)
    assert floor.low < 0 < floor.high
    assert floor.value < near.low < near.high < far.low
    units = torch.logspace(-3, 3, 12)
    assert kid(real * units, normal(600, 0.2, 1) * units, size=200).value == pytest.approx(near.value, rel=1e-3)


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = [Estimate.of(torch.rand(60, generator=torch.Generator().manual_seed(i)), draws=300) for i in range(200)]
    covered = sum(e.low <= 0.5 <= e.high for e in draws) / len(draws)
    assert 0.88 < covered < 0.99


def test_presence_counts_images_not_pixels() -> None:
    labels = torch.zeros(4, 10, 10, dtype=torch.int64)
    labels[0, 0, :4] = 1
    labels[1] = 1
    share = shares(labels, 3)
    assert share[:, 1].tolist() == pytest.approx([0.04, 1, 0, 0])
    assert presence(share, 0.02).tolist() == [0.75, 0.5, 0]
    assert presence(share, 0.05).tolist() == [0.75, 0.25, 0]


def test_diversity_is_between_different_images() -> None:
    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))

    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert diversity(images, distance, pairs=10).value == 1  # an image is never paired with itself
    assert diversity(images[:1].expand(5, 3, 4, 4), distance, pairs=10).value == 0


def test_pooled_features_keep_the_quarters_of_the_coarsest_map() -> None:
    fine, coarse = torch.rand(2, 3, 8, 8), torch.rand(2, 5, 4, 4)
    vectors = pooled([fine, coarse])
    assert vectors.shape == (2, 3 + 5 + 4 * 5)
    torch.testing.assert_close(vectors[:, 3:8], coarse.mean(dim=(2, 3)))
    assert vectors[0, 8].item() == pytest.approx(coarse[0, 0, :2, :2].mean().item())
