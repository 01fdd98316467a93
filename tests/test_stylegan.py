"""The StyleGAN of 2018 equals genforce's in every space, layer and mode of noise."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import load_weights, read_card, save_weights
from zstar.directions.sefa import SeFa
from zstar.generators.parameters import choose_parameters
from zstar.generators.style_based import CHAIN
from zstar.generators.stylegan import StyleGAN
from zstar.generators.stylegan_networks import Layer
from zstar.spaces.feature import Feature
from zstar.spaces.w import W
from zstar.spaces.z import Z

TINY = {"resolution": 16, "z_dim": 6, "w_dim": 8, "num_mapping_layers": 2, "channel_base": 96, "channel_max": 12}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def small(**arguments: Any) -> StyleGAN:
    """With biases, noise and a mean of w, so that nothing is equal only because it is zero."""
    network = StyleGAN(**TINY | arguments)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith(("apply_noise.weight", "bias", "first_layer")):
                value.add_(torch.randn_like(value) * 0.3)
        network.w_avg.normal_()
    return network


def stored(network: StyleGAN, path: Path) -> str:
    save_weights(path, network.state_dict(), {"kind": "generator"})
    return str(path)


@pytest.fixture(params=["official", "converted"])
def golden(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> tuple[StyleGAN, dict[str, torch.Tensor]]:
    folder = shared / "golden/stylegan1_64"
    path = folder / "weights.safetensors"
    if request.param == "converted":
        path = tmp_path / "g.safetensors"
        convert([str(folder / "weights.safetensors"), str(path)])
        card = read_card(path)
        assert (card["kind"], card["network"], card["settings"]) == ("generator", "StyleGAN of 2018", {})
        assert not [name for name in load_weights(path) if "lod" in name or "output0" in name]
    return StyleGAN(checkpoint=str(path)), load_file(folder / "io.safetensors")


def test_golden_latents_images_and_features(golden: tuple[StyleGAN, dict[str, torch.Tensor]]) -> None:
    network, made = golden
    assert (network.resolution, network.channels, network.num_ws, network.trained) == (64, 3, 10, True)
    assert network.spaces == {"z": (32,), "w": (32,), "w_plus": (10, 32), "style": (sum(network.style_sizes.values()),)}
    w = network.lift(made["z"], "z", "w")
    assert difference(w, made["w"]) <= 1e-5
    truncated = network.truncate(network.lift(w, "w", "w_plus"), 0.7, cutoff=8)
    assert difference(truncated, made["wp_psi0.7_layers8"]) <= 1e-5
    with network.reading(*network.layers) as seen:
        image = network.synthesize(made["wp_psi0.7_layers8"], "w_plus")
    assert difference(image, made["image_psi0.7_layers8"]) <= 1e-4
    known = [name for name in network.layers if f"feature_psi0.7_layers8/synthesis.{name}" in made]
    assert known == ["layer0", "layer1", "layer2", "layer3", "layer5"]
    for name in known:
        assert difference(seen[name], made[f"feature_psi0.7_layers8/synthesis.{name}"]) <= 1e-4
    style = network.lift(made["wp_psi0.7_layers8"], "w_plus", "style")
    assert difference(network.split_style(style)["layer2"], made["style_psi0.7_layers8/layer2"]) <= 1e-5
    assert difference(network.synthesize(style, "style"), image) <= 1e-5
    assert difference(network.synthesize(made["z"], "z"), made["image_notrunc"]) <= 1e-4
    assert difference(network.synthesize(made["w_plus"], "w_plus"), made["image_w_plus"]) <= 1e-4
    blurred = network.synthesis.layer2.blur.register_forward_hook(lambda _m, _i, out: seen.update(blur=out))
    network.synthesize(made["wp_psi0.7_layers8"], "w_plus")
    blurred.remove()
    assert difference(seen["blur"], made["feature_psi0.7_layers8/synthesis.layer2.blur"]) <= 1e-4


@pytest.mark.parametrize("fused", [True, False])
def test_a_layer_is_the_published_one(fused: bool) -> None:
    layer = Layer(5, 4, 3, 8, up=True, fused=fused)
    torch.nn.init.normal_(layer.epilogue.apply_noise.weight)
    torch.nn.init.normal_(layer.epilogue.bias)
    x, style, noise = torch.randn(2, 5, 4, 4), torch.randn(2, 8), torch.randn(2, 1, 8, 8)
    if fused:
        kernel = torch.zeros(4, 4, 5, 4)
        for i in range(2):
            for j in range(2):
                kernel[i : i + 3, j : j + 3] += layer.weight
        y = torch.zeros(2, 4, 10, 10)
        for i in range(4):
            for j in range(4):  # every pixel is spread over 4×4 of them, two apart
                for row in range(4):
                    for column in range(4):
                        y[:, :, 2 * i + row, 2 * j + column] += x[:, :, i, j] @ kernel[row, column]
        y = y[:, :, 1:-1, 1:-1]
    else:
        y = F.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), layer.conv.weight, padding=1)
    y = y * (2 / 45) ** 0.5
    taps = torch.tensor([1.0, 2.0, 1.0])
    y = F.conv2d(y, (torch.outer(taps, taps) / 16).expand(4, 1, 3, 3), padding=1, groups=4)
    y = y + noise * layer.epilogue.apply_noise.weight[:, None, None] + layer.epilogue.bias[:, None, None]
    y = F.leaky_relu(y, 0.2)
    y = (y - y.mean((2, 3), keepdim=True)) / (y.var((2, 3), keepdim=True, correction=0) + 1e-8).sqrt()
    y = y * (style[:, :4, None, None] + 1) + style[:, 4:, None, None]
    assert difference(layer(x, style, noise), y) < 1e-5


@pytest.mark.parametrize(
    ("resolution", "channels", "fused"), [(8, 3, "auto"), (32, 1, True), (16, 3, False), (128, 1, "auto")]
)
def test_sizes_come_from_the_file(resolution: int, channels: int, fused: bool | str, tmp_path: Path) -> None:
    network = small(resolution=resolution, channels=channels, fused_scale=fused, channel_base=256)
    fusing = [name for name in network.layers if network.synthesis.get_submodule(name).fused]
    assert fusing == {"auto": ["layer10"] if resolution == 128 else [], True: ["layer2", "layer4", "layer6"]}.get(
        fused, []
    )
    again = StyleGAN(checkpoint=stored(network, tmp_path / "g.safetensors"))
    assert again.spaces == network.spaces and again.noise_shapes == network.noise_shapes
    assert again.fingerprint() == network.fingerprint()
    image = network.synthesize(torch.ones(2, 6), "z")
    assert image.shape == (2, channels, resolution, resolution) and image.std() > 0
    assert torch.equal(again.synthesize(torch.ones(2, 6), "z"), image)


def test_samples_and_truncation() -> None:
    network = small()
    draw = {space: network.sample(5, torch.Generator().manual_seed(3), space=space) for space in CHAIN}
    assert all(torch.equal(network.lift(draw["z"], "z", space), draw[space]) for space in CHAIN)
    half = network.sample(5, torch.Generator().manual_seed(3), 0.5, "w")
    assert difference(half, (network.w_avg + draw["w"]) / 2) < 1e-6
    with pytest.raises(ValueError, match="truncation: 0.5"):
        network.sample(5, torch.Generator(), 0.5)
    with pytest.raises(ValueError, match="cutoff"):
        network.truncate(draw["w"], 0.5, cutoff=2)
    assert Z(network, 50).start(1).norm() > 0.5


def test_noise_belongs_to_its_layer_and_image() -> None:
    network = small()
    w = torch.randn(1, 8).expand(2, -1)
    assert list(network.noise_shapes) == list(network.layers) and network.noise_shapes["layer3"] == (8, 8)
    maps = {name: network.layer(name).epilogue.apply_noise.noise.repeat(2, 1, 1, 1) for name in network.layers}
    constant = network.synthesize(w, "w", maps)
    assert difference(constant, network.synthesize(w, "w", "const")) < 1e-5
    maps["layer3"][1] += torch.randn(8, 8)
    after = network.synthesize(w, "w", maps)
    assert difference(after[0], constant[0]) < 1e-5 and difference(after[1], constant[1]) > 0.01
    random = network.synthesize(w, "w", "random")
    assert difference(random[0], random[1]) > 0.01
    assert not torch.equal(random, network.synthesize(w, "w", "random"))
    for wrong, message in ({"layer0": maps["layer0"]}, "one for each of"), ("loud", "'loud' is unknown"):
        with pytest.raises(ValueError, match=message):
            network.synthesize(w, "w", wrong)


def test_parameters_and_rows_belong_to_layers() -> None:
    network = small()
    colours = choose_parameters(network, "w", kinds=["torgb"])
    assert list(colours) == ["synthesis.output2.bias", "synthesis.output2.conv.weight"]
    styles = choose_parameters(network, "w", kinds=["affine"], resolutions=[8])
    assert len(styles) == 4 and all("style_mod" in name for name in styles)
    assert Feature(network, 50, "layer2").fixed_rows == 3


def test_sefa_takes_the_maps_from_w_to_styles() -> None:
    network = small()
    w, step = torch.randn(1, 8), torch.eye(8)
    name = "layer3"
    bend = network.split_style(network.lift(w + step, "w", "style"))[name]
    bend = bend - network.split_style(network.lift(w, "w", "style"))[name]
    assert difference(network.affine(name), bend.T) < 1e-5
    found = SeFa(count=2, layers=[name], normalize=False).find(W(network, 50))["sefa_0"]
    moved = found.move(torch.zeros(1, *network.shape("w_plus")), torch.ones(1))[0]
    row = network.synthesis.style_rows[name]
    assert moved[row].any() and not moved[[i for i in range(len(moved)) if i != row]].any()
    first = torch.linalg.svd(network.affine(name)).Vh[0]
    assert abs(F.cosine_similarity(moved[row], first, dim=0).abs() - 1) < 1e-4


def test_a_fresh_network_can_be_trained() -> None:
    network = StyleGAN(**TINY)
    assert not network.trained and not network.training and not any(p.requires_grad for p in network.parameters())
    z = torch.randn(4, 6)
    network.lift(z, "z", "w")
    assert not network.w_avg.any()
    network.train().requires_grad_(True)
    w = network.lift(z, "z", "w")
    assert difference(network.w_avg, 0.005 * w.mean(0)) < 1e-6
    network.synthesize(w, "w", "random").square().sum().backward()
    assert all(value.grad.abs().max() > 0 for value in network.parameters())


def test_what_does_not_fit_gets_one_sentence(shared: Path, tmp_path: Path) -> None:
    for arguments, message in [
        ({"resolution": 24}, "generator.resolution: 24"),
        ({"channels": 2}, "generator.channels: 2 colours"),
        ({"w_dim": 0}, "generator.w_dim: 0 is not possible"),
        ({"channel_base": 8}, "generator.channel_base: 8 is not possible"),
    ]:
        with pytest.raises(ValueError, match=message):
            StyleGAN(**TINY | arguments)
    path = tmp_path / "g.safetensors"
    state = small().state_dict()
    none = "no StyleGAN of 2018 that can be used "
    for change, message in [
        ({"mapping.dense0.linear.weight": torch.full((8, 6), torch.nan)}, "dense0.linear.weight' in .* not finite"),
        (
            {"synthesis.layer1.conv.weight": torch.ones(9**9, 0, 3, 3)},
            none + r".'synthesis.layer1.conv.weight' is \(",
        ),
        (
            {"mapping.dense1.linear.weight": torch.ones(9, 8)},
            none + r".its mapping network has .*\(8, 6\), \(9",
        ),
        ({"synthesis.lod": torch.tensor(1.0)}, none + ".it draws at lod 1, before its growth has ended"),
        ({"synthesis.layer0.first_layer": None}, none + ".it has no 'synthesis.layer0.first_layer'"),
        ({"synthesis.layer1.epilogue.apply_noise.noise": None}, none + ".it has no 'synthesis.layer1.*noise'"),
        ({"truncation.w_avg": None}, "lacks 'truncation.w_avg'"),
        ({"synthesis.layer1.extra": torch.ones(1)}, "has 'synthesis.layer1.extra', which StyleGAN has not"),
    ]:
        save_weights(path, {name: value for name, value in (state | change).items() if value is not None}, {})
        with pytest.raises(ValueError, match=message):
            StyleGAN(checkpoint=str(path))
    with pytest.raises(ValueError, match="it is a StyleGAN2; choose generator=stylegan2"):
        StyleGAN(checkpoint=str(shared / "golden/stylegan2_ada_64/network.pkl"))
