"""A user's own network as the generator, and the identity."""

import sys

import pytest
import torch
from torch import nn

from zstar.config.build import build
from zstar.config.check import check
from zstar.generators.module import Module
from zstar.generators.pixels import Pixels
from zstar.spaces.z import Z


class Decoder(nn.Module):
    """z [b, 5] → grey images of 8×8 in [0, 1]."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(5, width * 16)
        self.norm = nn.BatchNorm1d(width * 16)
        self.last = nn.ConvTranspose2d(width, 1, 2, stride=2)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.first(z)).unflatten(1, (-1, 4, 4))).sigmoid()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "decoder.pt"
    torch.save({"model": Decoder().state_dict(), "epoch": 7}, path)
    return str(path)


def test_a_network_of_ones_own_from_yaml(saved):
    node = {
        "_target_": "zstar.generators.module.Module",
        "network": {"_target_": f"{__name__}.Decoder", "width": 4},
        "latent_shape": [5],
        "checkpoint": saved,
        "output_range": [0, 1],
        "layers": ["first", "norm"],
    }
    check({"generator": node})
    generator = build(node)
    assert (generator.resolution, generator.channels, generator.spaces) == (8, 1, {"z": (5,)})
    z = generator.sample(3, torch.Generator().manual_seed(0))
    image = generator.synthesize(z, "z")
    assert torch.allclose(image, generator.network(z) * 2 - 1) and image.min() < 0
    assert not generator.training and not any(value.requires_grad for value in generator.parameters())
    with generator.editing({"norm": lambda x: x * 0}):
        assert not torch.equal(generator.synthesize(z, "z"), image)
    assert torch.equal(generator.lift(z, "z", "z"), z)


class Scaled(Decoder):
    """One that sees the direction of a latent alone, as many progressive GANs."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return super().forward(z / z.norm(dim=1, keepdim=True).clamp_min(1e-8))


def test_whether_a_network_normalizes_its_latents_is_found_out():
    for kind in (Decoder, Scaled):
        generator = Module(kind(), [5])
        assert generator.normalizes == (kind is Scaled)
        start = Z(generator).start(1)
        assert (start.norm() > 0.5) == generator.normalizes  # where the mean is a latent, it is the start


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_computed_in_single(kind, tmp_path):
    torch.save(Decoder().to(kind).state_dict(), tmp_path / "decoder.pt")
    for arguments in ({"network": Decoder().to(kind)}, {"checkpoint": str(tmp_path / "decoder.pt")}):
        generator = Module(**({"network": Decoder(), "latent_shape": [5]} | arguments))
        assert generator.synthesize(generator.sample(2, torch.Generator()), "z").dtype == torch.float32
        assert len(generator.fingerprint()) == 64


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    state = Decoder().state_dict()
    state["last.weight"][0, 0, 0, 0] = torch.nan
    torch.save(state, tmp_path / "decoder.pt")
    with pytest.raises(ValueError, match=r"'last.weight' in .*decoder.pt holds numbers that are not finite: .*; give"):
        Module(Decoder(), [5], str(tmp_path / "decoder.pt"))


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_priors(prior):
    generator = Module(Decoder(), [5], prior=prior)
    z = generator.sample(4000, torch.Generator().manual_seed(0))
    assert z.mean().abs() < 0.03
    if prior == "uniform":
        assert z.abs().max() <= 1 and abs(z.std() - 3**-0.5) < 0.01
    else:
        assert abs(z.std() - 1) < 0.02
    assert torch.allclose(generator.sample(4000, torch.Generator().manual_seed(0), 0.5), z / 2)
    with pytest.raises(ValueError, match="no space 'w'"):
        generator.sample(1, torch.Generator(), space="w")


def test_what_does_not_fit_gets_one_sentence(saved):
    for arguments, message in [
        ({"network": Decoder(8)}, r"'first.weight' is \(64, 5\) in .*decoder.pt, but \(128, 5\) in Decoder"),
        ({"network": nn.Linear(5, 4)}, r"decoder.pt lacks 'weight' \(4, 5\) of Linear"),
        ({"checkpoint_key": "ema"}, "no state dict 'ema'; there are: model"),
        ({"latent_shape": [6]}, "generator.latent_shape: Decoder"),
        ({"network": nn.Linear(5, 4), "checkpoint": None}, "generator.network: three latents gave"),
        ({"layers": ["second"]}, "no 'second'; choose from first, norm, last"),
        ({"output_range": [1.0, 0.0]}, r"generator.output_range: \[1.0, 0.0\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            Module(**{"network": Decoder(), "latent_shape": [5], "checkpoint": saved, **arguments})


def test_grumpy_cats_by_a_class_outside_of_the_package(composed, root, shared, monkeypatch):
    checkpoint = shared / "assets/grumpy-dcgan-64/G_iter6400.pkl"
    if not checkpoint.is_file():
        pytest.skip("needs assets/grumpy-dcgan-64")
    monkeypatch.syspath_prepend(str(root / "examples/grumpy"))
    search = f"hydra.searchpath=[file://{root / 'examples/grumpy/conf'}]"
    cfg = composed("invert", search, "generator=grumpy", f"generator.checkpoint={checkpoint}", "space=z")
    check({"generator": cfg.generator})
    generator = build(cfg.generator)
    assert "grumpy_dcgan" in sys.modules and generator.resolution == 64
    images = generator.synthesize(generator.sample(16, torch.Generator().manual_seed(0)), "z")
    assert images.abs().max() <= 1
    # What every Grumpy cat shows: a white nose between dark eyes, brownish rather than bluish.
    nose, eyes = images[:, :, 24:40, 28:36].mean(), images[:, :, 20:36, 10:22].mean()
    red, blue = images[:, 0].mean(), images[:, 2].mean()
    assert nose > eyes + 0.4 and red > blue


def test_the_identity():
    generator = Pixels(resolution=8, channels=1)
    image = generator.sample(50, torch.Generator().manual_seed(0))
    assert image.shape == (50, 1, 8, 8) and image.abs().max() <= 1 and image.mean().abs() < 0.05
    assert torch.equal(generator.synthesize(image, "pixels"), image)
    with pytest.raises(ValueError, match="no space 'z'"):
        generator.synthesize(image, "z")
    with pytest.raises(ValueError, match="is not that of pixels"):
        generator.synthesize(image[:, :, 1:], "pixels")
    with pytest.raises(ValueError, match="has no layers"):
        generator.layer("b4")
    with pytest.raises(ValueError, match="generator.channels"):
        Pixels(channels=2)
