"""What all problems in image space have in common: a run that was killed goes on, and ends as if it had not been."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from killed import kill
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights
from zstar.data.cottages import Cottages
from zstar.images import write_png
from zstar.projection.run import run

RUNS = {
    "gradient_domain": ["experiment=gradient_domain", "steps=3"],
    "poisson": ["experiment=gradient_domain", "projector=[copy,poisson]"],
    "style_transfer": ["experiment=style_transfer", "steps=2"],
    "analogy": ["generator=pixels", "space=pixels", "projector=[analogy]", "loss=[pixel]", "data=folder"],
}


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Words for three photos with a source, a style and a mask each."""
    images = Cottages(9, resolution=32).read(range(9)).images
    mask = -torch.ones(1, 32, 32)
    mask[:, 8:24, 10:22] = 1.0
    for number, name in enumerate("abc"):
        for folder, image in zip(("photos", "sources", "styles"), images[3 * number :], strict=False):
            write_png(tmp_path / folder / f"{name}.png", image)
        write_png(tmp_path / "masks" / f"{name}.png", mask)
    return [f"data.path={tmp_path}/photos", f"data.source={tmp_path}/sources", f"data.style={tmp_path}/styles",
            f"data.mask={tmp_path}/masks", "generator.resolution=32", "batch_size=1", "logger=none",
            "metric=[mse]"]  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_goes_on_and_ends_the_same(
    name: str, pictures: list[str], tmp_path: Path, composed: Callable[..., DictConfig]
) -> None:
    words = [*RUNS[name], *pictures]
    smooth = run(composed("invert", *words, f"output={tmp_path}/smooth"))
    kill(composed("invert", *words, f"output={tmp_path}/killed"))
    assert not list(tmp_path.glob("killed/*/result.json"))
    again = run(composed("invert", *words, f"output={tmp_path}/killed"))
    assert again["images"] == smooth["images"] == 3 and not again["failed"] and not again["skipped"]
    one, other = (load_weights(Path(each["folder"]) / "latents.safetensors") for each in (again, smooth))
    assert one["latent"].equal(other["latent"]) and one["loss"].equal(other["loss"])
    images = Cottages(9, resolution=32).read(range(9)).images[::3]
    assert (one["latent"].view_as(images) - images).abs().amax() > 0.1, "something was done to each of them"
