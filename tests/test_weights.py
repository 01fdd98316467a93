"""Weights and features of an image's own: the same picture by themselves, in a batch, from a file, and moved."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from photos import case, dcgan
from torch import Tensor, nn

from zstar.callbacks import BestSoFar
from zstar.config.build import build
from zstar.data.reading import read_image
from zstar.directions.library import save_directions
from zstar.directions.linear import Linear
from zstar.editing.job import make_edit_job
from zstar.editing.run import run as edit
from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.generators.pixels import Pixels
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.stylegan2_layers import grouped, one_by_one
from zstar.generators.variables import Group, choose_all, named, part
from zstar.images import to_uint8
from zstar.inversion import Inversion, minimize
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.optimizers.lbfgs import LBFGS
from zstar.projection.run import run as invert
from zstar.projectors.base import project
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.weights import Weights
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.spaces.w import W


@pytest.fixture(params=["skip", "resnet", "orig", "module"])
def generator(request: pytest.FixtureRequest) -> AbstractGenerator:
    if request.param == "module":
        return dcgan().double()
    torch.manual_seed(0)
    return StyleGAN2(16, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8, architecture=request.param).double()


def changes(generator: AbstractGenerator, space: str, count: int) -> dict[str, Tensor]:
    return {n: 0.1 * torch.randn(count, *p.shape).to(p) for n, p in generator.free_weights(space).items()}


def changed(generator: AbstractGenerator, weights: dict[str, Tensor], image: int) -> AbstractGenerator:
    """The generator with the weights of one image in the place of its own."""
    other = copy.deepcopy(generator)
    for name, value in other.named_parameters():
        if name in weights:
            value.data += weights[name][image]
    return other


@pytest.mark.parametrize("noise", ["none", "const", "maps"])
def test_each_image_is_drawn_by_its_own_weights(generator: AbstractGenerator, noise: str) -> None:
    before = generator.fingerprint()
    for space in generator.spaces:
        latent = torch.randn(3, *generator.shape(space)).double()
        weights = changes(generator, space, 3)
        maps = {name: torch.randn(3, 1, *size).double() for name, size in generator.noise_shapes.items()}
        leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
        images = generator.synthesize(latent, space, maps if noise == "maps" else noise, leaves)
        aim = torch.randn_like(images)
        slopes = torch.autograd.grad(((images - aim) ** 2).sum(), list(leaves.values()), materialize_grads=True)
        for i in range(3):
            other = changed(generator, weights, i).requires_grad_()
            own = {name: value[i : i + 1] for name, value in maps.items()} if noise == "maps" else noise
            image = other.synthesize(latent[i : i + 1], space, own)
            torch.testing.assert_close(images[i], image[0])
            parameters = [dict(other.named_parameters())[name] for name in weights]
            ((image - aim[i]) ** 2).sum().backward()
            for slope, parameter in zip(slopes, parameters, strict=True):
                torch.testing.assert_close(
                    slope[i], torch.zeros_like(parameter) + (0 if parameter.grad is None else parameter.grad)
                )
    assert generator.fingerprint() == before


def test_some_weights_may_change_and_the_others_stay(generator: AbstractGenerator) -> None:
    """Also where a bias has a batch in front and the weight beside it has none."""
    space = next(iter(generator.spaces))
    latent = torch.randn(2, *generator.shape(space)).double()
    for name, value in changes(generator, space, 2).items():
        images = generator.synthesize(latent, space, "const", {name: value})
        for i in range(2):
            alone = changed(generator, {name: value}, i).synthesize(latent[i : i + 1], space)
            torch.testing.assert_close(images[i], alone[0])


class Doubtful(nn.Module):
    """A network that looks at a value, which torch can't for all images at once."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 48)

    def forward(self, z: Tensor) -> Tensor:
        images = self.body(z).tanh().view(-1, 3, 4, 4)
        return images if images.abs().max().item() < 2 else -images


def test_what_can_not_be_drawn_at_once_is_drawn_one_by_one() -> None:
    for network in (Doubtful(), nn.Sequential(Doubtful().body, nn.Tanh(), nn.Unflatten(1, (3, 4, 4)))):
        generator = Module(network, [4], layers=["body"] if isinstance(network, Doubtful) else ["0"])
        weights, latent = changes(generator, "z", 3), torch.randn(3, 4)
        images = generator.synthesize(latent, "z", weights=weights)
        for i in range(3):
            alone = changed(generator, weights, i).synthesize(latent[i : i + 1], "z")
            torch.testing.assert_close(images[i], alone[0])
        kept: list[Tensor] = []

        def look(output: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(output)
            return output

        with generator.editing({generator.layers[0]: look}):
            generator.synthesize(latent, "z", weights=weights)
        assert [output.numpy().shape[0] for output in kept] == [1, 1, 1], "what looks on sees plain tensors"


def test_groups_of_convolutions_are_convolutions_one_by_one() -> None:
    """What a GPU does is what a CPU does."""
    x, weight = torch.randn(3, 4, 6, 6).double(), torch.randn(3, 5, 4, 3, 3).double().requires_grad_()
    for layout in (torch.contiguous_format, torch.channels_last):
        x = x.contiguous(memory_format=layout)
        for convolution, own in (
            (nn.functional.conv2d, weight),
            (nn.functional.conv_transpose2d, weight.transpose(1, 2)),
        ):
            pair = [way(convolution, x, own) for way in (one_by_one, grouped)]
            torch.testing.assert_close(*pair)
            torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), weight)[0] for y in pair))


def test_free_weights_are_those_that_a_picture_depends_on(tiny: StyleGAN2) -> None:
    everything = set(dict(tiny.named_parameters()))
    assert set(tiny.free_weights("z")) == everything
    assert everything - set(tiny.free_weights("w")) == {name for name in everything if name.startswith("mapping")}
    assert not any("affine" in name for name in tiny.free_weights("style"))
    assert Pixels(8).free_weights("pixels") == {}


@pytest.mark.parametrize("layer", ["b8", "2"])
def test_a_feature_that_is_added_is_an_edit_of_its_layer(layer: str, tiny: StyleGAN2) -> None:
    generator = tiny if layer == "b8" else dcgan()
    space = next(iter(generator.spaces))
    latent = torch.randn(2, *generator.shape(space))
    with generator.reading(layer) as seen:
        generator.synthesize(latent, space)
    delta = torch.randn_like(seen[layer])
    with generator.editing({layer: lambda features: features + delta}):
        wanted = generator.synthesize(latent, space)
    images = generator.render({"latent": latent, f"features/{layer}": delta}, space)
    assert images.equal(wanted) and not images.equal(generator.synthesize(latent, space))
    name = next(iter(generator.free_weights(space)))
    weights = {name: torch.zeros(2, *dict(generator.named_parameters())[name].shape)}
    both = generator.render({"latent": latent, f"features/{layer}": delta, **named("weights", weights)}, space)
    torch.testing.assert_close(both, wanted)


def test_what_there_is_not_is_named(tiny: StyleGAN2) -> None:
    latent = torch.zeros(1, *tiny.shape("w"))
    with pytest.raises(ValueError, match=r"no parameter 'synthesis.b8.conv0.wieght'; did you mean 'synthesis.b8.conv0"):
        tiny.synthesize(latent, "w", "const", {"synthesis.b8.conv0.wieght": latent})
    with pytest.raises(ValueError, match="has no layer 'b7'"):
        tiny.synthesize(latent, "w", "const", None, {"b7": latent})
    problem = Problem(PixelSpace(Pixels(8), 10), {"pixel": Pixel()}, {}, Adam())
    with pytest.raises(
        ValueError, match="projector.weights: Pixels has no weights to fit; remove weights from projector"
    ):
        Weights(problem)
    problem = Problem(W(tiny, 10), {"pixel": Pixel()}, {}, Adam())
    with pytest.raises(ValueError, match="projector.weights.lr: 0"):
        Weights(problem, lr=0)


@pytest.mark.slow
def test_the_weights_give_what_no_latent_has_and_a_batch_is_its_images(generator: AbstractGenerator) -> None:
    problem, targets = case(generator)
    before = generator.fingerprint()
    pivot = [Mean(problem), Optimization(problem, steps=20)]
    chain = [*pivot, Weights(problem, steps=30, lr=0.03)]
    found, start = project(problem, chain, targets), project(problem, pivot, targets)
    assert (found.loss < 0.85 * start.loss).all() and found.latent.equal(start.latent)
    assert found.evaluations.tolist() == [1 + 22 + 32] * 3 and generator.fingerprint() == before
    assert set(part(found.v, "weights")) == set(generator.free_weights(problem.space.name))
    for i in (0, 2):
        alone = project(problem, chain, Targets({"image": targets.images[i : i + 1]}, targets.ids[i : i + 1]))
        torch.testing.assert_close(alone.loss, found.loss[i : i + 1], rtol=1e-3, atol=0)


def test_the_weights_can_be_found_by_lbfgs(tiny: StyleGAN2) -> None:
    problem, targets = case(tiny, optimizer=LBFGS())
    start = project(problem, [Mean(problem)], targets)
    found = project(problem, [Mean(problem), Weights(problem, steps=15, lr=1.0)], targets)
    assert (found.loss < 0.9 * start.loss).all()


def test_latents_and_weights_move_together_at_rates_of_their_own(tiny: StyleGAN2) -> None:
    problem, targets = case(tiny, optimizer=Adam(lr=0.5, ramp_up=0, ramp_down=0))
    one = Weights(problem, steps=1, lr=3e-4, latent_lr=0.05, keep_best=False)(Objective(problem, targets))
    start = problem.space.start(3)
    assert (one.latent - start).abs().max().item() == pytest.approx(0.05, rel=1e-3)
    moved = torch.cat([value.flatten() for value in part(one.v, "weights").values()]).abs()
    assert moved.max().item() == pytest.approx(3e-4, rel=1e-3)
    both = project(problem, [Weights(problem, steps=40, lr=0.01, latent_lr=0.05)], targets)
    alone = project(problem, [Weights(problem, steps=40, lr=0.01)], targets)
    assert both.loss.mean() < alone.loss.mean() and alone.latent.equal(start)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05), LBFGS()], ids=["adam", "lbfgs"])
def test_a_group_keeps_its_constraint_and_what_is_not_free_stays(tiny: StyleGAN2, optimizer: Any) -> None:
    generator = copy.deepcopy(tiny)
    for name, value in generator.named_parameters():
        if name.endswith("noise_strength"):
            value.data.fill_(0.5)
    problem, targets = case(generator, noise="optimize", optimizer=optimizer)
    v = problem.start(targets)
    name = "noise/b8.conv1"
    best = BestSoFar()
    groups = [Group(["latent"], constrain=lambda w: w.clamp(-0.01, 0.01)), Group([name], rate=0.2)]
    found = minimize(Objective(problem, targets), v, groups, 5, callbacks=[best])
    assert found.latent.abs().max() <= 0.01 and not found.v[name].equal(v[name])
    others = set(v) - {"latent", name}
    assert others and all(found.v[other].equal(v[other]) for other in others)
    assert found.v.keys() == v.keys() == best.v.keys()


def test_a_change_that_one_of_two_lacks_is_none() -> None:
    condition = torch.tensor([True, False])
    yes, no = {"latent": torch.ones(2, 3)}, {"latent": torch.zeros(2, 3), "weights/a": torch.ones(2, 4)}
    chosen = choose_all(condition, yes, no)
    assert chosen["latent"][:, 0].tolist() == [1, 0] and chosen["weights/a"][:, 0].tolist() == [0, 1]


def test_other_projectors_keep_the_weights_that_were_found(tiny: StyleGAN2) -> None:
    problem, targets = case(tiny)
    fitted = project(problem, [Mean(problem), Weights(problem, steps=10)], targets)
    after = project(problem, [Mean(problem), Weights(problem, steps=10), Optimization(problem, steps=10)], targets)
    assert (after.loss < fitted.loss).all()
    assert all(after.v[name].equal(value) for name, value in fitted.v.items() if name.startswith("weights/"))
    last = project(problem, [Mean(problem), Weights(problem, steps=10), Mean(problem)], targets)
    assert last.loss.equal(fitted.loss) and last.render(tiny).equal(last.image)


def test_a_saved_change_of_weights_draws_the_same_picture(generator: AbstractGenerator, tmp_path: Path) -> None:
    problem, targets = case(generator)
    found = project(problem, [Mean(problem), Weights(problem, steps=3)], targets)
    found.save(tmp_path / "found.safetensors")
    back = Inversion.load(tmp_path / "found.safetensors")
    assert back.v.keys() == found.v.keys() and back.render(generator).equal(found.image)
    some = back.select([2, 0])
    assert some.ids == ["photo-2", "photo-0"]
    torch.testing.assert_close(some.render(generator), found.image[[2, 0]])


EXAMPLES = {
    "grumpy": "assets/grumpy-dcgan-64/G_iter6400.pkl", "celeba_vae": "assets/celeba-vae-64/celeba_vae64_z32.pth",
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_networks_of_others_are_fitted_to_each_image(
    name: str, root: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = shared / EXAMPLES[name]
    if not path.exists():
        pytest.skip(f"needs {EXAMPLES[name]}")
    monkeypatch.syspath_prepend(str(root / "examples" / name))
    node = OmegaConf.load(root / f"examples/{name}/conf/generator/{name}.yaml")
    generator = build({**OmegaConf.to_container(node), "checkpoint": str(path)})
    problem, targets = case(generator, count=2)
    before, chain = generator.fingerprint(), [Mean(problem), Weights(problem, steps=4)]
    found, start = project(problem, chain, targets), project(problem, chain[:1], targets)
    assert (found.loss < start.loss).all() and generator.fingerprint() == before
    alone = project(problem, chain, Targets({"image": targets.images[1:]}, targets.ids[1:]))
    torch.testing.assert_close(alone.loss, found.loss[1:], rtol=1e-3, atol=0)
    found.save(tmp_path / "found.safetensors")
    assert Inversion.load(tmp_path / "found.safetensors").render(generator).equal(found.image)


TINY = [
    "generator=stylegan2", "space=w", "space.prior_samples=100", "projector=[mean,optimization,weights]", "steps=3",
    "projector.weights.steps=4", "loss=[pixel]", "metric=[mse]", "data.count=3", "data.resolution=16", "logger=none",
    "batch_size=2", "device=cpu",
]  # fmt: skip


def test_the_weights_of_a_run_are_kept_edited_and_reported(
    composed: Callable[..., Any], store_generator: Callable[..., None], tmp_path: Path
) -> None:
    store_generator(tmp_path / "g.safetensors")
    words = [*TINY, f"generator.checkpoint={tmp_path / 'g.safetensors'}"]
    result = invert(composed("invert", *words, f"output={tmp_path / 'runs'}"))
    folder = Path(result["folder"])
    found, generator = (
        Inversion.load(folder / "latents.safetensors"),
        StyleGAN2(checkpoint=str(tmp_path / "g.safetensors")),
    )
    count = sum(value.numel() for value in generator.free_weights("w").values())
    assert result["steps"] == 3 + 4
    assert result["bytes_per_image"] == 4 * (8 + count) and "weights" in result["method"]
    assert "weights" in (folder / "report.html").read_text()
    drawn = to_uint8(found.render(generator))
    for image, name in zip(drawn, found.ids, strict=True):
        written = to_uint8(read_image(folder / "reconstructions" / f"{name}.png", 16)[None])[0]
        assert (image.int() - written.int()).abs().max() <= 1
    save_directions(tmp_path / "d.safetensors", {"along": Linear("w", torch.ones(8))}, generator)
    words = [
        "generator=stylegan2", f"generator.checkpoint={tmp_path / 'g.safetensors'}", f"inversion={folder}",
        "direction=[file]", f"direction.file.path={tmp_path / 'd.safetensors'}", "editability=[]", "strengths=[0,1]",
        "video=false", "logger=none", f"output={tmp_path / 'edits'}", "device=cpu",
    ]  # fmt: skip
    job = make_edit_job(composed("edit", *words))
    torch.testing.assert_close(job.render(slice(0, 2), (("along", 0.0),)), found.render(generator)[:2].clamp(-1, 1))
    moved = generator.render({**found.v, "latent": found.latent + 1}, "w").clamp(-1, 1)
    torch.testing.assert_close(job.render(slice(0, 3), (("along", 1.0),)), moved)
    edited = edit(composed("edit", *words))
    assert len(list((Path(edited["folder"]) / "strips").rglob("*.png"))) == 3


def test_a_run_that_is_killed_inside_the_tuning_goes_on_as_if_nothing_had_been(
    composed: Callable[..., Any], weights: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, steps = Adam.step, []

    def step(*arguments: Any) -> Any:
        steps.append(len(steps))
        if len(steps) == (3 + 4) + 3 + 2:  # in the second batch, its weights
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(Adam, "step", step)
    words = [*TINY, weights]
    with pytest.raises(KeyboardInterrupt):
        invert(composed("invert", *words, f"output={tmp_path}/cut"))
    cut, whole = (invert(composed("invert", *words, f"output={tmp_path}/{name}")) for name in ("cut", "whole"))
    assert len(steps) == 12 + 7 + 14  # the first batch is not made again
    found, same = (Inversion.load(Path(each["folder"]) / "latents.safetensors") for each in (cut, whole))
    assert found.v.keys() == same.v.keys() and all(found.v[name].equal(value) for name, value in same.v.items())
