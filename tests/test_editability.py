"""What is measured of directions, on generators and scorers that were planted so that the answer is known."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from zstar.annotations.annotator import Annotator
from zstar.annotations.base import AbstractAnnotation, AbstractScorer, ScoredLatents
from zstar.config.build import offer
from zstar.directions.base import AbstractLatentDirection, Label
from zstar.directions.linear import Linear
from zstar.editability.base import Traversal
from zstar.editability.cycle import Cycle
from zstar.editability.effect import Effect, monotone
from zstar.editability.leakage import Leakage
from zstar.editability.locality import Locality
from zstar.editability.reading import match, wanted_change
from zstar.editability.realism import Realism
from zstar.editability.smoothness import Smoothness
from zstar.generators.module import Module
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.variables import named
from zstar.losses.pixel import Pixel
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w_plus import WPlus

SIZE = 16
AREAS = torch.zeros(3, SIZE, SIZE)  # upper left quarter, upper right quarter, lower half
AREAS[0, :8, :8], AREAS[1, :8, 8:], AREAS[2, 8:] = 1, 1, 1


class Painter(nn.Module):
    """z [b, 3] → a tenth of each coordinate as the grey of its area."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("areas", AREAS.clone())

    def forward(self, z: Tensor) -> Tensor:
        return 0.1 * torch.einsum("bk,khw->bhw", z, self.areas)[:, None].expand(-1, 3, -1, -1)


class Reader(AbstractScorer):
    """The grey of each area, from 0 for black to 1 for white; unknown where the lower half is darker than ``least``."""

    def __init__(self, least: float = -math.inf) -> None:
        self.names, self.least = ("left", "right", "area/below"), least

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        raise AssertionError("nothing here needs samples")

    def score(self, images: Tensor) -> Tensor:
        means = torch.einsum("bhw,khw->bk", images.mean(dim=1), AREAS) / AREAS.sum(dim=(1, 2))
        return ((means + 1) / 2).where(means[:, 2:] >= self.least, torch.nan)


class Table(AbstractAnnotation):
    """Labels of some images, and nobody who could read others."""

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        raise AssertionError("nothing here needs labels")


@pytest.fixture(scope="module")
def painter() -> Module:
    return Module(Painter(), [3])


def walk(
    painter: Module,
    vector: list[float],
    latent: Tensor | None = None,
    name: str = "left",
    low: float = -8.0,
    high: float = 8.0,
    found: dict[str, Any] | None = None,
    **settings: Any,
) -> Traversal:
    """Six images near grey, moved along a vector at nine strengths."""
    direction = Linear("z", torch.tensor(vector), Label(low=low, high=high, found=found or {}))
    latent = 0.5 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0)) if latent is None else latent
    return Traversal(name, direction, painter, {"latent": latent}, "z", torch.linspace(low, high, 9), **settings)


def test_images_are_rendered_at_their_own_strengths(painter: Module) -> None:
    traversal = walk(painter, [1.0, 0.0, 0.0], size=4)
    assert len(traversal) == 6 and torch.equal(traversal.before, painter.synthesize(traversal.latent, "z"))
    made = traversal.render(torch.tensor([0.0, 1, 2, 3, 4, 50]))
    wanted = (0.1 * (traversal.latent[:, 0] + torch.tensor([0.0, 1, 2, 3, 4, 50]))).clamp(-1, 1)
    torch.testing.assert_close(made[:, 0, 0, 0], wanted)
    assert traversal.images.shape == (9, 6, 3, SIZE, SIZE)
    torch.testing.assert_close(traversal.images[4], traversal.before)


def test_noise_belongs_to_its_image(tiny: StyleGAN2) -> None:
    latent = tiny.sample(3, torch.Generator().manual_seed(0), space="w")
    noise = {name: torch.randn(3, 1, *size) for name, size in tiny.noise_shapes.items()}
    traversal = Traversal(
        "x", Linear("w", torch.ones(16)), tiny, {"latent": latent, **named("noise", noise)}, "w", torch.zeros(1), size=2
    )
    torch.testing.assert_close(traversal.before, tiny.synthesize(latent, "w", noise).clamp(-1, 1), atol=1e-5, rtol=1e-5)


def test_effect_is_the_slope_that_was_planted(painter: Module) -> None:
    for slope in (0.7, -0.4):
        found = Effect(Reader())(walk(painter, [slope, 2.0, 0.0]))
        torch.testing.assert_close(found["effect/slope"], torch.full((6,), 0.05 * slope), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found["effect/r2"], torch.ones(6))
        torch.testing.assert_close(found["effect/monotone"], torch.ones(6))
    still = Effect(Reader())(walk(painter, [0.0, 1.0, 0.0]))
    assert still["effect/r2"].isnan().all() and torch.equal(still["effect/monotone"], torch.zeros(6))
    assert still["effect/slope"].abs().max() < 1e-6
    clipped = Effect(Reader())(walk(painter, [2.5, 0.0, 0.0], torch.zeros(6, 3)))  # white and black from ±4 on
    assert (clipped["effect/r2"] < 0.97).all()
    torch.testing.assert_close(clipped["effect/monotone"], torch.full((6,), 0.5))


def test_effect_is_unknown_where_the_attribute_does_not_show(painter: Module) -> None:
    latent = torch.tensor([[0.0, 0, 1], [0.0, 0, -1]])
    found = Effect(Reader(least=0.0))(walk(painter, [1.0, 0, 0], latent))
    assert all(values.isfinite().tolist() == [True, False] for values in found.values())
    assert set(found) == {"effect/slope", "effect/r2", "effect/monotone"}


def test_monotone_is_a_share_of_the_range() -> None:
    alphas = torch.tensor([-4.0, -2, -1, 0, 1, 2, 4])
    values = torch.tensor(
        [
            [0, 1, 2, 3, 4, 5, 6],
            [6, 5, 4, 3, 2, 1, 0],
            [3, 1, 2, 3, 4, 3.5, 6],  # breaks at −2 and at 1
            [0, 1, 2, 3, 3, 4, 5],  # no step is no change
            [5, 0, 0, 0, 0, 0, 5],
        ]
    ).T
    assert monotone(alphas, values).tolist() == pytest.approx([1, 1, 3 / 8, 4 / 8, 0])


@pytest.mark.parametrize(
    ("name", "found", "asked", "wanted"),
    [
        ("left", {}, None, 1.0),
        ("attribute-right", {}, None, 0.0),
        ("learned", {"edit": {"factor": "left"}}, None, 1.0),
        ("learned", {"edit": {"low": 0}}, None, None),
        ("learned", {"edit": "left"}, None, None),  # a card can say anything
        ("learned", {}, None, None),
        ("learned", {}, "right", 0.0),
    ],
)
def test_which_attribute_a_direction_is_for(
    painter: Module, name: str, found: dict[str, Any], asked: str | None, wanted: float | None
) -> None:
    measured = Effect(Reader(), asked)(walk(painter, [20.0, 0.0, 0.0], name=name, found=found, low=-0.1, high=0.1))
    leaked = Leakage(Reader(), asked)(walk(painter, [20.0, 0, 0], name=name, found=found))
    if wanted is None:
        assert measured == {} and leaked == {}
    else:
        torch.testing.assert_close(measured["effect/slope"], torch.full((6,), wanted), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("ratio", [0.0, 0.5, -1.2])
def test_leakage_at_matched_effect_knows_no_length(painter: Module, ratio: float, length: float) -> None:
    latent = torch.tensor([[-0.1, 0, 0], [0.1, 0, 0], [-1.0, 1, 1], [1.0, 1, -1]])
    traversal = walk(painter, [length, length * ratio, length * 0.3], latent)
    found = Leakage(Reader(), effect=0.3)(traversal)
    assert found["leakage/reached"].tolist() == [1] * 4
    # left of grey it is made lighter, right of it darker: there is more room
    alpha = match(traversal, Reader(), "left", 0.3).alpha
    torch.testing.assert_close(alpha, torch.tensor([6.0, -6, 6, -6]) / length, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found["leakage/alpha"], alpha.abs(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found["leakage/to/right"], torch.full((4,), 0.3 * abs(ratio)), atol=1e-4, rtol=1e-3)
    assert set(found) == {
        f"leakage/{name}" for name in ("reached", "alpha", "mean", "to/right")
    }  # no shares of classes
    torch.testing.assert_close(found["leakage/mean"], found["leakage/to/right"])
    both = Leakage(Reader(), effect=0.3, others=["left", "right", "area/below"])(traversal)
    torch.testing.assert_close(both["leakage/to/area/below"], torch.full((4,), 0.09), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(both["leakage/mean"], (both["leakage/to/right"] + 0.09) / 2, atol=1e-4, rtol=1e-3)
    small = Leakage(Reader(), effect=0.3)(walk(painter, [length, length * ratio, 0.3], latent, size=3))
    torch.testing.assert_close(small["leakage/to/right"], found["leakage/to/right"])


def test_what_is_out_of_reach_does_not_count(painter: Module) -> None:
    latent = torch.tensor([[-0.1, 0, 0], [0.1, 0, 0], [-0.1, 0, -1]])
    one_way = walk(painter, [1.0, 1.0, 0.0], latent, low=0.0, high=4.0)
    found = Leakage(Reader(least=-0.05), effect=0.3)(one_way)
    assert found["leakage/reached"].nan_to_num(-1).tolist() == [1, 0, -1]  # the second would have to go back
    assert all(found[name].isfinite().tolist() == [True, False, False] for name in ("leakage/mean", "leakage/to/right"))
    weak = Leakage(Reader(), effect=0.3)(walk(painter, [0.3, 1.0, 0.0], latent))  # 0.3·16 is less than the 6 it takes
    assert weak["leakage/reached"].tolist() == [0] * 3 and weak["leakage/mean"].isnan().all()


def test_the_nearer_side_is_taken_and_gaps_do_no_harm(painter: Module) -> None:
    class Gap(Reader):
        """Unknown between black and a bit of grey on the left, so that a side begins without a value."""

        def score(self, images: Tensor) -> Tensor:
            known = super().score(images)
            hidden = (known[:, :1] > 0.55) & (known[:, :1] < 0.85)
            return known.where(~hidden, torch.nan)

    class Square(AbstractLatentDirection):
        """Goes to the same place on either side, on one of them four times as fast."""

        space, label = "z", Label(low=-4, high=4)

        def move(self, latent: Tensor, alpha: Tensor) -> Tensor:
            way = torch.where(alpha < 0, -4 * alpha, alpha)[:, None] * torch.eye(3)[0]
            return latent + way

        def pack(self) -> Any:
            return {}, {}

        @classmethod
        def unpack(cls, *_: Any) -> "Square":
            return cls()

    latent = torch.tensor([[-0.1, 0.0, 0.0]])
    traversal = Traversal("left", Square(), painter, {"latent": latent}, "z", torch.linspace(-4, 4, 3))
    assert match(traversal, Reader(), "left", 0.3).alpha.item() == pytest.approx(-1.5, abs=1e-3)
    found = match(traversal, Gap(), "left", 0.3)  # the first strength that can be read at all is enough
    assert found.reached.item() and -2 <= found.alpha.item() < -1.5
    torch.testing.assert_close(found.after[0, 0], found.before[0, 0] + 0.2 * -found.alpha[0])


def test_one_reader_is_never_given_the_answer_of_another(painter: Module) -> None:
    class Steep(Reader):
        """Sees each change so many times as large."""

        def __init__(self, times: float) -> None:
            super().__init__()
            self.times = times

        def score(self, images: Tensor) -> Tensor:
            return super().score(images) * self.times

    traversal = walk(painter, [1.0, 0.0, 0.0], torch.tensor([[-4.0, 0.0, 0.0]]))
    for turn in range(60):  # no reader outlives its turn, so that sooner or later one lies where another has been
        times = 1 + turn / 100
        assert match(traversal, Steep(times), "left", 0.3).alpha.item() == pytest.approx(6 / times, abs=1e-3)


class Places(nn.Module):
    """Sees the sun in the upper left quarter, and sky elsewhere."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        super().__init__()
        logits = torch.zeros(len(classes), SIZE, SIZE)
        logits[classes.index("sky")], logits[classes.index("sun")] = 1, 2 * AREAS[0]
        self.register_buffer("logits", logits)

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits.expand(len(images), -1, -1, -1))


@pytest.fixture
def annotator(monkeypatch: pytest.MonkeyPatch) -> Annotator:
    """An annotator that reads what is planted here."""
    found, reader = Annotator(), Reader()
    found.network, found.names = Places(found.vocabulary.classes), reader.names
    monkeypatch.setattr(found, "score", reader.score)
    return found


@pytest.mark.parametrize("spill", [0.0, 0.5, 1.0])
def test_locality_is_the_share_that_was_planted(painter: Module, annotator: Annotator, spill: float) -> None:
    traversal = walk(painter, [1.0, -spill, 0.0], torch.tensor([[-0.1, 0.0, 0.0], [0.1, 0, 0]]), size=1)
    found = Locality(annotator, Pixel("l1"), {"left": ["sun"], "right": ["tree"]}, effect=0.3)(traversal)
    torch.testing.assert_close(found["locality/outside"], torch.full((2,), spill / (1 + spill)), atol=1e-4, rtol=1e-3)
    rest = 0.6 * spill * 64 / (256 - 64)  # a third of what is outside changes
    torch.testing.assert_close(found["locality/background"], torch.full((2,), rest), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found["locality/identity"], torch.full((2,), rest), atol=1e-4, rtol=1e-3)
    elsewhere = Locality(annotator, Pixel("l1"), {"left": ["tree"]}, effect=0.3)(traversal)
    torch.testing.assert_close(elsewhere["locality/outside"], torch.ones(2))
    assert Locality(annotator, Pixel(), {"right": ["sun"]})(traversal) == {}  # an attribute without a place
    far = walk(painter, [0.1, 0.0, 0.0], torch.tensor([[-0.1, 0.0, 0.0]]))
    assert all(values.isnan().all() for values in Locality(annotator, Pixel(), {"left": ["sun"]})(far).values())


def test_the_area_of_a_class_has_the_place_of_the_class(painter: Module, annotator: Annotator) -> None:
    traversal = walk(painter, [1.0, -0.5, 0.0], torch.tensor([[-0.1, 0.0, 0.0], [0.1, 0, 0]]), size=1)
    named = Locality(annotator, Pixel("l1"), {"left": ["sun"]}, effect=0.3)(traversal)
    annotator.names = ("area/sun", *annotator.names[1:])
    traversal.memory[annotator, "area/sun", 0.3] = traversal.memory[annotator, "left", 0.3]  # the same pictures
    area = Locality(annotator, Pixel("l1"), {}, factor="area/sun", effect=0.3)(traversal)
    assert named.keys() == area.keys() and all(torch.equal(named[name], area[name]) for name in named)


def test_the_effect_on_an_area_is_a_share_of_what_there_is() -> None:
    areas = torch.tensor([0.0, 0.02, 0.04, 0.001])
    expected = torch.tensor([0.015, -0.006, -0.012, 0.015])
    together = wanted_change(areas, "area/sun", 0.3)
    torch.testing.assert_close(together, expected)
    assert torch.equal(torch.cat([wanted_change(one, "area/sun", 0.3) for one in areas.split(1)]), together)
    assert (wanted_change(torch.zeros(2), "area/sun", 0.3) > 0).all(), "there is room for more where nobody has any"
    assert wanted_change(torch.tensor([0.2, 0.7]), "season", 0.3).tolist() == pytest.approx([0.3, -0.3])


class Cubic(Linear):
    """The strength to the third power: small steps around 0."""

    def move(self, latent: Tensor, alpha: Tensor) -> Tensor:
        return super().move(latent, alpha**3)


def test_an_even_path_is_smooth(painter: Module) -> None:
    measure = Smoothness(Pixel("l1"), steps=8)
    even = measure(walk(painter, [1.0, 1.0, 1.0], low=-3.0, high=1.0))
    torch.testing.assert_close(even["smoothness/unevenness"], torch.ones(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(even["smoothness/length"], torch.full((6,), 0.4), atol=1e-5, rtol=0)
    traversal = Traversal(
        "x",
        Cubic("z", torch.ones(3), Label(low=-1, high=1)),
        painter,
        {"latent": torch.zeros(2, 3)},
        "z",
        torch.ones(1),
    )
    steps = torch.linspace(-1, 1, 9).pow(3).diff()
    found = measure(traversal)
    torch.testing.assert_close(found["smoothness/unevenness"], (steps.max() / steps.mean()).expand(2))
    torch.testing.assert_close(found["smoothness/length"], torch.full((2,), 0.2))


class Encoder:
    """Gives latents in the order in which it is asked."""

    def __init__(self, *answers: Tensor) -> None:
        self.network, self.answers, self.asked = nn.Identity(), list(answers), 0

    def __call__(self, space: AbstractSpace, images: Tensor) -> list[Tensor]:
        self.asked += 1
        return [torch.zeros(0), self.answers[(self.asked - 1) % len(self.answers)]]  # of several passes the last


@pytest.mark.parametrize("space", ["w", "w_plus"])
def test_a_perfect_encoder_finds_the_way_back(tiny: StyleGAN2, monkeypatch: pytest.MonkeyPatch, space: str) -> None:
    latent = tiny.sample(5, torch.Generator().manual_seed(0), space="w_plus")
    vector = torch.randn(tiny.shape(space), generator=torch.Generator().manual_seed(1))
    direction = Linear(space, vector, Label(low=-2, high=3))
    traversal = Traversal("x", direction, tiny, {"latent": latent}, "w_plus", torch.zeros(1))
    ends = [latent + alpha * vector for alpha in (-2, 3)]
    monkeypatch.setattr("zstar.editability.cycle.find_encoder", lambda _: Encoder(latent, *ends))
    found = Cycle(200)(traversal)
    assert set(found) == {"cycle/low", "cycle/high"}
    torch.testing.assert_close(torch.stack(list(found.values())), torch.zeros(2, 5), atol=1e-5, rtol=0)
    monkeypatch.setattr("zstar.editability.cycle.find_encoder", lambda _: Encoder(latent))  # blind to the edit
    length = vector.square().mean().sqrt() / WPlus(tiny, 200).spread
    for name, alpha in (("cycle/low", 2), ("cycle/high", 3)):
        torch.testing.assert_close(Cycle(200)(traversal)[name], (alpha * length).expand(5))
    one_way = Traversal(
        "x", Linear(space, vector, Label(low=0, high=3)), tiny, {"latent": latent}, "w_plus", torch.zeros(1)
    )
    assert set(Cycle(200)(one_way)) == {"cycle/high"}


def test_without_an_encoder_nothing_is_said(tiny: StyleGAN2, painter: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    latent = tiny.sample(2, torch.Generator().manual_seed(0), space="w")
    assert Cycle(200)(Traversal("x", Linear("w", torch.ones(16)), tiny, {"latent": latent}, "w", torch.zeros(1))) == {}
    assert Cycle(200)(walk(painter, [1.0, 0, 0])) == {}
    monkeypatch.setattr("zstar.editability.cycle.find_encoder", lambda _: pytest.fail("nothing leads back from style"))
    style = Linear("style", torch.ones(tiny.shape("style")))
    assert Cycle(200)(Traversal("x", style, tiny, {"latent": latent}, "w", torch.zeros(1))) == {}


class Maps(nn.Module):
    """Images are their own features."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images]


def test_what_is_moved_far_is_unlike_samples(painter: Module) -> None:
    latent = torch.randn(24, 3, generator=torch.Generator().manual_seed(5))
    found = Realism(Maps(), samples=60)(walk(painter, [1.0, 0.0, 0.0], latent, low=-0.1, high=6.0))
    assert {name: values.shape for name, values in found.items()} == {
        f"realism/kid_{name}": (1,) for name in ("before", "low", "high")
    }
    before, low, high = (found[f"realism/kid_{name}"].item() for name in ("before", "low", "high"))
    assert abs(low - before) < 0.2 * (high - before) and high > before + 0.5
    assert Realism(Maps(), samples=60)(walk(painter, [1.0, 0.0, 0.0], latent[:7])) == {}  # too few to say anything
    assert found.keys() == Realism(Maps(), samples=60)(walk(painter, [1.0, 0, 0], latent, low=0.0, high=1.0)).keys()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Effect(Table()),
            "editability: effect has to read pictures that nobody has seen, which annotation=table",
        ),
        (lambda: Leakage(Table()), "editability: leakage has to read pictures that nobody has seen"),
        (lambda: Leakage(Reader(), effect=0), "editability.leakage.effect: 0 is not possible"),
        (
            lambda: Leakage(Reader(), others=["up"]),
            "editability.leakage.others: there is no 'up'; choose from left, rig",
        ),
        (lambda: Locality(Reader(), Pixel(), {}), "editability: locality needs to know which class each pixel is of"),
        (lambda: Locality(Annotator(), Pixel(), {"a": ["son"]}), "editability.locality.places.a: no class is 'son'"),
        (lambda: Locality(Annotator(), Pixel(), {}, effect=-1), "editability.locality.effect: -1 is not possible"),
        (lambda: Smoothness(Pixel(), steps=1), "editability.smoothness.steps: 1 is not possible; set it to 2 or more"),
        (lambda: Realism(Maps(), samples=7), "editability.realism.samples: 7 is not possible; set it to 8 or more"),
    ],
)
def test_mistakes_are_one_sentence(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_an_attribute_that_nobody_reads(painter: Module) -> None:
    with pytest.raises(
        ValueError, match=r"^editability\.effect\.factor: there is no 'up'; choose from left, right, area/be"
    ):
        Effect(Reader(), "up")(walk(painter, [1.0, 0.0, 0.0]))


def test_all_of_them_on_real_cottages(composed: Callable[..., DictConfig]) -> None:
    cfg = composed("edit", "editability=[effect,leakage,locality,smoothness]")
    generator, annotator = StyleGAN2(checkpoint="cottages64"), Annotator()
    latent = generator.sample(2, torch.Generator().manual_seed(0), space="w")
    direction = Linear("w", torch.randn(generator.shape("w"), generator=torch.Generator().manual_seed(1)), Label())
    traversal = Traversal("roof_hue", direction, generator, {"latent": latent}, "w", torch.linspace(-3, 3, 3))
    for name, node in cfg.editability.items():
        settings = {"steps": 4} if name == "smoothness" else {}
        found = offer({**node, **settings}, annotation=annotator)(traversal)
        assert found and all(values.shape == (2,) and key.startswith(f"{name}/") for key, values in found.items())
