"""PGGAN equals both of its published layouts, layer by layer, and under the interventions of GAN Dissection."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import load_weights, read_card, save_weights
from zstar.generators.parameters import choose_parameters
from zstar.generators.pggan import PGGAN
from zstar.spaces.z import Z

TINY = {"resolution": 16, "z_dim": 6, "channel_base": 64, "channel_max": 12}


def small(**arguments: Any) -> PGGAN:
    network = PGGAN(**TINY | arguments)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("wscale.b"):
                value.normal_(0, 0.3)
    return network


def stored(network: PGGAN, path: Path) -> str:
    save_weights(path, network.state_dict(), {"kind": "generator"})
    return str(path)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


@pytest.fixture(params=[("pggan_gandissect_64", 0), ("pggan_genforce_64", 1)], ids=["gandissect", "genforce"])
def golden(request: pytest.FixtureRequest, shared: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file of weights, and what its network makes; features under the names of GAN Dissection."""
    name, offset = request.param
    made = load_file(shared / "golden" / name / "io.safetensors")
    features = {key: made.pop(key) for key in list(made) if key.startswith("feature/layer")}
    made |= {f"layer{int(key.removeprefix('feature/layer')) + offset}": value for key, value in features.items()}
    return shared / "golden" / name / "weights.safetensors", made


def test_golden_images_and_features_before_and_after_conversion(
    golden: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    official, made = golden
    converted = tmp_path / "g.safetensors"
    convert([str(official), str(converted)])
    assert (read_card(converted)["kind"], read_card(converted)["network"]) == ("generator", "PGGAN")
    assert set(load_weights(converted)) == {
        *(f"layer{i}.{part}" for i in range(1, 11) for part in ("conv.weight", "wscale.b")),
        "output_64x64.conv.weight", "output_64x64.wscale.b",
    }  # fmt: skip
    fingerprints = set()
    for path in (official, converted):
        network = PGGAN(checkpoint=str(path))
        fingerprints.add(network.fingerprint())
        assert (network.resolution, network.channels, network.spaces) == (64, 3, {"z": (48,)})
        assert network.layers == tuple(f"layer{i}" for i in range(1, 11)) and network.trained
        with network.reading(*network.layers) as seen:
            image = network.synthesize(made["z"], "z")
        assert difference(image, made["image"]) <= 1e-4
        known = [name for name in network.layers if name in made]
        assert len(known) == 7 and all(difference(seen[name], made[name]) <= 1e-4 for name in known)
    assert len(fingerprints) == 1


def test_units_are_ablated_and_inserted_as_in_gan_dissection(shared: Path) -> None:
    folder = shared / "golden/pggan_gandissect_64"
    made = load_file(folder / "io.safetensors")
    network = PGGAN(checkpoint=str(folder / "weights.safetensors"))
    z, units = made["z"], made["ablation/units_layer4"]
    off = torch.zeros(3, 48, 1, 1).index_fill(1, units, -1.0).expand(-1, -1, 8, 8)
    assert difference(network.synthesize(z, "z", factors={"layer4": off}), made["image_ablate_layer4_units"]) <= 1e-4
    value = made["insert/replacement"][:, None, None]
    for kind, mask in (("insert", made["insert/mask"]), ("soft", made["soft/mask"])):
        factor, shift = (-mask).expand(3, -1, -1, -1), (value * mask).expand(3, -1, -1, -1)
        image = network.synthesize(z, "z", factors={"layer4": factor}, features={"layer4": shift})
        assert difference(image, made[f"image_{kind}_layer4"]) <= 1e-4


def test_a_block_is_the_published_one() -> None:
    network = small()
    x = torch.randn(2, 12, 4, 4)
    block = network.get_submodule("layer3")
    y = x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    y = F.conv2d(y.repeat_interleave(2, 2).repeat_interleave(2, 3), block.conv.weight, padding=1)
    y = y * (2 / (12 * 9)) ** 0.5 + block.wscale.b[:, None, None]
    assert difference(block(x), F.leaky_relu(y, 0.2)) < 1e-5


@pytest.mark.parametrize(("resolution", "channels"), [(8, 3), (32, 1)])
def test_sizes_come_from_the_file(resolution: int, channels: int, tmp_path: Path) -> None:
    network = small(resolution=resolution, channels=channels)
    again = PGGAN(checkpoint=stored(network, tmp_path / "g.safetensors"))
    assert (again.resolution, again.channels, again.spaces) == (resolution, channels, {"z": (6,)})
    assert again.layers == network.layers and again.fingerprint() == network.fingerprint()
    z = torch.randn(2, 6)
    assert torch.equal(again.synthesize(z, "z"), network.synthesize(z, "z"))
    assert network.synthesize(z, "z").shape == (2, channels, resolution, resolution)


def test_the_length_of_a_latent_does_not_count() -> None:
    network = small()
    z = network.sample(3, torch.Generator().manual_seed(0)).requires_grad_()
    image = network.synthesize(z, "z")
    (gradient,) = torch.autograd.grad(image.square().sum(), z)
    assert (gradient * z).sum(dim=1).abs().max() < 1e-3 * gradient.abs().max()  # none along z itself
    assert difference(network.synthesize(3 * z, "z"), image) < 1e-4
    assert Z(network).start(1).norm() > 0.5
    with pytest.raises(ValueError, match="truncation: 0.5 has no effect"):
        network.sample(1, torch.Generator(), 0.5)


def test_parameters_are_chosen_by_resolution_and_kind() -> None:
    biases = choose_parameters(small(), "z", resolutions=[8], kinds=["bias"])
    assert list(biases) == ["layer3.wscale.b", "layer4.wscale.b"]


def test_a_fresh_network_can_be_trained() -> None:
    network = PGGAN(**TINY)
    assert not network.trained and not network.training and not any(p.requires_grad for p in network.parameters())
    network.train().requires_grad_(True)
    z = torch.randn(4, 6)
    before = network.synthesize(z, "z")
    before.square().sum().backward()
    assert all(value.grad.abs().max() > 0 for value in network.parameters())
    with torch.no_grad():
        for value in network.parameters():
            value.sub_(0.1 * value.grad.sign())
    assert difference(network.synthesize(z, "z"), before) > 0.01
    with torch.no_grad():
        assert difference(network.synthesize(z, "z"), before) > 0.01


def test_z_chooses_the_colours_of_a_fresh_network() -> None:
    torch.manual_seed(0)
    network = PGGAN(64, z_dim=64, channel_max=64)
    images = network.synthesize(network.sample(32, torch.Generator().manual_seed(0)), "z")
    colours = F.adaptive_avg_pool2d(images, 4)
    assert colours.var(dim=0).mean() > 0.7 * colours.square().mean()  # a tenth, where all channels pass on their mean


def test_what_does_not_fit_gets_one_sentence(shared: Path, tmp_path: Path) -> None:
    for arguments, message in [
        ({"resolution": 24}, "generator.resolution: 24"),
        ({"resolution": 4}, "generator.resolution: 4"),
        ({"channels": 2}, "generator.channels: 2 colours"),
        ({"z_dim": 0}, "generator.z_dim: 0 is not possible"),
        ({"channel_base": 8}, "generator.channel_base: 8 is not possible"),
    ]:
        with pytest.raises(ValueError, match=message):
            PGGAN(**TINY | arguments)
    path = tmp_path / "g.safetensors"
    state = small().state_dict()
    bad = state["layer3.conv.weight"].clone()
    bad[0, 0, 0, 0] = torch.inf
    cut = {name: value for name, value in state.items() if not name.startswith("layer4")}
    for weights, message in [
        (state | {"layer3.conv.weight": bad}, "'layer3.conv.weight' in .* not finite"),
        (
            state | {"layer2.conv.weight": torch.ones(10**6, 0, 3, 3)},
            r"no PGGAN .*'layer2.conv.weight' is \(1000000, 0",
        ),
        (cut, "no PGGAN that can be used .it has no kernels 'layer1.conv.weight' to 'layer4"),
        ({n: v for n, v in state.items() if not n.startswith("output")}, "it has no kernel 'output_16x16.conv.weight'"),
        (state | {"layer9.extra": torch.ones(1)}, "has 'layer9.extra', which PGGAN has not"),
    ]:
        save_weights(path, weights, {})
        with pytest.raises(ValueError, match=message):
            PGGAN(checkpoint=str(path))
    official = load_file(shared / "golden/pggan_genforce_64/weights.safetensors")
    save_weights(path, official | {"lod": torch.tensor(2.0)}, {})
    with pytest.raises(ValueError, match="no PGGAN .*it draws at lod 2, before its growth has ended"):
        PGGAN(checkpoint=str(path))
    with pytest.raises(ValueError, match="it is a DCGAN; choose generator=dcgan"):
        PGGAN(checkpoint=str(shared / "golden/dcgan_64/weights.safetensors"))
