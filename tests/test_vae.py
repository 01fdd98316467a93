"""VAEs of both layouts equal the published ones, and their encoders come along."""

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
from zstar.checkpoints.io import load_weights, save_weights
from zstar.config.reasons import Unfit
from zstar.encoders.own import own_encoder
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.vae import VAE
from zstar.generators.vae_networks import LinearVAE
from zstar.images import to_unit
from zstar.projection.run import run
from zstar.spaces.w import W
from zstar.spaces.z import Z


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def small(**arguments: Any) -> VAE:
    """A fresh one of 16×16 pixels, whose batch norm has seen something."""
    torch.manual_seed(0)
    vae = VAE(**{"resolution": 16, "z_dim": 6, "widths": [8, 12]} | arguments)
    for name, value in vae.network.state_dict().items():
        if name.startswith("bn") and value.is_floating_point():
            value.add_(torch.rand(value.shape) * 0.3)
    return vae


@pytest.fixture
def saved(tmp_path: Path) -> str:
    save_weights(tmp_path / "vae.safetensors", small().network.state_dict(), {})
    return str(tmp_path / "vae.safetensors")


@pytest.mark.parametrize("converted", [False, True])
def test_the_one_of_pytorchs_examples(shared: Path, tmp_path: Path, converted: bool) -> None:
    folder = shared / "golden/vae_mnist"
    path, found = folder / "weights.safetensors", load_file(folder / "io.safetensors")
    if converted:
        torch.save(load_file(path), tmp_path / "vae.pth")
        convert([str(tmp_path / "vae.pth"), str(tmp_path / "vae.safetensors")])
        path = tmp_path / "vae.safetensors"
    vae = VAE(checkpoint=str(path))
    assert (vae.resolution, vae.channels, vae.spaces, vae.layers) == (28, 1, {"z": (20,)}, ())
    image = 2 * found["image"] - 1
    mean, log_variance = vae.posterior(image)
    assert difference(mean, found["mu"]) <= 1e-5 and difference(log_variance, found["logvar"]) <= 1e-5
    assert torch.equal(vae.encode(image), mean)
    for latent, picture in (("z", "decoded_z"), ("mu", "recon_of_mu"), ("reparameterised", "recon")):
        made = to_unit(vae.synthesize(found[latent], "z")).flatten(1)
        assert difference(made, found[picture]) <= 1e-4
    with pytest.raises(ValueError, match="VAE has no layer 'b4'; its layers are no maps"):
        vae.layer("b4")


def test_a_real_one_of_faces_is_read_as_it_is(shared: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the classes of the example, which were written for this file alone."""
    path = shared / "assets/celeba-vae-64/celeba_vae64_z32.pth"
    if not path.is_file():
        pytest.skip("needs assets/celeba-vae-64")
    monkeypatch.syspath_prepend(str(root / "examples/celeba_vae"))
    from celeba_vae import Decoder, Encoder

    vae, weights = VAE(checkpoint=str(path)), load_weights(path)
    encoder, decoder = (kind().eval() for kind in (Encoder, Decoder))
    for network in (encoder, decoder):
        network.load_state_dict(weights, strict=False)
    z, image = torch.randn(3, 32), torch.rand(3, 3, 64, 64) * 2 - 1
    assert difference(to_unit(vae.synthesize(z, "z")), decoder(z)) <= 1e-5
    for ours, theirs in zip(vae.posterior(image), encoder(to_unit(image)), strict=True):
        assert difference(ours, theirs) <= 1e-4


@pytest.mark.parametrize("sizes", [{"channels": 1}, {"resolution": 12, "widths": [4, 6]}, {"widths": [5], "z_dim": 3}])
def test_sizes_are_those_of_the_file(sizes: dict[str, Any], tmp_path: Path) -> None:
    vae = small(**sizes)
    save_weights(tmp_path / "vae.safetensors", vae.network.state_dict(), {})
    again = VAE(checkpoint=str(tmp_path / "vae.safetensors"))
    z = vae.sample(2, torch.Generator().manual_seed(0))
    assert torch.equal(again.synthesize(z, "z"), vae.synthesize(z, "z"))
    assert again.fingerprint() == vae.fingerprint() and again.trained and not vae.trained
    again.network.d1.bias.add_(1)
    assert again.fingerprint() != vae.fingerprint()


def test_a_colour_image_by_linear_layers(tmp_path: Path) -> None:
    network = LinearVAE(8, 3, hidden=10, latents=4)
    save_weights(tmp_path / "vae.safetensors", network.state_dict(), {})
    vae = VAE(checkpoint=str(tmp_path / "vae.safetensors"))
    z = torch.randn(2, 4)
    assert torch.equal(to_unit(vae.synthesize(z, "z")), to_unit(2 * network(z) - 1)) and vae.channels == 3


def test_the_encoder_draws_nothing() -> None:
    free = small().free_weights("z")
    assert free and not any(name.startswith(("network.e", "network.fc")) for name in free)


def test_a_fresh_one_learns() -> None:
    vae = small()
    images = (torch.rand(16, 3, 1, 1) * 2 - 1).expand(-1, -1, 16, 16)
    vae.train().requires_grad_(True)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    errors = []
    for _ in range(12):
        mean, log_variance = vae.posterior(images)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        prior = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
        error = (vae.synthesize(z, "z") - images).square().mean()
        optimizer.zero_grad()
        (error + 1e-4 * prior).backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.7 * errors[0]
    assert VAE().resolution == 64 and sum(value.numel() for value in VAE().parameters()) < 500_000


def test_its_own_encoder(saved: str, tiny: StyleGAN2) -> None:
    vae = VAE(checkpoint=saved)
    encoder, images = own_encoder(Z(vae)), torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(encoder(Z(vae), images)[0], vae.encode(images))
    assert len(encoder.fingerprint()) == 64 and encoder.syntheses() == 0
    with pytest.raises(Unfit, match="^encoder: StyleGAN2 was not trained with one; choose encoder=shipped"):
        own_encoder(W(tiny, 100))


def test_what_does_not_fit_gets_one_sentence(tmp_path: Path, saved: str) -> None:
    state = small().network.state_dict()
    path = tmp_path / "broken.safetensors"
    for change, message in [
        ({"d2.bias": None}, r"broken.safetensors lacks 'd2.bias' \(8,\)"),
        ({"d2.bias": torch.zeros(3)}, r"'d2.bias' is \(3,\) in .*broken.safetensors, but \(8,\)"),
        (
            {"d2.bias": torch.full((8,), math.nan)},
            "'d2.bias' in .*broken.safetensors holds numbers that are not finite",
        ),
        ({"fc1.weight": None}, r"broken.safetensors holds no whole VAE: it lacks 'fc1.weight'"),
        ({"d1.weight": None}, r"broken.safetensors holds no VAE that can be used"),
    ]:
        save_weights(path, {n: value for n, value in {**state, **change}.items() if value is not None}, {})
        with pytest.raises(ValueError, match=message) as error:
            VAE(checkpoint=str(path))
        assert "\n" not in str(error.value)
    odd = LinearVAE(8, 1, hidden=5, latents=2).state_dict() | {"fc1.weight": torch.zeros(5, 63)}
    save_weights(path, odd, {})
    with pytest.raises(ValueError, match=r"broken.safetensors .*\(63 values are no square image"):
        VAE(checkpoint=str(path))
    with pytest.raises(ValueError, match="holds no StyleGAN2 .*it is a VAE; choose generator=vae"):
        StyleGAN2(checkpoint=saved)
    for arguments, message in [
        ({"resolution": 18}, "generator.resolution: 18 can't be halved 2 times; choose a multiple of 4"),
        ({"widths": []}, "generator.widths: the list is empty"),
        ({"widths": [8, 0]}, "generator.widths.1: 0 is not possible"),
        ({"z_dim": 0}, "generator.z_dim: 0 is not possible"),
        ({"channels": 2}, "generator.channels"),
    ]:
        with pytest.raises(ValueError, match=message):
            small(**arguments)


def test_projections_by_the_program(saved: str, composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [
        "generator=vae", f"generator.checkpoint={saved}", "data=samples", "data.count=3", "space=z", "loss=[pixel]",
        "logger=none", f"output={tmp_path}/runs", "steps=2", "metric=[mse]", "encoder=own",
    ]  # fmt: skip
    errors = []
    for chain in ("encoder", "encoder_or_mean,optimization"):
        result = run(composed("invert", *words, f"projector=[{chain}]"))
        rows = pl.read_parquet(Path(result["folder"]) / "results.parquet")
        errors.append(rows.filter(pl.col("metric") == "mse")["value"].mean())
        assert result["projectors"][0] == "encoder" and not result["failed"] and result["encoder"]
    assert errors[1] < errors[0]
