"""Kernel distance between targets and reconstructions, with an interval that resampling would get wrong."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit

ROWS = 512  # of the kernel at once, so that memory does not grow with the square of the number of images


@dataclass(frozen=True)
class KernelDistance:
    """What each image has to do with a kernel distance: enough for its value, its interval and a paired difference.

    The distance is the squared maximum mean discrepancy under the cubic kernel of the kernel inception distance, as a
    U-statistic over pairs of different images: no image is compared with itself, nor with its own reconstruction, so
    that a perfect reconstruction has exactly 0, in the mean over the seeds. Features are standardised by the mean and
    deviation of the targets.

    The interval is that of the jackknife, which leaves out one image at a time: a bootstrap sample has the same image
    more than once, and the kernel of an image with itself makes the distance too large.

    Attributes:
        ids: Names of the images.
        sums: For each image, the sum over all others of ``k(x, x') + k(y, y') − k(x, y') − k(x', y)``.

    References:
        Bińkowski et al., https://arxiv.org/abs/1801.01401; Gretton et al., *A Kernel Two-Sample Test*, 2012, lemma 6;
        Arvesen, *Jackknifing U-Statistics*, 1969.
    """

    ids: tuple[str, ...]
    sums: Float[np.ndarray, " n"]

    @property
    def value(self) -> float:
        """The distance; about 0, and below it by chance, for sets that are alike."""
        n = len(self.ids)
        return float(self.sums.sum()) / (n * (n - 1)) if n > 1 else math.nan

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Jackknife interval with Student's distribution; not-a-number for fewer than three images."""
        deviation, freedom = self._deviation()
        half = float(stdtrit(freedom, (1 + level) / 2)) * deviation if freedom > 0 else math.nan
        return self.value - half, self.value + half

    def p(self) -> float:
        """Two-sided p-value of the distance, or of a difference of two, being 0; not-a-number for too few images."""
        deviation, freedom = self._deviation()
        if freedom <= 0:
            return math.nan
        if deviation <= 1e-12 * abs(self.value):
            return float(self.value == 0.0)
        return 2 * float(stdtr(freedom, -abs(self.value) / deviation))

    def _deviation(self) -> tuple[float, int]:
        n = len(self.ids)
        if n < 3:
            return math.nan, 0
        without = (self.sums.sum() - 2 * self.sums) / ((n - 1) * (n - 2))
        return math.sqrt((n - 1) * float(without.var())), n - 1


def kernel_distance(
    ids: list[str],
    targets: Float[np.ndarray, "n d"],
    reconstructions: Float[np.ndarray, "s n d"],
    reference: Float[np.ndarray, "m d"] | None = None,
) -> KernelDistance:
    """Kernel distance of the targets to their reconstructions.

    Arguments:
        ids: Names of the images.
        targets: Features of the targets.
        reconstructions: Features of the reconstructions with each of ``s`` seeds; the distances are averaged.
        reference: Features of the targets that standardise the features, if not ``targets``: of all images, where two
            methods are compared on those that both have.
    """
    reference = (targets if reference is None else reference).astype(np.float64)
    mean, deviation = reference.mean(axis=0), reference.std(axis=0, ddof=min(1, len(reference) - 1))
    deviation = np.maximum(deviation, 1e-6)
    x = (targets - mean) / deviation
    sums = np.zeros(len(ids))
    own = _row_sums(x, x)
    for made in reconstructions:
        y = (made - mean) / deviation
        sums += (own + _row_sums(y, y) - _row_sums(x, y) - _row_sums(y, x)) / len(reconstructions)
    return KernelDistance(tuple(ids), sums)


def difference(a: KernelDistance, b: KernelDistance) -> KernelDistance:
    """The distance ``a`` minus the distance ``b`` of the same images, image by image."""
    if a.ids != b.ids:
        raise ValueError("difference: the distances are of different images; compute both for those that they share")
    return KernelDistance(a.ids, a.sums - b.sums)


def _row_sums(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """For each row of ``x`` the sum of its kernel with the rows of ``y``, except the one in its own place."""
    inner = x.shape[1]
    parts = np.split(x, range(ROWS, len(x), ROWS))
    whole = np.concatenate([((part @ y.T / inner + 1) ** 3).sum(axis=1) for part in parts])
    return whole - ((x * y).sum(axis=1) / inner + 1) ** 3
