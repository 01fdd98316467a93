"""Bootstrap intervals, quantiles and other summaries of a sample of images."""

import math

import numpy as np
from jaxtyping import Float

from zstar.stats.streams import numpy_stream


def bootstrap_interval(
    values: Float[np.ndarray, " n"], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, resampling images.

    Arguments:
        values: One value per image, finite or infinite.
        level: Coverage.
        draws: Number of bootstrap samples.
        seed: Seed of the resampling, so that a table can be made again.

    Returns:
        Lower and upper end; not-a-number for fewer than two values, which say nothing about their spread.

    References:
        Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13.
    """
    if len(values) < 2:
        return math.nan, math.nan
    rng, means, done = numpy_stream("bootstrap", seed), np.empty(draws), 0
    chunk = max(1, 2**21 // len(values))  # so that memory does not grow with the number of images
    while done < draws:
        picked = rng.integers(len(values), size=(min(chunk, draws - done), len(values)))
        means[done : done + len(picked)] = values[picked].mean(axis=1)
        done += len(picked)
    low, high = quantiles(means, [(1 - level) / 2, (1 + level) / 2])
    return low, high


def describe(values: Float[np.ndarray, " n"]) -> dict[str, float | int | None]:
    """``n``, ``mean``, ``median``, ``p5`` and ``p95``; all but ``n`` are ``None`` for an empty sample."""
    if not len(values):
        return {"n": 0, **dict.fromkeys(["mean", "median", "p5", "p95"])}
    median, p5, p95 = quantiles(values, [0.5, 0.05, 0.95])
    return {"n": len(values), "mean": float(values.mean()), "median": median, "p5": p5, "p95": p95}


def quantiles(values: Float[np.ndarray, " n"], levels: list[float]) -> list[float]:
    """Quantiles, interpolated unless a value is infinite: between a finite and an infinite value there is no number."""
    return np.quantile(values, levels, method="linear" if np.isfinite(values).all() else "inverted_cdf").tolist()
