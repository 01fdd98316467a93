"""Checks for several processes that share one training."""

import os
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from zstar.config.build import build
from zstar.runs.sweeps import turn_among
from zstar.tasks.base import AbstractTask

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "NODE_RANK", "GROUP_RANK")  # of launchers


def is_first() -> bool:
    """Whether this is the process that writes and logs; known before there is a trainer."""
    node = os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0"))
    return rank_zero_only.rank == 0 and int(node) == 0  # ty: ignore[missing-attribute]


def make_trainer(node: Mapping[str, Any], **objects: Any) -> pl.Trainer:
    """Lightning's trainer; its own errors, of settings that this machine or Lightning can't have, in one sentence.

    Raises:
        ValueError: It can't be made, or the environment says that this is one of several processes and it is not.
    """
    try:
        trainer: pl.Trainer = build({**node, **one_gpu(node)}, **objects)
    except Exception as error:  # Lightning's own class, and whatever its plugins raise
        raise _refused(error) from error
    if trainer.world_size == 1 and not is_first():
        name = next(name for name in RANKS if int(os.environ.get(name) or 0))
        raise ValueError(
            f"{name}: by the environment this is process {os.environ[name]} of several, and the trainer has one; "
            f"unset {name}, or set trainer.devices to the number of processes"
        )
    return trainer


def train(trainer: pl.Trainer, task: AbstractTask, batches: DataLoader) -> None:
    """Train; the settings that Lightning refuses when it sees what it is to train, in one sentence.

    Raises:
        ValueError: Such as of ``trainer.gradient_clip_val``, as the tasks step their optimizers themselves.
    """
    try:
        trainer.fit(task, batches)
    except MisconfigurationException as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ValueError:
    return ValueError(f"trainer: {' '.join(str(error).split()) or type(error).__name__}")


def one_gpu(node: Mapping[str, Any]) -> dict[str, list[int]]:
    """The GPU whose turn it is, as an argument of a trainer that takes one of several in a sweep; else none."""
    takes_one = node.get("devices") in (1, "1") and node.get("accelerator", "auto") in ("auto", "gpu", "cuda")
    turn = turn_among(torch.cuda.device_count()) if takes_one and torch.cuda.is_available() else None
    return {} if turn is None else {"devices": [turn]}


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
