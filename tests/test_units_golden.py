"""Units of a user's network, switched off, switched on and moved in part, against the figures of GAN Dissection."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from zstar.dissection.units import UnitSet
from zstar.generators.module import Module
from zstar.generators.reading import read

LAYER, SHAPE = "layer4", (48, 8, 8)
Golden = tuple[Module, dict[str, torch.Tensor]]


class Scale(nn.Module):
    """The bias, and the factor that the weights are trained without."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float) -> None:
        super().__init__()
        self.factor, self.b = gain / (kernel * math.sqrt(inputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor + self.b[:, None, None]


class Block(nn.Module):
    """Pixel norm, twice the size where asked for, a convolution, and a leaky ReLU where asked for."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int, up: bool, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False)
        self.wscale = Scale(inputs, outputs, kernel, math.sqrt(2) if active else 1.0)
        self.up, self.active = up, active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        x = self.wscale(self.conv(F.interpolate(x, scale_factor=2.0) if self.up else x))
        return F.leaky_relu(x, 0.2) if self.active else x


class PGGAN(nn.Module):
    """The progressively grown generator of 64×64 pixels that GAN Dissection looks at."""

    def __init__(self, sizes: tuple[int, ...] = (48, 48, 48, 32, 24, 16)) -> None:
        super().__init__()
        self.layer1 = Block(sizes[0], sizes[1], 4, 3, up=False)
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
            if i:
                self.add_module(f"layer{2 * i + 1}", Block(inputs, outputs, 3, 1, up=True))
            self.add_module(f"layer{2 * i + 2}", Block(outputs, outputs, 3, 1, up=False))
        self.output_64x64 = Block(sizes[-1], 3, 1, 0, up=False, active=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = z[:, :, None, None]
        for block in self.children():
            x = block(x)
        return x


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    folder = shared / "golden" / "pggan_gandissect_64"
    network = Module(PGGAN(), [48], str(folder / "weights.safetensors"), layers=[LAYER, "layer7"])
    return network, load_file(folder / "io.safetensors")


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_the_network_is_the_published_one(golden: Golden) -> None:
    network, data = golden
    maps, images = read(network, {"latent": data["z"]}, "z", "const", [LAYER, "layer7"])
    close(images, data["image"])
    assert all(maps[name].shape == data[f"feature/{name}"].shape for name in maps)
    for name, values in maps.items():
        close(values, data[f"feature/{name}"])


def test_units_are_switched_off(golden: Golden) -> None:
    network, data = golden
    off = data["ablation/units_layer4"]
    units = UnitSet(LAYER, SHAPE, off, torch.ones(len(off)), torch.full((len(off),), 9.0), torch.zeros(len(off)))
    v = units.change({"latent": data["z"]}, -torch.ones(3))
    close(network.render(v, "z"), data["image_ablate_layer4_units"])


@pytest.mark.parametrize("kind", ["insert", "soft"])
def test_units_are_switched_on_in_a_mask(golden: Golden, kind: str) -> None:
    network, data = golden
    share = data[f"{kind}/mask"][0]
    place, chosen = share.amax(dim=0), share.amax(dim=(1, 2)).nonzero().flatten()
    assert len(chosen) == 3 and torch.equal(share[chosen], place.expand(3, -1, -1))
    units = UnitSet(LAYER, SHAPE, chosen, torch.ones(3), data["insert/replacement"][chosen], torch.zeros(3))
    v = units.change({"latent": data["z"]}, torch.ones(3), place[None, None])
    close(network.render(v, "z"), data[f"image_{kind}_layer4"])


def test_half_a_share_is_half_a_strength_and_half_a_mask(golden: Golden) -> None:
    network, data = golden
    chosen, place = torch.tensor([3, 7, 20]), torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    made = []
    for share, strength, mask in ((0.5, 1.0, place), (1.0, 0.5, place), (1.0, 1.0, place / 2)):
        units = UnitSet(LAYER, SHAPE, chosen, torch.full((3,), share), torch.full((3,), 2.0), torch.zeros(3))
        made.append(network.render(units.change({"latent": data["z"]}, torch.full((3,), strength), mask), "z"))
    close(made[0], made[1])
    close(made[0], made[2])
