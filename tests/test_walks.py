"""Walks and the directions that become of them: α = 0, steps, norms, closed rows, files that give the same moves."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zstar.directions.base import Label
from zstar.directions.library import load_directions, pack_directions, save_directions
from zstar.directions.linear import Linear
from zstar.directions.nonlinear import Nonlinear, Step
from zstar.edits.brightness import Brightness
from zstar.generators.stylegan2 import StyleGAN2
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z
from zstar.walks.base import AbstractWalk
from zstar.walks.linear import LinearWalk
from zstar.walks.nonlinear import NonlinearWalk

SPACES = {"z": Z, "w": W, "w_plus": WPlus}


def awake(walk: AbstractWalk, size: float = 0.1) -> AbstractWalk:
    """A walk that does something: its weights are random."""
    rng = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in walk.parameters():
            weight.copy_(size * torch.randn(weight.shape, generator=rng))
    return walk


@pytest.fixture
def make(tiny: StyleGAN2) -> Callable[..., tuple[AbstractSpace, AbstractWalk]]:
    """``make(kind, "w", …)``: a space of the small generator and a walk in it with random weights."""

    def made(kind: type[AbstractWalk], name: str, edit: Brightness | None = None, **settings: Any) -> Any:
        space = SPACES[name](tiny, 200)
        return space, awake(kind(space, edit or Brightness(-0.5, 0.5), **settings))

    return made


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("kind", [LinearWalk, NonlinearWalk])
def test_no_strength_is_no_move_and_every_weight_learns(make: Any, kind: type[AbstractWalk], name: str) -> None:
    space, walk = make(kind, name)
    latent = space.sample(6, torch.Generator().manual_seed(0)).requires_grad_(True)
    alpha = torch.tensor([0.0, -0.0, 0.5, -0.5, 0.3, -0.1], requires_grad=True)
    moved = walk(latent, alpha)
    assert torch.equal(moved[:2], latent[:2])
    assert all(not torch.equal(a, b) for a, b in zip(moved[2:], latent[2:], strict=True))
    for index in range(6):  # no latent knows of its neighbours
        torch.testing.assert_close(walk(latent[index : index + 1], alpha[index : index + 1])[0], moved[index])
    torch.sin(moved).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in walk.parameters())
    assert latent.grad.isfinite().all() and (latent.grad.flatten(1).abs().sum(dim=1) > 0).all()
    assert alpha.grad.isfinite().all() and (alpha.grad[2:] != 0).all()


@pytest.mark.parametrize("kind", [LinearWalk, NonlinearWalk])
def test_an_untrained_walk_stays_and_can_begin_to_learn(tiny: StyleGAN2, kind: type[AbstractWalk]) -> None:
    space = W(tiny, 200)
    walk, latent = kind(space, Brightness()), space.sample(3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(walk(latent, torch.tensor([0.5, -0.5, 0.2])), latent)
    walk(latent, torch.tensor([0.5, -0.5, 0.2])).sum().backward()
    assert sum(weight.grad.abs().sum() for weight in walk.parameters() if weight.grad is not None) > 0


def test_a_linear_walk_adds_multiples_of_one_vector(make: Any) -> None:
    space, walk = make(LinearWalk, "w", Brightness(-0.5, 0.25))
    vector = walk.vector.detach() * space.spread / 0.5  # at the end of the range, one spread per unit of the weights
    latent, alpha = space.sample(4, torch.Generator().manual_seed(0)), torch.tensor([0.5, -0.25, 2.0, 0.0])
    torch.testing.assert_close(walk(latent, alpha), latent + alpha[:, None] * vector)
    direction = walk.direction(Label("brighter"))
    assert direction.space == "w" and direction.label.meaning == "brighter"
    kept = direction.vector.clone()
    awake(walk, 5)  # training on changes no direction that was taken
    assert torch.equal(direction.vector, kept) and not direction.vector.requires_grad


def test_n_steps_are_the_step_taken_n_times(make: Any) -> None:
    space, walk = make(NonlinearWalk, "w", Brightness(-0.5, 1.0), steps=4)
    assert walk.epsilon == (0.25, 0.125)
    latent = space.sample(3, torch.Generator().manual_seed(0))
    for sign, step, epsilon in ((1, walk.ahead, 0.25), (-1, walk.back, 0.125)):
        places = [latent]
        for count in range(1, 7):  # also beyond the range that is trained on
            places.append(step(places[-1]))
            moved = walk(latent, torch.full((3,), sign * count * epsilon))
            torch.testing.assert_close(moved, places[-1])
        for count, share in ((0, 0.25), (2, 0.5), (4, 0.75)):
            moved = walk(latent, torch.full((3,), sign * (count + share) * epsilon))
            torch.testing.assert_close(moved, places[count].lerp(places[count + 1], share))
    mixed = walk(latent, torch.tensor([0.75, -0.25, 0.0]))
    torch.testing.assert_close(mixed[0], walk.ahead(walk.ahead(walk.ahead(latent[:1])))[0])
    torch.testing.assert_close(mixed[1], walk.back(walk.back(latent[1:2]))[0])
    assert torch.equal(mixed[2], latent[2])


def test_strengths_are_drawn_where_the_walk_steps(tiny: StyleGAN2) -> None:
    space, rng = W(tiny, 200), torch.Generator()
    walk = NonlinearWalk(space, Brightness(-0.5, 1.0), steps=4)
    drawn = walk.draw(2000, rng.manual_seed(0))
    values, counts = drawn.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([-0.5, -0.375, -0.25, -0.125, 0, 0.25, 0.5, 0.75, 1]))
    assert counts.min() > 150  # of 222
    one_way = NonlinearWalk(space, Brightness(0, 1), steps=2)
    assert one_way.draw(100, rng.manual_seed(0)).unique().tolist() == [0, 0.5, 1] and one_way.epsilon == (0.5, 0.5)
    line = LinearWalk(space, Brightness(-0.5, 1.0)).draw(2000, rng.manual_seed(0))
    assert -0.5 <= line.min() < -0.45 and 0.95 < line.max() <= 1
    assert torch.equal(line, LinearWalk(space, Brightness(-0.5, 1.0)).draw(2000, rng.manual_seed(0)))


def test_the_norm_of_the_prior_is_kept_in_z(make: Any) -> None:
    alpha = torch.tensor([0.5, -0.5, 0.2, -0.3])
    for name, keep, kept in (("z", None, True), ("z", False, False), ("w", None, False), ("w", True, True)):
        space, walk = make(NonlinearWalk, name, steps=5, keep_norm=keep)
        latent = space.sample(4, torch.Generator().manual_seed(0))
        before, after = ((at - space.mean).norm(dim=1) for at in (latent, walk(latent, alpha)))
        assert torch.allclose(before, after, rtol=1e-5) is kept, name


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(LinearWalk, {}), (NonlinearWalk, {}), (NonlinearWalk, {"keep_norm": True})],
    ids=["linear", "nonlinear", "kept norm"],
)
def test_closed_rows_stay_bit_for_bit(make: Any, kind: type[AbstractWalk], settings: dict[str, Any]) -> None:
    space, walk = make(kind, "w_plus", rows=[1, 3], **settings)
    latent = space.sample(4, torch.Generator().manual_seed(0)) + 0.1 * torch.randn(4, *space.shape)
    moved = walk(latent, torch.tensor([0.5, -0.5, 0.13, -0.4]))
    changed = (moved != latent).any(dim=2)
    assert changed[:, 1:3].all() and not changed[:, 0].any() and not changed[:, 3:].any()
    if settings:
        before, after = ((at - space.mean).flatten(1)[:2].norm(dim=1) for at in (latent, moved))
        torch.testing.assert_close(before, after)


@pytest.mark.parametrize(
    ("name", "rows", "sentence"),
    [
        ("w", [0, 2], "walk.rows: w has no rows to choose from; set space=w_plus or walk.rows=null"),
        ("w_plus", [2, 2], "walk.rows: [2, 2] is no range of rows; give two numbers from [0,1] to [0,6]"),
        ("w_plus", [0, 7], "walk.rows: [0, 7] is no range of rows"),
        ("w_plus", [-1, 3], "walk.rows: [-1, 3] is no range of rows"),
        ("w_plus", [1], "walk.rows: [1] is no range of rows"),
    ],
)
def test_rows_that_are_not_there(make: Any, name: str, rows: list[int], sentence: str) -> None:
    for kind in (LinearWalk, NonlinearWalk):
        with pytest.raises(ValueError) as error:
            make(kind, name, rows=rows)
        assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(("word", "value"), [("steps", 0), ("width", 0)])
def test_sizes_of_a_walk(tiny: StyleGAN2, word: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^walk.{word}: {value} is not possible; set it to 1 or more"):
        NonlinearWalk(W(tiny, 200), Brightness(), **{word: value})


@pytest.fixture
def saved(make: Any, tiny: StyleGAN2, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A file with a direction of each kind, and what was saved in it."""
    label = Label("brighter", "offset", -0.5, 0.7, {"method": "learned", "edit": {"low": -0.5}}, {"r2": 0.75})
    found = {
        "line": make(LinearWalk, "w_plus", rows=[0, 2])[1].direction(label),
        "line/step": make(NonlinearWalk, "w_plus", Brightness(-0.5, 0.7), rows=[1, 4])[1].direction(label),
        "norm": make(NonlinearWalk, "z")[1].direction(Label()),
    }
    save_directions(tmp_path / "found.safetensors", found, tiny, command="python train.py")
    return tmp_path / "found.safetensors", found


def test_a_file_gives_the_same_moves_bit_for_bit(tiny: StyleGAN2, saved: tuple[Path, dict[str, Any]]) -> None:
    path, found = saved
    loaded = load_directions(path, tiny)
    assert list(loaded) == list(found) and json.loads(path.with_suffix(".json").read_text())["command"]
    for name, direction in found.items():
        again, space = loaded[name], SPACES[direction.space](tiny, 200)
        latent = space.sample(5, torch.Generator().manual_seed(0))
        alpha = torch.tensor([0.5, -0.5, 0.17, -2.0, 0.0])
        assert torch.equal(again.move(latent, alpha), direction.move(latent, alpha))
        assert again.label == direction.label and again.space == direction.space and type(again) is type(direction)
    assert isinstance(loaded["norm"], Nonlinear) and loaded["norm"].steps[1].keep_norm
    assert not any(weight.requires_grad for weight in loaded["norm"].steps[1].parameters())
    tensors, card = pack_directions(loaded, tiny)
    assert json.loads(json.dumps(card))["directions"] == json.loads(path.with_suffix(".json").read_text())["directions"]
    assert len(tensors) == 1 + 2 * 14


def change(path: Path, *keys: str, to: Any) -> None:
    """Write another value onto a card; ``...`` removes the key."""
    card = json.loads(path.with_suffix(".json").read_text())
    place = card
    for key in keys[:-1]:
        place = place[key]
    if to is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    path.with_suffix(".json").write_text(json.dumps(card))


LINE, STEP = ("directions", "line"), ("directions", "line/step")
LINEAR, NONLINEAR = (f"{kind.__module__}.{kind.__qualname__}" for kind in (Linear, Nonlinear))


@pytest.mark.parametrize(
    ("keys", "to", "reason"),
    [
        (("kind",), "generator", "holds no directions by its card; choose a file that zstar has written"),
        (("generator",), "0" * 64, "is for the generator 000000000000…, and this one is "),
        (("generator",), ..., "is for the generator None…, and this one is "),
        (("directions",), ["line"], "cannot be used: "),
        (("directions",), ..., "cannot be used: it has no 'directions'"),
        ((*LINE, "_target_"), "os.system", "cannot be used: _target_ is 'os.system', but a card can only name one"),
        ((*LINE, "_target_"), "zstar.directions.library.Path", "but a card can only name one of the classes in zstar"),
        ((*LINE, "_target_"), "zstar.directions.base.AbstractDirection", "but a card can only name one"),
        ((*LINE, "_target_"), NONLINEAR, "cannot be used: it has no 'epsilon'"),
        ((*LINE, "_target_"), ..., "cannot be used: it has no '_target_'"),
        (
            (*LINE, "settings"),
            {"epsilon": [1.0, 1.0]},
            "cannot be used: a linear direction is one tensor called vector",
        ),
        ((*LINE, "settings"), ..., "cannot be used: it has no 'settings'"),
        ((*STEP, "_target_"), LINEAR, "cannot be used: a linear direction is one tensor called vector, not backward."),
        ((*STEP, "settings", "epsilon"), [0.1, -0.1], "a non-linear direction has two steps epsilon above 0"),
        ((*STEP, "settings", "epsilon"), [0.1], "a non-linear direction has two steps epsilon above 0"),
        ((*STEP, "settings", "keep_norm"), 1, "a non-linear direction has two steps epsilon above 0"),
        ((*LINE, "space"), "w", "cannot be used: its tensors do not move latents of w, (16,)"),
        ((*STEP, "space"), "z", "cannot be used: its tensors do not move latents of z, (16,)"),
        ((*LINE, "space"), "v", "cannot be used: space: StyleGAN2 has no space 'v'; choose one of z, w, w_plus, style"),
        ((*LINE, "low"), "deep", "cannot be used: low is 'deep', which is of another type"),
        ((*LINE, "scores"), {"r2": "good"}, "cannot be used: scores is {'r2': 'good'}, which is of another type"),
    ],
    ids=str,
)
def test_a_damaged_card_is_one_sentence(
    tiny: StyleGAN2, saved: tuple[Path, Any], keys: tuple[str, ...], to: Any, reason: str
) -> None:
    path, _ = saved
    change(path, *keys, to=to)
    with pytest.raises(ValueError) as error:
        load_directions(path, tiny)
    said = str(error.value)
    assert said.startswith("checkpoint: ") and reason in said and "\n" not in said and str(path.with_suffix("")) in said


def test_a_file_without_its_card_or_its_tensors(tiny: StyleGAN2, saved: tuple[Path, Any]) -> None:
    path, found = saved
    save_directions(path, {"line": found["line"]}, tiny)
    change(path, "directions", "more", to=json.loads(path.with_suffix(".json").read_text())["directions"]["line"])
    with pytest.raises(ValueError, match="cannot be used: a linear direction is one tensor called vector, not none"):
        load_directions(path, tiny)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=rf"^checkpoint: the card {re.escape(str(path.with_suffix('.json')))} is no"):
        load_directions(path, tiny)
    path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match="holds no directions by its card"):
        load_directions(path, tiny)
    with pytest.raises(ValueError, match="no file and no shipped weights are called 'nowhere'"):
        load_directions("nowhere", tiny)


def test_strengths_cover_the_useful_range() -> None:
    for low, high, count, wanted in [
        (-3, 3, 7, [-3, -2, -1, 0, 1, 2, 3]),
        (-1, 3, 5, [-1, -0.5, 0, 1.5, 3]),
        (-1, 3, 3, [-1, 0, 3]),
        (-1, 3, 4, [-1, 1 / 3, 5 / 3, 3]),
        (-1, 3, 2, [-1, 3]),
        (0, 1, 5, [0, 0.25, 0.5, 0.75, 1]),
        (-1, 0, 3, [-1, -0.5, 0]),
    ]:
        found = Label(low=low, high=high).strengths(count)
        torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float32))
        assert found.unique().tolist() == found.tolist()
        assert count % 2 == 0 or 0 in found.tolist()


def test_a_step_is_relative_to_the_prior() -> None:
    mean = torch.tensor([5.0, -5.0, 0.0])
    steps = [Step(3, 4, place, size, torch.ones(3), False) for place, size in ((mean, 2.0), (torch.zeros(3), 1.0))]
    for step in steps:
        torch.manual_seed(0)
        torch.nn.init.normal_(step.enter.weight), torch.nn.init.normal_(step.leave.weight)
        torch.nn.init.normal_(step.enter.bias), torch.nn.init.normal_(step.leave.bias)
    latent = torch.randn(4, 3)
    torch.testing.assert_close(steps[0](mean + 2 * latent), mean + 2 * steps[1](latent))
