"""Comparison of methods: intervals of a mean, paired tests, and the correction for many tests.

The unit is always the image. The results of several seeds of an image are averaged first, and an image that is drawn
brings all of its seeds along. That is how nested data are resampled: drawing seeds once more within a drawn image would
count their spread twice (Davison and Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int64

from zstar.stats.bootstrap import bootstrap_interval, quantiles
from zstar.stats.streams import numpy_stream

FEWEST = 6  # values that an interval needs: of fewer, no resampling covers as often as it says
EXACT = 24  # pairs up to which all signs are tried
SIGNS = 100_000  # random signs for more
CHUNK = 2**21  # numbers held at once, so that memory does not grow with the number of images


def mean_interval(
    values: Float[np.ndarray, " n"], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Studentised bootstrap interval of a mean: it covers as often as it says for few and for skewed values as well.

    Arguments:
        values: One value per image, the mean over its seeds; finite or infinite.
        level: Coverage.
        draws: Number of bootstrap samples.
        seed: Seed of the resampling; samples of the same size are resampled in the same way.

    Returns:
        Lower and upper end; not-a-number for fewer than ``FEWEST`` values. Where resampled spreads vanish, as they do
        if all but a few values are equal, and where a value is infinite, it is the percentile interval. It never goes
        beyond the smallest and the largest value, where a few outliers among values that are nearly equal would take
        it.

    References:
        Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, section 12.5 (the bootstrap-t interval).
    """
    return mean_intervals([values], level, draws, seed)[0]


def mean_intervals(
    samples: Sequence[Float[np.ndarray, " _"]], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> list[tuple[float, float]]:
    """:func:`mean_interval` of many samples at once: those of a size share the resampling, which is what takes time."""
    intervals = [_without_drawing(values, level, draws, seed) for values in samples]
    for n in {len(values) for values, known in zip(samples, intervals, strict=True) if known is None}:
        places = [i for i, values in enumerate(samples) if intervals[i] is None and len(values) == n]
        columns = np.stack([samples[i] for i in places], axis=1).astype(np.float64)
        spreads = columns.std(axis=0)
        scaled = (columns - columns.mean(axis=0)) / spreads
        pivots = np.concatenate([_pivots(counts, scaled) for counts in _resamples(n, draws, seed)])
        for i, pivot, spread in zip(places, pivots.T, spreads.tolist(), strict=True):
            low, high = quantiles(pivot, [(1 - level) / 2, (1 + level) / 2])
            if math.isfinite(low) and math.isfinite(high):
                mean, least, most = (float(of(samples[i])) for of in (np.mean, np.min, np.max))
                intervals[i] = max(mean - high * spread, least), min(mean - low * spread, most)
            else:
                intervals[i] = bootstrap_interval(samples[i], level, draws, seed)
    return [ends for ends in intervals if ends is not None]


def _without_drawing(
    values: Float[np.ndarray, " n"], level: float, draws: int, seed: int
) -> tuple[float, float] | None:
    """The interval of a sample with too few, infinite or equal values."""
    if len(values) < FEWEST:
        return math.nan, math.nan
    if not np.isfinite(values).all():
        return bootstrap_interval(values, level, draws, seed)
    mean = float(values.mean())
    return (mean, mean) if float(values.std()) <= 1e-12 * abs(mean) else None


def _pivots(counts: Float[np.ndarray, "b n"], scaled: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "b k"]:
    """Resampled means in units of the deviation within their own sample; infinite where there is none.

    The columns of ``scaled`` have mean 0 and deviation 1, so that neither large nor tiny values lose digits.
    """
    n = len(scaled)
    means = counts @ scaled / n
    variances = np.maximum(counts @ scaled**2 / n - means**2, 0.0)
    flat = variances <= 1e-9
    return np.where(flat, np.copysign(np.inf, means), means / np.sqrt(np.where(flat, 1.0, variances)))


def _resamples(n: int, draws: int, seed: int) -> Iterator[Float[np.ndarray, "b n"]]:
    """How often each of ``n`` images is drawn in each bootstrap sample, in chunks."""
    rng, chunk = numpy_stream("resamples", seed), max(1, CHUNK // n)
    for first in range(0, draws, chunk):
        rows = min(chunk, draws - first)
        picked = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(picked.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def sign_flip(differences: Float[np.ndarray, " n"], draws: int = SIGNS) -> float:
    """Two-sided p-value of a mean difference of pairs: how often random signs give a mean that is as far from zero.

    If the two of a pair came from one and the same method, either sign of their difference would be as likely. That is
    all that the test needs: no distribution, no number of images that is large enough. All ``2ⁿ`` signs count for up to
    ``EXACT`` pairs; for more, ``draws`` random ones, the same in every call, with the observed one among them, so that
    no answer depends on a seed. Not-a-number where there is no pair, or a difference is infinite.

    References:
        Ernst, *Permutation Methods: A Basis for Exact Inference*, 2004, https://doi.org/10.1214/088342304000000396
    """
    return sign_flips([differences], draws)[0]


def sign_flips(samples: Sequence[Float[np.ndarray, " _"]], draws: int = SIGNS) -> list[float]:
    """:func:`sign_flip` of many samples at once: those of a size share the signs, which are what takes time."""
    chances = [math.nan] * len(samples)
    fine = [i for i, values in enumerate(samples) if len(values) and np.isfinite(values).all()]
    for n in {len(samples[i]) for i in fine}:
        places = [i for i in fine if len(samples[i]) == n]
        columns = np.stack([samples[i] for i in places], axis=1).astype(np.float64)
        observed = np.abs(columns.sum(axis=0)) - 1e-12 * np.abs(columns).sum(axis=0)  # a tie stays one when rounded
        if n <= EXACT:
            found = [_share(values, least) for values, least in zip(columns.T, observed.tolist(), strict=True)]
        else:
            extreme = sum((np.abs(signs @ columns) >= observed).sum(axis=0) for signs in _signs(n, draws))
            found = ((np.atleast_1d(extreme) + 1) / (draws + 1)).tolist()
        for i, chance in zip(places, found, strict=True):
            chances[i] = chance
    return chances


def least_chance(n: int, draws: int = SIGNS) -> float:
    """The smallest value that :func:`sign_flip` can have of ``n`` pairs: that of differences with one sign."""
    return min(1.0, 2.0 ** (1 - n)) if n <= EXACT else 1 / (draws + 1)


def _share(values: Float[np.ndarray, " n"], least: float) -> float:
    """The share of all signs whose sum is at least ``least`` away from zero, from the sums of two halves of the values,
    of which one is sorted: the square root of the work."""
    if least <= 0:
        return 1.0
    one, other = (_sums(half) for half in np.array_split(values, 2))
    other.sort()
    beyond = len(other) * len(one) - int(np.searchsorted(other, least - one).sum())
    return 2 * beyond / 2 ** len(values)  # as many below as above


def _sums(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """The sums of the values with all signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def _signs(n: int, draws: int) -> Iterator[Float[np.ndarray, "b n"]]:
    """Random signs of ``n`` pairs, in chunks."""
    rng, chunk = numpy_stream("signs", 0), max(1, CHUNK // n)
    for first in range(0, draws, chunk):
        yield rng.integers(2, size=(min(chunk, draws - first), n), dtype=np.int8) * 2.0 - 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of a family of p-values, in their order; those that are not-a-number don't count.

    A corrected value below 0.05 is significant with a chance of at most 5 % that any of the family is so by mistake,
    whatever the tests have to do with one another.

    References:
        Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, 1979, https://www.jstor.org/stable/4615733
    """
    values = np.asarray(p, dtype=np.float64)
    order: Int64[np.ndarray, " m"] = np.argsort(values)[: int(np.isfinite(values).sum())]  # numbers first, NaN last
    corrected = np.full(len(values), np.nan)
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected.tolist()
