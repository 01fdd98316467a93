"""The entry points: a composed configuration in, a run folder out."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from zstar.config import check
from zstar.mistakes import explain


def entry(primary: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], Any]]:
    """Make a program of a job: Hydra composes ``primary``, ``check`` comes first, and mistakes in the input end in one
    sentence; only a defect of the program shows a traceback."""

    def decorate(job: Callable[[DictConfig], Any]) -> Callable[[], Any]:
        composed = hydra.main(version_base="1.3", config_path="pkg://zstar.conf", config_name=primary)(guard(job))

        @wraps(job)
        def program() -> Any:  # noqa: ANN401
            os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra hides the cause of an error
            try:
                return composed()
            except HydraException as error:
                print(f"error: {explain(error)}", file=sys.stderr)
                raise SystemExit(2) from None

        return program

    return decorate


def guard(job: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Check the config before the job; bad input ends the program in its own words."""

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


@entry("train")
def train(cfg: DictConfig) -> None:
    """Train a network: ``python train.py task=annotator``."""
    from zstar.tasks.fit import fit  # imported late, so that --help answers at once

    name = cfg.name or cfg.task._target_.rsplit(".", 1)[-1].removesuffix("Task").lower()
    fit(cfg, Path(cfg.output) / name)


@entry("invert")
def invert(cfg: DictConfig) -> float | None:
    """Project images: ``python invert.py space=w``; a search over settings minimises the mean error that it returns."""
    from zstar.projection import run

    summary = run(cfg)["summary"]
    return summary["mse"]["mean"] if "mse" in summary else None
