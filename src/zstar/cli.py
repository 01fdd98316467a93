"""The entry points: a composed configuration in, a run folder out."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # without it Hydra hides the cause of an error

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from zstar.config import check


def one_sentence(job: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Check the config before anything else; mistakes in the input end the program in their own words."""

    @wraps(job)
    def guarded(cfg: DictConfig) -> Any:  # noqa: ANN401
        try:
            check(cfg)
            return job(cfg)
        except (ValueError, FileNotFoundError) as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:  # Hydra goes on with the other jobs after an exception
                raise
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    return guarded


@hydra.main(version_base="1.3", config_path="pkg://zstar.conf", config_name="train")
@one_sentence
def train(cfg: DictConfig) -> None:
    """Train a network: ``python train.py task=annotator``."""
    import pytorch_lightning as pl  # imported late, so that --help answers at once

    from zstar.tasks.fit import fit

    name = cfg.name or cfg.task._target_.rsplit(".", 1)[-1].removesuffix("Task").lower()
    folder = Path(cfg.output) / name
    fit(cfg, folder, pl.loggers.CSVLogger(folder, name="", version="logs"))


@hydra.main(version_base="1.3", config_path="pkg://zstar.conf", config_name="invert")
@one_sentence
def invert(cfg: DictConfig) -> float | None:
    """Project images: ``python invert.py space=w``; a search over settings minimises the mean error that it returns."""
    from zstar.projection import run

    summary = run(cfg)["summary"]
    return summary["mse"]["mean"] if "mse" in summary else None
