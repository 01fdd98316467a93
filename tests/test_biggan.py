"""BigGAN and BigGAN-deep equal their originals from any file of theirs, and can be trained."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conditional import SIZES, conditional, lively
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from zstar.checkpoints.biggan_hub import HubSizes
from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import save_weights
from zstar.generators.base import AbstractGenerator
from zstar.generators.biggan import BigGAN
from zstar.generators.biggan_deep import BigGANDeep
from zstar.generators.biggan_hub_networks import HubNetwork, SpectralPair, mix_rows
from zstar.generators.biggan_layers import SpectralLayer
from zstar.generators.checkpointing import checkpoint_blocks
from zstar.generators.stylegan2 import StyleGAN2
from zstar.spaces.z import Z

GOLDEN = ("biggan_ajbrock_64", "biggan_deep_ajbrock_64", "biggan_deep_hf_64")
DEEP = SIZES | {"width": 2}
HUB = HubSizes(((32, 32, False), (32, 16, True), (16, 16, True)), (2,), 51, 6, 4, 3)
LAYERS = [[False, 4, 4], [True, 4, 2], [True, 2, 2]]


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def store(path: Path, **settings: Any) -> str:
    """A file in HuggingFace's layout with random weights, and its configuration beside it."""
    network = lively(HubNetwork(HUB, 1e-4, 1.0).train())
    with torch.no_grad():
        for _ in range(9):  # until the vectors of its spectral norm are those of its weights
            network(torch.randn(1, 6), torch.randn(1, 4))
    save_weights(path, network.state_dict(), {"kind": "weights"})
    config = {"layers": LAYERS, "eps": 1e-4, "z_dim": 6, "channel_width": 8, "output_dim": 16, **settings}
    (path.parent / "config.json").write_text(json.dumps(config))
    return str(path)


@pytest.fixture(scope="module", params=["biggan", "deep", "hub"])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AbstractGenerator:
    """One of each network: small, of three classes, with attention that counts."""
    if request.param == "biggan":
        return conditional()
    torch.manual_seed(2)
    if request.param == "deep":
        return lively(BigGANDeep(**DEEP))
    return BigGANDeep(checkpoint=store(tmp_path_factory.mktemp("hub") / "model.safetensors"))


def pictures(generator: AbstractGenerator, count: int = 3) -> torch.Tensor:
    """One of each class, one after the other."""
    z = generator.sample(count, torch.Generator().manual_seed(4), space="z")
    classes = torch.eye(3)[torch.arange(count) % 3]
    return generator.render({"latent": z, "class": classes}, "z")


def golden(shared: Path, name: str) -> tuple[str, dict[str, torch.Tensor]]:
    folder = shared / "golden" / name
    return str(folder / "weights.safetensors"), load_file(folder / "io.safetensors")


@pytest.mark.parametrize("name", GOLDEN[:2])
def test_official_images_and_features(name: str, shared: Path) -> None:
    path, known = golden(shared, name)
    network = (BigGANDeep if "deep" in name else BigGAN)(checkpoint=path)
    assert (network.resolution, network.channels, network.c_dim) == (64, 3, 10)
    classes = F.one_hot(known["y"], 10).float()
    inner = {n.partition("/")[2]: value for n, value in known.items() if n.startswith("feature/")}
    seen: dict[str, torch.Tensor] = {}
    for part in inner:
        network.network.get_submodule(part).register_forward_hook(lambda _m, _i, out, p=part: seen.update({p: out}))
    with network.conditioned(classes):
        assert difference(network.synthesize(known["z"], "z"), known["image"]) <= 1e-5
        assert all(difference(seen[part], value) <= 2e-5 for part, value in inner.items())
        assert difference(network.synthesize(known["z"] / 2, "z"), known["image_z_times_0.5"]) <= 1e-5
    assert difference(network.embed(classes), known["y_embedding"]) <= 1e-6
    with network.conditioned(classes[:2].mean(dim=0)[None]):  # shares of two classes are the mean of their vectors
        latent = network.lift(known["z"][:1], "z", "z_class")
    assert difference(network.split(latent)[1], known["y_embedding_mix01"]) <= 1e-6
    assert difference(network.synthesize(latent, "z_class"), known["image_mix01"]) <= 1e-5


@pytest.mark.parametrize("truncation", [0.02, 0.14, 0.4, 0.43, 0.433, 0.58, 1.0])
def test_published_images_of_a_truncation(truncation: float, shared: Path) -> None:
    path, known = golden(shared, GOLDEN[2])
    network = BigGANDeep(checkpoint=path, truncation=truncation)
    with network.conditioned(known["class_vector"]), network.reading(*network.layers) as seen:
        image = network.synthesize(known["z"], "z")
        assert difference(image, known[f"image_t{truncation}"]) <= 1e-5
        if truncation == 0.4:
            inner = {n: v for n, v in known.items() if "generator.layers" in n}
            assert all(difference(seen[name.partition("/")[2]], value) <= 1e-5 for name, value in inner.items())
            assert len(inner) == 4
        if truncation == 1:
            assert difference(network.synthesize(known["z_wide"], "z"), known["image_wide_t1.0"]) <= 1e-5


def test_statistics_between_two_rows_are_mixed_as_published() -> None:
    rows = torch.arange(51.0)[:, None]
    for truncation, row in (
        (0.14, 8),
        (0.28, 15),
        (0.58, 28),
        (0.94, 46),
        (0.1, 5),
        (1.0, 50),
        (0.02, 1),
        (0.43, 21.5),
    ):
        assert mix_rows(rows, truncation).item() == pytest.approx(row, abs=1e-4)
    assert mix_rows(rows, 0.433).item() == pytest.approx(21 * 0.65 + 22 * 0.35, abs=1e-3)  # the wrong way round


def test_a_truncation_is_that_of_z_and_of_the_statistics(tmp_path: Path) -> None:
    path = store(tmp_path / "model.safetensors")
    whole, half = (BigGANDeep(checkpoint=path, truncation=t) for t in (1.0, 0.5))
    z = half.sample(4000, torch.Generator().manual_seed(0), space="z")
    assert 0.97 < z.abs().max() <= 1 and z.std() == pytest.approx(Z(half).spread, rel=0.02)
    assert Z(whole).spread == pytest.approx(torch.nn.init.trunc_normal_(torch.empty(99999)).std().item(), rel=0.02)
    torch.testing.assert_close(
        whole.sample(9, torch.Generator(), 0.5, "z"), half.sample(9, torch.Generator(), space="z")
    )
    assert Z(half, constraint="prior").constrain(3 * torch.ones(1, 6)).eq(1).all()
    assert difference(pictures(whole), pictures(half)) > 0.05 and half.fingerprint() != whole.fingerprint()
    with whole.conditioned(torch.eye(3)[:1]), half.conditioned(torch.eye(3)[:1]):
        assert difference(whole.synthesize(z[:1], "z"), half.synthesize(z[:1], "z")) > 0.01, "z is the same"
    with pytest.raises(ValueError, match=r"generator.truncation: 0.0 is not possible; set it to a number above 0"):
        BigGANDeep(truncation=0.0)


@pytest.mark.parametrize("name", GOLDEN)
def test_converted_files_make_the_same_images(name: str, shared: Path, tmp_path: Path, capsys: Any) -> None:
    path, _ = golden(shared, name)
    target = tmp_path / "converted.safetensors"
    convert([path, str(target)])
    kind = BigGANDeep if "deep" in name else BigGAN
    if "hf" in name:  # its card has what config.json says; the weights alone do not
        shutil.copy(path, tmp_path / "alone.safetensors")
        with pytest.raises(ValueError, match=r"whose weights do not say which blocks double the size; put its config"):
            kind(checkpoint=str(tmp_path / "alone.safetensors"))
    before, after = kind(checkpoint=path), kind(checkpoint=str(target))
    assert torch.equal(pictures_of_ten(before), pictures_of_ten(after))
    assert before.fingerprint() == after.fingerprint()


def pictures_of_ten(generator: AbstractGenerator) -> torch.Tensor:
    return generator.synthesize(generator.sample(2, torch.Generator().manual_seed(1)), "z_class")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (BigGAN, {"channels": 1}),
        (BigGAN, {"hierarchical": False, "z_dim": 5, "attention": []}),
        (BigGAN, {"resolution": 32, "z_dim": 8, "attention": [8, 32], "width": 2}),
        (BigGANDeep, {"channels": 1, "width": 2}),
        (BigGANDeep, {"hierarchical": False, "z_dim": 5, "width": 2, "depth": 1, "attention": []}),
        (BigGANDeep, {"width": 2, "depth": 3, "bn_eps": 1e-3}),
    ],
)
def test_sizes_come_from_the_file(kind: type, changes: dict[str, Any], tmp_path: Path) -> None:
    sizes = SIZES | changes
    network = lively(kind(**sizes))
    assert not network.trained and network.channels == sizes.get("channels", 3)
    card = {"settings": network.settings}
    for state in (
        network.state_dict(),
        network.network.state_dict(),
    ):  # what a training exports, and the official names
        save_weights(tmp_path / "g.safetensors", state, card)
        again = kind(checkpoint=str(tmp_path / "g.safetensors"))
        assert again.trained and again.spaces == network.spaces and again.settings == network.settings
        assert torch.equal(pictures(again), pictures(network)) and again.fingerprint() == network.fingerprint()
    image = pictures(network)
    assert image.shape == (3, network.channels, network.resolution, network.resolution) and image.std() > 0.05


@pytest.mark.parametrize(
    ("mean", "counter"), [("stored_", "accumulation_counter"), ("running_", "num_batches_tracked")]
)
def test_statistics_of_several_gpus_are_found(mean: str, counter: str, tmp_path: Path) -> None:
    state = conditional().network.state_dict()
    deeper = {name.replace("stored_", f"bn.{mean}"): value for name, value in state.items()}
    owners = {name.rpartition(".")[0] for name in deeper if name.endswith(("_mean", "_var"))}
    save_weights(tmp_path / "g.safetensors", deeper | {f"{owner}.{counter}": torch.ones(()) for owner in owners}, {})
    assert torch.equal(pictures(BigGAN(checkpoint=str(tmp_path / "g.safetensors"))), pictures(conditional()))


def test_what_can_not_be_used_gets_one_sentence(tmp_path: Path) -> None:
    for arguments, message in (
        ({"label": 3}, "generator.label: 3 is no class of this network; choose one of 0..2, all or own"),
        ({"label": -1}, "generator.label: -1 is no class"),
        ({"resolution": 24}, "generator.resolution: 24 is no power of two"),
        ({"channels": 2}, "generator.channels: 2 colours are no image"),
        ({"z_dim": 13}, "generator.z_dim: 13 has no 3 equal parts; choose e.g. 48"),
        ({"attention": [4]}, r"generator.attention: there is no map of 4 pixels; choose from 8, 16, or \[\]"),
        ({"classes": 0}, "generator.classes: 0 is not possible; set it to 1 or more"),
        ({"bn_eps": 0.0}, "generator.bn_eps: 0.0 is not possible; set it to a number above 0"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            BigGAN(**SIZES | arguments)
    with pytest.raises(ValueError, match=r"^generator.width: 2 leaves the attention less than 8 channels"):
        BigGANDeep(resolution=128, width=2, attention=[128])
    with pytest.raises(ValueError, match=r"^generator.width: 1 leaves a block less than 4 channels"):
        BigGANDeep(resolution=128, width=1, attention=[])
    file = tmp_path / "g.safetensors"
    state = conditional().network.state_dict()
    large = {"blocks.0.0.conv1.weight": torch.ones(1, 2**16, 1, 1), "linear.weight": torch.ones(2**20, 1)}
    large["blocks.0.0.conv2.weight"] = torch.ones(2**16, 1, 1, 1)  # 150 GB if they were believed
    for broken, message in (
        ({n: v for n, v in state.items() if n != "shared.weight"}, "its classes share no embedding"),
        (state | {"linear.weight": torch.ones(100, 4)}, "'linear.weight' (100, 4) makes no square map of 16 channels"),
        ({n: v for n, v in state.items() if "blocks.1.0.conv2" not in n}, "it has no 'blocks.1.0.conv2.weight'"),
        (state | {"linear.u0": torch.ones(1, 3)}, "'linear.u0' is (1, 3)"),
        ({n: v for n, v in state.items() if ".conv1." not in n}, "it has no 'blocks.0.0.conv1.weight'"),
        (state | {"blocks.0.0.conv1.weight": torch.ones(3)}, "a tensor of it has too few dimensions"),
        (state | large, "in Network"),
        (state | {"linear.weight": state["linear.weight"] * torch.nan}, "'linear.weight' in"),
    ):
        save_weights(file, broken, {})
        with pytest.raises(ValueError, match=f"^checkpoint: .*{re.escape(message)}"):
            BigGAN(checkpoint=str(file))
    for settings, message in (
        ({"depth": 2}, "'depth' is not for it to say; it may say bn_eps, sn_eps"),
        ({"bn_eps": -1}, "settings.bn_eps is -1; it must be a positive number"),
    ):
        save_weights(file, state, {"settings": settings})
        with pytest.raises(ValueError, match=f"cannot be used .*{message}"):
            BigGAN(checkpoint=str(file))
    deep = BigGANDeep(**DEEP)
    save_weights(file, deep.state_dict(), {})
    with pytest.raises(ValueError, match="its 4 blocks are not 3 at each resolution; set generator.depth"):
        BigGANDeep(checkpoint=str(file), depth=3)


def test_a_file_of_another_family_is_named(tmp_path: Path, weights: str) -> None:
    files = {kind: tmp_path / f"{kind.__name__}.safetensors" for kind in (BigGAN, BigGANDeep)}
    save_weights(files[BigGAN], conditional().state_dict(), {})
    save_weights(files[BigGANDeep], BigGANDeep(**DEEP).network.state_dict(), {})
    hub = store(tmp_path / "hub" / "model.safetensors")
    style = weights.partition("=")[2]
    for kind, file, message in (
        (
            BigGAN,
            files[BigGANDeep],
            r"no BigGAN that can be used \(it is a BigGAN-deep; choose generator=biggan_deep\)",
        ),
        (BigGAN, hub, "it is a BigGAN-deep; choose generator=biggan_deep"),
        (BigGANDeep, files[BigGAN], r"no BigGAN-deep that can be used \(it is a BigGAN; choose generator=biggan\)"),
        (BigGANDeep, style, "it is a StyleGAN2; choose generator=stylegan2"),
        (StyleGAN2, files[BigGAN], "it is a BigGAN; choose generator=biggan"),
    ):
        with pytest.raises(ValueError, match=message):
            kind(checkpoint=str(file))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"z_dim": 8}, "config.json says z_dim 8, and the weights in .* are of 6; give the configuration"),
        ({"layers": LAYERS[:2]}, r"config.json says layers \[\[False, 4, 4\], \[True, 4, 2\]\], and"),
        ({"layers": [[False, 4, 4], [True, 4, 4], [True, 4, 2]]}, "config.json says layers"),
        ({"layers": "many"}, r"config.json has no 'layers', a list of \[whether it doubles, inputs, outputs\]"),
        ({"output_dim": 32}, "config.json says output_dim 32, and the weights in .* are of 16"),
        ({"n_stats": 50, "eps": 1e-4}, "config.json says n_stats 50"),
        ({"attention_layer_position": 1}, "config.json says attention_layer_position 1"),
        ({"eps": "small"}, "config.json says eps 'small'; it must be a small positive number"),
    ],
)
def test_a_configuration_that_contradicts_the_weights(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        BigGANDeep(checkpoint=store(tmp_path / "model.safetensors", **settings))


def test_a_card_may_say_what_a_configuration_does(tmp_path: Path) -> None:
    one = BigGANDeep(checkpoint=store(tmp_path / "model.safetensors"))
    assert one.settings == {"layers": LAYERS, "eps": 1e-4} and one.convolutions[0] == "generator.layers.0.conv_0"
    save_weights(tmp_path / "new" / "g.safetensors", one.state_dict(), {"settings": one.settings})
    again = BigGANDeep(checkpoint=str(tmp_path / "new" / "g.safetensors"))
    assert torch.equal(pictures(again), pictures(one)) and again.fingerprint() == one.fingerprint()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is no JSON"):
        BigGANDeep(checkpoint=str(tmp_path / "model.safetensors"))


def test_layers_are_read_and_edited(generator: AbstractGenerator) -> None:
    before = pictures(generator)
    for names in (generator.layers, generator.convolutions):
        with generator.reading(*names) as seen:
            pictures(generator)
        assert list(seen) == list(names) and all(value.dim() == 4 and len(value) == 3 for value in seen.values())
    assert seen[generator.convolutions[0]].shape[2] < before.shape[2]
    for name in (*generator.layers, generator.convolutions[1]):
        with generator.editing({name: lambda x: torch.cat([x[:1], x[1:] * 0.5])}):
            edited = pictures(generator)
        assert difference(edited[:1], before[:1]) < 1e-5 < 1e-3 < difference(edited[1:], before[1:]), name
    with pytest.raises(ValueError, match=r"^layer: BigGAN(-deep)? has no layer 'b4'; choose one of "):
        generator.layer("b4")


def test_images_of_a_batch_are_those_of_single_ones(generator: AbstractGenerator) -> None:
    z = generator.sample(3, torch.Generator().manual_seed(4), space="z").requires_grad_()
    images = generator.render({"latent": z, "class": torch.eye(3)}, "z")
    for row in range(3):
        single = generator.render({"latent": z[row : row + 1], "class": torch.eye(3)[row : row + 1]}, "z")
        assert difference(single, images[row : row + 1]) < 1e-5
    (gradient,) = torch.autograd.grad(images[1].square().sum(), z)
    assert gradient[1].abs().min() > 0 and not gradient[[0, 2]].any()


def test_weights_that_are_no_longer_the_same_are_divided_anew(generator: AbstractGenerator) -> None:
    before, name = pictures(generator), next(n for n, p in generator.named_parameters() if p.dim() == 4)
    owner = generator.get_submodule(name.rpartition(".")[0])
    kept = owner._folded["divided"][1]
    assert torch.equal(pictures(generator), before) and owner._folded["divided"][1] is kept
    parameter = generator.get_parameter(name)
    with torch.no_grad():
        parameter[0].mul_(2)
    try:
        assert difference(pictures(generator), before) > 1e-4 and owner._folded["divided"][1] is not kept
    finally:
        with torch.no_grad():
            parameter[0].div_(2)
    assert torch.equal(pictures(generator), before)


def test_an_image_may_have_weights_of_its_own(generator: AbstractGenerator) -> None:
    free = generator.free_weights("z")
    assert any("embed" in name or "shared" in name for name in free) and set(free) > set(
        generator.free_weights("z_class")
    )
    name = next(n for n in free if n.endswith(("conv1.weight", "conv_1.weight_orig")))
    change = torch.zeros(3, *free[name].shape)
    change[1, 0] = 0.5 * free[name][0]
    change.requires_grad_()
    z = generator.sample(3, torch.Generator().manual_seed(4), space="z")
    images = generator.render({"latent": z, "class": torch.eye(3), f"weights/{name}": change}, "z")
    moved = (images - pictures(generator)).flatten(1).abs().amax(dim=1)
    assert moved[1] > 1e-3 and moved[[0, 2]].max() < 1e-5
    (gradient,) = torch.autograd.grad(images.square().sum(), change)
    other = copy.deepcopy(generator)
    with torch.no_grad():
        other.get_parameter(name).add_(change[1])
    assert difference(pictures(other)[1], images[1]) < 1e-5
    step = 1e-3 * gradient[1] / gradient[1].norm()
    with torch.no_grad():  # along the gradient the sum changes as the gradient says, so sigma has a part in it
        ends = []
        for sign in (1, -1):
            moved_by = torch.stack([change[0], change[1] + sign * step, change[2]])
            ends.append(generator.render({"latent": z, "class": torch.eye(3), f"weights/{name}": moved_by}, "z"))
    slope = (ends[0] - ends[1]).mul(ends[0] + ends[1]).sum().item() / 2e-3
    assert slope == pytest.approx(gradient[1].norm().item(), rel=0.02)


def test_checkpointing_makes_the_same_images_and_gradients(generator: AbstractGenerator) -> None:
    plain, thrifty = copy.deepcopy(generator), copy.deepcopy(generator)
    checkpoint_blocks(thrifty)
    found = []
    for one in (plain, thrifty):
        z = generator.sample(2, torch.Generator().manual_seed(4), space="z").requires_grad_()
        images = one.render({"latent": z, "class": torch.eye(3)[:2]}, "z")
        found.append((images, *torch.autograd.grad(images.square().sum(), z)))
    assert all(difference(a, b) < 1e-5 for a, b in zip(*found, strict=True))


def test_fingerprints_tell_what_draws_other_images(tmp_path: Path) -> None:
    made = [BigGAN(**SIZES, **changes) for changes in ({}, {}, {"label": 1}, {"label": "all"}, {"bn_eps": 1e-4})]
    for one in made:
        one.load_state_dict(conditional().state_dict())
    prints = [one.fingerprint() for one in made]
    assert prints[0] == conditional().fingerprint() == prints[1] and len(set(prints)) == 4
    assert {**made[2].traits, **made[4].traits} == {"label": 1, "bn_eps": 1e-4}


def test_a_network_learns(generator: AbstractGenerator) -> None:
    student = copy.deepcopy(generator).train().requires_grad_(True)
    before = {name: value.clone() for name, value in student.named_buffers() if value is not None}
    goal, adam = -pictures(generator), torch.optim.Adam(student.parameters(), 0.01)
    losses = []
    for _ in range(15):
        loss = (pictures(student) - goal).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in student.parameters())
    moved = {name.split(".")[-1] for name, value in student.named_buffers() if not torch.equal(value, before[name])}
    own = {"u0", "sv0", "stored_mean", "stored_var"}
    assert moved == (own if "u0" in {name.split(".")[-1] for name in before} else {"weight_u", "weight_v"})
    student.freeze()
    assert torch.equal(pictures(student), pictures(student)) and not pictures(student).requires_grad


@pytest.mark.parametrize("kernel", [0, 3])
def test_spectral_norm_is_that_of_torch(kernel: int) -> None:
    plain = torch.nn.Linear(5, 7) if kernel == 0 else torch.nn.Conv2d(5, 7, 3, padding=1)
    known, pair, ours = spectral_norm(plain, eps=1e-4), SpectralPair(5, 7, kernel), SpectralLayer(5, 7, kernel)
    pair.load_state_dict(known.state_dict())
    ours.load_state_dict({"weight": known.weight_orig.data, "bias": known.bias.data, "u0": known.weight_u[None].clone(),
                          "sv0": torch.ones(1)})  # fmt: skip
    x = torch.randn(2, 5, *[4, 4][: 2 * (kernel > 0)])
    for mode in (True, True, False):
        wanted, mine = known.train(mode)(x), pair.train(mode)(x)
        assert difference(mine, wanted) < 1e-6
        if mode:  # one step of the power method before each image of a training, in both
            other = ours.train()(x)
            assert difference(other, wanted) < 1e-6 and difference(ours.u0[0], known.weight_u) < 1e-6
            pairs = ((wanted, known.weight_orig), (mine, pair.weight_orig), (other, ours.weight))
            gradients = [torch.autograd.grad(y.square().sum(), weight)[0] for y, weight in pairs]
            assert max(difference(gradient, gradients[0]) for gradient in gradients[1:]) < 1e-4
    stored = ours.u0.clone()
    ours.eval()(x)
    assert torch.equal(ours.u0, stored)
