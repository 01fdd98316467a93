"""Checks for several processes that share one training."""

import os
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.utilities import rank_zero_only
from torch.nn.modules.batchnorm import _BatchNorm

from zstar.tasks.base import AbstractTask


def is_first() -> bool:
    """Whether this is the process that writes and logs; known before there is a trainer."""
    node = os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0"))
    return rank_zero_only.rank == 0 and int(node) == 0  # ty: ignore[missing-attribute]


def check_processes(trainer: pl.Trainer, task: AbstractTask, synchronised: bool) -> None:
    """Check that the processes of ``trainer`` can share this training.

    Raises:
        ValueError: They can't; with the key and the fix.
    """
    count = trainer.world_size
    if count == 1:
        return
    if task.batch % count:
        raise ValueError(f"task.batch: {task.batch} images can't be shared by {count} processes; choose a multiple")
    normalised = any(isinstance(module, _BatchNorm) for module in task.modules())
    if synchronised and normalised and trainer.strategy.root_device.type == "cpu":
        raise ValueError(
            "trainer.sync_batchnorm: processes on CPUs can't share the statistics of this network's batch norm; set it "
            "to false, and each takes those of its own images"
        )
    environment: Any = trainer.strategy.cluster_environment  # ty: ignore[missing-attribute]
    launches = not environment.creates_processes_externally
    if launches and HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        raise ValueError(
            f"trainer.devices: a grid (-m) can't start {count} processes for each of its trainings; set it to 1, or "
            "start them one after the other"
        )
