"""Intervals that cover as often as they say, and tests that agree with others' and with arithmetic."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from zstar.metrics.distribution import squared_mmd
from zstar.stats.comparison import holm, least_chance, mean_interval, mean_intervals, sign_flip, sign_flips
from zstar.stats.kernel_distance import kernel_distance

SIMULATIONS, IMAGES, SEEDS = 200, 64, 3


def planted(kind: str, rng: np.random.Generator, count: int = SIMULATIONS) -> tuple[list[np.ndarray], float]:
    """Samples of 64 images whose mean is known."""
    size = (count, IMAGES)
    if kind == "normal":
        return list(rng.normal(5.0, 2.0, size)), 5.0
    if kind == "skewed":
        return list(rng.exponential(1.0, size)), 1.0
    if kind == "bounded":
        return list(rng.beta(8.0, 0.5, size)), 8.0 / 8.5
    between = rng.normal(5.0, 1.0, size) if kind == "seeds alike" else np.full(size, 5.0)
    return list((between + rng.normal(0.0, 1.0, (SEEDS, *size))).mean(axis=0)), 5.0  # each image's mean over its seeds


@pytest.mark.parametrize("kind", ["normal", "skewed", "bounded", "seeds alike", "seeds alone"])
def test_the_interval_covers_the_truth_in_95_of_100_data_sets(kind: str) -> None:
    samples, truth = planted(kind, np.random.default_rng(0), 2000)
    inside = np.array([low <= truth <= high for low, high in mean_intervals(samples, draws=2000)])
    assert 0.935 <= inside.mean() <= 0.965, f"{kind}: {inside.mean()}"
    assert 0.93 <= np.median(inside.reshape(10, SIMULATIONS).mean(axis=1)) <= 0.97  # of ten times 200 data sets


def test_seeds_are_not_counted_as_images_and_their_spread_is_not_counted_twice() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(SEEDS, IMAGES, 1000))  # all of the spread is between the seeds of an image
    truth = values.mean(axis=(0, 1)).std()
    ends = np.array(mean_intervals(list(values.mean(axis=0).T), draws=1000))
    assert np.mean(ends[:, 1] - ends[:, 0]) / (2 * 1.96) == pytest.approx(truth, rel=0.05)


def test_the_interval_is_as_wide_as_it_says_for_other_levels() -> None:
    samples, truth = planted("normal", np.random.default_rng(3), 1000)
    inside = np.mean([low <= truth <= high for low, high in mean_intervals(samples, level=0.8, draws=2000)])
    assert 0.77 <= inside <= 0.83


def test_the_interval_is_that_of_a_bootstrap_t_written_as_in_the_book() -> None:
    values, rng = np.random.default_rng(1).exponential(size=30), np.random.default_rng(9)
    pivots = []
    for _ in range(20_000):
        again = values[rng.integers(30, size=30)]
        pivots.append((again.mean() - values.mean()) / (again.std(ddof=1) / math.sqrt(30)))
    error = values.std(ddof=1) / math.sqrt(30)
    wanted = [values.mean() - np.quantile(pivots, 0.975) * error, values.mean() - np.quantile(pivots, 0.025) * error]
    assert mean_interval(values, draws=20_000) == pytest.approx(wanted, abs=0.03 * (wanted[1] - wanted[0]))


def test_many_intervals_at_once_are_those_of_one_at_a_time_and_the_seed_makes_them_again() -> None:
    rng = np.random.default_rng(2)
    samples = [rng.normal(size=20), rng.normal(size=31), rng.normal(size=20) * 1e-9 + 1e-6, np.full(7, 2.0)]
    together = mean_intervals(samples, draws=500, seed=4)
    for ends, values in zip(together, samples, strict=True):
        assert ends == pytest.approx(mean_interval(values, draws=500, seed=4), rel=1e-9)
    assert together[3] == (2.0, 2.0)
    assert mean_intervals(samples, draws=500, seed=5)[0] != together[0]


def test_the_interval_of_many_images_takes_several_chunks_and_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 5000)
    low, high = mean_interval(values, draws=1000)
    half = 1.96 * values.std() / math.sqrt(5000)
    assert [low, high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.15 * half)


def test_samples_that_no_spread_can_be_had_of() -> None:
    assert all(map(math.isnan, mean_interval(np.array([1.0]))))
    assert all(map(math.isnan, mean_interval(np.zeros(0))))
    with np.errstate(all="raise"):
        assert mean_interval(np.array([30.0] * 50 + [math.inf])) == (30.0, math.inf)
    outlier = np.array([0.0] * 63 + [1.0])
    low, high = mean_interval(outlier)
    assert low == 0.0 and 1 / 64 < high <= 4 / 64  # that of the percentiles


def test_the_interval_stays_within_the_values() -> None:
    values = np.concatenate([np.random.default_rng(0).uniform(0.0, 1e-4, 61), [0.001, 0.002, 0.008]])
    low, high = mean_interval(values)
    assert values.min() <= low < values.mean() < high <= values.max()


def test_signs_are_flipped_as_scipy_permutes() -> None:
    rng = np.random.default_rng(0)
    few = rng.normal(0.4, 1.0, 9)

    def mean(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return (a - b).mean(axis=axis)

    pair = (few, np.zeros(9))
    exact = stats.permutation_test(pair, mean, permutation_type="samples", n_resamples=np.inf, vectorized=True)
    assert sign_flip(few) == pytest.approx(exact.pvalue)
    many = rng.normal(0.25, 1.0, 50)
    pair = (many, np.zeros(50))
    wanted = stats.permutation_test(
        pair, mean, permutation_type="samples", n_resamples=20_000, vectorized=True, rng=np.random.default_rng(1)
    )
    assert sign_flip(many, draws=20_000) == pytest.approx(wanted.pvalue, abs=0.01)
    assert sign_flips([few, many]) == [sign_flip(few), sign_flip(many)]


def test_all_signs_count_up_to_24_pairs_and_as_many_random_ones_as_make_a_verdict_sure_beyond() -> None:
    values = np.random.default_rng(3).normal(0.3, 1.0, 14)
    signs = 1 - 2 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1)
    assert sign_flip(values) == np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert sign_flip(np.array([1.0, 1.0, -1.0] * 4)) == pytest.approx(stats.binomtest(4, 12).pvalue)  # with ties
    assert sign_flip(np.ones(24)) == 2.0**-23
    assert sign_flip(np.ones(25)) == 1 / 100_001


def test_the_smallest_p_value_is_what_the_signs_allow() -> None:
    assert sign_flip(np.ones(4)) == 2 / 16
    assert [sign_flip(np.ones(n)) for n in (1, 4, 24, 25)] == [least_chance(n) for n in (1, 4, 24, 25)]
    assert sign_flip(np.full(40, 3.0), draws=999) == 1 / 1000 == least_chance(40, 999)
    assert sign_flip(np.zeros(12)) == 1.0
    assert sign_flip(np.zeros(40)) == 1.0
    assert math.isnan(sign_flip(np.zeros(0))) and math.isnan(sign_flip(np.array([1.0, math.inf])))


def test_the_test_rejects_what_is_true_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(5)
    p = np.array(sign_flips(list(rng.laplace(size=(1000, 20))), draws=1000))
    assert 0.035 <= (p < 0.05).mean() <= 0.065
    assert np.mean(np.array(sign_flips(list(rng.laplace(1.0, 1.0, (100, 20))))) < 0.05) > 0.7  # and finds what is there


@pytest.mark.parametrize(
    "p, wanted",
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5], [0.5]),
        ([0.6, 0.9], [1.0, 1.0]),
        ([math.nan, 0.02, math.nan, 0.03], [math.nan, 0.04, math.nan, 0.04]),
        ([math.nan], [math.nan]),
        ([], []),
    ],
)
def test_holm_by_hand(p: list[float], wanted: list[float]) -> None:
    assert holm(p) == pytest.approx(wanted, nan_ok=True)


def test_holm_rejects_what_its_definition_rejects() -> None:
    for p in np.random.default_rng(0).uniform(0, 0.1, (50, 6)):
        rejected = set()
        for rank, place in enumerate(np.argsort(p)):
            if p[place] > 0.05 / (6 - rank):
                break
            rejected.add(int(place))
        assert {i for i, value in enumerate(holm(p.tolist())) if value <= 0.05} == rejected


def sets(rng: np.random.Generator, n: int = 12, seeds: int = 2) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(n, 5))
    return x, x + 0.3 + 0.5 * rng.normal(size=(seeds, n, 5))


def kernel(a: np.ndarray, b: np.ndarray) -> float:
    return float((a @ b / len(a) + 1) ** 3)


def test_the_kernel_distance_is_a_sum_over_pairs_of_different_images() -> None:
    x, made = sets(np.random.default_rng(0))
    mean, deviation = x.mean(axis=0), x.std(axis=0, ddof=1)
    z, total = (x - mean) / deviation, 0.0
    for y in (made - mean) / deviation:
        for i, j in itertools.permutations(range(12), 2):
            total += kernel(z[i], z[j]) + kernel(y[i], y[j]) - kernel(z[i], y[j]) - kernel(z[j], y[i])
    assert kernel_distance(x, made).mean() == pytest.approx(total / (2 * 12 * 11))


def test_the_kernel_distance_is_that_of_the_metric_but_for_images_and_their_own_reconstructions() -> None:
    x, made = sets(np.random.default_rng(1), n=600, seeds=1)  # 600 rows are more than one chunk
    mean, deviation = x.mean(axis=0), x.std(axis=0, ddof=1)
    z, y = (x - mean) / deviation, (made[0] - mean) / deviation
    cross = (z @ y.T / 5 + 1) ** 3
    theirs = squared_mmd(torch.from_numpy(z), torch.from_numpy(y)).item()
    apart = 2 * cross.mean() - 2 * (cross.sum() - np.trace(cross)) / (600 * 599)
    assert kernel_distance(x, made).mean() == pytest.approx(theirs + apart)


def test_a_perfect_reconstruction_has_distance_zero_and_a_bad_one_is_told_from_it() -> None:
    x, made = sets(np.random.default_rng(2), n=80)
    assert kernel_distance(x, x[None]) == pytest.approx(np.zeros(80), abs=1e-10)
    low, high = mean_interval(kernel_distance(x, made))
    assert 0.0 < low < kernel_distance(x, made).mean() < high


def test_the_contribution_of_an_image_is_what_is_missing_without_it() -> None:
    x, made = sets(np.random.default_rng(3))
    found = kernel_distance(x, made)
    for i in range(12):
        kept = np.arange(12) != i
        without = kernel_distance(x[kept], made[:, kept], reference=x).mean()
        assert found[i] == pytest.approx(12 * found.mean() - 11 * without)


def test_the_interval_of_the_kernel_distance_covers_the_truth() -> None:
    rng = np.random.default_rng(7)
    reference = rng.normal(size=(5000, 5))
    found = [kernel_distance(*sets(rng, n=100, seeds=1), reference) for _ in range(1000)]
    truth = np.mean([each.mean() for each in found])  # a U-statistic has no bias
    inside = np.mean([low <= truth <= high for low, high in mean_intervals(found, draws=2000)])
    assert 0.92 <= inside <= 0.97, inside


def test_two_images_have_no_kernel_distance() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        kernel_distance(np.ones((2, 4)), np.ones((1, 2, 4)))
