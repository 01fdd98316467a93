"""What an image changes of the generator's weights: in full, as a product of two thin matrices, or in a few places."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import reduce

import torch
from torch import Tensor, nn

from zstar.config.signatures import nearest
from zstar.generators.layout import channels_last, has_channels_last
from zstar.generators.variables import Variables, part
from zstar.stats.streams import stream

ENDINGS = ("/left", "/right", "/places", "/values")


def weight_changes(v: Variables, network: nn.Module) -> dict[str, Tensor]:
    """Name of a parameter → what each image adds to it, ``[b, *shape]``, differentiable in the tensors of ``v``.

    A change is the sum of what there is of it in ``v``: ``weights/<parameter>`` in full, ``…/left`` [b, rows, rank]
    times ``…/right`` [b, rank, columns], and ``…/values`` [b, k] at ``…/places`` [b, k], which count the numbers of the
    parameter from 0. They are computed with in the parameter's own precision.

    Raises:
        ValueError: There is no such parameter.
    """
    given, known = part(v, "weights"), dict(network.named_parameters())
    names = list(dict.fromkeys(key.rpartition("/")[0] if key.endswith(ENDINGS) else key for key in given))
    require_known(names, known, type(network).__name__)
    return {name: reduce(torch.add, _terms(name, given, known[name])) for name in names}


def _terms(name: str, given: Mapping[str, Tensor], parameter: Tensor) -> Iterator[Tensor]:
    if name in given:
        yield given[name].to(parameter)
    if f"{name}/left" in given:
        left, right = (given[f"{name}/{side}"].to(parameter) for side in ("left", "right"))
        yield (left @ right).view(-1, *parameter.shape)
    if f"{name}/values" in given:
        values, places = given[f"{name}/values"].to(parameter), given[f"{name}/places"].long()
        none = values.new_zeros(len(values), parameter.numel())
        yield none.scatter_add(1, places, values).view(-1, *parameter.shape)


def require_known(names: Iterable[str], known: Collection[str], network: str) -> None:
    """Refuse changes of parameters that ``network`` does not have."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"weights: {network} has no parameter '{unknown[0]}'; {nearest(unknown[0], known)}")


def change_map(shift: Tensor | None, factor: Tensor | None, output: Tensor) -> Tensor:
    """A feature map times 1 + ``factor``, plus ``shift``."""
    output = output if factor is None else output * _alike(1 + factor, output)
    return output if shift is None else output + _alike(shift, output)


def _alike(change: Tensor, output: Tensor) -> Tensor:
    """A change in the type and the layout of a map: what lies otherwise in memory is added up in another order."""
    change = change.to(output)
    return channels_last(change) if has_channels_last(output) else change.contiguous()


def full(name: str, parameter: Tensor, count: int) -> dict[str, Tensor]:
    """No change yet, in full, of ``count`` images."""
    return {f"weights/{name}": parameter.new_zeros(count, *parameter.shape)}


def low_rank(name: str, parameter: Tensor, count: int, rank: int) -> dict[str, Tensor]:
    """No change yet, as a product of rank ``rank``: a matrix of zeros times a random one, the same for each image.

    A parameter of which that would be no fewer numbers is changed in full.
    """
    rows, columns = _as_matrix(parameter)
    if rank * (rows + columns) >= rows * columns:
        return full(name, parameter, count)
    right = torch.randn(rank, columns, generator=stream("low rank", 0, name)) / math.sqrt(rank)
    return {
        f"weights/{name}/left": parameter.new_zeros(count, rows, rank),
        f"weights/{name}/right": right.to(parameter).expand(count, -1, -1).clone(),
    }


def largest_rank(parameters: Mapping[str, Tensor]) -> int:
    """The highest rank at which a change of one of the parameters is fewer numbers than in full; 0 if there is none."""
    sizes = [_as_matrix(parameter) for parameter in parameters.values()]
    return max(((rows * columns - 1) // (rows + columns) for rows, columns in sizes), default=0)


def _as_matrix(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns: the outputs of a filter by all else, and a vector as one row."""
    rows = len(parameter) if parameter.dim() > 1 else 1
    return rows, parameter.numel() // rows


def forms_of(name: str, v: Variables) -> list[str]:
    """The names of all that ``v`` has of the change of a parameter."""
    return [key for key in (f"weights/{name}{ending}" for ending in ("", *ENDINGS)) if key in v]


def thinned(v: Variables, share: float) -> dict[str, Tensor]:
    """``v`` with the changes of weights that are in full by their largest numbers alone: of each image and parameter
    this ``share``, in the order of their places."""
    found = {}
    for key, value in v.items():
        if not key.startswith("weights/") or key.endswith(ENDINGS):
            found[key] = value
            continue
        flat = value.reshape(len(value), -1)
        largest = flat.abs().topk(max(1, round(share * flat.shape[1])), dim=1).indices.sort(dim=1).values
        found |= {f"{key}/places": largest.int(), f"{key}/values": flat.gather(1, largest)}
    return found


def rounded(v: Variables) -> dict[str, Tensor]:
    """``v`` with the changes of weights in half precision."""
    return {
        key: value.half() if key.startswith("weights/") and value.is_floating_point() else value
        for key, value in v.items()
    }
