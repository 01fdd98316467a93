"""StyleGAN2 equals the official networks in every space, mode and layer, one image at a time or many."""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from zstar.checkpoints.io import save_weights
from zstar.generators.style_based import CHAIN
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projectors.base import project
from zstar.projectors.best_of import BestOf
from zstar.spaces.w import W


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def lively(network: StyleGAN2) -> StyleGAN2:
    """With biases and noise, so that nothing is equal only because it is zero."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("noise_strength"):
                value.fill_(0.3)
            elif name.endswith("bias"):
                value.add_(torch.randn_like(value) * 0.2)
        network.w_avg.normal_()
    return network


def small(**arguments) -> StyleGAN2:
    sizes = {"resolution": 16, "z_dim": 6, "w_dim": 8, "num_mapping_layers": 2, "channel_base": 96, "channel_max": 12}
    return lively(StyleGAN2(**sizes | arguments))


@pytest.fixture(scope="module")
def golden(shared):
    return load_file(shared / "golden/stylegan2_ada_64/io.safetensors")


@pytest.fixture(scope="module", params=["weights.safetensors", "network.pkl"])
def official(request, shared) -> StyleGAN2:
    return StyleGAN2(checkpoint=str(shared / "golden/stylegan2_ada_64" / request.param))


def test_official_latents_and_styles(official, golden):
    assert (official.resolution, official.num_ws, official.z_dim, official.w_dim) == (64, 10, 64, 64)
    ws = official.lift(golden["z"], "z", "w_plus")
    assert difference(ws, golden["ws"]) <= 1e-5
    assert difference(official.truncate(ws, 0.7), golden["ws_psi07"]) <= 1e-5
    assert difference(official.truncate(ws, 0.5, cutoff=4), golden["ws_psi05_cutoff4"]) <= 1e-5
    styles = official.split_style(official.lift(golden["z"], "z", "style"))
    assert {f"style/{name}.affine" for name in styles} == {name for name in golden if name.startswith("style/")}
    assert all(difference(style, golden[f"style/{name}.affine"]) <= 1e-5 for name, style in styles.items())


def test_official_images_and_features(official, golden):
    with official.reading("b4", "b8", "b16") as features:
        image = official.synthesize(golden["z"], "z", noise="const")
    assert difference(image, golden["image_const"]) <= 1e-4
    assert all(difference(value, golden[f"feature/{name}"]) <= 1e-4 for name, value in features.items())
    assert difference(official.synthesize(golden["z"], "z", noise="none"), golden["image_none"]) <= 1e-4
    assert difference(official.synthesize(golden["ws_psi07"], "w_plus"), golden["image_psi07_const"]) <= 1e-4
    assert difference(official.synthesize(golden["w_plus"], "w_plus"), golden["image_w_plus_const"]) <= 1e-4


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize(("resolution", "channels"), [(8, 3), (32, 1)])
def test_architectures_sizes_and_their_recovery_from_weights(architecture, resolution, channels, tmp_path):
    network = small(architecture=architecture, resolution=resolution, channels=channels, conv_clamp=2.0)
    image = network.synthesize(torch.randn(2, 6), "z")
    assert image.shape == (2, channels, resolution, resolution) and image.std() > 0
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {"settings": network.settings})
    again = StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"))
    assert again.architecture == architecture and again.spaces == network.spaces
    w = torch.randn(2, 8)
    assert torch.equal(again.synthesize(w, "w"), network.synthesize(w, "w"))


def reference_layer(layer, x, style, noise, gain):
    """The published form: a weight for each image, zeros between the pixels, the filter, one operation at a time."""
    images = []
    for i in range(len(style)):
        weight = layer.weight * style[i][None, :, None, None]
        weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        y = x[i : i + 1]
        if layer.up:
            y = F.conv_transpose2d(y, weight.transpose(0, 1), stride=2)
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
            kernel = (torch.outer(taps, taps) / 64 * 4).expand(y.shape[1], 1, 4, 4)
            y = F.conv2d(F.pad(y, (1, 1, 1, 1)), kernel, groups=y.shape[1])
        else:
            y = F.conv2d(y, weight, padding=1)
        images.append(y)
    y = torch.cat(images) + noise * layer.noise_strength + layer.bias[None, :, None, None]
    y = F.leaky_relu(y, 0.2) * 2**0.5 * gain
    return y if layer.conv_clamp is None else y.clamp(-layer.conv_clamp * gain, layer.conv_clamp * gain)


@pytest.mark.parametrize("part", ["conv0", "conv1"])
@pytest.mark.parametrize("conv_clamp", [None, 1.0])
@pytest.mark.parametrize("maps", [1, 3])
def test_layers_and_their_gradients_equal_the_published_form(part, conv_clamp, maps):
    layer = small(conv_clamp=conv_clamp).requires_grad_(True).synthesis.b8.get_submodule(part)
    size = 4 if layer.up else 8
    inputs = [
        torch.randn(3, layer.weight.shape[1], size, size),
        torch.randn(3, layer.weight.shape[1]),
        torch.randn(maps, 1, 8, 8),
    ]
    inputs = [value.requires_grad_() for value in inputs]
    variables = [*inputs, layer.weight, layer.bias, layer.noise_strength]
    ours, published = layer(*inputs, 0.5), reference_layer(layer, *inputs, 0.5)
    assert difference(ours, published) < 1e-5
    direction = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * direction).sum(), variables),
        torch.autograd.grad((published * direction).sum(), variables),
        strict=True,
    ):
        assert difference(a, b) < 1e-4 * max(1.0, b.abs().max().item())


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_first_and_second_derivatives(architecture):
    network = small(resolution=8, w_dim=3, channel_max=3, architecture=architecture).double()
    names = list(network.noise_shapes)
    w = torch.randn(2, 3, dtype=torch.double, requires_grad=True)
    maps = [torch.randn(2, 1, *network.noise_shapes[n], dtype=torch.double, requires_grad=True) for n in names]

    def draw(w, *maps):
        return network.synthesize(w, "w", dict(zip(names, maps, strict=True)))[:, :, 2:4, 2:4]

    assert torch.autograd.gradcheck(draw, (w, *maps), fast_mode=True)
    assert torch.autograd.gradgradcheck(draw, (w, *maps), fast_mode=True)


def test_half_precision_under_autocast():
    network = small().requires_grad_(True)
    w = torch.randn(2, 8)
    gradients = []
    for half in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            energy = network.synthesize(w, "w").float().square().mean()
        gradients.append(torch.autograd.grad(energy, network.synthesis.parameters()))
    for exact, coarse in zip(*gradients, strict=True):
        assert difference(exact, coarse) < 0.2 * exact.abs().max()


def test_a_batch_is_exactly_its_images():
    network = small()
    w = torch.randn(4, 8, requires_grad=True)
    maps = {name: torch.randn(4, 1, *shape) for name, shape in network.noise_shapes.items()}
    for noise in ("const", maps):
        together = network.synthesize(w, "w", noise)
        (gradient,) = torch.autograd.grad(together.square().sum(), w)
        for i in range(4):
            alone = network.synthesize(w[i : i + 1], "w", noise if noise == "const" else _row(noise, i))
            assert difference(alone, together[i : i + 1]) < 1e-5
            (own,) = torch.autograd.grad(alone.square().sum(), w)
            assert difference(own[i], gradient[i]) < 1e-3 * gradient[i].abs().max()
            assert own[torch.arange(4) != i].abs().max() == 0


def _row(maps: dict[str, torch.Tensor], i: int) -> dict[str, torch.Tensor]:
    return {name: value[i : i + 1] for name, value in maps.items()}


def test_noise_belongs_to_its_image():
    network = small()
    w = torch.randn(1, 8).expand(3, -1)
    maps = {name: torch.randn(1, 1, *shape).repeat(3, 1, 1, 1) for name, shape in network.noise_shapes.items()}
    before = network.synthesize(w, "w", maps)
    maps["b8.conv0"][1] += 1
    after = network.synthesize(w, "w", maps)
    assert torch.equal(before[[0, 2]], after[[0, 2]]) and not torch.equal(before[1], after[1])
    constant = {name: network.synthesis.get_submodule(name).noise_const.expand(3, 1, -1, -1) for name in maps}
    assert difference(network.synthesize(w, "w", constant), network.synthesize(w, "w", "const")) < 1e-5
    random = network.synthesize(w, "w", "random")
    assert not torch.equal(random, network.synthesize(w, "w", "random"))
    assert difference(random[0], random[1]) > 0.01
    for noise, message in ({"b4.conv1": maps["b4.conv1"]}, "one for each of"), ("loud", "'loud' is unknown"):
        with pytest.raises(ValueError, match=message):
            network.synthesize(w, "w", noise)


def test_noise_of_strength_zero_adds_nothing_but_can_be_learned():
    network = StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4)
    w = torch.randn(2, 4)
    assert torch.equal(network.synthesize(w, "w", "const"), network.synthesize(w, "w", "none"))
    network.requires_grad_(True)
    network.synthesize(w, "w", "const").square().sum().backward()
    assert network.synthesis.b8.conv0.noise_strength.grad != 0


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_features_can_be_read_and_edited(architecture):
    network = small(architecture=architecture)
    w = torch.randn(2, 8)
    plain = network.synthesize(w, "w")
    with network.reading(*network.layers) as features:
        assert torch.equal(network.synthesize(w, "w"), plain)
    assert [value.shape[-1] for value in features.values()] == [4, 8, 16]
    for name in network.layers:
        with network.editing({name: lambda x: x * 1}):
            assert torch.equal(network.synthesize(w, "w"), plain)
        with network.editing({name: lambda x: torch.cat([x[:1], x[1:] * 0.5])}):
            edited = network.synthesize(w, "w")
        assert torch.equal(edited[0], plain[0]) and difference(edited[1], plain[1]) > 0.01
    with pytest.raises(ValueError, match="no layer 'b128'; choose one of b4, b8, b16"):
        network.layer("b128")


def test_samples_and_truncation():
    network = small()
    draw = {space: network.sample(5, torch.Generator().manual_seed(3), space=space) for space in CHAIN}
    assert all(torch.equal(network.lift(draw["z"], "z", space), draw[space]) for space in CHAIN)
    half = network.sample(5, torch.Generator().manual_seed(3), 0.5, "w")
    assert difference(half, (network.w_avg + draw["w"]) / 2) < 1e-6
    assert torch.equal(network.truncate(draw["w_plus"], 0.0, cutoff=2)[:, 2:], draw["w_plus"][:, 2:])
    with pytest.raises(ValueError, match="truncation: 0.5"):
        network.sample(5, torch.Generator(), 0.5)
    with pytest.raises(ValueError, match="cutoff"):
        network.truncate(draw["w"], 0.5, cutoff=2)


def test_classes_of_a_conditional_network(tmp_path):
    network = small(c_dim=3, label=1)
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {})
    path = str(tmp_path / "g.safetensors")
    z = torch.randn(2, 6)
    first, second = (StyleGAN2(checkpoint=path, label=label).lift(z, "z", "w") for label in (1, 2))
    assert torch.equal(first, network.lift(z, "z", "w")) and difference(first, second) > 0.01
    for label in (None, 3):
        with pytest.raises(ValueError, match=rf"generator.label: {label} is no class.*0\.\.2"):
            StyleGAN2(checkpoint=path, label=label)
    with pytest.raises(ValueError, match="generator.label"):
        small(label=0)


def test_all_classes_of_a_conditional_network_are_one_prior(tmp_path):
    network = small(c_dim=3, label=1)
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {})
    path = str(tmp_path / "g.safetensors")
    every, *single = (StyleGAN2(checkpoint=path, label=label) for label in ("all", 0, 1, 2))
    assert list(every.spaces) == ["w", "w_plus", "style"] and len({g.fingerprint() for g in (every, *single)}) == 4
    drawn = every.sample(7, torch.Generator().manual_seed(0))
    z = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    owners = torch.stack([(g.lift(z, "z", "w") - drawn).abs().amax(dim=1) < 1e-5 for g in single])
    assert owners.sum(dim=0).tolist() == [1] * 7 and sorted(owners.sum(dim=1).tolist()) == [2, 2, 3]
    mean = torch.stack([W(g, 3000).mean for g in single]).mean(dim=0)
    assert difference(W(every, 3000).mean, mean) < 0.15 * W(every, 3000).spread
    with pytest.raises(ValueError, match="no space 'z'; choose one of w, w_plus, style"):
        every.lift(z, "z", "w")
    with pytest.raises(ValueError, match="has no classes, so all"):
        small(label="all")


def test_the_class_of_an_image_is_found_by_trying_all(tmp_path):
    network = small(c_dim=3, label=0)
    with torch.no_grad():
        network.mapping.fc0.weight[:, :6] *= 0.02  # so that the class says nearly all of w
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {"settings": network.settings})
    every, *single = (StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"), label=label) for label in ("all", 0, 1, 2))
    rng = torch.Generator().manual_seed(7)
    means = torch.stack([g.sample(200, rng, space="w").mean(dim=0) for g in single])
    images = torch.cat([g.synthesize(g.sample(2, rng, space="w"), "w") for g in single])
    problem = Problem(W(every, 100), {"pixel": Pixel()}, {}, Adam(), seed=0)
    found = project(problem, [BestOf(problem, candidates=12)], Targets({"image": images}, list("abcdef")))
    assert torch.cdist(found.latent, means).argmin(dim=1).tolist() == [0, 0, 1, 1, 2, 2]


def test_the_mean_of_w_is_followed_in_training_only():
    network = small()
    before = network.w_avg.clone()
    network.lift(torch.randn(4, 6), "z", "w")
    assert torch.equal(network.w_avg, before)
    network.train()
    w = network.lift(torch.randn(4, 6), "z", "w")
    assert difference(network.w_avg, before.lerp(w.mean(0), 1 - 0.995)) < 1e-6


def test_wrong_sizes_get_one_sentence():
    for arguments, message in [
        ({"resolution": 48}, "generator.resolution: 48"),
        ({"architecture": "unet"}, "generator.architecture: 'unet'"),
        ({"resample_filter": (1, 2, 1)}, "generator.resample_filter: 3 taps"),
    ]:
        with pytest.raises(ValueError, match=message):
            small(**arguments)
    with pytest.raises(ValueError, match=r"latent: shape \(7,\)"):
        small().synthesize(torch.randn(2, 7), "w")


def test_a_fresh_network_is_small_frozen_and_asleep():
    network = StyleGAN2()
    assert 0.8e6 < sum(value.numel() for value in network.parameters()) < 1.3e6
    assert not network.training and not any(value.requires_grad for value in network.parameters())
