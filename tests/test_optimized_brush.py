"""Optimised brushes: what pulls, what holds, and where they begin."""

import threading
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig

from zstar.app.open import open_workplace
from zstar.app.optimized import OptimizedBrush, Scenes, Weights
from zstar.app.strokes import BadStrokes, Stroke
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.segmentation import Segmentation
from zstar.postprocess.base import grow
from zstar.regularizers.origin_norm import OriginNorm
from zstar.segmenters.annotator import Annotator
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.stats.streams import stream

Composed = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def segmenter() -> Annotator:
    return Annotator()


@pytest.fixture(scope="module")
def brush(segmenter: Annotator) -> OptimizedBrush:
    space = WPlus(StyleGAN2(checkpoint="cottages64"), prior_samples=200)
    return OptimizedBrush(space, segmenter, threading.Lock(), Weights(samples=200, steps=25))


def scene(brush: OptimizedBrush, seed: int) -> dict[str, torch.Tensor]:
    return {"latent": brush.space.generator.sample(1, stream("scene", seed), space="w_plus")}


def test_what_is_wanted_and_what_is_not(segmenter: Annotator) -> None:
    generator = StyleGAN2(checkpoint="cottages64")
    image = generator.synthesize(generator.sample(2, stream("scene", 3)), "z").clamp(-1, 1)
    shares = segmenter.logits(image).softmax(dim=1)[:, segmenter.column("tree", "test")]
    nothing = torch.zeros_like(image)
    for absent, expected in ((False, -shares.log()), (True, -(1 - shares).clamp_min(1e-30).log())):
        loss = Segmentation(segmenter, "tree", absent=absent)
        torch.testing.assert_close(loss(image, nothing), expected.mean(dim=(1, 2)), rtol=1e-3, atol=1e-4)
    same = Segmentation(segmenter)
    assert same(image, image).abs().max() < 1e-5 < same(image, image.flip(0)).min()
    with pytest.raises(ValueError, match="loss.segmentation.wanted: the segmenter has no class 'tre'"):
        Segmentation(segmenter, "tre")
    with pytest.raises(ValueError, match="loss.segmentation.absent: nothing is named"):
        Segmentation(segmenter, absent=True)


def test_distance_from_the_origin(tiny: StyleGAN2) -> None:
    space = W(tiny, 200)
    latent = space.sample(3, stream("latents", 0))
    image = latent.new_zeros(3, 3, 16, 16)
    own = OriginNorm(space, origin=latent[:1])({"latent": latent}, image)
    expected = ((latent - latent[0]) / space.spread).square().mean(dim=1)
    torch.testing.assert_close(own, expected)
    assert own[0] == 0 < own[1:].min()
    assert OriginNorm(space)({"latent": space.start(2)}, image[:2]).abs().max() < 1e-8


def test_strokes_are_refused_where_nothing_can_be(brush: OptimizedBrush) -> None:
    v = scene(brush, 21)
    with pytest.raises(BadStrokes, match="no scene of this generator has a door there"):
        brush(Stroke("door", ((30.0, 4.0),), 5.0, "optimize"), v, "w_plus", "const")
    with pytest.raises(BadStrokes, match="the stroke lies outside of the picture"):
        brush(Stroke("door", ((-300.0, 4.0),), 5.0, "optimize"), v, "w_plus", "const")
    with pytest.raises(BadStrokes, match="moves latents of w_plus, and these are of style"):
        brush(Stroke("door", ((30.0, 50.0),), 5.0, "optimize"), v, "style", "const")


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "points", "mode"), [(21, ((56.0, 42.0), (56.0, 50.0)), "draw"),
                                                      (20, ((57.0, 40.0), (57.0, 50.0)), "remove")])  # fmt: skip
def test_a_tree_comes_or_goes_and_the_rest_stays(
    brush: OptimizedBrush, seed: int, points: tuple[tuple[float, float], ...], mode: str
) -> None:
    judge, v = Annotator("judge64"), scene(brush, seed)
    stroke = Stroke("tree", points, 9.0, "optimize", mode)
    change = brush(stroke, v, "w_plus", "const")
    pictures = [brush.space.decode(one["latent"]).clamp(-1, 1) for one in (v, change(v))]
    shares = [
        (judge(one)[0] == judge.column("tree", "test"))[stroke.mask(64)[0, 0] > 0.5].float().mean() for one in pictures
    ]
    assert shares[1] > 0.5 + shares[0] if mode == "draw" else shares[1] < shares[0] - 0.5
    far = (grow((stroke.mask(64) > 0).float(), 6) == 0).expand_as(pictures[0])
    error = ((pictures[1] - pictures[0]) / 2)[far].square().mean()
    assert -10 * error.log10() > 34
    half = brush(Stroke("tree", points, 9.0, "optimize", mode, "low"), v, "w_plus", "const")(v)
    torch.testing.assert_close(3 * (half["latent"] - v["latent"]), change(v)["latent"] - v["latent"])


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "x"), [(18, 36.0), (27, 31.0), (65, 33.0)])
def test_a_door_comes_into_a_wall_that_no_step_of_the_search_leaves_as_it_is(
    brush: OptimizedBrush, seed: int, x: float
) -> None:
    judge, v = Annotator("judge64"), scene(brush, seed)
    door, stroke = judge.column("door", "test"), Stroke("door", ((x, 47.0), (x, 50.0)), 6.0, "optimize")
    change = brush(stroke, v, "w_plus", "const")
    before, after = (brush.space.decode(one["latent"]).clamp(-1, 1) for one in (v, change(v)))
    inside, far = stroke.mask(64)[0, 0] > 0.5, (grow((stroke.mask(64) > 0).float(), 8) == 0).expand_as(after)
    assert not (judge(before) == door).any() and (judge(after)[0] == door)[inside].float().mean() > 0.8
    assert -10 * ((after - before) / 2)[far].square().mean().log10() > 32


def test_what_nearly_every_scene_has_is_painted_and_what_all_have_is_said(brush: OptimizedBrush) -> None:
    scenes = Scenes(brush.space.generator, brush.segmenter, "w", 40)
    latents, classes = scenes.draw()
    mask, column = torch.zeros(1, 1, 64, 64), brush.segmenter.column("sun", "test")
    mask[..., :8, :8] = 1
    classes.fill_(brush.segmenter.column("sky", "test"))
    with pytest.raises(BadStrokes, match="no scene of this generator has a sun there"):
        scenes.difference(column, mask)
    classes[8:] = column  # eight scenes lack it, fewer than a mean is usually taken of
    torch.testing.assert_close(
        scenes.difference(column, mask), latents[8:].mean(dim=0) - latents[:8].mean(dim=0), atol=1e-5, rtol=1e-4
    )
    classes.fill_(column)
    with pytest.raises(BadStrokes, match="every scene of this generator has a sun there"):
        scenes.difference(column, mask)


def test_what_a_stroke_weighs_is_set(composed: Composed, brushes: list[str]) -> None:
    workplace = open_workplace(composed("paint", *brushes, "brush.steps=7", "brush.outside=2"))
    brush = workplace.studio.brushes["optimize"]
    assert isinstance(brush, OptimizedBrush) and (brush.weights.steps, brush.weights.outside) == (7, 2.0)
    with pytest.raises(ValueError, match=r"brush\.lr: -1 is not possible"):
        open_workplace(composed("paint", *brushes, "brush.lr=-1"))
