"""The contract of every generator that conf/ offers: drawn, lifted, read, edited, told apart, projected into, kept."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fake_device import FakeDevice
from omegaconf import DictConfig
from torch import Tensor

from zstar.checkpoints.io import save_weights
from zstar.config.build import build, offer
from zstar.config.reasons import Unfit
from zstar.data.reading import read_image
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.base import AbstractGenerator
from zstar.generators.invertible import Invertible
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
STYLES = "resolution=16 z_dim=6 w_dim=8 channel_max=8"
CLASSED = "resolution=16 classes=3 shared_dim=4 attention=[8]"
DECODER = "network={_target_:test_module_generator.Decoder} latent_shape=[5] layers=[last]"
SMALL = {  # file, and which of its kinds → settings; heights of its feature maps; a setting that draws other pictures
    "biggan": (f"{CLASSED} width=1 z_dim=12", [8, 16], "bn_eps=0.1"),
    "biggan all": (f"{CLASSED} width=1 z_dim=12 label=all", [8, 16], "label=1"),
    "biggan_deep": (f"{CLASSED} width=2 z_dim=6 depth=1", [8, 16], "bn_eps=0.1"),
    "cottages": ("", [4, 8, 16, 32, 64], ""),
    "dcgan": ("resolution=16 z_dim=6 width=4", [4, 8], "normalization=none"),
    "dcgan resize": ("resolution=16 z_dim=6 width=4 convolutions=resize normalization=instance prior=uniform bias=true",
                     [4, 8], "prior=normal"),
    "deep_image_prior": ("resolution=16 inputs=3 width=6 skip=2 scales=2", [8, 16], "seed=1"),
    "diffusers": ("", [8, 16, 16], "resolution=32"),
    "glow": ("resolution=8 num_blocks=2 num_flows=2 width=8", [2, 4], "resolution=16"),
    "glow plain": ("resolution=8 num_blocks=2 num_flows=2 width=8 lu=false affine=false", [2, 4], "resolution=16"),
    "module": (f"{DECODER} output_range=[0,1]", [8], "output_range=[-1,1]"),
    "pggan": ("resolution=16 z_dim=6 channel_max=8", [4, 4, 8, 8, 16, 16], "channels=1"),
    "pixels": ("resolution=8", [], "resolution=16"),
    "realnvp": ("resolution=8 num_scales=2 width=4 num_blocks=1", [4, 4, 8], "resolution=16"),
    "stylegan": (f"{STYLES} num_mapping_layers=2", [4, 4, 8, 8, 16, 16], "fused_scale=true"),
    "stylegan2": (f"{STYLES} num_mapping_layers=2", [4, 8, 16], "conv_clamp=0.1"),
    "stylegan2 classes": (f"{STYLES} num_mapping_layers=1 c_dim=3 label=own", [4, 8, 16], "label=1"),
    "stylegan3": (f"{STYLES} num_layers=3 num_critical=1", [36, 36, 36, 16], "rotation=30"),
    "vae": ("resolution=16 z_dim=6 widths=[8,12]", [4, 8], "channels=1"),
    "vqvae2": ("resolution=16 width=8 num_blocks=1 inner=4 embed_dim=4 num_codes=16", [4, 4, 8], "resolution=24"),
}  # fmt: skip
BOUNDED = {"biggan", "biggan_deep", "dcgan", "deep_image_prior", "module", "pixels", "vae"}  # within [−1, 1], exactly
Composed = Callable[..., DictConfig]


@dataclass
class Made:
    """A small generator: as its file makes it, and as a file of its weights brings it back."""

    name: str
    settings: list[str]
    words: list[str]
    fresh: AbstractGenerator
    generator: AbstractGenerator


def lively(generator: AbstractGenerator) -> AbstractGenerator:
    """With all parameters moved a little, so that nothing is equal only because it is zero."""
    torch.manual_seed(5)
    size = 0.03 if isinstance(generator, Invertible) else 0.1
    with torch.no_grad():
        for value in generator.parameters():
            value.add_(size * torch.randn_like(value))
    return generator


def stored(generator: AbstractGenerator, path: Path) -> str:
    """A file as a training leaves it."""
    whole = isinstance(generator, AbstractAdversarial)
    settings = dict(generator.settings) if whole else {"resolution": generator.resolution}
    save_weights(path, (generator if whole else generator.network).state_dict(), {"settings": settings})
    return f"generator.checkpoint={path}"


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
    if name in ("cottages", "deep_image_prior", "diffusers", "pixels"):  # of which there are no such files
        fresh, words = make(*settings), settings
    else:
        fresh = lively(make(*settings))
        words = [*settings, stored(fresh, folder / "weights.safetensors")]
    return Made(request.param, settings, words, fresh, make(*words))


def point(generator: AbstractGenerator, space: str = "", count: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Draws of a space, and where they are no pictures without a class, one for each."""
    rng, space = torch.Generator().manual_seed(seed), space or next(iter(generator.spaces))
    classed = generator.classes and space == next(iter(generator.spaces))
    kinds = {"class": torch.eye(generator.classes)[torch.arange(count) % generator.classes]} if classed else {}
    return {"latent": generator.sample(count, rng, space=space), **kinds}


def row(v: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    return {name: value[i : i + 1] for name, value in v.items()}


def test_each_file_has_an_entry() -> None:
    assert {name.partition(" ")[0] for name in SMALL} == {path.stem for path in (CONF / "generator").glob("*.yaml")}


def test_samples_are_pictures_in_whichever_space(made: Made) -> None:
    generator, chain = made.generator, list(made.generator.spaces)
    assert not generator.training and not any(value.requires_grad for value in generator.parameters())
    v = point(generator)
    images = generator.render(v, chain[0])
    assert images.shape == (3, generator.channels, generator.resolution, generator.resolution)
    assert images.dtype == torch.float32 and images.isfinite().all() and images.flatten(1).std(dim=1).min() > 1e-3
    assert images.abs().max() <= (1 if made.name.partition(" ")[0] in BOUNDED else 20)
    assert (images[0] - images[1]).abs().max() > 1e-3
    for space in chain:
        draws = [point(generator, space, seed=seed)["latent"] for seed in (0, 0, 1)]
        assert draws[0].shape == (3, *generator.shape(space)) and draws[0].dtype == torch.float32
        assert draws[0].equal(draws[1]) and not draws[0].equal(draws[2])
        with generator.conditioned(v.get("class")):
            lifted = generator.lift(v["latent"], chain[0], space)
        assert lifted.shape == draws[0].shape
        torch.testing.assert_close(generator.synthesize(lifted, space) if space != chain[0] else images, images)
    for poor, rich in combinations(chain, 2):
        with pytest.raises(ValueError, match=f"^space: {rich} can't be lifted to {poor}; the order is "):
            generator.lift(generator.sample(1, torch.Generator(), space=rich), rich, poor)
    for wrong in (generator.shape, lambda name: generator.lift(v["latent"], chain[0], name)):
        with pytest.raises(Unfit, match=f"has no space 'nowhere'; choose one of {', '.join(chain)}"):
            wrong("nowhere")


def test_a_batch_is_its_images_and_their_gradients(made: Made) -> None:
    generator, chain = made.generator, list(made.generator.spaces)
    rng = torch.Generator().manual_seed(1)
    for space in chain:
        v = point(generator, space) | {
            f"noise/{name}": torch.randn(3, 1, *size, generator=rng) for name, size in generator.noise_shapes.items()
        }
        free = generator.free_weights(space) if space == chain[0] else {}
        own = {name: 0.03 * torch.randn(3, *value.shape, generator=rng) for name, value in free.items()}
        changed = {**v, **named("weights", own)}
        for variables in (v, changed) if own else (v,):
            leaf = variables["latent"].clone().requires_grad_()
            images = generator.render({**variables, "latent": leaf}, space)
            (slope,) = torch.autograd.grad(images[1].square().sum(), leaf)
            assert slope[1].abs().sum() > 0 and not slope[[0, 2]].any(), space
            for i in range(3):
                alone = generator.render(row(variables, i), space)[0]
                torch.testing.assert_close(alone, images[i], atol=1e-4, rtol=1e-3)
        assert variables is v or (images - generator.render(v, space)).abs().max() > 1e-3, "the weights count"


def test_layers_are_read_and_edited(made: Made) -> None:
    generator, space = made.generator, next(iter(made.generator.spaces))
    v, names = point(generator), list(dict.fromkeys((*generator.layers, *generator.convolutions)))
    plain = generator.render(v, space)
    with generator.reading(*names) as maps:
        assert generator.render(v, space).equal(plain)
    assert maps.keys() == set(names) and all(value.dim() == 4 and len(value) == 3 for value in maps.values())
    assert [name for name in maps if name in generator.layers] == list(generator.layers), "in the order of synthesis"
    assert [maps[name].shape[2] for name in generator.layers] == SMALL[made.name][1]
    assert [maps[name].shape[3] for name in generator.layers] == SMALL[made.name][1]
    for name, value in maps.items():
        with generator.editing({name: lambda x: x * 1}):
            assert generator.render(v, space).equal(plain), name
        shift = torch.randn(value.shape, generator=torch.Generator().manual_seed(2)) * value.std()
        shift[0] = 0
        with generator.editing({name: lambda x, shift=shift: x + shift}):
            edited = generator.render(v, space)
        assert edited[0].equal(plain[0]) and (edited - plain).flatten(1).abs().amax(dim=1)[1:].min() > 1e-3, name
        assert generator.render({**v, f"features/{name}": shift}, space).equal(edited), name
    with pytest.raises(ValueError, match="'nowhere'"):
        generator.layer("nowhere")


def test_fingerprints_tell_apart_what_draws_other_pictures(made: Made, make: Callable[..., AbstractGenerator]) -> None:
    space, print_ = next(iter(made.generator.spaces)), made.generator.fingerprint()
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
        draws = [one.render(point(one), next(iter(one.spaces))) for one in pair]
        assert pair[0].fingerprint() != pair[1].fingerprint()
        assert draws[0].shape != draws[1].shape or (draws[0] - draws[1]).abs().max() > 1e-3


def test_every_space_that_it_has_is_projected_into(made: Made, tmp_path: Path) -> None:
    generator, supported = made.generator, set()
    pictures = generator.render(point(generator, count=2, seed=4), next(iter(generator.spaces)))
    targets = Targets({"image": pictures.clamp(-1, 1)}, ["a", "b"])
    one = Targets({"image": targets.images[1:]}, ["b"])
    for name in SPACES:
        node = yaml.safe_load((CONF / "space" / f"{name}.yaml").read_text())
        try:
            space = offer(node | {"prior_samples": 50}, generator=generator)
        except Unfit:
            continue
        supported.add(space.name)
        problem = Problem(space, {"pixel": Pixel()}, {}, Adam(lr=0.01, ramp_up=0, ramp_down=0))
        start, chain = [Mean(problem)], [Mean(problem), Optimization(problem, steps=2)]
        before, found, alone = (project(problem, *pair) for pair in ((start, targets), (chain, targets), (chain, one)))
        assert found.status == ["done"] * 2 and found.loss.isfinite().all() and (found.loss <= before.loss).all(), name
        torch.testing.assert_close(alone.loss, found.loss[1:], rtol=1e-3, atol=1e-6)
        found.save(tmp_path / f"{name}.safetensors")
        back = Inversion.load(tmp_path / f"{name}.safetensors")
        assert back.render(generator).equal(found.image) and back.v.keys() == found.v.keys(), name
    assert supported == set(generator.spaces)


def test_the_program_leaves_latents_that_draw_its_pictures(
    made: Made, make: Callable[..., AbstractGenerator], composed: Composed, tmp_path: Path
) -> None:
    words = ["data=samples", "data.count=2", "steps=2", "loss=[pixel]", "metric=[mse]", "logger=none", "direction=[]"]
    words += [f"space={next(iter(made.generator.spaces))}", "space.prior_samples=50", f"output={tmp_path}"]
    result = run(composed("invert", *made.words, *words, "projector=[mean,optimization]"))
    assert not result["failed"] and result["summary"]["mse"]["mean"] > 0
    folder = Path(result["folder"])
    kept = Inversion.load(folder / "latents.safetensors")
    images = kept.render(make(*made.words))
    for i, name in enumerate(kept.ids):
        drawn = read_image(folder / "reconstructions" / f"{name}.png", made.generator.resolution, images.shape[1])
        assert to_uint8(drawn[None]).equal(to_uint8(images[i : i + 1]))


def test_on_another_device_nothing_waits_and_nothing_is_copied(made: Made) -> None:
    here, space = made.generator, next(iter(made.generator.spaces))

    def descend(generator: AbstractGenerator, v: dict[str, Tensor]) -> Tensor:
        latent = v["latent"].detach().requires_grad_()
        image = generator.render({**v, "latent": latent}, space)
        image.square().sum().backward()
        return torch.cat([image.detach().flatten(1), latent.grad.flatten(1)], dim=1)

    with FakeDevice() as device:
        there = copy.deepcopy(here).to(device.name)
        v, draws = point(here), point(there)
        assert draws["latent"].cpu().equal(v["latent"])
        assert str(draws["latent"].device) == device.name or not list(there.parameters())
        away = {name: value.to(device.name) for name, value in draws.items()}
        descend(there, away)  # what follows from the weights alone is computed once
        with device.watching() as seen:
            found = descend(there, away)
        assert not seen.waits and not seen.copies
        torch.testing.assert_close(found.cpu(), descend(here, v), atol=1e-4, rtol=1e-4)
