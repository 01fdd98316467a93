"""z₁ = z₀ + Δz across spaces, the choice of strengths, and the way between two latents."""

import math
import re
from typing import Any

import pytest
import torch
from bent import bent
from torch import Tensor

from zstar.directions.apply import apply as apply_all
from zstar.directions.apply import choose_strengths, slerp
from zstar.directions.base import AbstractDirection, Label, require_way
from zstar.directions.linear import Linear
from zstar.generators.stylegan2 import StyleGAN2


def line(tiny: StyleGAN2, space: str, seed: int = 0) -> Linear:
    return Linear(space, torch.randn(tiny.shape(space), generator=torch.Generator().manual_seed(seed)))


def apply(
    tiny: StyleGAN2, latent: Tensor, space: str, steps: list[tuple[AbstractDirection, Tensor]]
) -> tuple[Tensor, str]:
    v, place = apply_all(tiny, {"latent": latent}, space, steps)
    return v["latent"], place


def draw(tiny: StyleGAN2, space: str, n: int = 3) -> Tensor:
    latents = tiny.sample(n, torch.Generator().manual_seed(5), space=space)
    return latents + 0.1 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("space", ["z", "w", "w_plus", "style"])
@pytest.mark.parametrize("kind", [line, bent])
def test_in_its_own_space_a_direction_just_moves(tiny: StyleGAN2, kind: Any, space: str) -> None:
    direction, latent, alpha = kind(tiny, space), draw(tiny, space), torch.tensor([0.7, 0.0, -1.2])
    moved, place = apply(tiny, latent, space, [(direction, alpha)])
    assert place == space and torch.equal(moved, direction.move(latent, alpha))
    assert torch.equal(moved[1], latent[1])


@pytest.mark.parametrize("kind", [line, bent])
def test_a_direction_of_w_moves_each_row_of_w_plus(tiny: StyleGAN2, kind: Any) -> None:
    direction, latent, alpha = kind(tiny, "w"), draw(tiny, "w_plus"), torch.tensor([0.7, 0.0, -1.2])
    moved, place = apply(tiny, latent, "w_plus", [(direction, alpha)])
    assert place == "w_plus" and moved.shape == latent.shape
    for row in range(latent.shape[1]):
        torch.testing.assert_close(moved[:, row], direction.move(latent[:, row], alpha))
    same = draw(tiny, "w")  # a latent of w in all rows is moved as in w
    rows, _ = apply(tiny, tiny.lift(same, "w", "w_plus"), "w_plus", [(direction, alpha)])
    torch.testing.assert_close(rows, tiny.lift(direction.move(same, alpha), "w", "w_plus"))


@pytest.mark.parametrize(("source", "target"), [("z", "w"), ("w", "w_plus"), ("w", "style"), ("w_plus", "style")])
def test_latents_are_lifted_to_where_a_direction_is(tiny: StyleGAN2, source: str, target: str) -> None:
    direction, latent, alpha = line(tiny, target), draw(tiny, source), torch.tensor([0.7, 0.0, -1.2])
    moved, place = apply(tiny, latent, source, [(direction, alpha)])
    assert place == target
    lifted = tiny.lift(latent, source, target)
    torch.testing.assert_close(moved, direction.move(lifted, alpha))
    still = tiny.synthesize(moved[1:2], target)
    torch.testing.assert_close(still, tiny.synthesize(latent[1:2], source), atol=1e-5, rtol=1e-5)


def test_several_directions_one_after_the_other(tiny: StyleGAN2) -> None:
    latent, alpha = draw(tiny, "w_plus"), torch.tensor([0.7, 0.0, -1.2])
    steps = [(line(tiny, "w_plus"), alpha), (line(tiny, "w", 1), -alpha), (line(tiny, "style", 2), 2 * alpha)]
    moved, place = apply(tiny, latent, "w_plus", steps)
    rows = latent + alpha[:, None, None] * (steps[0][0].vector - steps[1][0].vector)
    expected = tiny.lift(rows, "w_plus", "style") + 2 * alpha[:, None] * steps[2][0].vector
    assert place == "style"
    torch.testing.assert_close(moved, expected)
    assert apply(tiny, latent, "w_plus", []) == (latent, "w_plus")


@pytest.mark.parametrize(("space", "target"), [("w", "z"), ("w_plus", "z"), ("style", "w"), ("style", "w_plus")])
def test_there_is_no_way_back_to_a_poorer_space(tiny: StyleGAN2, space: str, target: str) -> None:
    sentence = (
        f"direction: it moves latents of {target}, and these images were projected into {space}, which leads no way "
        f"back; project them with space={target}, or choose a direction of {space}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        apply(tiny, draw(tiny, space), space, [(line(tiny, target), torch.zeros(3))])
    require_way(tiny, target, space)


FOUND = {
    "season": Linear("w", torch.zeros(2), Label(unit="σ", low=-2, high=3)),
    "zoom": Linear("w", torch.zeros(2), Label(unit="octaves", low=0, high=0.5)),
}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (5, {"season": [-2, -1, 0, 1.5, 3], "zoom": [0, 0.125, 0.25, 0.375, 0.5]}),
        (2, {"season": [-2, 3], "zoom": [0, 0.5]}),
        (1, {"season": [3], "zoom": [0.5]}),
        ([0, 0.5], {"season": [0, 0.5], "zoom": [0, 0.5]}),
        ([0.25], {"season": [0.25], "zoom": [0.25]}),
        ({"season": [3, -2], "zoom": 3}, {"season": [3, -2], "zoom": [0, 0.25, 0.5]}),
        ({"season": 2.0, "zoom": 0.5}, {"season": [2], "zoom": [0.5]}),
        ({"zoom": [0.1]}, {"season": [-2, -4 / 3, -2 / 3, 0, 1, 2, 3], "zoom": [0.1]}),
    ],
)
def test_strengths_as_a_number_a_list_or_for_each(said: Any, wanted: dict[str, list[float]]) -> None:
    found = choose_strengths(FOUND, said, False)
    assert list(found) == ["season", "zoom"]
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values)
        assert all(type(value) is float for value in found[name])


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([0, 2], "strengths: 2 octaves lies outside of the useful range of zoom, 0 to 0.5; stay within, or set beyond"),
        ({"season": -2.1}, "strengths: -2.1 σ lies outside of the useful range of season, -2 to 3; stay within, or"),
        ({"sesaon": 3}, "strengths.sesaon: there is no such direction; these are: season, zoom"),
        ({"season": []}, "strengths: season gets none; give a number of them, such as 7, or a list"),
        (0, "strengths: season gets none; give a number of them, such as 7, or a list"),
        (-4, "strengths: season gets none; give a number of them, such as 7, or a list"),
        ([], "strengths: season gets none; give a number of them, such as 7, or a list"),
        ({"zoom": "much"}, "strengths: 'much' is no strength for zoom; give a number of them, such as 7, or a list"),
        ({"zoom": None}, "strengths: None is no strength for zoom; give a number of them, such as 7, or a list"),
        ({"zoom": [[0.1]]}, "strengths: [0.1] is no strength for zoom; give a number of them, such as 7, or a list"),
        ({"zoom": True}, "strengths: True is no strength for zoom"),
        ([float("nan")], "strengths: nan is no strength for season"),
    ],
    ids=str,
)
def test_strengths_that_are_none(said: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        choose_strengths(FOUND, said, False)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_strengths_beyond_the_range_are_asked_for_in_words() -> None:
    assert choose_strengths(FOUND, [-9.0, 9.0], True) == {"season": [-9, 9], "zoom": [-9, 9]}
    with pytest.raises(ValueError, match="inf is no strength"):
        choose_strengths(FOUND, [math.inf], True)


@pytest.mark.parametrize("high", [65.3, 0.1, 1234.567, 1e-3])
def test_the_ends_of_a_range_lie_within_it(high: float) -> None:
    found = {"turn": Linear("w", torch.zeros(2), Label(low=-high, high=high))}
    assert choose_strengths(found, 7, False)["turn"][-1] == pytest.approx(high)


@pytest.mark.parametrize("degrees", [10, 60, 90, 135, 179])
def test_slerp_follows_the_arc(degrees: float) -> None:
    angle = math.radians(degrees)
    a, b = torch.tensor([[1.0, 0, 0]]), torch.tensor([[math.cos(angle), math.sin(angle), 0]])
    for share in (0.0, 0.25, 0.5, 0.9, 1.0):
        wanted = torch.tensor([[math.cos(share * angle), math.sin(share * angle), 0]])
        torch.testing.assert_close(slerp(a, b, share), wanted, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(slerp(2 * a, 6 * b, share), (2 + 4 * share) * wanted, atol=1e-5, rtol=1e-5)


def test_slerp_of_many_pairs_is_that_of_each() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 3, 2, generator=rng), torch.randn(40, 3, 2, generator=rng)
    together = slerp(a, b, 0.3)
    cosine = torch.cosine_similarity(a.flatten(1), b.flatten(1))
    assert (cosine < -0.2).sum() > 5 and (cosine > 0.2).sum() > 5  # obtuse and acute ones
    for index in range(40):
        one = slerp(a[index : index + 1], b[index : index + 1], 0.3)[0]
        torch.testing.assert_close(together[index], one)
        angles = [torch.acos(torch.cosine_similarity(x.flatten(), one.flatten(), dim=0)) for x in (a[index], b[index])]
        torch.testing.assert_close(angles[0] / (angles[0] + angles[1]), torch.tensor(0.3), atol=1e-3, rtol=0)
        torch.testing.assert_close(angles[0] + angles[1], torch.acos(cosine[index]), atol=1e-3, rtol=0)
    for share, end in ((0.0, a), (1.0, b)):
        assert torch.equal(slerp(a, b, share), end)


def test_slerp_where_there_is_no_arc() -> None:
    a = torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])
    b = torch.tensor([[3.0, 4.0], [6.0, 8.0], [-3.0, -4.0], [0.0, 0.0]])  # equal, parallel, opposite, nothing
    for share in (0.0, 0.25, 0.5, 1.0):
        torch.testing.assert_close(slerp(a, b, share), a.lerp(b, share))
