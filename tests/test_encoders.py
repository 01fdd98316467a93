"""Encoders: every one in conf/encoder, for any size of image and any shape of latent."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from zstar.config.build import build
from zstar.encoders.base import AbstractEncoder, EncoderSpec
from zstar.encoders.psp import PSP
from zstar.encoders.resnet import ResNet
from zstar.encoders.trunk import Trunk

FILES = Path(__file__).parents[1] / "conf" / "encoder"
# A network, not a trained one: the program adds the sizes. A new file is tested like the others.
NETWORKS = sorted(path.stem for path in FILES.glob("*.yaml") if OmegaConf.load(path).get("_partial_"))
TINY = {"width": 8, "width_max": 16, "blocks": 1, "pyramid": 8, "hidden": 16}
SHAPES = [(8,), (8, 1, 1), (5, 8)]


def shrunk(node: Any) -> Any:
    """A node with the widths that are known brought down."""
    values = {name: shrunk(value) if isinstance(value, dict) else value for name, value in node.items()}
    return values | {name: size for name, size in TINY.items() if name in node}


def make(name: str, resolution: int = 16, shape: tuple[int, ...] = (8,), **changes: Any) -> AbstractEncoder:
    node = shrunk(OmegaConf.to_container(OmegaConf.load(FILES / f"{name}.yaml"))) | changes
    shape = (3, resolution, resolution) if name == "translator" else shape  # whose latents are pictures
    mean = torch.arange(float(torch.Size(shape).numel())).view(shape) / 10
    return build({**node, "_partial_": False}, spec=EncoderSpec(resolution, 3, shape, mean, 0.5))


def shaken(network: AbstractEncoder) -> AbstractEncoder:
    """Every weight moved, the last layer too, as training would."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    return network


def seen(network: AbstractEncoder, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, latents to begin with, and pictures of these."""
    rng = torch.Generator().manual_seed(0)
    size = (count, network.channels, network.resolution, network.resolution)
    images, pictures = (torch.rand(size, generator=rng) * 2 - 1 for _ in range(2))
    return images, network.mean.expand(count, *network.shape), pictures


def test_the_known_networks_are_there() -> None:
    assert {"igan", "psp", "resnet", "restyle", "translator"} <= set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("resolution", [16, 28, 64, 256])
def test_any_size_and_any_shape(name: str, shape: tuple[int, ...], resolution: int) -> None:
    network = make(name, resolution, shape).eval()
    with torch.no_grad():
        latent = network(*seen(network, 1))
    assert latent.shape == (1, *network.shape) and latent.isfinite().all()
    assert name == "translator" or network.shape == shape
    assert network.passes >= 1 and (network.iterative or network.passes == 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_untrained_one_is_at_the_mean_or_near_it(name: str) -> None:
    if name == "translator":  # which has no prior; what it adds to a picture is nothing at first
        network = make(name, residual=True).eval()
        images = seen(network, 4)[0]
        assert torch.equal(network(images, images), images)
        return
    network = make(name, shape=(5, 8)).eval()
    away = (network(*seen(network, 16)) - network.mean) / network.spread
    if name == "igan":  # its last layer is random, as in its paper
        assert 0 < away.abs().max() < 0.5
    else:
        assert away.abs().max() == 0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_of_a_batch_do_not_influence_each_other(name: str, shape: tuple[int, ...]) -> None:
    network = shaken(make(name, shape=shape)).eval()
    parts = seen(network, 5)
    together = network(*parts)
    assert (together[0] - together[1]).abs().max() > 1e-4  # it does look at the image
    for row in (0, 3):
        alone = network(*(part[row : row + 1] for part in parts))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns(name: str) -> None:
    network = shaken(make(name, shape=(5, 8))).train()
    network(*seen(network, 4)).square().sum().backward()
    idle = [key for key, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not [key for key in idle if not key.endswith("bias")]  # a norm takes the bias before it away


@pytest.mark.parametrize("name", NETWORKS)
def test_the_state_is_weights_and_statistics(name: str) -> None:
    network = shaken(make(name, shape=(5, 8)))
    again = make(name, shape=(5, 8))
    again.load_state_dict(network.state_dict())
    assert {"mean", "spread"} <= set(network.state_dict())
    parts = seen(network, 2)
    assert torch.equal(network.eval()(*parts), again.eval()(*parts))


def test_igan_keeps_to_a_uniform_prior() -> None:
    network = shaken(make("igan", limit=1.5)).eval()
    with torch.no_grad():
        network.read.weight.mul_(100)
    latent = network(*seen(network, 8))
    assert 1.4 < latent.abs().max() <= 1.5


def test_resnet_gives_all_rows_the_same_code() -> None:
    network = shaken(make("resnet", shape=(5, 8))).eval()
    codes = network(*seen(network, 2)) - network.mean
    torch.testing.assert_close(codes, codes[:, :1].expand_as(codes))


def test_psp_reads_coarse_rows_off_the_coarse_map() -> None:
    network = make("psp", 64, (18, 8))
    assert isinstance(network, PSP)
    assert network.levels == [2] * 3 + [1] * 4 + [0] * 11  # rows 1–3, 4–7 and the others, as published
    assert make("psp", 64, (8,)).levels == [2]
    assert make("psp", 8, (18, 8)).levels == [0] * 18  # there is but one map


def test_psp_around_the_first_row_begins_in_w() -> None:
    around_mean, around_first = (make("psp", shape=(5, 8), around=around) for around in ("mean", "first"))
    shaken(around_mean)
    around_first.load_state_dict(around_mean.state_dict())
    parts = seen(around_mean, 2)
    own, moved = (network.eval()(*parts) - network.mean for network in (around_mean, around_first))
    torch.testing.assert_close(moved[:, 0], own[:, 0])
    torch.testing.assert_close(moved[:, 1:], own[:, 1:] + own[:, :1])


def test_restyle_adds_to_what_was_found_and_compares_with_its_picture() -> None:
    network = shaken(make("restyle", shape=(5, 8))).eval()
    images, start, pictures = seen(network, 2)
    once = network(images, start, pictures)
    torch.testing.assert_close(network(images, start + 1, pictures), once + 1)
    assert not torch.allclose(network(images, start, images), once)
    with pytest.raises(ValueError, match="hand over G"):
        network(images, start, None)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("psp", {"pyramid": 0}, "encoder.pyramid: 0 is not possible"),
        ("psp", {"width": 12}, "encoder.width: 12 and width_max 16 must be multiples of 8"),
        ("resnet", {"width_max": 9}, "encoder.width: 8 and width_max 9 must be multiples of 8"),
        ("resnet", {"blocks": 0}, "encoder.blocks: 0 is not possible"),
        ("resnet", {"hidden": 0}, "encoder.hidden: 0 is not possible"),
        ("resnet", {"input_size": 4}, "encoder.input_size: 4 is not possible"),
        ("igan", {"width": 0}, "encoder.width: 0 is not possible"),
        ("igan", {"limit": 0.0}, "encoder.limit: 0.0 is not possible"),
        ("restyle", {"passes": 0}, "encoder.passes: 0 is not possible"),
        ("psp", {"resolution": 4}, "encoder.resolution: 4 is not possible"),
    ],
)
def test_settings_that_make_no_sense(name: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        make(name, **changes)
    assert str(error.value).startswith(sentence)


def test_restyle_does_not_iterate_itself() -> None:
    node = json.loads(json.dumps(OmegaConf.to_container(OmegaConf.load(FILES / "restyle.yaml"))))
    with pytest.raises(ValueError, match="can't iterate itself"):
        make("restyle", encoder=node)


@pytest.mark.parametrize("resolution", [8, 9, 16, 28, 33, 64, 100])
def test_the_trunk_ends_at_four_to_seven_pixels(resolution: int) -> None:
    trunk = Trunk(resolution, 3, 8, 16, 1, None)
    maps = trunk(torch.zeros(1, 3, resolution, resolution))
    assert tuple(x.shape[-1] for x in maps) == trunk.sizes and tuple(x.shape[1] for x in maps) == trunk.widths
    assert 4 <= trunk.sizes[-1] <= 7


def test_larger_images_are_brought_to_the_input_size() -> None:
    small, large = make("resnet", 16), make("resnet", 64, input_size=16)
    shaken(small)
    large.load_state_dict(small.state_dict())
    images = torch.rand(2, 3, 16, 16)
    doubled = images.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    start = small.mean.expand(2, 8)
    torch.testing.assert_close(small.eval()(images, start), large.eval()(doubled, start))
    assert isinstance(large, ResNet) and make("resnet", 16, input_size=64).trunk.input_size == 16
