"""Chains of projectors: what the last one started from, and whether that says anything about the images."""

import torch

from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.base import project, project_with_start
from zstar.projectors.best_of import BestOf
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.random import Random
from zstar.spaces.w import W


def problem_of(generator: StyleGAN2, count: int) -> tuple[Problem, Targets]:
    """Images that the generator can make."""
    w = generator.sample(count, torch.Generator().manual_seed(5), space="w")
    targets = Targets({"image": generator.synthesize(w, "w")}, [f"image-{i}" for i in range(count)])
    return Problem(W(generator, prior_samples=500), {"pixel": Pixel()}, {}, Adam(lr=0.1)), targets


def test_a_chain_tells_what_its_last_projector_started_from(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny, 3)
    mean, best, last = Mean(problem), BestOf(problem, candidates=100), Optimization(problem, steps=5)
    found, start = project_with_start(problem, [mean, best, last], targets)
    assert found.latent.equal(project(problem, [mean, best, last], targets).latent)
    assert start.latent.equal(project(problem, [mean, best], targets).latent)
    assert not start.latent.equal(found.latent) and (start.loss >= found.loss).all()
    taken_over = start.history["total"].shape[1] - 1  # where the trajectory of the whole goes through the start
    assert found.history["total"][:, taken_over].equal(start.loss)
    assert (start.evaluations < found.evaluations).all()


def test_a_start_that_did_not_look_at_the_image_is_none(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny, 2)
    mean, random, best = Mean(problem), Random(problem), BestOf(problem, candidates=5)
    for chain in ([best], [mean, best], [random, best], [random, mean]):
        assert project_with_start(problem, chain, targets)[1] is None
    for chain in ([best, mean], [best, random, mean]):  # the later ones keep what is better than theirs
        assert project_with_start(problem, chain, targets)[1] is not None


def test_only_projectors_that_look_find_something_else_for_another_image(tiny: StyleGAN2) -> None:
    problem, targets = problem_of(tiny, 8)
    swapped = Targets({"image": targets.images.flip(0)}, targets.ids)
    for projector in (Mean(problem), Random(problem), BestOf(problem, candidates=20), Optimization(problem, steps=3)):
        one, two = (project(problem, [projector], images).latent for images in (targets, swapped))
        assert projector.uses_image is not torch.allclose(one, two), type(projector).__name__
