"""Quantiles of many streams of values at once, in constant memory."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zstar.stats.streams import stream

CAPACITY = 8192  # values kept of each weight; the error of a rank is about this part of all values
WHOLE = 2**17  # values of a stream that are all looked at; of more, one of each group stands for its group


class Quantiles:
    """A sketch of the distribution of each of several streams, the units of a layer, that get values together.

    Up to ``capacity`` values a stream it is exact. Beyond, values wait in levels: those of level l stand for 2^l values
    each, and a level that is full is sorted, of which every second one goes to the next level. The rank of a quantile
    is then wrong by about 1/capacity of all values (Karnin et al., *Optimal Quantile Approximation in Streams*,
    https://arxiv.org/abs/1603.05346), and memory and work grow with the logarithm of their number.

    Arguments:
        units: Number of streams.
        capacity: Values kept in a level.
        seed: Of the random choices beyond ``capacity``.
    """

    def __init__(self, units: int, capacity: int = CAPACITY, seed: int = 0) -> None:
        self.units, self.capacity, self.count = units, capacity, 0
        self.rng = stream("a sketch of quantiles", seed)
        self.levels: list[list[Tensor]] = [[]]
        self.low = self.high = torch.empty(units, 0)

    def add(self, values: Float[Tensor, "u n"]) -> None:
        """More values of each stream, none of them not-a-number."""
        values = values.detach().cpu()
        if values.shape[1] == 0:
            return
        self._bound(values)
        self.count += values.shape[1]
        level = max(0, (self.count - 1) // WHOLE).bit_length()
        self._put(level, values if level == 0 else self._thin(values, 2**level))

    def merge(self, other: "Quantiles") -> None:
        """Take in what another sketch of as many streams has seen."""
        if other.count == 0:
            return
        self._bound(torch.cat([other.low, other.high], dim=1))
        self.count += other.count
        for level, parts in enumerate(other.levels):
            for part in parts:
                self._put(level, part)

    def at(self, shares: Float[Tensor, " k"]) -> Float[Tensor, "u k"]:
        """The quantiles at shares in [0, 1], by Hazen's rule: of n values, the i-th smallest is that at (i − ½)/n; in
        between they are interpolated, and outside of them the smallest and the largest stand."""
        if self.count == 0:
            raise ValueError("quantiles: no values have been added, and nothing has no quantiles")
        parts = [(2.0**level, torch.cat(found, dim=1)) for level, found in enumerate(self.levels) if found]
        values = torch.cat([part for _, part in parts], dim=1)
        weights = torch.cat([torch.full((part.shape[1],), w, dtype=torch.float64) for w, part in parts])
        values, order = values.sort(dim=1)
        weights = weights[order]
        ends = weights.cumsum(dim=1)
        places = (ends - weights / 2) / ends[:, -1:]
        if len(parts) > 1 or parts[0][0] > 1:  # the largest and the smallest may have been passed over
            values = torch.cat([self.low, values, self.high], dim=1)
            end = 0.5 / self.count
            places = torch.nn.functional.pad(places, (1, 1)).clamp(end, 1 - end)
            places[:, 0], places[:, -1] = end, 1 - end
        return interpolate(shares.double().cpu(), places, values)

    def _bound(self, values: Tensor) -> None:
        """Note the smallest and the largest value of each stream."""
        self.low = torch.cat([self.low, values], dim=1).amin(dim=1, keepdim=True)
        self.high = torch.cat([self.high, values], dim=1).amax(dim=1, keepdim=True)

    def _thin(self, values: Tensor, group: int) -> Tensor:
        """One value of each group of neighbours, a random one, the same for all streams."""
        count = max(1, round(values.shape[1] / group))
        steps = torch.rand(count, generator=self.rng, dtype=torch.float64)
        chosen = ((torch.arange(count) + steps) * values.shape[1] / count).long().clamp(max=values.shape[1] - 1)
        return values[:, chosen]

    def _put(self, level: int, values: Tensor) -> None:
        """Let values wait in a level, and let half of it go on to the next one if that makes it too full."""
        while len(self.levels) <= level:
            self.levels.append([])
        self.levels[level].append(values)
        size = sum(part.shape[1] for part in self.levels[level])
        if size <= self.capacity:
            return
        whole = torch.cat(self.levels[level], dim=1)
        even = size - size % 2
        self.levels[level] = [whole[:, even:]] if size % 2 else []
        first = int(torch.randint(2, (), generator=self.rng))
        self._put(level + 1, torch.from_numpy(np.sort(whole[:, :even].numpy(), axis=1)[:, first::2].copy()))


def interpolate(
    shares: Float[Tensor, " k"], places: Float[Tensor, "u n"], values: Float[Tensor, "u n"]
) -> Float[Tensor, "u k"]:
    """The values at ``shares`` of functions that are known at increasing ``places``; beyond these, as at the ends."""
    wanted = shares.expand(len(places), -1).contiguous()
    after = torch.searchsorted(places.contiguous(), wanted).clamp(1, max(places.shape[1] - 1, 1))
    after = after.clamp(max=places.shape[1] - 1)
    before = (after - 1).clamp(min=0)
    left, right = places.gather(1, before), places.gather(1, after)
    part = ((wanted - left) / (right - left).clamp(min=1e-300)).clamp(0, 1)
    low, high = values.gather(1, before).double(), values.gather(1, after).double()
    return (low + part * (high - low)).to(values.dtype)
