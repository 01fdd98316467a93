"""The contract of every generator that conf/ offers: drawn, lifted, read, edited, told apart, projected into, kept."""

import copy
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from fake_device import FakeDevice
from omegaconf import DictConfig
from small_generators import BOUNDED, SMALL, descend, first, lively, point

from zstar.checkpoints.io import save_weights
from zstar.config.build import build, offer
from zstar.config.reasons import Unfit
from zstar.data.reading import read_image
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import named
from zstar.images import to_uint8
from zstar.inversion import Inversion
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization

CONF = Path(__file__).parents[1] / "conf"
SPACES = sorted(path.stem for path in (CONF / "space").glob("*.yaml"))
Composed = Callable[..., DictConfig]


class Made(NamedTuple):
    """A small generator: as its file makes it, and as a file of its weights brings it back."""

    name: str
    settings: list[str]
    words: list[str]
    fresh: AbstractGenerator
    generator: AbstractGenerator


@pytest.fixture(scope="module")
def make(composed: Composed) -> Callable[..., AbstractGenerator]:
    def from_words(*words: str) -> AbstractGenerator:
        torch.manual_seed(3)
        return build(composed("invert", *words).generator, at="generator")

    return from_words


@pytest.fixture(scope="module", params=SMALL)
def made(request: pytest.FixtureRequest, make: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Made:
    name = request.param.partition(" ")[0]
    folder = tmp_path_factory.mktemp(name)
    settings = [f"generator={name}", *(f"++generator.{word}" for word in SMALL[request.param][0].split())]
    if name == "diffusers":
        from test_diffusers import store

        settings += [f"generator.checkpoint={store(folder)['AutoencoderKL']}"]
    fresh, words = make(*settings), settings
    if name not in ("cottages", "deep_image_prior", "diffusers", "pixels"):  # of the others, a file as a training's
        whole = isinstance(lively(fresh), AbstractAdversarial)
        card = {"settings": dict(fresh.settings) if whole else {"resolution": fresh.resolution}}
        save_weights(folder / "weights.safetensors", (fresh if whole else fresh.network).state_dict(), card)
        words = [*settings, f"generator.checkpoint={folder / 'weights.safetensors'}"]
    return Made(request.param, settings, words, fresh, make(*words))


def test_each_file_has_an_entry() -> None:
    assert {name.partition(" ")[0] for name in SMALL} == {path.stem for path in (CONF / "generator").glob("*.yaml")}


def test_samples_are_pictures_in_whichever_space(made: Made) -> None:
    generator, chain = made.generator, list(made.generator.spaces)
    assert not generator.training and not any(value.requires_grad for value in generator.parameters())
    v = point(generator)
    images = generator.render(v, chain[0])
    assert images.shape == (2, generator.channels, generator.resolution, generator.resolution)
    assert images.dtype == torch.float32 and images.isfinite().all() and images.flatten(1).std(dim=1).min() > 1e-3
    assert images.abs().max() <= (1 if made.name.partition(" ")[0] in BOUNDED else 20)
    assert (images[0] - images[1]).abs().max() > 1e-3
    for space in chain:
        draws = [point(generator, space, seed)["latent"] for seed in (0, 0, 1)]
        assert draws[0].shape == (2, *generator.shape(space)) and draws[0].dtype == torch.float32
        assert draws[0].equal(draws[1]) and not draws[0].equal(draws[2])
        with generator.conditioned(v.get("class")):
            lifted = generator.lift(v["latent"], chain[0], space)
            torch.testing.assert_close(generator.synthesize(lifted, space), images)
    for poor, rich in combinations(chain, 2):
        with pytest.raises(ValueError, match=f"^space: {rich} can't be lifted to {poor}; the order is "):
            generator.lift(point(generator, rich)["latent"], rich, poor)
    with pytest.raises(Unfit, match=f"has no space 'nowhere'; choose one of {', '.join(chain)}"):
        generator.lift(v["latent"], chain[0], "nowhere")


def test_a_batch_is_its_images_and_their_gradients(made: Made) -> None:
    generator, rng = made.generator, torch.Generator().manual_seed(1)
    for space in generator.spaces:
        v = point(generator, space)
        maps = {name: torch.randn(2, 1, *size, generator=rng) for name, size in generator.noise_shapes.items()}
        free = generator.free_weights(space) if space == first(generator) else {}
        own = {name: 0.03 * torch.randn(2, *value.shape, generator=rng) for name, value in free.items()}
        plain = generator.render(v, space)
        for variables in (v, {**v, **named("noise", maps), **named("weights", own)})[: 1 + bool(own or maps)]:
            images, slope = descend(generator, variables, space, slice(1, 2))
            assert slope[1].abs().sum() > 0 and not slope[0].any(), space
            for i in range(2):
                alone, steep = descend(generator, {k: x[i : i + 1] for k, x in variables.items()}, space)
                torch.testing.assert_close(alone[0], images[i], atol=1e-4, rtol=1e-3)
            torch.testing.assert_close(steep[0], slope[1], atol=1e-3 * slope.abs().max().item(), rtol=1e-2)
            assert variables is v or (images - plain).abs().max() > 1e-3, space
        assert generator.render(v, space).equal(plain), "what is computed once is not what some images had"


def test_images_with_weights_and_maps_of_their_own_are_drawn_at_once(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where a layer computes its own gradient, of which torch knows no batch."""
    generator, space, drawn = made.generator, made.generator.drawn, []
    free = generator.free_weights(space)
    if not (free and generator.layers):
        pytest.skip("it has no weights, or no layers")
    forward = generator.forward
    monkeypatch.setattr(generator, "forward", lambda *words: drawn.append(0) or forward(*words))
    v, layer = point(generator, space), generator.layers[-1]
    with generator.reading(layer) as seen:
        generator.render(v, space)
    own = {name: 0.03 * torch.randn(2, *value.shape) for name, value in free.items()}
    maps = {f"features/{layer}": torch.randn_like(seen[layer]), f"factors/{layer}": 0.1 * torch.randn_like(seen[layer])}
    both = {**v, **named("weights", own), **maps}
    generator.render(both, space)  # the first time, torch may find that it can't
    drawn.clear()
    images = generator.render(both, space)
    assert len(drawn) == (2 if made.name in ("stylegan", "stylegan3") else 1)
    for i in range(2):
        alone = generator.render({key: value[i : i + 1] for key, value in both.items()}, space)
        torch.testing.assert_close(alone[0], images[i], atol=1e-4, rtol=1e-3)


def test_layers_are_read_and_edited(made: Made) -> None:
    generator, space = made.generator, first(made.generator)
    v, names = point(generator), list(dict.fromkeys((*generator.layers, *generator.convolutions)))
    plain = generator.render(v, space)
    with generator.reading(*names) as maps:
        assert generator.render(v, space).equal(plain)
    assert maps.keys() == set(names) and all(value.dim() == 4 and len(value) == 2 for value in maps.values())
    assert [name for name in maps if name in generator.layers] == list(generator.layers), "in the order of synthesis"
    assert [maps[name].shape[2:] for name in generator.layers] == [(side, side) for side in SMALL[made.name][1]]
    with generator.editing({name: lambda x: x * 1 for name in names}):
        assert generator.render(v, space).equal(plain)
    for name, value in maps.items():
        shift = torch.randn(value.shape, generator=torch.Generator().manual_seed(2)) * value.std()
        shift[0] = 0
        with generator.editing({name: lambda x, shift=shift: x + shift}):
            edited = generator.render(v, space)
        assert edited[0].equal(plain[0]) and (edited - plain).flatten(1).abs().amax(dim=1)[1] > 1e-3, name
        assert generator.render({**v, f"features/{name}": shift}, space).equal(edited), name
    with pytest.raises(ValueError, match=f"'nowhere'.*{''.join(generator.layers[:1])}"):
        generator.layer("nowhere")


def test_fingerprints_tell_apart_what_draws_other_pictures(made: Made, make: Callable[..., AbstractGenerator]) -> None:
    space, print_ = first(made.generator), made.generator.fingerprint()
    assert print_ == make(*made.words).fingerprint() == copy.deepcopy(made.generator).fingerprint()
    assert print_ == made.fresh.fingerprint(), "of a file as of what it was written from"
    assert made.generator.render(point(made.generator), space).equal(made.fresh.render(point(made.fresh), space))
    other = copy.deepcopy(made.generator)
    for name in list(other.free_weights(space))[-1:]:
        with torch.no_grad():
            other.get_parameter(name).add_(0.5)
        assert other.fingerprint() != print_, name
    if setting := SMALL[made.name][2]:
        pair = [lively(make(*made.settings, *more)) for more in ([], [f"++generator.{setting}"])]
        draws = [one.render(point(one), first(one)) for one in pair]
        assert pair[0].fingerprint() != pair[1].fingerprint()
        assert draws[0].shape != draws[1].shape or (draws[0] - draws[1]).abs().max() > 1e-3


def test_every_space_that_it_has_is_projected_into(made: Made, tmp_path: Path) -> None:
    generator, supported = made.generator, set()
    pictures = generator.render(point(generator, seed=4), first(generator)).clamp(-1, 1)
    targets = Targets({"image": pictures}, ["a", "b"])
    for name in SPACES:
        node = yaml.safe_load((CONF / "space" / f"{name}.yaml").read_text())
        try:
            space = offer(node | {"prior_samples": 8}, generator=generator)
        except Unfit:
            continue
        supported.add(space.name)
        problem = Problem(space, {"pixel": Pixel()}, {}, Adam(lr=0.01, ramp_up=0, ramp_down=0))
        found = project(problem, [Mean(problem), Optimization(problem, steps=2)], targets)
        assert found.status == ["done"] * 2 and found.history["total"].shape[1] > 2, name
        assert found.loss.isfinite().all() and (found.loss <= found.history["total"][:, 0]).all(), name
        found.save(tmp_path / f"{name}.safetensors")
        back = Inversion.load(tmp_path / f"{name}.safetensors")
        assert back.render(generator).equal(found.image) and back.v.keys() == found.v.keys(), name
    assert supported == set(generator.spaces)


def test_the_program_leaves_latents_that_draw_its_pictures(
    made: Made, make: Callable[..., AbstractGenerator], composed: Composed, tmp_path: Path
) -> None:
    if " " in made.name:
        pytest.skip("the program does with each kind of a family what it does with the first")
    words = ["data=samples", "data.count=2", "steps=2", "loss=[pixel]", "metric=[mse]", "logger=none", "direction=[]"]
    words += [f"space={first(made.generator)}", "space.prior_samples=8", f"output={tmp_path}"]
    result = run(composed("invert", *made.words, *words, "projector=[mean,optimization]"))
    assert not result["failed"] and result["summary"]["mse"]["mean"] > 0
    folder = Path(result["folder"])
    kept = Inversion.load(folder / "latents.safetensors")
    images = kept.render(make(*made.words))
    for i, name in enumerate(kept.ids):
        drawn = read_image(folder / "reconstructions" / f"{name}.png", made.generator.resolution, images.shape[1])
        assert to_uint8(drawn[None]).equal(to_uint8(images[i : i + 1]))


def test_on_another_device_nothing_waits_and_nothing_is_copied(made: Made) -> None:
    here, space = made.generator, first(made.generator)
    with FakeDevice() as device:
        there = copy.deepcopy(here).to(device.name)
        v, draws = point(here), point(there)
        assert draws["latent"].cpu().equal(v["latent"])
        assert str(draws["latent"].device) == device.name or not list(there.parameters())
        away = {name: value.to(device.name) for name, value in draws.items()}
        descend(there, away, space)  # what follows from the weights alone is computed once
        with device.watching() as seen:
            found = descend(there, away, space)
        assert not seen.waits and not seen.copies
        for ours, wanted in zip(found, descend(here, v, space), strict=True):
            torch.testing.assert_close(ours.cpu(), wanted, atol=1e-4, rtol=1e-3)
