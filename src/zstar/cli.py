"""The entry points: a composed configuration in, a run folder out."""

import os
import sys
import traceback
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
from zstar.mistakes import complain, explain
from zstar.settings import Edit, Invert, Train


class JobFailed(Exception):
    """One job of a sweep has failed and has said why; the sweep goes on with the others."""


def entry(primary: str, settings: type) -> Callable[[Callable[[DictConfig], Any]], Callable[[], Any]]:
    """Make a program of a job: Hydra composes ``primary``, ``check`` comes first, and mistakes in the input end in one
    sentence; only a defect of the program shows a traceback."""

    def decorate(job: Callable[[DictConfig], Any]) -> Callable[[], Any]:
        guarded = guard(job, settings)
        composed = hydra.main(version_base="1.3", config_path="pkg://zstar.conf", config_name=primary)(guarded)

        @wraps(job)
        def program() -> Any:  # noqa: ANN401
            os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra hides the cause of an error
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # before torch comes, whose advice is no user's
            try:
                return composed()
            except JobFailed:
                raise SystemExit(1) from None
            except (HydraException, ValueError) as error:
                if (sentence := explain(error, sys.argv[1:])) is None:
                    raise
                print(f"error: {sentence}", file=sys.stderr)
                raise SystemExit(2) from None

        return program

    return decorate


def guard(job: Callable[[DictConfig], Any], settings: type) -> Callable[[DictConfig], Any]:
    """Check the config before the job; bad input ends the program, or its job of a sweep, in its own words."""

    @wraps(job)
    def guarded(cfg: DictConfig) -> Any:  # noqa: ANN401
        sweep = HydraConfig.get().mode is RunMode.MULTIRUN
        try:
            check(cfg, settings)
            return job(cfg)
        except Exception as error:
            sentence = complain(error, str(cfg.get("output")))
            if sentence is None and not sweep:
                raise
            which = " ".join(HydraConfig.get().overrides.task) if sweep else ""
            print(f"error: {which}{': ' * sweep}{sentence or traceback.format_exc()}", file=sys.stderr)
            if sweep:
                raise JobFailed(which) from None
            raise SystemExit(2) from None

    return guarded


@entry("train", Train)
def train(cfg: DictConfig) -> None:
    """Train a network: ``python train.py task=annotator``."""
    from zstar.tasks.fit import fit  # imported late, so that --help answers at once

    name = cfg.name or cfg.task._target_.rsplit(".", 1)[-1].removesuffix("Task").lower()
    fit(cfg, Path(cfg.output) / name)


@entry("invert", Invert)
def invert(cfg: DictConfig) -> float | None:
    """Project images: ``python invert.py space=w``; a search over settings minimises the mean error that it returns."""
    from zstar.projection import run

    summary = run(cfg)["summary"]
    return summary["mse"]["mean"] if "mse" in summary else None


@entry("edit", Edit)
def edit(cfg: DictConfig) -> None:
    """Edit projected images: ``python edit.py only=[season]``."""
    from zstar.editing import run

    run(cfg)
