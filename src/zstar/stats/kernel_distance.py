"""Kernel distance between targets and reconstructions, as contributions of images, which have an interval."""

import numpy as np
from jaxtyping import Float

ROWS = 512  # of the kernel at once, so that memory does not grow with the square of the number of images


def kernel_distance(
    targets: Float[np.ndarray, "n d"],
    reconstructions: Float[np.ndarray, "s n d"],
    reference: Float[np.ndarray, "m d"] | None = None,
) -> Float[np.ndarray, " n"]:
    """Contribution of each image to the kernel distance of the targets to their reconstructions.

    The distance is the mean of the contributions: the squared maximum mean discrepancy under the cubic kernel of the
    kernel inception distance, as a U-statistic over pairs of different images. No image is compared with itself, nor
    with its own reconstruction, so that a perfect reconstruction has exactly 0. It is about 0, and below it by chance,
    for sets that are alike.

    The contributions are the jackknife's pseudo-values, ``n`` times the distance less ``n − 1`` times that without the
    image; for intervals and tests they stand in for values of independent images. A bootstrap of the images themselves
    would have the same image more than once, and the kernel of an image with itself makes a distance too large.

    Arguments:
        targets: Features of at least three targets.
        reconstructions: Features of the reconstructions with each of ``s`` seeds; the distances are averaged.
        reference: Features of the targets whose mean and deviation standardise all features, if not ``targets``: of all
            images, where methods are compared that lack different ones.

    References:
        Bińkowski et al., https://arxiv.org/abs/1801.01401; Gretton et al., *A Kernel Two-Sample Test*, 2012, lemma 6;
        Arvesen, *Jackknifing U-Statistics*, 1969.
    """
    n = len(targets)
    if n < 3:
        raise ValueError(f"kernel_distance: {n} images are too few to leave one out; give at least 3")
    reference = (targets if reference is None else reference).astype(np.float64)
    mean, deviation = reference.mean(axis=0), np.maximum(reference.std(axis=0, ddof=1), 1e-6)
    x, sums = (targets - mean) / deviation, np.zeros(n)
    own = _row_sums(x, x)
    for made in reconstructions:
        y = (made - mean) / deviation
        sums += (own + _row_sums(y, y) - _row_sums(x, y) - _row_sums(y, x)) / len(reconstructions)
    without = (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))
    return sums.sum() / (n - 1) - (n - 1) * without


def _row_sums(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """For each row of ``x`` the sum of its kernel with the rows of ``y``, except the one in its own place."""
    inner = x.shape[1]
    parts = np.split(x, range(ROWS, len(x), ROWS))
    whole = np.concatenate([((part @ y.T / inner + 1) ** 3).sum(axis=1) for part in parts])
    return whole - ((x * y).sum(axis=1) / inner + 1) ** 3
