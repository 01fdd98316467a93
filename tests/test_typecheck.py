"""The check of annotations that all tests run under finds what it is there for."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import typecheck
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from zstar.generators.stylegan2_layers import linear
from zstar.losses.targets import Targets

Pair = tuple[Float[Tensor, "b 2"], int]


def checked(target: Callable) -> Callable:
    return typecheck.quick(target, typechecker=typecheck.typechecker)


@checked
def first(pair: Pair, more: Float[Tensor, "b c"], wanted: int = 2) -> Float[Tensor, "b c"] | None:
    return more if wanted == 2 else more[:wanted] if wanted else None


@checked
def repeated(value: float, count: int) -> Float[Tensor, " {count}"]:
    return torch.full((int(count + value),), float(value))


@checked
@dataclass
class Point:
    x: Float[Tensor, " b"]
    y: Float[Tensor, " b"]


def test_what_fits_passes_as_it_is() -> None:
    pair, more = (torch.ones(2, 2), 1), torch.ones(2, 3)
    assert first(pair, more) is more and first(pair, more, wanted=0) is None
    assert first((torch.ones(4, 2), 1), torch.ones(4, 1), 4).shape == (4, 1), "sizes are those of one call"
    assert repeated(0, 3).shape == (3,), "an int is a float"
    assert first.__name__ == "first" and Point(torch.ones(3), torch.ones(3)).y.shape == (3,)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: first((torch.ones(2, 2), 1), torch.ones(3, 3)),
        lambda: first((torch.ones(2, 2), 1.5), torch.ones(2, 3)),
        lambda: first((torch.ones(2, 2), 1), torch.ones(2, 3).int()),
        lambda: first((torch.ones(2, 2), 1), torch.ones(2, 3), wanted=1),
        lambda: repeated("1", 3),
        lambda: repeated(1.0, 3),
        lambda: Point(torch.ones(3), torch.ones(4)),
        lambda: linear(torch.ones(2, 3), torch.ones(4, 5)),
        lambda: Targets({"image": torch.ones(1, 3, 4)}, ["a"]),
    ],
    ids=["sizes", "part", "dtype", "result", "kind", "size by argument", "dataclass", "function of zstar", "its data"],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError):
        wrong()
