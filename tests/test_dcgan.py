"""DCGAN equals PyTorch's examples, takes its sizes from any such file, and knows what is none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import load_weights, read_card, save_weights
from zstar.generators.dcgan import DCGAN
from zstar.spaces.z import Z

TINY = {"resolution": 16, "z_dim": 6, "width": 4}
KINDS = [{}, {"convolutions": "resize", "normalization": "instance", "prior": "uniform"}, {"bias": True}]


def lively(network: DCGAN) -> DCGAN:
    """With statistics and kernels of a size that makes pictures, so that nothing is equal by being zero."""
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            state[name] = torch.rand_like(value) + 0.5
        elif value.is_floating_point():
            state[name] = torch.randn_like(value) * (0.2 if value.dim() == 4 else 0.5)
        else:
            state[name] = value
    network.load_state_dict(state)
    return network


def small(**arguments: Any) -> DCGAN:
    return lively(DCGAN(**TINY | arguments))


def stored(network: DCGAN, path: Path) -> str:
    save_weights(path, network.state_dict(), {"kind": "generator", "settings": network.settings})
    return str(path)


def test_golden_images_and_features_before_and_after_conversion(shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden/dcgan_64"
    golden = load_file(folder / "io.safetensors")
    convert([str(folder / "weights.safetensors"), str(tmp_path / "g.safetensors")])
    card = read_card(tmp_path / "g.safetensors")
    assert (card["kind"], card["network"], card["settings"]) == ("generator", "DCGAN", {})
    for path in (folder / "weights.safetensors", tmp_path / "g.safetensors"):
        network = DCGAN(checkpoint=str(path))
        assert (network.resolution, network.channels, network.spaces) == (64, 3, {"z": (32,)})
        with network.reading(*network.layers) as features:
            image = network.synthesize(golden["z"][:, :, 0, 0], "z")
        assert torch.allclose(image, golden["image"], rtol=0, atol=1e-4)
        assert set(features) == {name.removeprefix("feature/") for name in golden if name.startswith("feature/")}
        for name, value in features.items():
            assert torch.allclose(value, golden[f"feature/{name}"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "resolution", "channels"), [("dcgan_faces_64_digiface", 64, 3), ("dcgan_fashion_mnist_28", 28, 1)]
)
def test_published_networks_in_half_precision(name: str, resolution: int, channels: int, shared: Path) -> None:
    folder = shared / "assets" / name
    if not folder.is_dir():
        pytest.skip(f"needs assets/{name}")
    known = load_file(folder / "io.safetensors")
    network = DCGAN(checkpoint=str(folder / "weights.safetensors"))
    assert (network.resolution, network.channels, network.z_dim) == (resolution, channels, 100)
    assert torch.allclose(network.synthesize(known["z"], "z"), known["image"], rtol=0, atol=1e-4)


def test_grumpy_cats_are_a_dcgan_whose_file_does_not_tell_all(
    root: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared / "assets/grumpy-dcgan-64/G_iter6400.pkl"
    if not path.is_file():
        pytest.skip("needs assets/grumpy-dcgan-64")
    monkeypatch.syspath_prepend(str(root / "examples/grumpy"))
    from grumpy_dcgan import Generator  # ty: ignore[unresolved-import]

    theirs = Generator().eval()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    with pytest.raises(ValueError, match=r"generator.normalization: batch, but .* no batch norm; set it to instance"):
        DCGAN(checkpoint=str(path))
    target = tmp_path / "g.safetensors"
    convert([str(path), str(target), "--set", "normalization=instance", "--set", "prior=uniform"])
    network = DCGAN(checkpoint=str(target))
    assert network.prior == "uniform" and network.normalizes
    z = network.sample(3, torch.Generator().manual_seed(0))
    assert torch.allclose(network.synthesize(z, "z"), theirs(z[:, :, None, None]), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="discriminator of DCGAN, which makes no images; give the file of the gen"):
        DCGAN(checkpoint=str(path.with_name("D_iter6400.pkl")))


@pytest.mark.parametrize(
    ("resolution", "first", "depth"), [(8, 4, 2), (14, 7, 2), (28, 7, 3), (32, 4, 4), (48, 6, 4), (128, 4, 6)]
)
def test_sizes_come_from_the_file(resolution: int, first: int, depth: int, tmp_path: Path) -> None:
    for kind in KINDS:
        network = DCGAN(resolution, 1, z_dim=3, width=1, **kind)
        assert network.main[0].weight.shape[-1] == first and len(network.convolutions) == depth
        again = DCGAN(checkpoint=stored(network, tmp_path / "g.safetensors"))
        assert (again.resolution, again.channels, again.spaces) == (resolution, 1, {"z": (3,)})
        assert again.traits == network.traits and again.fingerprint() == network.fingerprint()
        assert again.synthesize(torch.zeros(2, 3), "z").shape == (2, 1, resolution, resolution)


def test_layers_of_any_name_are_read(tmp_path: Path) -> None:
    network = small(resolution=64, width=1)
    for kernels, norms in (("net.deconv{}", "net.bn{}"), ("gen.{}.0", "gen.{}.1"), ("a.{}.conv", "b.{}.norm")):
        state = {}
        for name, value in network.state_dict().items():
            place, part = name.split(".")[1:]
            layer = (kernels if int(place) % 3 == 0 else norms).format(int(place) // 3 + 8)  # of one digit and of two
            state[f"module.{layer}.{part}"] = value.half() if part == "weight" else value
        torch.save({"netG": state, "epoch": 3}, tmp_path / "g.pth")
        again = DCGAN(checkpoint=str(tmp_path / "g.pth"))
        assert all(value.dtype != torch.float16 for value in again.state_dict().values())
        z = torch.randn(2, 6)
        assert torch.allclose(again.synthesize(z, "z"), network.synthesize(z, "z"), atol=5e-3)
        # In safetensors names lie by the alphabet, 10 before 8; they stay, as a class of one's own may know them.
        convert([str(tmp_path / "g.pth"), str(tmp_path / "g.safetensors"), "--key", "netG"])
        assert set(load_weights(tmp_path / "g.safetensors")) == {name.removeprefix("module.") for name in state}
        assert DCGAN(checkpoint=str(tmp_path / "g.safetensors")).fingerprint() == again.fingerprint()


def test_a_resized_convolution_is_an_upsampled_one() -> None:
    network = small(convolutions="resize", bias=True)
    z = torch.randn(2, 6)
    with network.reading("main.2", "main.3") as seen:
        network.synthesize(z, "z")
    up = seen["main.2"].repeat_interleave(2, 2).repeat_interleave(2, 3)
    kernel = network.main[3]
    expected = nn.functional.conv2d(up, kernel.weight, kernel.bias, padding=1)
    assert torch.allclose(seen["main.3"], expected, atol=1e-5)


def test_no_projection_starts_where_no_gradient_leads_away(tmp_path: Path) -> None:
    network = small()
    state = network.state_dict()
    for shift, dead in ((-9.0, True), (9.0, False)):  # of the first batch norm: its ReLU is silent at z = 0, or not
        state["main.1.bias"] = torch.full((8,), shift)
        save_weights(tmp_path / "g.safetensors", state, {})
        again = DCGAN(checkpoint=str(tmp_path / "g.safetensors"))
        z = Z(again).start(1).requires_grad_()
        assert again.normalizes == dead and (z.norm() > 0) == dead
        zero = torch.zeros(1, 6, requires_grad=True)
        (gradient,) = torch.autograd.grad(again.synthesize(zero, "z").sum(), zero)
        assert (gradient.abs().max() == 0) == dead
    assert DCGAN(**TINY, normalization="instance").normalizes


def test_priors_are_told_by_argument_card_or_not_at_all(tmp_path: Path) -> None:
    path = stored(small(prior="uniform"), tmp_path / "g.safetensors")
    by_card, by_argument = DCGAN(checkpoint=path), DCGAN(checkpoint=path, prior="normal")
    assert (by_card.prior, by_argument.prior) == ("uniform", "normal")
    assert by_card.fingerprint() != by_argument.fingerprint()
    z = by_card.sample(4000, torch.Generator().manual_seed(0))
    assert z.abs().max() <= 1 and abs(z.std() - 3**-0.5) < 0.01 and abs(Z(by_card).spread - 3**-0.5) < 1e-6
    assert torch.allclose(by_card.sample(4000, torch.Generator().manual_seed(0), 0.5), z / 2)
    assert abs(by_argument.sample(4000, torch.Generator().manual_seed(0)).std() - 1) < 0.02
    for settings, message in [
        ({"prior": "unifrom"}, "settings.prior is 'unifrom'; it must be one of normal, uniform"),
        ({"widths": 3}, "settings.widths is not for it to say; it may say normalization, prior"),
        ([1], "settings is a list"),
    ]:
        save_weights(path, small().state_dict(), {"settings": settings})
        with pytest.raises(ValueError, match=f"the card {tmp_path}/g.json cannot be used .{message}"):
            DCGAN(checkpoint=path)


def test_conversion_refuses_settings_that_there_are_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, target = stored(small(), tmp_path / "g.safetensors"), str(tmp_path / "h.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    for source, word, message in [
        (path, "prior=unifrom", "settings.prior is 'unifrom'"),
        (path, "speed=3", "settings.speed is not for it to say"),
        (str(tmp_path / "a.pt"), "prior=uniform", "no generator of a known family"),
        (path, "prior", "'prior' is not NAME=VALUE"),
        ("cottages64", "prior=uniform", "settings.prior is not for it to say"),
    ]:
        with pytest.raises(SystemExit):
            convert([source, target, "--set", word])
        assert message in capsys.readouterr().err and not Path(target).exists()


def test_in_training_statistics_are_followed_and_weights_learn() -> None:
    network = DCGAN(**TINY)
    assert not network.trained and not network.training and not any(p.requires_grad for p in network.parameters())
    assert 0.015 < network.main[0].weight.std() < 0.025
    with pytest.raises(ValueError, match="generator.checkpoint: without one"):
        network.require_trained("there is nothing to edit")
    network.train().requires_grad_(True)
    before = network.main[1].running_mean.clone()
    network.synthesize(torch.randn(4, 6), "z").square().sum().backward()
    assert not torch.equal(network.main[1].running_mean, before)
    assert all(value.grad.abs().max() > 0 for value in network.parameters())


def test_what_does_not_fit_gets_one_sentence(shared: Path, tmp_path: Path) -> None:
    for arguments, message in [
        ({"resolution": 9}, "generator.resolution: 9 is not 4 to 7, doubled"),
        ({"resolution": 4}, "generator.resolution: 4 is"),
        ({"resolution": 22}, "generator.resolution: 22 is"),
        ({"channels": 2}, "generator.channels: 2 colours"),
        ({"width": 0}, "generator.width: 0 is not possible"),
    ]:
        with pytest.raises(ValueError, match=message):
            DCGAN(**TINY | arguments)
    path = stored(small(), tmp_path / "g.safetensors")
    with pytest.raises(ValueError, match="generator.normalization: instance, but .*has batch norm; set it to null"):
        DCGAN(checkpoint=path, normalization="instance")
    state = small().state_dict()
    state["main.3.weight"][0, 0, 0, 0] = torch.nan
    save_weights(path, state, {})
    with pytest.raises(ValueError, match=r"'main.3.weight' in .*g.safetensors holds numbers that are not finite"):
        DCGAN(checkpoint=path)
    save_weights(path, {name: value for name, value in small().state_dict().items() if name != "main.1.bias"}, {})
    with pytest.raises(ValueError, match=r"g.safetensors lacks 'main.1.bias' \(8,\) of DCGAN"):
        DCGAN(checkpoint=path)
    three = {"a.weight": torch.ones(6, 4, 3, 3), "b.weight": torch.ones(4, 3, 3, 3)}  # doubled by transposed 3×3
    save_weights(path, three, {})
    with pytest.raises(ValueError, match=r"g.safetensors holds no DCGAN .*no chain of 4×4 .*generator=module"):
        DCGAN(checkpoint=path)
    for folder, words in [("dcgan_64_discriminator", "it is a discriminator of DCGAN"), ("pggan_genforce_64", "PGGAN")]:
        with pytest.raises(ValueError, match=words):
            DCGAN(checkpoint=str(shared / "golden" / folder / "weights.safetensors"))
