"""Nearest patches between two maps: for each place of the one, where the other is most alike."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

EXHAUSTIVE = 4096  # places of a map up to which all pairs are compared
ALIKE = 1e-6  # of a distance: between places as near as that, the one that moves least is taken


def nearest(
    a: Float[Tensor, "b c h w"],
    b: Float[Tensor, "b c hh ww"],
    start: Int[Tensor, "b 2 h w"] | None = None,
    patch: int = 3,
    reach: int = 3,
    rounds: int = 4,
) -> Int[Tensor, "b 2 h w"]:
    """For each place of ``a`` the row and the column of the place of ``b`` whose patch is nearest.

    The distance of two patches is the mean squared difference of their features, over what of both lies in the maps. In
    small maps all pairs are compared, or all within ``reach`` of ``start``. In large ones places are sought as in
    PatchMatch (Barnes et al. 2009, https://doi.org/10.1145/1531326.1531330): those that neighbours have found, moved
    along, and those nearby; without random numbers, for which the maps of a pyramid stand in.

    Arguments:
        a, b: Feature maps.
        start: Places to begin with, from a coarser map; ``None`` for none.
        patch: Side of the patches, odd.
        reach: How far around ``start``, or what was found so far, places are searched.
        rounds: Of search and propagation, at the most; it ends when nothing moves any more.
    """
    if max(a[0, 0].numel(), b[0, 0].numel()) <= EXHAUSTIVE:
        starts = [None] * len(a) if start is None else start.split(1)
        rows = zip(a.split(1), b.split(1), starts, strict=True)
        return torch.cat([_exhaustive(*row, patch, reach) for row in rows])
    size = (b.shape[-2], b.shape[-1])
    found = inside(scaled(identity(a), size) if start is None else start, size)
    cost = distance(a, b, found, patch)
    for _ in range(rounds):
        before = found
        for move in _moves(reach):
            found, cost = _try(a, b, found, cost, inside(found + move.to(found), size), patch)
        for step in (8, 4, 2, 1):
            for down, right in ((step, 0), (-step, 0), (0, step), (0, -step)):
                neighbour = found.roll((down, right), (2, 3)) + found.new_tensor([down, right]).view(1, 2, 1, 1)
                found, cost = _try(a, b, found, cost, inside(neighbour, size), patch)
        if torch.equal(found, before):
            break
    return found


def identity(a: Shaped[Tensor, "b c h w"]) -> Int[Tensor, "b 2 h w"]:
    """Each place itself."""
    rows, columns = torch.meshgrid(*(torch.arange(n, device=a.device) for n in a.shape[-2:]), indexing="ij")
    return torch.stack([rows, columns]).expand(len(a), 2, *a.shape[-2:]).clone()


def scaled(places: Int[Tensor, "b 2 h w"], size: tuple[int, int]) -> Int[Tensor, "b 2 h w"]:
    """Places of a map of the same size as their own, in one of another size."""
    factors = [new / old for new, old in zip(size, places.shape[-2:], strict=True)]
    return torch.stack([((places[:, k] + 0.5) * factors[k]).floor() for k in (0, 1)], dim=1).to(places)


def refined(
    places: Int[Tensor, "b 2 h w"],
    old: tuple[int, int],
    size: tuple[int, int],
    new: tuple[int, int],
) -> Int[Tensor, "b 2 hh ww"]:
    """The places of a coarse map, in maps of ``old`` size, for a finer one of ``size`` in maps of ``new`` size.

    A fine place keeps its offset within the coarse one.
    """
    coarse = F.interpolate(places.double(), size=size, mode="nearest")
    own = identity(coarse).double()
    parts = []
    for k in (0, 1):
        ratio = size[k] / places.shape[2 + k]
        offset = own[:, k] - (own[:, k] / ratio).floor() * ratio
        parts.append((coarse[:, k] * (new[k] / old[k]) + offset * (new[k] / old[k]) / ratio).floor())
    return inside(torch.stack(parts, dim=1).long(), new)


def inside(places: Int[Tensor, "b 2 h w"], size: tuple[int, int]) -> Int[Tensor, "b 2 h w"]:
    """Places moved into a map of some size."""
    return torch.stack([places[:, k].clamp(0, size[k] - 1) for k in (0, 1)], dim=1)


def taken(b: Shaped[Tensor, "b c hh ww"], places: Int[Tensor, "b 2 h w"]) -> Shaped[Tensor, "b c h w"]:
    """What stands at each place: ``b`` as ``a`` sees it."""
    flat = (places[:, 0] * b.shape[-1] + places[:, 1]).flatten(1)
    found = b.flatten(2).gather(2, flat[:, None].expand(-1, b.shape[1], -1))
    return found.view(*b.shape[:2], *places.shape[-2:])


def voted(b: Float[Tensor, "b c hh ww"], places: Int[Tensor, "b 2 h w"], patch: int) -> Float[Tensor, "b c h w"]:
    """``b`` as ``a`` sees it, each place the mean of what all patches over it have found for it."""
    size, reach = (b.shape[-2], b.shape[-1]), patch // 2
    total, votes = torch.zeros_like(taken(b, places)), 0
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            # The patch in the middle of which is x + offset says of x what lies at its own place, less the offset.
            shifted = _shifted(places, down, right) - places.new_tensor([down, right]).view(1, 2, 1, 1)
            total, votes = total + taken(b, inside(shifted, size)), votes + 1
    return total / votes


def distance(
    a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c hh ww"], places: Int[Tensor, "b 2 h w"], patch: int
) -> Float[Tensor, "b h w"]:
    """Mean squared difference of each patch from the one at its place."""
    reach, size = patch // 2, (b.shape[-2], b.shape[-1])
    own = identity(a)
    total, count = torch.zeros_like(a[:, 0]), torch.zeros_like(a[:, 0])
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            offset = places.new_tensor([down, right]).view(1, 2, 1, 1)
            mine, theirs = own + offset, places + offset
            there = _within(mine, (a.shape[-2], a.shape[-1])) & _within(theirs, size)
            apart = taken(a, inside(mine, (a.shape[-2], a.shape[-1]))) - taken(b, inside(theirs, size))
            total = total + torch.where(there, apart.square().mean(dim=1), 0.0)
            count = count + there
    return total / count.clamp_min(1)


def _exhaustive(a: Tensor, b: Tensor, start: Tensor | None, patch: int, reach: int) -> Int[Tensor, "1 2 h w"]:
    """All pairs of one picture: distances of places, added up along the diagonals that patches are."""
    (h, w), (hh, ww) = a.shape[-2:], b.shape[-2:]
    x, y = a[0].flatten(1).T, b[0].flatten(1).T
    apart = (torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square() / x.shape[1]).view(h, w, hh, ww)
    ones = torch.ones(1, 1, 1, 1, device=a.device, dtype=a.dtype).expand(h, w, hh, ww)
    total, count = (_diagonals(each, patch // 2) for each in (apart, ones))
    total = (total / count).view(h * w, hh * ww)
    straight = (scaled(identity(a), (hh, ww)) if start is None else start)[0].flatten(1).T
    rows, columns = ((straight[:, k : k + 1] - identity(b)[0, k].flatten()).abs() for k in (0, 1))
    if start is not None:
        total = torch.where(rows.maximum(columns) <= reach, total, torch.inf)
    least = total.min(dim=1, keepdim=True).values
    far = rows + columns
    tied = total <= least + ALIKE * (1 + least)
    best = torch.where(tied, far, far.max() + 1).argmin(dim=1)
    return torch.stack([best // ww, best % ww]).view(1, 2, h, w)


def _diagonals(pairs: Tensor, reach: int) -> Tensor:
    """Sum over offsets of the pairs that both places moved by the offset make; pairs outside count nothing."""
    for first, second in ((0, 2), (1, 3)):
        total = torch.zeros_like(pairs)
        for offset in range(-reach, reach + 1):
            n, m = pairs.shape[first], pairs.shape[second]
            to = [slice(None)] * 4
            source = [slice(None)] * 4
            to[first], source[first] = (
                slice(max(0, -offset), n - max(0, offset)),
                slice(max(0, offset), n - max(0, -offset)),
            )
            to[second], source[second] = (
                slice(max(0, -offset), m - max(0, offset)),
                slice(max(0, offset), m - max(0, -offset)),
            )
            total[tuple(to)] += pairs[tuple(source)]
        pairs = total
    return pairs


def _try(
    a: Tensor, b: Tensor, found: Tensor, cost: Tensor, other: Tensor, patch: int
) -> tuple[Int[Tensor, "b 2 h w"], Float[Tensor, "b h w"]]:
    """The better of two proposals for each place."""
    new = distance(a, b, other, patch)
    wins = new < cost * (1 - ALIKE)
    return torch.where(wins[:, None], other, found), torch.where(wins, new, cost)


def _moves(reach: int) -> list[Tensor]:
    """All moves within reach, but none at all."""
    span = range(-reach, reach + 1)
    return [torch.tensor([down, right]).view(1, 2, 1, 1) for down in span for right in span if down or right]


def _shifted(places: Tensor, down: int, right: int) -> Tensor:
    """What the places are at an offset from each place, at borders the last one's, moved along."""
    own = identity(places)
    at = inside(own + own.new_tensor([down, right]).view(1, 2, 1, 1), (places.shape[-2], places.shape[-1]))
    kept = at - own - own.new_tensor([down, right]).view(1, 2, 1, 1)  # not 0 where the border stopped it
    return taken(places, at) - kept


def _within(places: Tensor, size: tuple[int, int]) -> Tensor:
    return (places >= 0).all(dim=1) & (places[:, 0] < size[0]) & (places[:, 1] < size[1])
