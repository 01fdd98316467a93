"""StyleGAN3 equals the official network, and its pictures turn and move as they are told to."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import read_card, save_weights
from zstar.directions.sefa import SeFa
from zstar.generators.stylegan3 import StyleGAN3, moved
from zstar.generators.stylegan3_filters import Gather, Spread
from zstar.generators.stylegan3_networks import schedule
from zstar.spaces.feature import Feature
from zstar.spaces.w import W

TINY = {"resolution": 16, "z_dim": 6, "w_dim": 8, "num_layers": 4, "channel_base": 64, "channel_max": 8}
INPUT = "synthesis.input.weight"


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def small(**arguments: Any) -> StyleGAN3:
    """With biases, magnitudes and a mean of w, so that nothing is equal only because it is zero or one."""
    network = StyleGAN3(**TINY | arguments)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("bias") and "input" not in name:
                value.add_(torch.randn_like(value) * 0.3)
        for name, value in network.named_buffers():
            if name.endswith("magnitude_ema"):
                value.fill_(0.7)
        network.w_avg.normal_()
    return network


def stored(network: StyleGAN3, path: Path) -> str:
    save_weights(path, network.state_dict(), {"kind": "generator"})
    return str(path)


@pytest.fixture(params=["official", "converted"])
def golden(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> tuple[StyleGAN3, dict[str, torch.Tensor]]:
    folder = shared / "golden/stylegan3t_64"
    path = folder / "weights.safetensors"
    if request.param == "converted":
        path = tmp_path / "g.safetensors"
        convert([str(folder / "weights.safetensors"), str(path)])
        assert read_card(path)["kind"] == "generator" and read_card(path)["network"] == "StyleGAN3"
    return StyleGAN3(checkpoint=str(path)), load_file(folder / "io.safetensors")


def test_golden_latents_images_and_features(golden: tuple[StyleGAN3, dict[str, torch.Tensor]]) -> None:
    network, made = golden
    assert (network.resolution, network.channels, network.num_ws) == (64, 3, 8)
    assert network.spaces == {"z": (32,), "w": (32,), "w_plus": (8, 32), "style": (4 + 24 * 5 + 16 * 2,)}
    ws = network.lift(made["z"], "z", "w_plus")
    assert difference(ws, made["ws"]) <= 1e-5
    assert difference(network.truncate(ws, 0.7), made["ws_psi07"]) <= 1e-5
    assert difference(network.truncate(ws, 0.5, cutoff=4), made["ws_psi05_cutoff4"]) <= 1e-5
    styles = network.split_style(network.lift(made["ws"], "w_plus", "style"))
    known = [name.removeprefix("style/") for name in made if name.startswith("style/")]
    assert len(known) == 3 and all(difference(styles[name], made[f"style/{name}"]) <= 1e-5 for name in known)
    last = network.synthesis.L6_64_3.register_forward_hook(lambda _m, _i, out: seen.update(L6_64_3=out))
    with network.reading(*network.layers) as seen:
        image = network.synthesize(made["ws"], "w_plus")
    last.remove()
    assert difference(image, made["image"]) <= 1e-4
    known = [name.removeprefix("feature/synthesis.") for name in made if name.startswith("feature/")]
    assert len(known) == 5 and all(difference(seen[name], made[f"feature/synthesis.{name}"]) <= 1e-4 for name in known)
    assert difference(network.synthesize(made["ws_psi07"], "w_plus"), made["image_psi07"]) <= 1e-4
    assert difference(network.synthesize(made["w_plus"], "w_plus"), made["image_w_plus"]) <= 1e-4
    assert difference(network.synthesize(network.join_style(styles), "style"), made["image"]) <= 1e-4
    network.synthesis.input.transform.copy_(made["transform"])
    assert difference(network.synthesize(made["ws"], "w_plus"), made["image_transformed"]) <= 1e-4


def test_the_layers_and_filters_of_a_new_network_are_the_official_ones(shared: Path) -> None:
    official = load_file(shared / "golden/stylegan3t_64/weights.safetensors")
    layers, rate = schedule(64, 3, 6, 2, 1024, 24, radial=False)
    assert rate == 16
    for i, layer in enumerate(layers):
        name = f"synthesis.L{i}_{layer.out_size}_{layer.outputs}"
        assert official[f"{name}.weight"].shape == (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        for way in ("up_filter", "down_filter") if i < 6 else ():
            assert difference(getattr(layer, way), official[f"{name}.{way}"]) < 1e-6


def test_the_published_sizes() -> None:
    # As the names of the published networks have them: 1024×1024 with 512 channels at most, R with 1024.
    layers, _ = schedule(1024, 3, 14, 2, 32768, 512, radial=False)
    assert [(layer.out_size, layer.outputs) for layer in layers] == [
        (36, 512), (36, 512), (52, 512), (52, 512), (84, 512), (148, 512), (148, 512), (276, 323), (276, 203),
        (532, 128), (1044, 81), (1044, 51), (1044, 32), (1024, 32), (1024, 3),
    ]  # fmt: skip
    layers, _ = schedule(1024, 3, 14, 2, 65536, 1024, radial=True)
    assert [layer.kernel for layer in layers] == [1] * 15
    radial = [layer.down_filter is not None and layer.down_filter.dim() == 2 for layer in layers]
    assert radial == [True] * 12 + [False] * 3
    taps = layers[0].down_filter
    assert abs(taps.sum() - 1) < 1e-5 and difference(taps, taps.T) < 1e-7
    assert difference(taps, torch.rot90(taps)) < 1e-7


@pytest.mark.parametrize("equivariance", ["translation", "rotation"])
def test_pictures_turn_and_move_as_they_are_told_to(equivariance: str, tmp_path: Path) -> None:
    sizes = {"resolution": 32, "equivariance": equivariance, "num_layers": 4, "channel_base": 128}
    path = stored(small(**sizes), tmp_path / "g.safetensors")
    w = torch.randn(2, 8)
    plain = StyleGAN3(checkpoint=path)
    image = plain.synthesize(w, "w")
    other = StyleGAN3(checkpoint=path, translation=[8 / 32, -4 / 32])  # to the right, and up
    error = (other.synthesize(w, "w")[:, :, :-4, 8:] - image[:, :, 4:, :-8]).square().mean().sqrt()
    assert error < 0.1 * image.std() and plain.fingerprint() != other.fingerprint()
    turned = StyleGAN3(checkpoint=path, rotation=90).synthesize(w, "w")
    error = (turned - torch.rot90(image, 1, (2, 3))).square().mean().sqrt()
    assert (error < 1e-3 * image.std()) == (equivariance == "rotation")  # 3×3 kernels do not turn
    # The same by the first four numbers of the style, which are a part of v.
    style = plain.lift(w, "w", "style")
    angle = torch.atan2(style[:, 1], style[:, 0]) + torch.pi / 2
    style[:, :2] = 3 * torch.stack([angle.cos(), angle.sin()], dim=1)  # their length does not count
    assert difference(plain.synthesize(style, "style"), turned) < 1e-4


@pytest.mark.parametrize("way", [2, 3])
@pytest.mark.parametrize(("factor", "shift"), [(2, 3), (4, -5), (2, 0)])
def test_resampling_is_the_filter_among_zeros_with_both_derivatives(way: int, factor: int, shift: int) -> None:
    taps = torch.randn(3 * factor, dtype=torch.double)
    x = torch.randn(2, 1, 5, 4, dtype=torch.double, requires_grad=True)
    y = Spread.apply(x, taps, factor, shift, 17, way)
    expected = torch.zeros_like(y)
    for q in range(17):
        for i in range(x.shape[way]):
            if 0 <= q + shift - i * factor < len(taps):
                expected.select(way, q).add_(x.select(way, i).detach() * taps[q + shift - i * factor])
    assert difference(y, expected) < 1e-12
    other = y.detach().requires_grad_()
    for kind, value, size in ((Spread, x, 17), (Gather, other, x.shape[way])):
        resample = partial(resampled, kind, taps, (factor, shift, size, way))
        assert torch.autograd.gradcheck(resample, value, fast_mode=True)
        assert torch.autograd.gradgradcheck(resample, value, fast_mode=True)


def resampled(kind: Any, taps: torch.Tensor, numbers: tuple[int, ...], x: torch.Tensor) -> torch.Tensor:
    return kind.apply(x, taps, *numbers).square()


def test_ways_are_added_up() -> None:
    once = moved(torch.eye(3), 30, (0.1, 0.2))
    twice = moved(once, 30, (0.0, 0.0))
    points = torch.randn(3, 5)
    turned = moved(torch.eye(3), 30, (0.0, 0.0))
    assert difference(twice @ points, once @ (turned @ points)) < 1e-5
    assert difference(moved(torch.eye(3), 60, (0.0, 0.0)), turned @ turned) < 1e-6


@pytest.mark.parametrize("arguments", [{"channels": 1, "resolution": 32}, {"equivariance": "rotation"}])
def test_sizes_come_from_the_file(arguments: dict[str, Any], tmp_path: Path) -> None:
    network = small(**arguments)
    again = StyleGAN3(checkpoint=stored(network, tmp_path / "g.safetensors"))
    assert again.spaces == network.spaces and again.layers == network.layers
    assert again.synthesis.input.sampling_rate == network.synthesis.input.sampling_rate == 16
    assert again.fingerprint() == network.fingerprint()
    image = network.synthesize(torch.ones(2, 6), "z")
    assert image.shape == (2, network.channels, network.resolution, network.resolution) and image.std() > 0.01
    assert torch.equal(again.synthesize(torch.ones(2, 6), "z"), image)


def test_a_style_of_any_size_leaves_the_other_images_alone() -> None:
    network = small()
    w = torch.randn(3, 8, requires_grad=True)
    w.data[2] *= 30  # officially the styles of one image change the rounding of all others
    image = network.synthesize(w, "w")
    (gradient,) = torch.autograd.grad(image.square().sum(), w)
    assert gradient.abs().amin(dim=1).min() > 0
    for i in range(3):
        alone = network.synthesize(w[i : i + 1], "w")
        assert difference(alone, image[i : i + 1]) < 1e-4
        (own,) = torch.autograd.grad(alone.square().sum(), w)
        assert difference(own[i], gradient[i]) < 1e-3 * gradient[i].abs().max()


def test_sefa_takes_the_maps_from_w_to_styles() -> None:
    network = small()
    assert Feature(network, 50, network.layers[1]).fixed_rows == 2
    w, step = torch.randn(1, 8), torch.eye(8)
    name = network.layers[2]
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
    network = StyleGAN3(**TINY)
    assert not network.trained and not network.training and not any(p.requires_grad for p in network.parameters())
    z, first = torch.randn(4, 6), network.synthesis.get_submodule(network.layers[1])
    network.synthesize(z, "z")
    assert first.magnitude_ema == 1
    network.train().requires_grad_(True)
    with network.reading("input") as seen:
        network.synthesize(z, "z").square().sum().backward()
    assert abs(first.magnitude_ema - (0.999 + 0.001 * seen["input"].square().mean())) < 1e-5
    assert network.w_avg.any() and all(value.grad.abs().max() > 0 for value in network.parameters())


def test_what_does_not_fit_gets_one_sentence(shared: Path, tmp_path: Path) -> None:
    for arguments, message in [
        ({"resolution": 24}, "generator.resolution: 24"),
        ({"channels": 2}, "generator.channels: 2 colours"),
        ({"num_layers": 2}, "generator.num_layers: 2 is not possible; set it to 3 or more"),
        ({"channel_base": 8}, "generator.channel_base: 8 is not possible"),
        ({"rotation": float("nan")}, "generator.rotation: nan is not finite"),
        ({"translation": [0.1]}, r"generator.translation: \[0.1\] is no way"),
    ]:
        with pytest.raises(ValueError, match=message):
            StyleGAN3(**TINY | arguments)
    path = tmp_path / "g.safetensors"
    state, none = small().state_dict(), "no StyleGAN3 that can be used "
    last = f"synthesis.{list(small().synthesis.style_sizes)[-1]}.weight"
    taps = next(name for name in state if name.endswith("up_filter"))
    for change, message in [
        ({INPUT: torch.full_like(state[INPUT], torch.inf)}, f"'{INPUT}' in .* not finite"),
        ({INPUT: torch.ones(8, 9)}, none + f".'{INPUT}' is .8, 9. and no square"),
        ({last: torch.ones(3, 5, 1, 1)}, none + r".'synthesis.L4_16_3.weight' is \(3, 5, 1, 1\) instead of \(3, 4"),
        ({taps: torch.ones(24) / 24}, none + ".its layers have sizes that its filters do not give"),
        ({taps: torch.ones(13) / 13}, none + ".a filter of 'synthesis.L0_36_8' has no multiple of 6 taps"),
        ({"mapping.embed.weight": torch.ones(8, 3)}, none + ".it is a conditional one"),
        ({"mapping.w_avg": None}, none + ".it has no 'mapping.w_avg'"),
        ({"mapping.w_avg": torch.ones(9**5)}, none + ".'mapping.fc0.weight' is"),
        ({"synthesis.extra": torch.ones(1)}, "has 'synthesis.extra', which StyleGAN3 has not"),
    ]:
        save_weights(path, {name: value for name, value in (state | change).items() if value is not None}, {})
        with pytest.raises(ValueError, match=message):
            StyleGAN3(checkpoint=str(path))
    with pytest.raises(ValueError, match="it is a PGGAN; choose generator=pggan"):
        StyleGAN3(checkpoint=str(shared / "golden/pggan_genforce_64/weights.safetensors"))
