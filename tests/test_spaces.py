"""The contract of every space and every projector that conf/ offers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conditional import conditional

from zstar.config.build import build, offer
from zstar.config.reasons import Unfit
from zstar.encoders.base import EncoderSpec
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.vqvae2 import VQVAE2
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.base import project
from zstar.stats.streams import stream

CONF = Path(__file__).parents[1] / "conf"
SPACES = sorted(path.stem for path in (CONF / "space").glob("*.yaml"))
PROJECTORS = sorted(path.stem for path in (CONF / "projector").glob("*.yaml"))
SHORT = {"best_of": ["candidates=5"], "cma": ["generations=4"], "basin_cma": ["generations=2", "steps=3"]}
SHORT |= {"weights": ["steps=4"], "features": ["steps=4"], "multiscale": ["smallest=8"], "poisson": ["source=image"]}
SHORT |= {"analogy": ["style=image"]}
SHORT |= {"starts": ["count=3"]}
LEARNED, NONE = r"\w+ has learned its weights", "Pixels has no weights to fit"
CLASSES = ("z_class", "embedding")  # spaces of generators with classes
REFUSALS = {  # (projector, space) → why there is nothing to do
    ("weights", "pixels"): NONE,
    ("features", "pixels"): "Pixels offers no feature layers",
    ("drag", "pixels"): "projector.drag: Pixels offers no feature layers",
    ("untrained", "pixels"): NONE,
    **{("exact", space): r"projector.exact: \w+ has no exact inverse and no likelihood" for space in SPACES},
    **{("classes", space): "has no class of an image's own to find" for space in SPACES if space not in CLASSES},
    **{("untrained", space): LEARNED for space in SPACES if space != "pixels"},
    **{
        (name, space): f"projector.{name}: latents of {space} are no pictures; choose generator=pixels space=pixels"
        for name in ("analogy", "copy", "poisson", "recolour", "multiscale")
        for space in SPACES
        if space != "pixels"
    },
}


@pytest.fixture(scope="module")
def generators(composed: Callable[..., Any]) -> dict[str, AbstractGenerator]:
    torch.manual_seed(1)
    style = StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=16)
    pixels = build(composed("invert", "generator=pixels", "generator.resolution=16").generator)
    codes = VQVAE2(resolution=16, width=8, num_blocks=1, inner=4, embed_dim=4, num_codes=16)
    special = {"pixels": pixels, "quantised": codes, "continuous": codes, **dict.fromkeys(CLASSES, conditional())}
    return {name: special.get(name, style) for name in SPACES}


def space_of(name: str, generators: dict[str, AbstractGenerator], composed: Callable[..., Any], *words: str) -> Any:
    return build(
        composed("invert", f"space={name}", "space.prior_samples=300", *words).space, generator=generators[name]
    )


def test_all_spaces_and_projectors_were_found() -> None:
    assert set(SPACES) >= {"z", "w", "w_plus", "style", "pixels"}
    assert set(PROJECTORS) >= {"mean", "random", "best_of", "optimization"}


@pytest.mark.parametrize("name", SPACES)
def test_a_space_decodes_its_samples_and_lets_gradients_through(
    name: str, generators: dict[str, AbstractGenerator], composed: Callable[..., Any]
) -> None:
    space, generator = space_of(name, generators, composed), generators[name]
    latent = space.sample(3, torch.Generator().manual_seed(0))
    assert latent.shape == (3, *space.shape) and (space.title or space.name) == name
    latent.requires_grad_()
    image = space.decode(latent)
    assert image.shape == (3, generator.channels, generator.resolution, generator.resolution)
    image[1].square().sum().backward()
    assert latent.grad[1].abs().sum() > 0
    assert latent.grad[0].abs().sum() == latent.grad[2].abs().sum() == 0  # the images of a batch don't touch
    assert not any(p.requires_grad for p in generator.parameters())


@pytest.mark.parametrize("name", SPACES)
def test_prior_statistics_are_those_of_the_samples(
    name: str, generators: dict[str, AbstractGenerator], composed: Callable[..., Any]
) -> None:
    space = space_of(name, generators, composed, "space.prior_samples=4000")
    draws = space.sample(4000, stream("an independent sample", 0))
    error = draws.std(dim=0) * (2 / 4000) ** 0.5
    assert ((space.mean - draws.mean(dim=0)).abs() < 5 * error).all()
    assert space.spread == pytest.approx((draws - draws.mean(dim=0)).square().mean().sqrt().item(), rel=0.02)
    if name in ("z", "pixels"):  # known, and nothing is drawn for it
        assert not space.mean.any() and space.spread == (1 if name == "z" else 3**-0.5)
    if name != "z":
        torch.testing.assert_close(space.start(2), space.mean.expand(2, *space.shape))
    inside = space.constrain(draws)
    torch.testing.assert_close(space.constrain(inside), inside)  # what is inside stays where it is


def test_moments_that_are_known_need_no_samples(monkeypatch: pytest.MonkeyPatch, composed: Callable[..., Any]) -> None:
    """Ten thousand images of 512 × 512 pixels would be 30 GB."""
    generator = build(composed("invert", "generator=pixels", "generator.resolution=512").generator)
    monkeypatch.setattr(type(generator), "sample", lambda *_: pytest.fail("nothing is to be drawn"))
    space = build(composed("invert", "space=pixels").space, generator=generator)
    assert space.spread == 3**-0.5 and space.start(1).shape == (1, 3, 512, 512) and not space.start(1).any()


def test_a_start_in_z_is_a_latent_where_the_generator_normalizes(composed: Callable[..., Any]) -> None:
    generator = StyleGAN2(checkpoint="cottages64")
    space, wide = (
        build(composed("invert", "space=z", f"space.prior_samples={count}").space, generator=generator)
        for count in (2000, 4000)
    )
    start = space.start(2)
    assert start[0].equal(start[1]) and 9 < start[0].norm() < 14  # √128 is 11.3
    mean = generator.sample(4000, stream("an independent sample", 0), space="w").mean(dim=0)

    def strayed(z: torch.Tensor) -> torch.Tensor:
        return (generator.lift(z, "z", "w") - mean).norm(dim=1)

    others = strayed(space.sample(500, stream("another sample", 0)))
    assert strayed(start)[0] < others.quantile(0.02) and strayed(wide.start(1))[0] < others.quantile(0.02)
    assert torch.equal(EncoderSpec.of(space).mean, start[0]), "an encoder begins there as well"


def test_constraints_of_z(generators: dict[str, AbstractGenerator], composed: Callable[..., Any]) -> None:
    far = 5 * torch.randn(4, 16)
    clamped = space_of("z", generators, composed, "space.constraint=clamp", "space.limit=1.5").constrain(far)
    assert clamped.abs().max() == 1.5 and clamped[far.abs() < 1.5].equal(far[far.abs() < 1.5])
    sphere = space_of("z", generators, composed, "space.constraint=sphere")
    torch.testing.assert_close(sphere.constrain(far).norm(dim=1), torch.full((4,), 4.0))
    torch.testing.assert_close(torch.cosine_similarity(sphere.constrain(far), far), torch.ones(4))
    torch.testing.assert_close(sphere.constrain(torch.zeros(1, 16)).norm(dim=1), torch.tensor([4.0]))


def test_a_constraint_holds_during_optimization(
    generators: dict[str, AbstractGenerator], composed: Callable[..., Any]
) -> None:
    space = space_of("z", generators, composed, "space.constraint=sphere")
    problem = Problem(space, {"pixel": Pixel()}, {}, Adam(lr=0.3))
    targets = Targets({"image": torch.rand(2, 3, 16, 16) * 2 - 1}, ["a", "b"])
    nodes = composed("invert", "projector=[optimization]", "steps=12").projector
    found = project(problem, [build(node, problem=problem) for node in nodes.values()], targets)
    torch.testing.assert_close(found.latent.norm(dim=1), torch.full((2,), 4.0))


@pytest.mark.parametrize("name", PROJECTORS)
@pytest.mark.parametrize("space", SPACES)
def test_every_projector_works_in_every_space_and_never_makes_it_worse(
    name: str, space: str, generators: dict[str, AbstractGenerator], composed: Callable[..., Any], guess: Any,
    finished: Callable[..., str],
) -> None:  # fmt: skip
    problem = Problem(space_of(space, generators, composed), {"pixel": Pixel()}, {}, Adam(lr=0.05))
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    named = {"image": images, "mask": torch.ones_like(images[:, :1]), "movable_mask": torch.ones_like(images[:, :1])}
    named["points"] = torch.full((3, 1, 2, 2), torch.nan)
    named["points"][0] = torch.tensor([[1.0, 8.0], [15.0, 8.0]])  # of the first image alone
    targets = Targets(named, ["a", "b", "c"])
    words = [f"projector.{name}.{word}" for word in SHORT.get(name, [])]
    words += [finished(problem, targets)] if name == "saved" else []
    node = composed("invert", f"projector=[{name}]", "steps=4", *words).projector[name]
    if (refusal := REFUSALS.get((name, space))) is not None:
        with pytest.raises(Unfit, match=refusal):
            offer(node, problem=problem)
        return
    projector, mean = (
        offer(node, problem=problem, encoder=guess(problem.space)),
        build({"_target_": "zstar.projectors.mean.Mean"}, problem=problem),
    )
    alone = project(problem, [projector], targets)
    chain = project(problem, [mean, projector], targets)
    start = project(problem, [mean], targets)
    assert alone.image.shape == targets.images.shape and alone.space == problem.space.name
    worse = chain.loss > start.loss + 1e-6
    assert not worse[1 if name == "drag" else 0 :].any(), "but for an image that is changed, whatever it was to be"
    assert (chain.evaluations >= alone.evaluations).all()
    assert chain.history["total"].shape[1] > start.history["total"].shape[1]
