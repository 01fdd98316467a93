"""Losses that judge pictures by a network, within trainings: each of them moves what is trained, and what it came to is
kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights
from zstar.tasks.fit import fit

QUICK = [
    "logger=none", "trainer.accelerator=cpu", "callbacks.samples_every=0", "callbacks.scores_every=0",
    "validation=null", "task.steps=2", "task.batch=4", "task.decay=0",
]  # fmt: skip
TASKS = {
    "encoder": ["task=encoder", "task.warmup=0", "encoder.width=8", "encoder.width_max=8", "encoder.pyramid=8",
                "task.samples=0", "data.count=8"],
    "direction": ["task=direction", "edit=[brightness]", "space.prior_samples=500"],
    "image_network": ["task=image_network", "encoder.width=4", "encoder.blocks=1", "operator=[downscale]",
                      "data.count=8"],
    "autoencoder": ["task=autoencoder", "generator.widths=[8,8]", "generator.z_dim=4", "data.count=8"],
}  # fmt: skip


def judged(name: str, judge: Path) -> list[str]:
    """The words for a loss, by its file in ``conf/loss``."""
    return [f"loss=[pixel,{name}]", *([] if name == "patch_nce" else [f"loss.{name}.checkpoint={judge}"])]


@pytest.mark.parametrize("task", TASKS)
def test_each_loss_that_judges_moves_what_is_trained(
    task: str, tmp_path: Path, projected_judge: Path, composed: Callable[..., DictConfig]
) -> None:
    def trained(name: str, *words: str) -> dict[str, torch.Tensor]:
        folder = tmp_path / name
        result = fit(composed("train", *QUICK, *TASKS[task], *words), folder)
        assert result["steps"] == 2
        return load_weights(folder / "weights.safetensors")

    plain = trained("plain", "loss=[pixel]")
    for name in ("discriminator", "realism", "patch_nce"):
        found = trained(name, *judged(name, projected_judge))
        assert found.keys() == plain.keys(), "networks of losses are not exported"
        assert all(value.isfinite().all() for value in found.values())
        moved = max((found[key].float() - plain[key].float()).abs().max().item() for key in plain)
        assert moved > 1e-4, f"{name} has no part in {task}"
