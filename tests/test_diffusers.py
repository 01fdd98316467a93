"""The autoencoders of diffusers, as generators with an encoder of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from zstar.encoders.own import own_encoder
from zstar.generators.diffusers import Diffusers
from zstar.projection.run import run
from zstar.spaces.z import Z

diffusers = pytest.importorskip("diffusers", reason="needs diffusers: pip install 'zstar[diffusers]'")

SCALES = {"AutoencoderKL": {"scaling_factor": 0.5, "shift_factor": 0.2}, "AutoencoderTiny": {"scaling_factor": 1.0}}


def store(home: Path) -> dict[str, Path]:
    """A random network of each kind, as the library saves it."""
    torch.manual_seed(0)
    widths = (8, 8)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    usual = diffusers.AutoencoderKL(
        block_out_channels=widths, norm_num_groups=4, sample_size=16, **blocks, **SCALES["AutoencoderKL"]
    )
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths, num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1), **SCALES["AutoencoderTiny"],
    )  # fmt: skip
    for network in (usual, tiny):
        network.save_pretrained(home / type(network).__name__)
    return {kind: home / kind for kind in SCALES}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return store(tmp_path_factory.mktemp("diffusers"))


@pytest.fixture(params=list(SCALES))
def pair(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Diffusers, Any]:
    """The generator, and the library's own network."""
    folder = folders[request.param]
    network = getattr(diffusers, request.param).from_pretrained(folder, local_files_only=True)
    return Diffusers(str(folder), resolution=16), network.eval()


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def test_images_and_latents_are_those_of_the_library(pair: tuple[Diffusers, Any]) -> None:
    generator, network = pair
    depth, side, _ = generator.spaces["z"]
    scale = SCALES[type(network).__name__]
    z, image = torch.randn(2, depth, side, side), torch.rand(2, 3, 16, 16) * 2 - 1
    plain = z / scale["scaling_factor"] + scale.get("shift_factor", 0)
    assert difference(generator.synthesize(z, "z"), network.decode(plain).sample) < 1e-5
    found = network.encode(image)
    known = found.latent_dist.mean if hasattr(found, "latent_dist") else found.latents
    assert difference(generator.encode(image), (known - scale.get("shift_factor", 0)) * scale["scaling_factor"]) < 1e-5
    assert torch.equal(own_encoder(Z(generator))(Z(generator), image)[0], generator.encode(image))
    assert difference(generator.synthesize(z[1:], "z"), generator.synthesize(z, "z")[1:]) < 1e-5


def test_layers_weights_and_settings_count(folders: dict[str, Path], tmp_path: Path) -> None:
    generator = Diffusers(str(folders["AutoencoderKL"]))
    assert (generator.resolution, generator.spaces) == (16, {"z": (4, 8, 8)})
    assert generator.layers == ("mid_block", "up_blocks.0", "up_blocks.1")
    z = generator.sample(2, torch.Generator().manual_seed(0)).requires_grad_()
    with generator.reading(*generator.layers) as seen:
        plain = generator.synthesize(z, "z")
    assert [value.shape[-1] for value in seen.values()] == [8, 16, 16]
    (gradient,) = torch.autograd.grad(plain[1].sum(), z)
    assert gradient[1].abs().sum() > 0 and not gradient[0].any()
    for name in generator.layers:
        with generator.editing({name: lambda x: torch.cat([x[:1], x[1:].flip(1)])}):
            edited = generator.synthesize(z, "z")
        assert torch.equal(edited[0], plain[0]) and difference(edited[1], plain[1]) > 1e-4
    free = generator.free_weights("z")
    assert free and not any(".encoder." in name for name in free)
    folder = tmp_path / "other"
    folder.mkdir()
    for path in folders["AutoencoderKL"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert Diffusers(str(folder)).fingerprint() == generator.fingerprint()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.6}))
    assert Diffusers(str(folder)).fingerprint() != generator.fingerprint()


def test_what_does_not_fit_gets_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder with a config.json of diffusers"):
        Diffusers(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(ValueError, match="holds UNet2DModel; choose one of AutoencoderKL or AutoencoderTiny"):
        Diffusers(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    with pytest.raises(ValueError, match="can't be read as AutoencoderKL") as error:
        Diffusers(str(tmp_path))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="generator.resolution: 17 is not possible; choose a multiple of 2"):
        Diffusers(str(folders["AutoencoderKL"]), 17)


def test_a_projection_by_the_program(folders: dict[str, Path], composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [
        "generator=diffusers", f"generator.checkpoint={folders['AutoencoderKL']}", "data=samples", "data.count=2",
        "space=z", "loss=[pixel]", "logger=none", f"output={tmp_path}/runs", "steps=2", "metric=[mse]", "encoder=own",
    ]  # fmt: skip
    result = run(composed("invert", *words, "projector=[encoder,optimization]"))
    rows = pl.read_parquet(Path(result["folder"]) / "results.parquet")
    start, end = (rows.filter(pl.col("metric") == name)["value"].mean() for name in ("start/mse", "mse"))
    assert not result["failed"] and end < start
