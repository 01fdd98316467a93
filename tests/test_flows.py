"""Flows equal the published networks both ways; their inverse is exact, and their likelihood is that of the image."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import save_weights
from zstar.config.reasons import Unfit
from zstar.generators.base import AbstractGenerator
from zstar.generators.glow import Glow
from zstar.generators.invertible import Invertible
from zstar.generators.realnvp import RealNVP
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.likelihood import Likelihood as Bits
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.exact import Exact
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.regularizers.likelihood import Likelihood
from zstar.spaces.w import W
from zstar.spaces.z import Z
from zstar.tasks.encoder_parts import make_parts

KINDS = {"glow": Glow, "realnvp": RealNVP}
FILES = {"glow_16_lu": "glow", "glow_16_plain_affine": "glow", "realnvp_16": "realnvp"}
FRESH = {  # settings of small networks, and a name that tells them
    "glow": {"num_blocks": 2, "num_flows": 2, "width": 8},
    "plain": {"num_blocks": 2, "num_flows": 2, "width": 8, "lu": False, "affine": False},
    "realnvp": {"num_scales": 2, "width": 4, "num_blocks": 1},
}


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def small(name: str, resolution: int = 8, **more: Any) -> AbstractGenerator:
    """A fresh flow whose parameters have all been moved a little, so that nothing is equal because it is zero."""
    torch.manual_seed(0)
    flow = KINDS.get(name, Glow)(resolution=resolution, **FRESH[name] | more)
    for parameter in flow.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return flow


@pytest.fixture(params=list(FRESH))
def flow(request: pytest.FixtureRequest) -> AbstractGenerator:
    return small(request.param)


@pytest.fixture(params=["official", "converted"])
def golden(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Callable[..., Any]:
    """``golden(folder)``: a flow from its file, or as it was converted, and what the published one made."""

    def make(folder: str, **more: Any) -> tuple[AbstractGenerator, dict[str, Tensor]]:
        path = shared / "golden" / folder / "weights.safetensors"
        if request.param == "converted":
            torch.save({"state_dict": load_file(path)}, tmp_path / "saved.pt")
            convert([str(tmp_path / "saved.pt"), str(tmp_path / "converted.safetensors")])
            path = tmp_path / "converted.safetensors"
        flow = KINDS[FILES[folder]](resolution=16, checkpoint=str(path), **more)
        return flow, load_file(shared / "golden" / folder / "io.safetensors")

    return make


@pytest.mark.parametrize("folder", ["glow_16_lu", "glow_16_plain_affine"])
def test_glow_is_the_published_one(folder: str, golden: Callable[..., Any]) -> None:
    flow, found = golden(folder, bits=5)
    normal = torch.cat([found[f"eps{i}"].flatten(1) for i in range(3)], dim=1)
    assert difference(flow.synthesize(normal, "z"), 2 * found["sample_from_eps"]) <= 1e-3
    image = 2 * found["image"]
    assert difference(flow.bits_per_dimension(image), found["bits_per_dim_nbins32"]) <= 1e-5
    assert difference(flow.network.encode(found["image"])[1], found["logdet"] + found["log_p"]) <= 1e-2
    assert difference(flow.synthesize(flow.invert(image), "z") / 2, found["reverse_reconstruct"]) <= 1e-4
    blocks, kept = flow.network.blocks, found["image"]
    for i, block in enumerate(blocks):
        kept, normal, _ = block.encode(kept)
        mean, log_deviation = block._prior(kept)
        assert difference(mean + log_deviation.exp() * normal, found[f"z{i}"]) <= 1e-4
    step, x = blocks[0].flows[0], found["squeezed"]
    for name in ("actnorm", "invconv", "coupling"):
        x, log_determinant = step.get_submodule(name).encode(x)
        assert difference(x, found[f"block0.flow0.{name}"]) <= 1e-5
        assert (log_determinant - found[f"block0.flow0.{name}_logdet"]).abs().max() <= 1e-4


def test_realnvp_is_the_published_one(golden: Callable[..., Any]) -> None:
    flow, found = golden("realnvp_16")
    image = 2 * (255 * found["image"] + found["dequantisation_noise"]) / 256 - 1
    assert difference(flow.invert(image), found["z"].flatten(1)) <= 1e-4
    assert difference(flow.bits_per_dimension(image).mean(), found["bits_per_dim"][0]) <= 1e-5
    assert difference(-flow.log_likelihood(image).mean(), found["loss_nats_mean"][0]) <= 1e-2
    z = found["sample_z"].flatten(1)
    with flow.reading("scale0.in_couplings") as seen:
        paler = 0.05 + 0.9 * (flow.synthesize(z, "z") + 1) / 2
    assert difference(paler, found["sample_image"]) <= 1e-5
    assert difference(seen["scale0.in_couplings"], found["sample_logits"]) <= 1e-4
    group = flow.layer("scale0.out_couplings")
    out, log_determinant = group[0].encode(found["channel_coupling0_in"])
    assert difference(out, found["channel_coupling0_out"]) <= 1e-5
    assert difference(log_determinant, found["channel_coupling0_sldj"]) <= 1e-4


def test_the_inverse_is_exact_and_differentiable(flow: AbstractGenerator) -> None:
    assert isinstance(flow, Invertible)
    image = torch.rand(3, 3, 8, 8) * 2 - 1
    z = flow.invert(image)
    assert z.shape == (3, 192) and difference(flow.synthesize(z, "z"), image) < 1e-5
    assert difference(flow.invert(flow.synthesize(z, "z")), z) < 1e-4
    assert difference(flow.invert(image[1:2]), z[1:2]) < 1e-5 and difference(z[0], z[1]) > 0.1
    z.requires_grad_()
    made = flow.synthesize(z, "z")
    (gradient,) = torch.autograd.grad(made[1].sum(), z, retain_graph=True)
    assert gradient[1].abs().sum() > 0 and not gradient[[0, 2]].any()
    (unit,) = torch.autograd.grad((flow.invert(made) * (step := torch.randn_like(z))).sum(), z)
    assert difference(unit, step) < 1e-3  # the derivative of the identity


def test_a_likelihood_is_the_density_of_the_image(flow: AbstractGenerator) -> None:
    """Against the whole matrix of derivatives, in double precision."""
    flow = flow.double()
    image = torch.rand(1, 3, 8, 8, dtype=torch.double) * 2 - 1
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.invert(x[None])[0], image[0]).flatten(1)
    z, count = flow.invert(image), image.numel()
    density = -0.5 * (z.square() + math.log(2 * math.pi)).sum() + torch.linalg.slogdet(jacobian).logabsdet
    width = 2 / 256  # of a level, on [−1, 1]
    assert flow.log_likelihood(image).item() == pytest.approx((density + count * math.log(width)).item(), abs=1e-6)
    bits = flow.bits_per_dimension(image).item()
    assert bits == pytest.approx(-flow.log_likelihood(image).item() / (count * math.log(2)))
    if isinstance(flow, Glow):
        flow.bits = 5
        assert flow.bits_per_dimension(image).item() == pytest.approx(bits - 3)


def test_no_image_has_an_infinite_latent() -> None:
    flow = small("realnvp")
    edges = torch.stack([torch.full((3, 8, 8), value) for value in (-1.2, -1.0, 1.0, 1.2)])
    assert flow.invert(edges).isfinite().all() and flow.log_likelihood(edges).isfinite().all()
    assert difference(flow.synthesize(flow.invert(edges[1:3]), "z"), edges[1:3]) < 1e-5


def test_the_first_batch_of_a_training_is_normalised() -> None:
    flow = small("glow")
    flow.train().requires_grad_(True)
    images = torch.randn(64, 3, 8, 8) * 0.3 + 0.4
    step = flow.network.blocks[0].flows[0].actnorm
    with torch.no_grad():
        flow.log_likelihood(images)
        squeezed = torch.nn.functional.pixel_unshuffle(images / 2, 2)
        out = step.encode(squeezed)[0]
    assert out.mean(dim=(0, 2, 3)).abs().max() < 1e-4 and (out.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-2
    before = step.loc.clone()
    flow.bits_per_dimension(images + 1).mean().backward()
    assert torch.equal(step.loc, before) and step.loc.grad.abs().sum() > 0
    again = Glow(8, **FRESH["glow"])
    again.load_state_dict(flow.state_dict())
    again.train().log_likelihood(images + 1)
    assert torch.equal(again.network.blocks[0].flows[0].actnorm.loc, before), "what has learned is not begun anew"
    fresh = Glow(8, **FRESH["glow"])
    fresh.log_likelihood(images)
    assert not fresh.network.blocks[0].flows[0].actnorm.initialized


def test_a_training_makes_images_likelier(flow: AbstractGenerator) -> None:
    images = (torch.rand(32, 3, 8, 8).cumsum(dim=3) / 8).clamp(0, 2) - 1
    images = images + torch.rand_like(images) * 2 / 256
    flow.train().requires_grad_(True)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = flow.bits_per_dimension(images).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.4 and all(map(math.isfinite, losses))
    flow.freeze()
    assert difference(flow.synthesize(flow.invert(images), "z"), images) < 1e-4


def test_samples_and_truncation(flow: AbstractGenerator) -> None:
    whole, half = (flow.sample(500, torch.Generator().manual_seed(1), psi) for psi in (1.0, 0.5))
    assert abs(whole.std() - 1) < 0.02 and torch.equal(half, whole / 2)
    space = Z(flow)
    assert space.spread == 1 and not space.start(1).any()
    with pytest.raises(ValueError, match="no space 'w'; choose one of z"):
        flow.sample(1, torch.Generator(), space="w")


@pytest.mark.parametrize("name", FRESH)
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_are_those_of_the_file(name: str, channels: int, tmp_path: Path) -> None:
    flow = small(name, channels=channels)
    save_weights(tmp_path / "f.safetensors", flow.network.state_dict(), {"settings": {"resolution": 8}})
    kind = type(flow)
    again = kind(checkpoint=str(tmp_path / "f.safetensors"))
    z = flow.sample(2, torch.Generator().manual_seed(0))
    assert (again.resolution, again.channels, again.trained, flow.trained) == (8, channels, True, False)
    assert torch.equal(again.synthesize(z, "z"), flow.synthesize(z, "z"))
    assert again.fingerprint() == flow.fingerprint()
    other = kind(resolution=16, checkpoint=str(tmp_path / "f.safetensors"))
    assert other.resolution == 16 and other.fingerprint() != flow.fingerprint()
    flow.network.state_dict()[next(iter(flow.network.state_dict()))].add_(1)
    assert again.fingerprint() != flow.fingerprint()


def test_what_does_not_fit_gets_one_sentence(tmp_path: Path, tiny: StyleGAN2) -> None:
    for name, kind in KINDS.items():
        other = next(one for one in KINDS if one != name)
        path = tmp_path / f"{name}.safetensors"
        state = small(name).network.state_dict()
        save_weights(path, state, {})
        with pytest.raises(ValueError, match=rf"{name}.safetensors holds no .* \(it is a {kind.__name__}; choose "
                                             rf"generator={name}\)"):  # fmt: skip
            KINDS[other](checkpoint=str(path))
        last = [name for name, value in state.items() if value.ndim == 1][-1]
        for change, message in [
            ({last: state[last][:1]}, rf"'{last}' is \(1,\) in .*broken.safetensors"),
            ({last: None}, f"broken.safetensors lacks '{last}'"),
            ({last: state[last] * torch.nan}, f"'{last}' in .*broken.safetensors holds numbers that are not finite"),
            ({next(n for n in state if n.endswith("net.0.weight") or n.endswith("in_conv.conv.weight_g")): None},
             r"broken.safetensors holds no whole \w+: it lacks '"),
        ]:  # fmt: skip
            broken = {n: value for n, value in {**state, **change}.items() if value is not None}
            save_weights(tmp_path / "broken.safetensors", broken, {})
            with pytest.raises(ValueError, match=message):
                kind(resolution=8, checkpoint=str(tmp_path / "broken.safetensors"))
        for arguments, message in [
            ({"resolution": 6}, "generator.resolution: 6 can't be halved 2 times; choose a multiple of 4"),
            ({"channels": 2}, "generator.channels"),
            ({"width": 0}, "generator.width: 0 is not possible"),
        ]:
            with pytest.raises(ValueError, match=message):
                kind(**FRESH[name] | arguments)
        (tmp_path / f"{name}.json").write_text(json.dumps({"settings": {"resolution": "big"}}))
        with pytest.raises(ValueError, match=rf"the card .*{name}.json says a resolution of 'big'"):
            kind(checkpoint=str(path))
    with pytest.raises(ValueError, match=r"the images are 3×9×9|its images are 3×9×9 and the generator makes 3×8×8"):
        small("glow").invert(torch.zeros(1, 3, 9, 9))
    save_weights(tmp_path / "style.safetensors", tiny.state_dict(), {})
    with pytest.raises(ValueError, match="holds no Glow .*it is a StyleGAN2; choose generator=stylegan2"):
        Glow(checkpoint=str(tmp_path / "style.safetensors"))


def problem_of(flow: AbstractGenerator, **regularizers: Any) -> Problem:
    return Problem(Z(flow), {"pixel": Pixel()}, regularizers, Adam(lr=0.05))


def test_exact_projection_has_no_error(flow: AbstractGenerator, tiny: StyleGAN2) -> None:
    problem, targets = problem_of(flow), Targets({"image": torch.rand(3, 3, 8, 8) * 2 - 1}, ["a", "b", "c"])
    found = project(problem, [Exact(problem)], targets)
    assert difference(found.image, targets.images) < 1e-5 and found.loss.max() < 1e-6
    after = project(problem, [Mean(problem), Exact(problem)], targets)
    assert torch.equal(after.latent, found.latent) and (after.evaluations == 2).all()
    with pytest.raises(Unfit, match=r"projector.exact: StyleGAN2 has no exact inverse .*; choose generator=glow"):
        Exact(Problem(W(tiny, 100), {"pixel": Pixel()}, {}, Adam()))


def test_likelihood_as_a_regularizer(flow: AbstractGenerator, tiny: StyleGAN2) -> None:
    penalty = Likelihood(Z(flow), weight=2.0)
    z = flow.sample(3, torch.Generator().manual_seed(0)).requires_grad_()
    image = flow.synthesize(z, "z")
    values = penalty({"latent": z}, image)
    assert torch.equal(values, flow.bits_per_dimension(image)) and values.shape == (3,)
    alone = penalty({"latent": z[1:2]}, image[1:2])
    assert difference(alone, values[1:2]) < 1e-5
    (gradient,) = torch.autograd.grad(values[1], z)
    assert gradient[1].abs().sum() > 0 and not gradient[[0, 2]].any()
    targets = Targets({"image": torch.rand(2, 3, 8, 8) * 2 - 1}, ["a", "b"])
    found = {}
    for weight in (0.0, 1.0):
        problem = problem_of(flow, likelihood=Likelihood(Z(flow), weight))
        found[weight] = project(problem, [Mean(problem), Optimization(problem, steps=6)], targets).image
    likelier, free = (flow.bits_per_dimension(found[weight]) for weight in (1.0, 0.0))
    assert (likelier < free).all()
    with pytest.raises(Unfit, match=r"regularizer.likelihood: StyleGAN2 has no .*regularizer=\[latent_norm\]"):
        Likelihood(W(tiny, 100))


def test_likelihood_as_a_metric(flow: AbstractGenerator, tiny: StyleGAN2) -> None:
    image, target = torch.rand(2, 2, 3, 8, 8) * 2 - 1
    assert torch.equal(Bits()(flow, image, target), flow.bits_per_dimension(image))
    assert torch.equal(Bits("target")(flow, image, target), flow.bits_per_dimension(target))
    assert Bits()(tiny, image, target) is None


def test_a_training_of_encoders_has_no_use_for_it(composed: Callable[..., Any], weights: str) -> None:
    words = ["task=encoder", "generator=stylegan2", weights, "space=w", "space.prior_samples=20", "encoder=resnet"]
    with pytest.raises(ValueError, match="metric.likelihood: a training compares pictures alone, without their v"):
        make_parts(composed("train", *words, "metric=[mse,likelihood]"))


@pytest.mark.parametrize("name", KINDS)
def test_a_round_trip_by_the_program(name: str, composed: Callable[..., Any], tmp_path: Path) -> None:
    flow = small(name)
    card = {"settings": {"resolution": 8}}
    save_weights(tmp_path / "flow.safetensors", flow.network.state_dict(), card)
    words = [
        f"generator={name}", f"generator.checkpoint={tmp_path}/flow.safetensors", "data=samples", "data.count=3",
        "space=z", "loss=[pixel]", "logger=none", f"output={tmp_path}/runs", "steps=2", "direction=[]",
        "metric=[mse,likelihood,likelihood_target]",
    ]  # fmt: skip
    values = {}
    for chain in ("exact", "mean,optimization"):
        result = run(composed("invert", *words, f"projector=[{chain}]", "regularizer=[likelihood]"))
        rows = pl.read_parquet(Path(result["folder"]) / "results.parquet")
        assert result["images"] == 3 and not result["failed"]
        values[chain] = {
            name: rows.filter(pl.col("metric") == name)["value"].mean() for name in rows["metric"].unique()
        }
    exact, rough = values.values()
    assert exact["mse"] < 1e-10 < rough["mse"]
    assert exact["likelihood"] == pytest.approx(exact["likelihood_target"], abs=1e-3)
    assert exact["likelihood_target"] == pytest.approx(rough["likelihood_target"], abs=1e-5)
